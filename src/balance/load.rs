//! How much a backend has to do now, and how much it may have.
//!
//! One [`Load`] belongs to a backend for as long as it is in a pool: it is shared by all snapshots, so that
//! a change of health or weight does not forget the sessions that are there.
//!
//! A backend with a limit is *full* from the session that reaches it until it has fallen below the lower
//! limit, as with the thresholds of ipvs. Without a lower limit that is three quarters, as there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// The live counters of one backend. Nothing else is ordered by them.
#[derive(Debug, Default)]
pub struct Load {
    /// Sessions that were given to the backend and have not ended.
    active: AtomicU32,
    /// Checks of the way through ftplb's own listener.
    checks: AtomicU32,
    /// Sessions that were given to it in all.
    total: AtomicU64,
    /// 0: no limit.
    most: AtomicU32,
    /// Full until there are fewer. 0: three quarters of `most`.
    resume: AtomicU32,
    full: AtomicBool,
}

/// One session of a backend, counted until this is dropped.
#[derive(Debug)]
#[must_use = "the session is counted only while this lives"]
pub struct Entered {
    load: Arc<Load>,
    is_check: bool,
}

impl Load {
    /// The sessions that the backend has now.
    pub fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }

    /// The sessions that it was given in all.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// How many sessions it may have, and below how many it takes sessions again; 0: not set.
    pub fn limits(&self) -> (u32, u32) {
        let load = |limit: &AtomicU32| limit.load(Ordering::Relaxed);
        (load(&self.most), load(&self.resume))
    }

    /// Sets what [`Load::limits`] returns. Sessions that are there stay.
    pub fn set_limits(&self, most: u32, resume: u32) {
        // What has not changed has no effect: a backend that is full stays so.
        if self.limits() == (most, resume) {
            return;
        }
        self.most.store(most, Ordering::Relaxed);
        self.resume.store(resume, Ordering::Relaxed);
        self.full.store(false, Ordering::Relaxed);
    }

    /// Whether it may be given no more sessions for now.
    pub fn is_full(&self) -> bool {
        let most = self.most.load(Ordering::Relaxed);
        self.full.load(Ordering::Relaxed) || (most > 0 && self.active() >= most)
    }

    /// How many checks of the way to it are there now, which count as nothing else.
    pub fn checks(&self) -> u32 {
        self.checks.load(Ordering::Relaxed)
    }

    /// Counts one session more until the returned value is dropped. `None` if it has as many as it may.
    pub fn enter(self: &Arc<Self>) -> Option<Entered> {
        let most = self.most.load(Ordering::Relaxed);
        let more = |active: u32| (most == 0 || active < most).then_some(active + 1);
        let before = self
            .active
            .try_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()?;
        if most > 0 && before + 1 >= most {
            self.full.store(true, Ordering::Relaxed);
        }
        self.total.fetch_add(1, Ordering::Relaxed);
        Some(Entered {
            load: Arc::clone(self),
            is_check: false,
        })
    }

    /// The same for a check of the way to this very backend: it is let in, and takes nobody's place.
    pub fn enter_as_check(self: &Arc<Self>) -> Entered {
        self.checks.fetch_add(1, Ordering::Relaxed);
        Entered {
            load: Arc::clone(self),
            is_check: true,
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let load = &self.load;
        if self.is_check {
            load.checks.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let active = load.active.fetch_sub(1, Ordering::Relaxed) - 1;
        let (most, resume) = load.limits();
        let has_room = match resume {
            0 => u64::from(active) * 4 < u64::from(most) * 3,
            resume => active < resume,
        };
        // With a limit of 1, three quarters are none: 0 sessions are always below.
        if has_room || active == 0 {
            load.full.store(false, Ordering::Relaxed);
        }
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
        assert_eq!((load.active(), load.total()), (0, 2));
    }

    #[test]
    fn a_full_backend_takes_sessions_again_below_its_lower_limit() {
        for (most, resume, frees) in [(4, 0, 2), (4, 4, 1), (4, 1, 4), (1, 0, 1), (8, 0, 3)] {
            let load = Arc::new(Load::default());
            load.set_limits(most, resume);
            let mut sessions: Vec<_> = (0..most).map_while(|_| load.enter()).collect();
            assert_eq!(load.active(), most, "up to the limit");
            assert!(load.is_full() && load.enter().is_none(), "and not beyond");
            let freed = std::iter::from_fn(|| sessions.pop().map(drop).map(|()| load.is_full()));
            let still_full = freed.take_while(|is_full| *is_full).count();
            assert_eq!(still_full + 1, frees, "{most} {resume}");
        }
    }

    #[test]
    fn a_check_takes_nobody_s_place() {
        let load = Arc::new(Load::default());
        load.set_limits(1, 0);
        let check = load.enter_as_check();
        assert!(!load.is_full());
        assert_eq!((load.active(), load.checks(), load.total()), (0, 1, 0));
        let session = load.enter();
        assert!(session.is_some() && load.is_full());
        drop(check);
        assert!(load.is_full(), "the session is still there");
        drop(session);
        assert_eq!((load.active(), load.checks()), (0, 0));
    }

    #[test]
    fn limits_that_do_not_change_keep_a_full_backend_full() {
        let load = Arc::new(Load::default());
        load.set_limits(4, 1);
        let mut sessions: Vec<_> = (0..4).map_while(|_| load.enter()).collect();
        drop(sessions.pop());
        load.set_limits(4, 1);
        assert!(load.is_full(), "three are not below one");
        load.set_limits(5, 1);
        assert!(!load.is_full(), "there is new room");
    }

    #[test]
    fn a_new_limit_holds_for_new_sessions() {
        let load = Arc::new(Load::default());
        let sessions: Vec<_> = (0..3).map_while(|_| load.enter()).collect();
        load.set_limits(2, 0);
        assert!(load.is_full() && load.enter().is_none());
        drop(sessions);
        assert!(!load.is_full());
        load.set_limits(0, 0);
        assert!((0..100).all(|_| load.enter().is_some()));
    }
}
