//! A log line that is not written for every event of a flood.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Lets one event through in an interval, and counts the others.
#[derive(Debug)]
pub struct Sparse {
    interval: Duration,
    begin: Instant,
    /// Milliseconds after `begin` before which nothing passes.
    closed_until: AtomicU64,
    suppressed: AtomicU64,
}

impl Sparse {
    /// Between two lines of one kind, commonly. The metrics have every event.
    pub const INTERVAL: Duration = Duration::from_secs(10);

    /// One event in [`Self::INTERVAL`]. The first event passes.
    pub fn new(now: Instant) -> Self {
        Self::once_in(Self::INTERVAL, now)
    }

    /// One event in `interval`. The first event passes.
    pub fn once_in(interval: Duration, now: Instant) -> Self {
        Self {
            interval,
            begin: now,
            closed_until: AtomicU64::new(0),
            suppressed: AtomicU64::new(0),
        }
    }

    /// Whether a line may be written at `now`: `Some` says how many events have been kept back since the
    /// last one.
    pub fn pass(&self, now: Instant) -> Option<u64> {
        let time = millis(now.saturating_duration_since(self.begin));
        let closed_until = self.closed_until.load(Ordering::Relaxed);
        let next = time + millis(self.interval);
        let is_first = time >= closed_until
            && self
                .closed_until
                .compare_exchange(closed_until, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if is_first {
            return Some(self.suppressed.swap(0, Ordering::Relaxed));
        }
        self.suppressed.fetch_add(1, Ordering::Relaxed);
        None
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_passes_in_an_interval_and_the_others_are_counted() {
        let now = Instant::now();
        let sparse = Sparse::new(now);
        assert_eq!(sparse.pass(now), Some(0));
        for _ in 0..3 {
            assert_eq!(sparse.pass(now + Sparse::INTERVAL / 2), None);
        }
        assert_eq!(sparse.pass(now + Sparse::INTERVAL), Some(3));
        assert_eq!(sparse.pass(now + Sparse::INTERVAL * 3 / 2), None);
        assert_eq!(sparse.pass(now + Sparse::INTERVAL * 5), Some(1));
    }
}
