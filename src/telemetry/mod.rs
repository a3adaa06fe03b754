//! What is told to operators: metrics and logs.

pub mod log;
pub mod metrics;
pub mod pool;
pub mod sources;
pub mod sparse;
