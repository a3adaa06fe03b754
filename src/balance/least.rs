//! The algorithms that look for the backend with the least to do: ipvs `lc` and `wlc`.
//!
//! ipvs counts 256 for an active connection and 1 for one that is closing. A session here is either there
//! or not, so its count is the whole load. Ties keep the earlier entry, as there: a pool whose sessions
//! end before the next one begins always uses its first backend.

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

/// The fewest sessions for its weight.
pub(super) fn weighted_least_connections(candidates: Candidates<'_>) -> Option<usize> {
    // a/wa > b/wb without fractions. The loads are read once each: they change while this runs.
    let busier = |(active, target): &(u32, &Target), (other_active, other): &(u32, &Target)| {
        u64::from(*active) * u64::from(other.weight)
            > u64::from(*other_active) * u64::from(target.weight)
    };
    let loads = candidates
        .iter()
        .map(|(index, target)| (index, (target.load.active(), target)));
    let (index, _) = loads.reduce(|least, next| {
        if busier(&least.1, &next.1) {
            next
        } else {
            least
        }
    })?;
    Some(index)
}
