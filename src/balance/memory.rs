//! What the algorithms of a pool remember from one pick to the next.
//!
//! It outlives snapshots: a backend that goes or comes does not send everything back to the beginning. An
//! algorithm uses its own part only.

use super::chance::Chance;
use super::locality::Localities;
use super::rotation::Rotation;

/// The memory of one pool, beside its snapshots.
#[derive(Debug)]
pub struct Memory {
    /// For those that go round.
    pub(super) rotation: Rotation,
    /// For those that draw lots.
    pub(super) chance: Chance,
    /// For those that keep a VIP where it is.
    pub(super) localities: Localities,
}

impl Memory {
    /// An empty memory that draws the lots of `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            rotation: Rotation::default(),
            chance: Chance::new(seed),
            localities: Localities::default(),
        }
    }
}
