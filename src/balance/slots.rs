//! A table whose slots belong to backends: what the hash algorithms look a session up in.
//!
//! A table is made once for each change of the backends. Whose slot it is then decides, unless that backend
//! has no room or failed this session already: the walk goes on from slot to slot until one belongs to a
//! candidate. In ipvs that is the flag `sh-fallback` or `mh-fallback`; here it is always so (design
//! decision 7).

use super::snapshot::Candidates;

/// Slots, each with the index of a backend.
#[derive(Debug)]
pub(super) struct Slots {
    owners: Box<[u16]>,
}

impl Slots {
    /// A table of slots with these owners; `None` if there are none.
    pub(super) fn new(owners: impl IntoIterator<Item = u16>) -> Option<Self> {
        let owners: Box<[u16]> = owners.into_iter().collect();
        (!owners.is_empty()).then_some(Self { owners })
    }

    /// The owner of the slot `first` if it is a candidate, or else of the first slot of a candidate from
    /// `then` on, all the way round.
    pub(super) fn pick(
        &self,
        first: usize,
        then: usize,
        candidates: Candidates<'_>,
    ) -> Option<usize> {
        candidates.iter().next()?;
        let is_candidate =
            |index: &usize| candidates.iter().any(|(candidate, _)| candidate == *index);
        let (before, from) = self.owners.split_at_checked(then)?;
        self.owners
            .get(first)
            .into_iter()
            .chain(from)
            .chain(before)
            .map(|index| usize::from(*index))
            .find(is_candidate)
    }

    #[cfg(test)]
    pub(super) fn owners(&self) -> &[u16] {
        &self.owners
    }
}
