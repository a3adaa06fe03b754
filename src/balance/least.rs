//! The algorithms that look for the backend with the least to do: ipvs `lc`, `wlc`, `sed` and `nq`.
//!
//! The overhead of ipvs is 256 for an active connection and 1 for one that is closing. A session here is
//! either there or gone, so the number of sessions gives the same order. `sed` and `nq` count the session
//! that is to come as well: of idle backends the one with the greatest share is first then, not the earliest.
//!
//! Ties keep the earlier entry, as there: a pool whose sessions end before the next one begins always uses
//! its first backend.

use super::snapshot::{Candidates, Target};

#[cfg(test)]
mod tests;

/// The fewest sessions. Weights do not matter, but 0 is never picked.
pub(super) fn least_connections(candidates: Candidates<'_>) -> Option<usize> {
    let (index, _) = candidates
        .iter()
        .min_by_key(|(_, target)| target.load.active())?;
    Some(index)
}

/// The fewest sessions for its share.
pub(super) fn weighted_least_connections(candidates: Candidates<'_>) -> Option<usize> {
    least_for_its_share(candidates.iter(), sessions)
}

/// The shortest wait, if every session takes as long as its backend is slow: the fewest sessions for its
/// share with the new one.
pub(super) fn shortest_expected_delay(candidates: Candidates<'_>) -> Option<usize> {
    let with_the_new_one = |target: &Target| sessions(target) + 1;
    least_for_its_share(candidates.iter(), with_the_new_one)
}

/// The first that is idle, however small its share, or else the shortest wait.
pub(super) fn never_queue(candidates: Candidates<'_>) -> Option<usize> {
    let idle = candidates
        .iter()
        .find(|(_, target)| target.load.active() == 0);
    match idle {
        Some((index, _)) => Some(index),
        None => shortest_expected_delay(candidates),
    }
}

/// The one whose `cost` is the least for its share; of equal ones the first.
pub(super) fn least_for_its_share<'a>(
    backends: impl Iterator<Item = (usize, &'a Target)>,
    cost: impl Fn(&Target) -> u64,
) -> Option<usize> {
    // a/wa > b/wb without fractions. The costs are read once each: they change while this runs.
    let costs = backends.map(|(index, target)| (index, cost(target), u64::from(target.share)));
    let (index, ..) = costs.reduce(|least, next| {
        let ((_, least_cost, least_share), (_, next_cost, next_share)) = (least, next);
        if least_cost * next_share > next_cost * least_share {
            next
        } else {
            least
        }
    })?;
    Some(index)
}

/// What a backend has to do now.
pub(super) fn sessions(target: &Target) -> u64 {
    target.load.active().into()
}
