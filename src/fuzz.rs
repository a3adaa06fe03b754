//! What the fuzz targets try: one function each, which panics when something does not hold that must.
//!
//! The targets in `fuzz/` are these functions and nothing else. Tests try them with every input of the
//! corpora, so that what a fuzzer has once reached stays reached. docs/fuzzing.md tells how to look for more.

#![expect(
    clippy::missing_panics_doc,
    reason = "to panic is how a target says that it has found something"
)]

pub mod commands;
pub mod configuration;
pub mod endpoints;
pub mod keepalived;
pub mod lines;
pub mod replies;
pub mod session;
#[cfg(test)]
mod tests;
