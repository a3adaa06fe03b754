//! The algorithms that go round: ipvs `rr` and `wrr`, and the cursor they share.
//!
//! `wrr` makes passes over the backends with a threshold that falls from the greatest weight to the least
//! by their greatest common divisor, and takes in each pass those whose weight reaches it. Weights 3 and 1
//! give A A A B, weights 4, 3 and 2 give A A B A B C A B C.
//!
//! The cursor outlives snapshots. One difference to ipvs: there every change of a backend sends `wrr` back
//! to the first entry, which favours the first ones in a pool that changes often. Here it goes on from
//! where it was, with the threshold set as ipvs sets it when the weights' maximum or divisor change. What
//! counts is the share, which is the weight but in a slow start.

use std::sync::{Mutex, PoisonError};

use super::snapshot::Candidates;

#[cfg(test)]
mod tests;

/// Where the round is.
#[derive(Debug, Default)]
pub(super) struct Rotation {
    cursor: Mutex<Cursor>,
}

#[derive(Debug, Default)]
struct Cursor {
    /// The index of the last pick; `None` before the first.
    last: Option<usize>,
    /// The share that the current pass of `wrr` asks for.
    threshold: u32,
    /// What `threshold` was made for.
    stride: Stride,
}

/// The passes of one round of `wrr`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Stride {
    /// The threshold of the first pass.
    start: u32,
    /// From one pass to the next: the greatest common divisor of the shares.
    step: u32,
}

impl Rotation {
    /// The next candidate after the last pick.
    pub(super) fn next(&self, candidates: Candidates<'_>) -> Option<usize> {
        let mut cursor = self.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        let mut indexes = candidates.iter().map(|(index, _)| index);
        let first = indexes.clone().next()?;
        cursor.last = Some(
            indexes
                .find(|index| cursor.is_before(*index))
                .unwrap_or(first),
        );
        cursor.last
    }

    /// The next candidate after the last pick whose share reaches the threshold of the pass.
    pub(super) fn next_weighted(&self, candidates: Candidates<'_>) -> Option<usize> {
        let mut cursor = self.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        let stride = Stride::of(candidates.available().map(|(_, target)| target.share))?;
        cursor.adopt(stride);
        let shares = candidates
            .iter()
            .map(|(index, target)| (index, target.share));
        let greatest = shares.clone().map(|(_, share)| share).max()?;
        let rest =
            |(index, share): &(usize, u32)| cursor.is_before(*index) && *share >= cursor.threshold;
        if let Some((index, _)) = shares.clone().find(rest) {
            cursor.last = Some(index);
            return cursor.last;
        }
        cursor.threshold = match cursor.threshold.checked_sub(stride.step) {
            None | Some(0) => stride.start,
            Some(threshold) => threshold,
        };
        // Passes that no candidate reaches are skipped: those that would were tried already.
        cursor.threshold = cursor.threshold.min(stride.start_for(greatest));
        let (index, _) = { shares }.find(|(_, share)| *share >= cursor.threshold)?;
        cursor.last = Some(index);
        cursor.last
    }
}

impl Cursor {
    /// Whether `index` is still to come in this pass.
    fn is_before(&self, index: usize) -> bool {
        self.last.is_none_or(|last| last < index)
    }

    /// Goes on with other weights.
    fn adopt(&mut self, stride: Stride) {
        if self.stride == stride {
            return;
        }
        self.stride = stride;
        if self.threshold == 0 || self.threshold > stride.start {
            self.threshold = stride.start;
        } else if stride.step > 1 {
            self.threshold = self.threshold / stride.step * stride.step + 1;
        }
    }
}

impl Stride {
    /// The stride of shares that are not 0; `None` if there are none.
    fn of(shares: impl Iterator<Item = u32> + Clone) -> Option<Self> {
        let step = shares.clone().reduce(greatest_common_divisor)?;
        let stride = Self { start: 0, step };
        Some(Self {
            start: stride.start_for(shares.max()?),
            step,
        })
    }

    /// The threshold of the first pass that a backend of `share`, a multiple of the step, takes part in.
    /// It is as low as it can be, so that the last pass of a round has threshold 1.
    fn start_for(self, share: u32) -> u32 {
        share - (self.step - 1)
    }
}

fn greatest_common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
