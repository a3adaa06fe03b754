//! The algorithms by which an address decides through a small table: ipvs `sh` and `dh`.
//!
//! The 256 slots are dealt out in the order of the list, round after round: to each backend as many in a row
//! as its weight (`sh`), or one (`dh`). An address is multiplied into a slot. All of it is as in ipvs, the
//! numbers included (Linux 4.17 and later); two remarks on what that means:
//!
//! - The table is made of the backends that are up. A backend of weight 0 has one slot in each round all the
//!   same, whose clients go on to the next. Places in the list count: when a backend comes or goes, most
//!   clients meet another. [`super::maglev`] is what to use unless it must be as it was.
//! - `dh` hashes the VIP. With one VIP it is one backend for everybody, and the others stand by. It was made
//!   for caches, where the destination is the site that is asked for, and makes no sense for FTP.
//!
//! Replicas with the same list agree (design decision 16).

use std::net::IpAddr;

use super::slots::Slots;
use super::snapshot::{Candidates, Target};

#[cfg(test)]
mod tests;

/// The table in which each backend of the list has as many slots in a row as its weight.
pub(super) fn by_weight(candidates: Candidates<'_>) -> Option<Slots> {
    deal(candidates, |target| target.weight.max(1))
}

/// The table in which the backends of the list take turns.
pub(super) fn in_turn(candidates: Candidates<'_>) -> Option<Slots> {
    deal(candidates, |_| 1)
}

/// The candidate for `address`, and `port` if that is to count: the owner of its slot, or of the next slot
/// that has a candidate. The walk begins where ipvs begins it, at the double of the first slot.
pub(super) fn pick(
    slots: &Slots,
    address: IpAddr,
    port: Option<u16>,
    candidates: Candidates<'_>,
) -> Option<usize> {
    let slot = slot_of(address, port);
    slots.pick(slot, slot * 2 % SLOTS, candidates)
}

fn deal(candidates: Candidates<'_>, in_a_row: impl Fn(&Target) -> u32 + Clone) -> Option<Slots> {
    let round = candidates.listed().flat_map(|(index, target)| {
        // Of more than 65,536 backends, the later ones get no clients.
        let index = u16::try_from(index).ok();
        let times = usize::try_from(in_a_row(target)).unwrap_or(SLOTS);
        std::iter::repeat_n(index, times.min(SLOTS))
    });
    Slots::new(round.flatten().cycle().take(SLOTS))
}

/// The slot of an address. IPv4 is the same whether or not it is mapped into IPv6 (V2).
fn slot_of(address: IpAddr, port: Option<u16>) -> usize {
    let folded = match address.to_canonical() {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => fold(address.octets()),
    };
    let number = folded.wrapping_add(port.unwrap_or(0).into());
    let [slot, ..] = number.wrapping_mul(MULTIPLIER).to_be_bytes();
    slot.into()
}

/// The four words of an IPv6 address in one.
fn fold(octets: [u8; 16]) -> u32 {
    let (words, _) = octets.as_chunks::<4>();
    words
        .iter()
        .fold(0, |folded, word| folded ^ u32::from_be_bytes(*word))
}

/// As many as the upper eight bits of the product tell apart.
const SLOTS: usize = 256;

/// `GOLDEN_RATIO_32` of Linux: 2³² divided by the square of the golden ratio. Neighbouring addresses come to
/// slots far apart.
const MULTIPLIER: u32 = 0x61c8_8647;
