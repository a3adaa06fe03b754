//! What is told to operators: metrics and logs.

pub mod address;
mod file;
pub mod log;
pub mod metrics;
pub mod pool;
mod queue;
pub mod sources;
pub mod sparse;
pub mod transfer_log;
