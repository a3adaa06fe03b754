//! What the comparison is made of.
//!
//! ```text
//!   load ──▶ client ─────────────────▶ sink        direct
//!   load ──▶ client ──▶ balancer ────▶ sink        through ftplb, HAProxy or nginx
//! ```
//! `load` and `sink` are small, check every transfer, and run in the process of the bench; a balancer is
//! the real program in a process of its own, so that its processor time can be told from theirs.

pub(crate) mod balancer;
pub(crate) mod client;
pub(crate) mod control;
pub(crate) mod group;
pub(crate) mod load;
pub(crate) mod network;
pub(crate) mod payload;
pub(crate) mod process;
pub(crate) mod sink;
pub(crate) mod system;
pub(crate) mod table;
