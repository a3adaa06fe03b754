//! The algorithms that keep to the backend of the greatest weight: ipvs `fo` and `ovf`.
//!
//! A weight is an order here. Under `ovf` it is a number of sessions as well; when all backends have theirs,
//! there is none for a new session, which is refused as it is when no backend is up. Of equal weights the
//! earlier entry is first.

use super::least;
use super::snapshot::{Candidates, Target};

#[cfg(test)]
mod tests;

/// The greatest weight: one backend works, the others stand by.
pub(super) fn failover(candidates: Candidates<'_>) -> Option<usize> {
    heaviest(candidates.iter())
}

/// The greatest weight of those that have no more sessions than their weight. The session that exceeds the
/// weight by one is still taken, as in ipvs.
pub(super) fn overflow(candidates: Candidates<'_>) -> Option<usize> {
    let has_room = |target: &Target| least::sessions(target) <= u64::from(target.weight);
    heaviest(candidates.iter().filter(|(_, target)| has_room(target)))
}

fn heaviest<'a>(backends: impl Iterator<Item = (usize, &'a Target)>) -> Option<usize> {
    let (index, _) = backends.reduce(|heaviest, next| {
        if next.1.weight > heaviest.1.weight {
            next
        } else {
            heaviest
        }
    })?;
    Some(index)
}
