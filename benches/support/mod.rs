//! What the end-to-end bench is made of.
//!
//! ```text
//!   load ──▶ client ─────────────────▶ sink        direct
//!   load ──▶ client ──▶ balancer ────▶ sink        through ftplb
//! ```
//! `load` and `sink` are small, check every transfer, and run in the process of the bench; the balancer
//! is the real program in a process of its own, so that its processor time can be told from theirs.

pub(crate) mod balancer;
pub(crate) mod client;
pub(crate) mod control;
pub(crate) mod crowd;
pub(crate) mod deed;
pub(crate) mod ftplb;
pub(crate) mod load;
pub(crate) mod network;
pub(crate) mod payload;
pub(crate) mod process;
pub(crate) mod server;
pub(crate) mod sink;
pub(crate) mod soak;
pub(crate) mod subject;
pub(crate) mod table;
