//! What the comparison, the bench of many sessions and the soak are made of.
//!
//! ```text
//!   compare   load  ──▶ client ─────────────────▶ sink        direct
//!             load  ──▶ client ──▶ balancer ────▶ sink        through ftplb, HAProxy or nginx
//!             load  ──▶ client ──▶ nat ─────────▶ sink        through the kernel
//!   scale     crowd ──▶ client ──▶ ftplb ───────▶ server      each in a process of its own
//!   soak      deed  ──▶ client ──▶ ftplb ───────▶ server      the same, and `subject` watches ftplb
//! ```
//! Clients check every transfer, and so do sinks and servers. A sink costs little and can little; a server lets
//! transfers be aborted and connects to clients in active mode. The balancers are the real programs, in
//! processes of their own, so that their processor time can be told from that of the load.

pub(crate) mod balancer;
pub(crate) mod client;
pub(crate) mod control;
pub(crate) mod crowd;
pub(crate) mod deed;
pub(crate) mod ftplb;
pub(crate) mod group;
pub(crate) mod link;
pub(crate) mod load;
pub(crate) mod nat;
pub(crate) mod network;
pub(crate) mod payload;
pub(crate) mod process;
pub(crate) mod server;
pub(crate) mod sink;
pub(crate) mod soak;
pub(crate) mod subject;
pub(crate) mod system;
pub(crate) mod table;
pub(crate) mod work;
