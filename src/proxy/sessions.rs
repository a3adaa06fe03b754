//! The sessions that are alive: who they are, how many, and how they are told to end.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use dashmap::DashMap;
use tokio::sync::Notify;

use crate::balance::BackendId;
use crate::limits::{Limits, Place, Refusal, Tally};
use crate::proxy::view::{Origin, View};
use crate::session::Order;

/// All live sessions of the process, over all listeners.
#[derive(Debug, Default)]
pub struct Sessions {
    live: DashMap<u64, Arc<Entry>>,
    tally: Mutex<Tally>,
    last_id: AtomicU64,
}

/// One live session, as others see it.
#[derive(Debug)]
pub struct Entry {
    /// Names the session in logs. Never used again in the life of the process.
    pub id: u64,
    /// Who connected to what.
    pub origin: Origin,
    /// When it began.
    pub since: Instant,
    /// Its backend, once that has greeted it.
    pub pinned: OnceLock<Pinned>,
    view: Mutex<View>,
    order: AtomicU8,
    changed: Arc<Notify>,
}

/// The backend of a session.
#[derive(Clone, Debug)]
pub struct Pinned {
    /// Which backend of its pool.
    pub backend: BackendId,
    /// The name of that.
    pub name: Arc<str>,
}

/// The place of a session among the live ones; given back when dropped.
#[derive(Debug)]
pub struct Admission {
    sessions: Arc<Sessions>,
    place: Place,
    /// The session, as others see it.
    pub entry: Arc<Entry>,
}

impl Sessions {
    /// Takes a new session in, within `limits` (O1).
    pub fn admit(self: &Arc<Self>, origin: Origin, limits: &Limits) -> Result<Admission, Refusal> {
        let place = self.tally().enter(origin.client.ip(), limits)?;
        Ok(self.begin(origin, place))
    }

    /// The same whatever the limits are: a balancer that is full must not find its backends down for that.
    pub fn admit_anyway(self: &Arc<Self>, origin: Origin, limits: &Limits) -> Admission {
        let place = self.tally().enter_anyway(origin.client.ip(), limits);
        self.begin(origin, place)
    }

    fn begin(self: &Arc<Self>, origin: Origin, place: Place) -> Admission {
        let since = Instant::now();
        let entry = Arc::new(Entry {
            id: self.last_id.fetch_add(1, Ordering::Relaxed) + 1,
            origin,
            since,
            pinned: OnceLock::new(),
            view: Mutex::new(View::new(since)),
            order: AtomicU8::new(0),
            changed: Arc::default(),
        });
        self.live.insert(entry.id, Arc::clone(&entry));
        Admission {
            sessions: Arc::clone(self),
            place,
            entry,
        }
    }

    /// How many are alive.
    pub fn len(&self) -> usize {
        self.tally().sessions()
    }

    /// How many of them have not logged in.
    pub fn before_login(&self) -> usize {
        self.tally().before_login()
    }

    /// Whether none is alive.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Those that are alive now, the oldest first.
    pub fn list(&self) -> Vec<Arc<Entry>> {
        let mut entries: Vec<_> = self.live.iter().map(|entry| Arc::clone(&entry)).collect();
        entries.sort_unstable_by_key(|entry| entry.id);
        entries
    }

    /// Gives an order to one session, and returns it; `None` if it is not alive.
    pub fn order(&self, id: u64, order: Order) -> Option<Arc<Entry>> {
        let entry = Arc::clone(&*self.live.get(&id)?);
        entry.order(order);
        Some(entry)
    }

    /// Gives an order to every session of a backend, and returns how many there are.
    pub fn order_backend(&self, pool: &str, backend: BackendId, order: Order) -> usize {
        let is_there = |pinned: &Pinned| pinned.backend == backend;
        let of_backend =
            |entry: &Entry| *entry.origin.pool == *pool && entry.pinned.get().is_some_and(is_there);
        let sessions = self.live.iter().filter(|entry| of_backend(entry));
        sessions.map(|entry| entry.order(order)).count()
    }

    /// The clients of a pool's sessions, each with the backend that greeted it.
    pub fn of_pool(&self, pool: &str) -> Vec<(IpAddr, BackendId)> {
        let pinned = |entry: &Entry| Some((entry.origin.client.ip(), entry.pinned.get()?.backend));
        let sessions = self.live.iter().filter(|entry| *entry.origin.pool == *pool);
        sessions.filter_map(|entry| pinned(&entry)).collect()
    }

    /// Gives an order to every live session.
    pub fn order_all(&self, order: Order) {
        for entry in &self.live {
            entry.order(order);
        }
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// How it is doing. Held for a moment only: the session writes it as it goes.
    pub fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives this session an order. A stronger one given before stays.
    pub fn order(&self, order: Order) {
        let code = match order {
            Order::Stay => return self.take_back(),
            Order::Retire => RETIRE,
            Order::Drain => DRAIN,
            Order::Kill => KILL,
        };
        self.order.fetch_max(code, Ordering::Release);
        self.changed.notify_one();
    }

    /// An order to leave is taken back; one to end at once is not.
    fn take_back(&self) {
        let is_leaving = |code| (code == RETIRE || code == DRAIN).then_some(STAY);
        let (set, fetch) = (Ordering::Release, Ordering::Relaxed);
        if self.order.try_update(set, fetch, is_leaving).is_ok() {
            self.changed.notify_one();
        }
    }

    /// The order given, if any.
    pub(super) fn current_order(&self) -> Option<Order> {
        match self.order.load(Ordering::Acquire) {
            STAY => Some(Order::Stay),
            RETIRE => Some(Order::Retire),
            DRAIN => Some(Order::Drain),
            KILL => Some(Order::Kill),
            _ => None,
        }
    }

    /// Says when there is an order; for the session alone.
    pub(super) fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }
}

impl Admission {
    /// Says whether the session has logged in by now: its place among those that have not is then free.
    pub(super) fn set_logged_in(&mut self, has_logged_in: bool) {
        if self.place.has_logged_in() != has_logged_in {
            let client = self.entry.origin.client.ip();
            let mut tally = self.sessions.tally();
            tally.set_logged_in(client, &mut self.place, has_logged_in);
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.sessions.live.remove(&self.entry.id);
        let client = self.entry.origin.client.ip();
        self.sessions.tally().leave(client, &self.place);
    }
}

/// What an idle session costs to be seen by others (design decision 11). Raise it knowingly.
const ENTRY_BYTES: usize = 256;
const _: () = assert!(size_of::<Entry>() <= ENTRY_BYTES);

const STAY: u8 = 1;
const RETIRE: u8 = 2;
const DRAIN: u8 = 3;
const KILL: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_taken_back_or_replaced_by_a_stronger_one_only() {
        let sessions = Arc::new(Sessions::default());
        let origin = Origin {
            client: "192.0.2.7:40000".parse().unwrap(),
            vip: "198.51.100.1:21".parse().unwrap(),
            listener: "0.0.0.0:21".into(),
            pool: "p".into(),
        };
        let admission = sessions.admit(origin, &Limits::default()).unwrap();
        let entry = &admission.entry;
        assert_eq!(entry.current_order(), None);
        for (given, stands) in [
            (Order::Retire, Order::Retire),
            (Order::Drain, Order::Drain),
            (Order::Retire, Order::Drain),
            (Order::Stay, Order::Stay),
            (Order::Retire, Order::Retire),
            (Order::Kill, Order::Kill),
            (Order::Drain, Order::Kill),
            (Order::Stay, Order::Kill),
        ] {
            entry.order(given);
            assert_eq!(entry.current_order(), Some(stands), "{given:?}");
        }
    }
}
