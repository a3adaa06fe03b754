//! Who waits on one passive port: the leases of clients that share its listener (P18).

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};

use super::lock;
use crate::config::PeerCheck;
use crate::net::connection::Connection;

/// The leases that wait on one listener. It is also the listener's waker, for tokio keeps only the last:
/// it wakes them all. So it must not own the listener, which owns the waker.
#[derive(Default)]
pub(super) struct Room(Mutex<Vec<Arc<Slot>>>);

impl Room {
    pub(super) fn enter(&self, slot: Arc<Slot>) {
        lock(&self.0).push(slot);
    }

    pub(super) fn leave(&self, slot: &Arc<Slot>) -> bool {
        let mut slots = lock(&self.0);
        let before = slots.len();
        slots.retain(|one| !Arc::ptr_eq(one, slot));
        slots.len() < before
    }

    pub(super) fn holds(&self, slot: &Arc<Slot>) -> bool {
        lock(&self.0).iter().any(|one| Arc::ptr_eq(one, slot))
    }

    /// Whether `newcomer` can share the listener with those that are there: the address of a connection
    /// must tell whose it is (P18).
    pub(super) fn takes(&self, newcomer: &Slot) -> bool {
        let is_in_the_way =
            |one: &Slot| one.client == newcomer.client || one.peer_check != PeerCheck::Strict;
        newcomer.peer_check == PeerCheck::Strict && self.find(is_in_the_way).is_none()
    }

    pub(super) fn find(&self, wanted: impl Fn(&Slot) -> bool) -> Option<Arc<Slot>> {
        lock(&self.0)
            .iter()
            .find(|slot| wanted(slot))
            .map(Arc::clone)
    }

    pub(super) fn clients(&self) -> Vec<IpAddr> {
        lock(&self.0).iter().map(|slot| slot.client).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }
}

impl Wake for Room {
    fn wake(self: Arc<Self>) {
        let slots = lock(&self.0).clone();
        for waker in slots
            .iter()
            .filter_map(|slot| lock(&slot.state).waker.take())
        {
            waker.wake();
        }
    }
}

/// One lease's place on a listener.
pub(super) struct Slot {
    pub(super) client: IpAddr,
    pub(super) session: u64,
    pub(super) peer_check: PeerCheck,
    state: Mutex<SlotState>,
}

#[derive(Default)]
struct SlotState {
    waker: Option<Waker>,
    /// The connection, until the lease's own task takes it.
    arrived: Option<Connection>,
}

impl Slot {
    pub(super) fn new(client: IpAddr, session: u64, peer_check: PeerCheck) -> Self {
        Self {
            client,
            session,
            peer_check,
            state: Mutex::default(),
        }
    }

    /// Takes the connection, or leaves `waker` to be told of it.
    pub(super) fn arrival(&self, waker: &Waker) -> Option<Connection> {
        let mut state = lock(&self.state);
        let arrived = state.arrived.take();
        state.waker = arrived.is_none().then(|| waker.clone());
        arrived
    }

    pub(super) fn serve(&self, stream: Connection) -> Option<Waker> {
        let mut state = lock(&self.state);
        state.arrived = Some(stream);
        state.waker.take()
    }
}
