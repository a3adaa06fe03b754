//! What goes on beside the sessions: health checks, and what operators and Prometheus ask.

pub mod admin;
mod bounded;
pub mod probe;
