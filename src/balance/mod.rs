//! Which backend a new session gets.
//!
//! A [`Pool`] joins what decides: the [`Snapshot`] of its backends with the chosen [`Algorithm`], the
//! [`AffinityTable`] and the [`Health`] of each. It decides once per session (H9); nothing here knows of
//! connections, commands or data, and sessions that are there are never touched. Pure but for counters:
//! `now` is an argument, nothing is dialled, nobody is told.
//!
//! Invariants: weights live in the snapshot and health in `healths`; both change only under the lock of
//! `healths`, and each change swaps in one new snapshot. The index of a backend is the same for the life
//! of its pool.

mod affinity;
mod algorithm;
mod hash;
mod least;
mod load;
mod maglev;
mod rotation;
mod snapshot;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;

pub use self::affinity::AffinityTable;
pub use self::algorithm::Algorithm;
pub use self::load::{Entered, Load};
pub use self::rotation::Rotation;
pub use self::snapshot::{Snapshot, Target};
use crate::health::{Availability, EjectionRule, Health, Thresholds};

/// The backends behind a listener, and the choice among them.
#[derive(Debug)]
pub struct Pool {
    name: Arc<str>,
    snapshot: ArcSwap<Snapshot>,
    rotation: Rotation,
    affinity: Option<AffinityTable>,
    healths: Mutex<Vec<Health>>,
    /// What was last told of whether any backend is available.
    told_available: AtomicBool,
}

/// A backend as the configuration has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// Where its control port is.
    pub address: SocketAddr,
    /// Its name in metrics and logs.
    pub name: Arc<str>,
    /// Its share. 0: no new sessions.
    pub weight: u32,
}

/// How a pool decides.
#[derive(Debug, Default)]
pub struct Settings {
    /// How a backend is picked.
    pub algorithm: Algorithm,
    /// Whether and how clients come back to their backend.
    pub affinity: Option<AffinityTable>,
    /// What check results mean, if there are checks.
    pub thresholds: Thresholds,
    /// When live failures eject a backend, if they do.
    pub ejection: Option<EjectionRule>,
}

/// The backend of one session, which counts as its load until this is dropped.
#[derive(Debug)]
pub struct Pick {
    /// The index in the pool.
    pub index: usize,
    /// The backend as it was when it was picked.
    pub target: Target,
    _entered: Entered,
}

impl Pool {
    /// A pool called `name` whose backends are all available until something is known of them.
    pub fn new(name: impl Into<Arc<str>>, members: Vec<Member>, settings: Settings) -> Self {
        let Settings {
            algorithm,
            affinity,
            thresholds,
            ejection,
        } = settings;
        let healths = vec![Health::new(thresholds, ejection); members.len()];
        let target = |Member {
                          address,
                          name,
                          weight,
                      }| {
            let (state, load) = (Availability::Up, Arc::default());
            Target {
                address,
                name,
                weight,
                state,
                load,
            }
        };
        let snapshot = Snapshot::new(algorithm, members.into_iter().map(target).collect());
        Self {
            name: name.into(),
            snapshot: ArcSwap::from_pointee(snapshot),
            rotation: Rotation::default(),
            affinity,
            healths: Mutex::new(healths),
            told_available: AtomicBool::new(true),
        }
    }

    /// The name in metrics and logs.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The backends at `now`. An ejection whose time is over ends here: it was announced with its end, so
    /// nobody is told again.
    pub fn snapshot(&self, now: Instant) -> Arc<Snapshot> {
        let snapshot = self.snapshot.load_full();
        if snapshot.next_change().is_none_or(|at| now < at) {
            return snapshot;
        }
        let healths = self.healths();
        self.swap(&healths, now)
    }

    /// Chooses the backend for a new session of `client`: the one it had before, or else by the algorithm,
    /// and never one whose index is in `tried`. `None` when no other is available.
    ///
    /// The client comes back to the backend that was picked last, so that the sessions that it opens
    /// while this one connects meet there.
    pub fn pick(&self, client: IpAddr, tried: &[usize], now: Instant) -> Option<Pick> {
        let snapshot = self.snapshot(now);
        let before = self
            .affinity
            .as_ref()
            .and_then(|affinity| affinity.lookup(client, now));
        let index = before
            .and_then(|address| snapshot.find(address, tried))
            .or_else(|| snapshot.pick(client, tried, &self.rotation))?;
        let target = snapshot.targets().get(index)?.clone();
        if let Some(affinity) = &self.affinity {
            affinity.remember(client, target.address, now);
        }
        Some(Pick {
            index,
            _entered: target.load.enter(),
            target,
        })
    }

    /// Takes the result of a check of the backend at `index`. Returns what the checks say from now on if
    /// that is news, for the log.
    pub fn report_check(&self, index: usize, ok: bool, now: Instant) -> Option<Availability> {
        let mut healths = self.healths();
        let news = healths.get_mut(index)?.on_check(ok)?;
        self.swap(&healths, now);
        Some(news)
    }

    /// Takes whether the backend at `index` greeted a session. Returns its ejection, if it is ejected for
    /// that, for the log.
    pub fn report_live(&self, index: usize, ok: bool, now: Instant) -> Option<Availability> {
        let mut healths = self.healths();
        if ok {
            healths.get_mut(index)?.on_live_success(now);
            return None;
        }
        let snapshot = self.snapshot.load();
        let mut others = healths.iter().zip(snapshot.targets()).enumerate();
        let may_eject = others.any(|(other, (health, target))| {
            other != index && target.weight > 0 && health.availability(now) == Availability::Up
        });
        let news = healths.get_mut(index)?.on_live_failure(now, may_eject)?;
        self.swap(&healths, now);
        Some(news)
    }

    /// Whether any backend is available now, if that is news since the last call. For the log.
    pub fn availability_news(&self, now: Instant) -> Option<bool> {
        let is_available = self.snapshot(now).is_available();
        let was_available = self.told_available.swap(is_available, Ordering::Relaxed);
        (was_available != is_available).then_some(is_available)
    }

    /// Gives the backend at `index` another weight; 0 drains it: its sessions live on, it gets no new ones,
    /// and its clients go elsewhere. Returns the weight it had, or `None` if there is no such backend.
    pub fn set_weight(&self, index: usize, weight: u32, now: Instant) -> Option<u32> {
        let healths = self.healths();
        let snapshot = self.snapshot.load();
        let mut targets = snapshot.targets().to_vec();
        let before = std::mem::replace(&mut targets.get_mut(index)?.weight, weight);
        self.swap_targets(&healths, targets, now);
        Some(before)
    }

    fn healths(&self) -> MutexGuard<'_, Vec<Health>> {
        self.healths.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Swaps in a snapshot with the same backends and the `healths` at `now`.
    fn swap(&self, healths: &MutexGuard<'_, Vec<Health>>, now: Instant) -> Arc<Snapshot> {
        self.swap_targets(healths, self.snapshot.load().targets().to_vec(), now)
    }

    /// Swaps in a snapshot of `targets` with the `healths` at `now`. The guard shows that no other change
    /// is lost.
    fn swap_targets(
        &self,
        healths: &MutexGuard<'_, Vec<Health>>,
        mut targets: Vec<Target>,
        now: Instant,
    ) -> Arc<Snapshot> {
        for (target, health) in targets.iter_mut().zip(healths.iter()) {
            target.state = health.availability(now);
        }
        let algorithm = self.snapshot.load().algorithm();
        let snapshot = Arc::new(Snapshot::new(algorithm, targets));
        self.snapshot.store(Arc::clone(&snapshot));
        snapshot
    }
}
