//! An upgrade in place: a newer process takes the listening sockets of the one that runs, which then finishes
//! what it has begun, and ends.
//!
//! ```text
//!   newer process                                  older process: serves
//!     asks at `process.handover` ── Ask ────────────▶ whose is it? which protocol?
//!     its listeners, from then on ◀── Offer, sockets ── all that it listens on; goes on serving
//!     privileges, log, everything built
//!     accepts clients             ── Serving ───────▶ accepts nobody any more; who waits is the newer's
//!     is ready                    ◀── Leaving ─────── its sessions go on
//!     counts them                 ◀── Leaving ─────── …  when they are fewer
//!     knows that it is over       ◀── end ─────────── the last session is over, or `timeouts.upgrade` is
//! ```
//! Until `Serving`, nothing has changed for the older process: a newer one that fails, hangs or goes away
//! leaves it as it was. Both may accept for a moment; what waits to be accepted is in one queue of both.
//!
//! Each message is a line of JSON. The sockets come beside `Offer`. What is asked comes from another version:
//! the number in `Ask` tells whether the two understand each other, and fields may be added without a new one.

mod giving;
mod message;
mod taking;

pub(super) use self::giving::{Request, Successor, serve};
pub(super) use self::message::Rest;
pub use self::taking::HandoverError;
pub(super) use self::taking::{Older, Takeover};
