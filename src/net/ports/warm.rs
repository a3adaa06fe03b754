//! Listeners that have kept their promise and may be lent again (K6).
//!
//! To open and close a listener costs more than all else that a small file needs of its port. So on a
//! busy host one is kept open for a moment after its last lease was used up, and a new lease gets one
//! of those that are kept. There are always so many to choose from that a port stays as hard to guess
//! as the address of a connection makes it to use, and none is kept for long, so that they change
//! (P11). On a quiet host none is lent twice.
//!
//! ```text
//!   bound ─▶ leased ── used up ──▶ kept ── drawn, nobody is queued ──▶ leased …
//!              │                    └───── old, or somebody is queued ──▶ closed, who is queued is reset
//!              └── unused ──▶ closed
//! ```

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::task::{Context, Waker};
use std::time::Duration;

use rand::{Rng, RngExt};
use tokio::time::Instant;

use super::room::Shared;
use crate::net::dial::poll_arrival;

/// The listeners that are kept.
#[derive(Default)]
pub(super) struct Warm {
    kept: Vec<Kept>,
    /// Whether somebody closes the old ones.
    pub(super) is_swept: bool,
}

struct Kept {
    address: SocketAddr,
    shared: Shared,
    until: Instant,
}

/// What came of drawing.
pub(super) enum Drawn {
    /// There are too few to choose from.
    None,
    /// It listens, and nobody is queued.
    Quiet(SocketAddr, Shared),
    /// Somebody had connected to it whom nobody awaits. It is closed.
    Disturbed,
}

impl Warm {
    /// Keeps a listener whose last connection was just accepted, or gives it back to be closed.
    pub(super) fn keep(
        &mut self,
        address: SocketAddr,
        shared: Shared,
        range: &RangeInclusive<u16>,
        now: Instant,
    ) -> Option<Shared> {
        let is_old = now.duration_since(shared.since) >= LIFE;
        let is_ours = range.len() >= NARROW && range.contains(&address.port());
        if is_old || !is_ours || self.kept.len() >= MOST {
            return Some(shared);
        }
        let until = now + WARMTH;
        self.kept.push(Kept {
            address,
            shared,
            until,
        });
        None
    }

    /// A listener of `vip` that was chosen with `random`.
    pub(super) fn draw(&mut self, vip: IpAddr, random: &mut impl Rng) -> Drawn {
        if self.kept.len() < LEAST {
            return Drawn::None;
        }
        let place = random.random_range(0..self.kept.len());
        if { self.kept.get(place) }.is_none_or(|kept| kept.address.ip() != vip) {
            return Drawn::None;
        }
        let Kept {
            address, shared, ..
        } = self.kept.swap_remove(place);
        // The runtime takes a listener for readable until an accept finds nothing, and the last one
        // found its connection: so this asks the kernel.
        let all = Waker::from(shared.room.clone());
        if poll_arrival(&shared.listener, &mut Context::from_waker(&all)).is_pending() {
            Drawn::Quiet(address, shared)
        } else {
            Drawn::Disturbed
        }
    }

    /// Those whose time is over, to be dropped where nobody waits for the table.
    pub(super) fn take_old(&mut self, now: Instant) -> Vec<Shared> {
        { self.kept.extract_if(.., |kept| kept.until <= now) }
            .map(|kept| kept.shared)
            .collect()
    }

    /// All of them.
    pub(super) fn take_all(&mut self) -> Vec<Shared> {
        self.kept.drain(..).map(|kept| kept.shared).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

/// From how many a port is drawn, at the least. The kept ones are a random choice of the whole range
/// themselves.
pub(super) const LEAST: usize = 256;

/// Descriptors that are spent on it, at the most.
const MOST: usize = 512;

/// Ports of a range below which none is kept: they would be a large part of it.
const NARROW: usize = 2048;

/// How long one is kept unused: at 256 leases a second, where opening would begin to cost, it is lent again.
/// Who connects to it meanwhile is reset not much later (P13).
pub(super) const WARMTH: Duration = Duration::from_secs(1);

/// How long one serves at the most, so that nobody can get to know them.
const LIFE: Duration = Duration::from_secs(10);
