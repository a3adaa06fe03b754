//! The algorithm that draws two backends by lot and takes the less busy one: ipvs `twos` (Mitzenmacher,
//! "The Power of Two Choices in Randomized Load Balancing", IEEE TPDS 2001).
//!
//! It comes close to the least connections, and replicas that do not know each other's sessions do not all
//! rush to the same idle backend.
//!
//! A backend is drawn as often as its share is of all, each lot by itself, so both may fall on one. ipvs
//! draws one number more than there are shares and gives it to the first backend of its list, which of two
//! with weight 1 is drawn twice as often as the other. That is not repeated here.

use super::least;
use super::snapshot::{Candidates, Target};

#[cfg(test)]
mod tests;

/// The less busy for its share of two that are drawn, or the first of them. `draw` gives a number below its
/// argument.
pub(super) fn less_busy_of_two(
    candidates: Candidates<'_>,
    mut draw: impl FnMut(u64) -> u64,
) -> Option<usize> {
    let total = candidates
        .iter()
        .map(|(_, target)| u64::from(target.share))
        .sum();
    let drawn = [draw(total), draw(total)].map(|lot| owner(candidates, lot));
    least::least_for_its_share(drawn.into_iter().flatten(), least::sessions)
}

/// The backend that `lot` falls on when the shares lie end to end.
fn owner(candidates: Candidates<'_>, mut lot: u64) -> Option<(usize, &Target)> {
    candidates.iter().find(|(_, target)| {
        let share = u64::from(target.share);
        let is_here = lot < share;
        lot = lot.saturating_sub(share);
        is_here
    })
}
