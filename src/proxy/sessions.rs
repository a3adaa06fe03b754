//! The sessions that are alive: who they are, how many, and how they are told to end.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use dashmap::DashMap;

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
    /// With [`UNREAD`] until the session has seen it.
    order: AtomicU8,
    /// The session's, which is one task all its life: to tell it of an order.
    waker: OnceLock<Waker>,
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
            waker: OnceLock::new(),
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
        let of_backend = |entry: &Entry| {
            *entry.origin.names.pool == *pool && entry.pinned.get().is_some_and(is_there)
        };
        let sessions = self.live.iter().filter(|entry| of_backend(entry));
        sessions.map(|entry| entry.order(order)).count()
    }

    /// The clients of a pool's sessions, each with the backend that greeted it.
    pub fn of_pool(&self, pool: &str) -> Vec<(IpAddr, BackendId)> {
        let pinned = |entry: &Entry| Some((entry.origin.client.ip(), entry.pinned.get()?.backend));
        let sessions = self
            .live
            .iter()
            .filter(|entry| *entry.origin.names.pool == *pool);
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
        self.change(|current| (code > current).then_some(code));
    }

    /// An order to leave is taken back; one to end at once is not.
    fn take_back(&self) {
        self.change(|current| (current == RETIRE || current == DRAIN).then_some(STAY));
    }

    fn change(&self, next: impl Fn(u8) -> Option<u8>) {
        let next = |held: u8| next(held & !UNREAD).map(|code| code | UNREAD);
        let (set, fetch) = (Ordering::AcqRel, Ordering::Relaxed);
        if self.order.try_update(set, fetch, next).is_ok()
            && let Some(waker) = self.waker.get()
        {
            waker.wake_by_ref();
        }
    }

    /// The next order that the session has not seen yet; for the session alone.
    pub(super) fn poll_order(&self, cx: &mut Context<'_>) -> Poll<Order> {
        let order = if self.waker.get().is_some() {
            self.order.load(Ordering::Acquire)
        } else {
            self.waker.get_or_init(|| cx.waker().clone());
            // Written, not only read: an order is given before this and seen here, or after it and finds the waker.
            self.order.fetch_or(0, Ordering::AcqRel)
        };
        if order & UNREAD == 0 {
            return Poll::Pending;
        }
        match self.order.fetch_and(!UNREAD, Ordering::AcqRel) & !UNREAD {
            STAY => Poll::Ready(Order::Stay),
            RETIRE => Poll::Ready(Order::Retire),
            DRAIN => Poll::Ready(Order::Drain),
            KILL => Poll::Ready(Order::Kill),
            _ => Poll::Pending,
        }
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
const ENTRY_BYTES: usize = 248;
const _: () = assert!(size_of::<Entry>() <= ENTRY_BYTES);

const STAY: u8 = 1;
const RETIRE: u8 = 2;
const DRAIN: u8 = 3;
const KILL: u8 = 4;
const UNREAD: u8 = 1 << 7;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::view::Names;

    #[test]
    fn an_order_is_taken_back_or_replaced_by_a_stronger_one_only() {
        let sessions = Arc::new(Sessions::default());
        let admission = sessions.admit(origin(), &Limits::default()).unwrap();
        let entry = &admission.entry;
        let seen = || match entry.poll_order(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(order) => Some(order),
            Poll::Pending => None,
        };
        assert_eq!(seen(), None);
        for (given, heard) in [
            (Order::Retire, Some(Order::Retire)),
            (Order::Drain, Some(Order::Drain)),
            (Order::Retire, None),
            (Order::Stay, Some(Order::Stay)),
            (Order::Retire, Some(Order::Retire)),
            (Order::Kill, Some(Order::Kill)),
            (Order::Drain, None),
            (Order::Stay, None),
        ] {
            entry.order(given);
            assert_eq!(seen(), heard, "{given:?}");
            assert_eq!(seen(), None, "each order is heard once");
        }
    }

    #[test]
    fn who_waits_for_an_order_is_woken_by_it_once() {
        struct Woken(AtomicU64);
        impl std::task::Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let sessions = Arc::new(Sessions::default());
        let admission = sessions.admit(origin(), &Limits::default()).unwrap();
        let woken = Arc::new(Woken(AtomicU64::new(0)));
        let waker = Waker::from(Arc::clone(&woken));
        let entry = &admission.entry;
        assert!(
            entry
                .poll_order(&mut Context::from_waker(&waker))
                .is_pending()
        );
        entry.order(Order::Drain);
        entry.order(Order::Drain);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    }

    fn origin() -> Origin {
        Origin {
            client: "192.0.2.7:40000".parse().unwrap(),
            vip: "198.51.100.1:21".parse().unwrap(),
            names: Arc::new(Names {
                listener: "0.0.0.0:21".into(),
                pool: "p".into(),
            }),
        }
    }
}
