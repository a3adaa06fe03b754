//! How much a backend has to do now.
//!
//! One [`Load`] belongs to a backend for as long as it is in a pool: it is shared by all snapshots, so that
//! a change of health or weight does not forget the sessions that are there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The live counters of one backend.
#[derive(Debug, Default)]
pub struct Load {
    /// Sessions that were given to the backend and have not ended. Nothing else is ordered by it.
    active: AtomicU32,
}

/// One session of a backend, counted until this is dropped.
#[derive(Debug)]
#[must_use = "the session is counted only while this lives"]
pub struct Entered(Arc<Load>);

impl Load {
    /// The sessions that the backend has now.
    pub fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }

    /// Counts one session more until the returned value is dropped.
    pub fn enter(self: &Arc<Self>) -> Entered {
        self.active.fetch_add(1, Ordering::Relaxed);
        Entered(Arc::clone(self))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Load;

    #[test]
    fn a_session_is_counted_until_it_is_dropped() {
        let load = Arc::new(Load::default());
        let (first, second) = (load.enter(), load.enter());
        assert_eq!(load.active(), 2);
        drop(first);
        assert_eq!(load.active(), 1);
        drop(second);
        assert_eq!(load.active(), 0);
    }
}
