//! One listening port and the leases that wait on it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::config::PeerCheck;
use crate::net::{leg, socket};

/// A listener and the leases that wait on it.
pub(super) struct Shared {
    pub(super) listener: TcpListener,
    pub(super) room: Arc<Room>,
    /// When it was opened.
    pub(super) since: Instant,
}

impl Shared {
    /// Listens at `address` for `slot`.
    pub(super) fn open(address: SocketAddr, slot: &Arc<Slot>) -> io::Result<Self> {
        let socket = socket::bound(address)?;
        leg::prepare(&socket)?;
        let room = Arc::new(Room::default());
        room.enter(Arc::clone(slot));
        Ok(Self {
            listener: socket::listen(socket, BACKLOG)?,
            room,
            since: Instant::now(),
        })
    }
}

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
    pub(super) state: Mutex<SlotState>,
}

#[derive(Default)]
pub(super) struct SlotState {
    waker: Option<Waker>,
    /// The connection, until the lease's own task takes it.
    arrived: Option<TcpStream>,
}

impl Slot {
    /// Takes the connection, or leaves `waker` to be told of it.
    pub(super) fn arrival(&self, waker: &Waker) -> Option<TcpStream> {
        let mut state = lock(&self.state);
        let arrived = state.arrived.take();
        state.waker = arrived.is_none().then(|| waker.clone());
        arrived
    }

    pub(super) fn serve(&self, stream: TcpStream) -> Option<Waker> {
        let mut state = lock(&self.state);
        state.arrived = Some(stream);
        state.waker.take()
    }
}

/// A lock is poisoned by a panic that left nothing half done: every change here is a single step.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Connections the kernel keeps for a listener, which is polled by every lease on it.
const BACKLOG: i32 = 64;
