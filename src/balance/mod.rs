//! Which backend a new session gets.
//!
//! A [`Pool`] joins what decides: the [`Snapshot`] of its backends with the chosen [`Algorithm`], the
//! [`AffinityTable`], the health, standing and load of each, and the quorum. It decides once per session
//! (H9); nothing here knows of connections, commands or data, and sessions that are there are never
//! touched. Pure but for counters: `now` is an argument, nothing is dialled, nobody is told; what there is
//! to tell is returned as [`News`].
//!
//! Invariants: what is known of the backends changes only under the lock of `roster`, and each change
//! swaps in one new snapshot. A backend is the same [`BackendId`] for as long as it is in the pool.

mod address_hash;
mod affinity;
mod algorithm;
mod chance;
mod hash;
mod heaviest;
mod least;
mod load;
mod locality;
mod maglev;
mod member;
mod memory;
mod quorum;
mod request;
mod roster;
mod rotation;
mod slots;
mod snapshot;
#[cfg(test)]
mod tests;
mod two_choices;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arc_swap::{ArcSwap, ArcSwapOption};

pub use self::affinity::{Affine, AffinityTable};
pub use self::algorithm::Algorithm;
pub use self::load::{Entered, Load};
pub use self::member::{BackendId, Member, Standing};
pub use self::memory::Memory;
pub use self::quorum::QuorumRule;
pub use self::request::Request;
use self::roster::Roster;
pub use self::roster::{AffinityRule, News, Settings};
pub use self::snapshot::{Snapshot, Target};
use crate::health::{Availability, CheckId, Verdict};

/// The backends behind a listener, and the choice among them.
#[derive(Debug)]
pub struct Pool {
    name: Arc<str>,
    snapshot: ArcSwap<Snapshot>,
    memory: Memory,
    affinity: ArcSwapOption<AffinityTable>,
    roster: Mutex<Roster>,
    /// What was last told of whether any backend is available.
    told_available: AtomicBool,
}

/// The backend of one session, which counts as its load until this is dropped.
#[derive(Debug)]
pub struct Pick {
    /// The backend as it was when it was picked.
    pub target: Arc<Target>,
    _entered: Entered,
}

/// Why no backend was picked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoPick {
    /// Those that are up have as many sessions as they may.
    Full,
    /// None that was not tried is up.
    NoneUp,
}

impl Pool {
    /// A pool called `name` without backends, whose algorithms draw the lots of `seed`.
    pub fn new(name: impl Into<Arc<str>>, seed: u64, now: Instant) -> Self {
        let roster = Roster::default();
        let snapshot = ArcSwap::from_pointee(roster.snapshot(now));
        Self {
            name: name.into(),
            snapshot,
            memory: Memory::new(seed),
            affinity: ArcSwapOption::empty(),
            roster: Mutex::new(roster),
            told_available: AtomicBool::new(true),
        }
    }

    /// The name in metrics and logs.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Goes on with these members and settings, in this order; backends are told apart by address. Those
    /// that stay keep their sessions, health, and what the operator ordered; those that are gone take no
    /// new sessions and are forgotten by [`Pool::reap`]. Affinity is forgotten if its rule changed.
    pub fn configure(&self, members: Vec<Member>, settings: Settings, now: Instant) -> Vec<News> {
        let mut roster = self.roster();
        if roster.affinity_rule() != settings.affinity {
            let table = settings.affinity.map(AffinityRule::table);
            self.affinity.store(table.map(Arc::new));
        }
        let mut news = roster.configure(members, settings, now);
        news.extend(self.swap(&mut roster, now));
        news
    }

    /// Forgets the backends that were removed and whose last session has ended, and returns them.
    pub fn reap(&self, now: Instant) -> Vec<Target> {
        let mut roster = self.roster();
        let gone = roster.reap(now);
        if !gone.is_empty() {
            // Nothing is told of a backend that nobody could be given any more.
            let _no_news = self.swap(&mut roster, now);
        }
        gone
    }

    /// The backends at `now`. An ejection whose time is over ends here: it was announced with its end, so
    /// nobody is told again.
    pub fn snapshot(&self, now: Instant) -> Arc<Snapshot> {
        let snapshot = self.snapshot.load_full();
        if snapshot.next_change().is_none_or(|at| now < at) {
            return snapshot;
        }
        let mut roster = self.roster();
        let current = self.snapshot.load_full();
        if current.next_change().is_none_or(|at| now < at) {
            // Another was quicker.
            return current;
        }
        // Time alone changes neither a check's verdict nor the quorum: there is no news.
        let _no_news = self.swap(&mut roster, now);
        self.snapshot.load_full()
    }

    /// Chooses the backend for a new session: the one that its client had before, or else by the algorithm,
    /// and never one of `tried`.
    ///
    /// The client comes back to the backend that was picked last, so that the sessions that it opens
    /// while this one connects meet there.
    pub fn pick(
        &self,
        request: &Request<'_>,
        tried: &[BackendId],
        now: Instant,
    ) -> Result<Pick, NoPick> {
        let snapshot = self.snapshot(now);
        let affinity = self.affinity.load();
        let client = request.client.ip();
        let before = { affinity.as_ref() }.and_then(|affinity| affinity.lookup(client, now));
        let (asked, mut tried) = (tried, std::borrow::Cow::Borrowed(tried));
        loop {
            let index = before
                .and_then(|address| snapshot.find(address, &tried))
                .or_else(|| snapshot.pick(request, &tried, &self.memory, now));
            let Some(target) = index.and_then(|index| snapshot.targets().get(index)) else {
                return Err(if snapshot.is_full(asked) {
                    NoPick::Full
                } else {
                    NoPick::NoneUp
                });
            };
            // Another session may have taken the last place since; then this backend is full like others.
            let Some(entered) = target.load.enter() else {
                tried.to_mut().push(target.id);
                continue;
            };
            if let Some(affinity) = affinity.as_ref()
                && !target.is_sorry
            {
                affinity.remember(client, target.address, now);
            }
            return Ok(Pick {
                target: Arc::clone(target),
                _entered: entered,
            });
        }
    }

    /// Goes on remembering the clients of these sessions, each with its backend: as in ipvs, the time of
    /// affinity runs out after a client's last session only. A client that went elsewhere since stays there.
    pub fn renew(&self, sessions: &[(IpAddr, BackendId)], now: Instant) {
        let (affinity, snapshot) = (self.affinity.load(), self.snapshot(now));
        let Some(affinity) = affinity.as_ref() else {
            return;
        };
        for (client, id) in sessions {
            if let Some(target) = snapshot.target(*id)
                && affinity.lookup(*client, now) == Some(target.address)
            {
                affinity.remember(*client, target.address, now);
            }
        }
    }

    /// The backend at `address`, whatever is known of it: for a check of the way to this very one.
    pub fn pick_exactly(&self, address: SocketAddr, now: Instant) -> Result<Pick, NoPick> {
        let snapshot = self.snapshot(now);
        let mut targets = snapshot.targets().iter();
        let target = targets
            .find(|target| target.address == address)
            .ok_or(NoPick::NoneUp)?;
        Ok(Pick {
            _entered: target.load.enter_as_check(),
            target: Arc::clone(target),
        })
    }

    /// Takes what a check of the backend called `id` says from now on, and the weight that it reported;
    /// `None` means as before.
    pub fn report_check(
        &self,
        id: BackendId,
        check: CheckId,
        verdict: Option<Verdict>,
        weight: Option<u32>,
        now: Instant,
    ) -> Vec<News> {
        let mut roster = self.roster();
        let Some(mut news) = roster.on_check(id, check, verdict, weight, now) else {
            return Vec::new();
        };
        news.extend(self.swap(&mut roster, now));
        news
    }

    /// What the checks of the backend at `address` say together, if there is one.
    pub fn verdict(&self, address: SocketAddr) -> Verdict {
        self.roster().verdict(address)
    }

    /// Takes whether the backend called `id` greeted a session. Returns its ejection, if it is ejected for
    /// that, for the log.
    pub fn report_live(&self, id: BackendId, ok: bool, now: Instant) -> Option<Availability> {
        let mut roster = self.roster();
        let ejected = roster.on_live(id, ok, now)?;
        // An ejection takes nothing from the quorum.
        let _no_news = self.swap(&mut roster, now);
        Some(ejected)
    }

    /// Whether any backend is available now, if that is news since the last call. For the log.
    pub fn availability_news(&self, now: Instant) -> Option<bool> {
        let is_available = self.snapshot(now).is_available();
        let was_available = self.told_available.swap(is_available, Ordering::Relaxed);
        (was_available != is_available).then_some(is_available)
    }

    /// Gives the backend called `id` another weight, or with `None` the configured one again. 0 quiesces it:
    /// its sessions live on, it gets no new ones, and its clients go elsewhere. `None` without such a backend.
    pub fn set_weight(
        &self,
        id: BackendId,
        weight: Option<u32>,
        now: Instant,
    ) -> Option<Vec<News>> {
        let mut roster = self.roster();
        roster.find(id)?.ordered_weight = weight;
        Some(self.swap(&mut roster, now))
    }

    /// Gives the backend called `id` another standing, which the sessions that it has are not told of here.
    /// `None` without such a backend, and for one that was removed.
    pub fn set_standing(
        &self,
        id: BackendId,
        standing: Standing,
        now: Instant,
    ) -> Option<Vec<News>> {
        let mut roster = self.roster();
        let backend = roster.find(id)?;
        if backend.standing == Standing::Removed {
            return None;
        }
        backend.standing = standing;
        Some(self.swap(&mut roster, now))
    }

    /// The clients that are remembered, if any are.
    pub fn affinity(&self) -> Option<Arc<AffinityTable>> {
        self.affinity.load_full()
    }

    fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Swaps in a snapshot of what is known at `now`. The guard shows that no other change is lost.
    fn swap(&self, roster: &mut MutexGuard<'_, Roster>, now: Instant) -> Vec<News> {
        let news = roster.settle(now);
        self.snapshot.store(Arc::new(roster.snapshot(now)));
        news
    }
}
