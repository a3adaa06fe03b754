//! The sessions that are alive: who they are, how many, and how they are told to end.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use dashmap::DashMap;
use tokio::sync::Notify;

use crate::session::Order;
use crate::telemetry::metrics::SessionRefusal;

/// All live sessions of the process, over all listeners.
#[derive(Debug, Default)]
pub struct Sessions {
    live: DashMap<u64, Arc<Entry>>,
    per_client: DashMap<IpAddr, usize>,
    count: AtomicUsize,
    last_id: AtomicU64,
}

/// One live session, as others see it.
#[derive(Debug)]
pub struct Entry {
    /// Names the session in logs. Never used again in the life of the process.
    pub id: u64,
    /// The client's address, normalised (V2).
    pub client: SocketAddr,
    /// The name of its backend, once it has one.
    pub backend: OnceLock<Arc<str>>,
    order: AtomicU8,
    changed: Arc<Notify>,
}

/// The place of a session among the live ones; given back when dropped.
#[derive(Debug)]
pub struct Admission {
    sessions: Arc<Sessions>,
    /// The session, as others see it.
    pub entry: Arc<Entry>,
}

impl Sessions {
    /// Takes a new session in, within the limits (O1).
    pub fn admit(
        self: &Arc<Self>,
        client: SocketAddr,
        limit: usize,
        limit_per_client: usize,
    ) -> Result<Admission, SessionRefusal> {
        if self.count.fetch_add(1, Ordering::Relaxed) >= limit {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return Err(SessionRefusal::Limit);
        }
        {
            let mut own = self.per_client.entry(client.ip()).or_default();
            if *own >= limit_per_client {
                drop(own);
                self.count.fetch_sub(1, Ordering::Relaxed);
                return Err(SessionRefusal::ClientLimit);
            }
            *own += 1;
        }
        let entry = Arc::new(Entry {
            id: self.last_id.fetch_add(1, Ordering::Relaxed) + 1,
            client,
            backend: OnceLock::new(),
            order: AtomicU8::new(0),
            changed: Arc::default(),
        });
        self.live.insert(entry.id, Arc::clone(&entry));
        Ok(Admission {
            sessions: Arc::clone(self),
            entry,
        })
    }

    /// How many are alive.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether none is alive.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives an order to every live session.
    pub fn order_all(&self, order: Order) {
        for entry in &self.live {
            entry.order(order);
        }
    }
}

impl Entry {
    /// Gives this session an order. A stronger one given before stays.
    pub fn order(&self, order: Order) {
        let code = match order {
            Order::Drain => DRAIN,
            Order::Kill => KILL,
        };
        self.order.fetch_max(code, Ordering::Release);
        self.changed.notify_one();
    }

    /// The order given, if any.
    pub(super) fn current_order(&self) -> Option<Order> {
        match self.order.load(Ordering::Acquire) {
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

impl Drop for Admission {
    fn drop(&mut self) {
        self.sessions.live.remove(&self.entry.id);
        self.sessions.count.fetch_sub(1, Ordering::Relaxed);
        let client = self.entry.client.ip();
        if let Some(mut own) = self.sessions.per_client.get_mut(&client) {
            *own -= 1;
        }
        self.sessions
            .per_client
            .remove_if(&client, |_, own| *own == 0);
    }
}

const DRAIN: u8 = 1;
const KILL: u8 = 2;
