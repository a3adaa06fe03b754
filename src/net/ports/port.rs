//! One passive port: its listener, and who waits on it.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::lock;
use super::room::Room;
use crate::net::connection::{Connection, Listener};
use crate::net::dial::poll_arrival;
use crate::net::{leg, socket};

/// A port that leases wait on.
pub(super) struct Port {
    pub(super) address: SocketAddr,
    pub(super) room: Arc<Room>,
    /// Open while somebody is in the room.
    listener: Mutex<Option<Listener>>,
}

impl Port {
    /// One that does not listen yet.
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            room: Arc::default(),
            listener: Mutex::default(),
        }
    }

    /// Listens, unless it does already. For somebody who is in the room.
    pub(super) fn open(&self) -> io::Result<()> {
        let mut listener = lock(&self.listener);
        if listener.is_none() {
            let socket = socket::bound(self.address)?;
            leg::prepare(&socket)?;
            *listener = Some(socket::listen_for_data(socket, BACKLOG)?);
        }
        Ok(())
    }

    /// Closes the listener, unless somebody is in the room by now.
    pub(super) fn close_if_unused(&self) {
        let mut listener = lock(&self.listener);
        if self.room.is_empty() {
            // Under the lock: whoever comes now finds the port free.
            drop(listener.take());
        }
    }

    /// A connection that has come; the room is woken when there may be another.
    pub(super) fn poll_arrival(&self) -> Poll<io::Result<(Connection, SocketAddr)>> {
        let all = Waker::from(Arc::clone(&self.room));
        match &*lock(&self.listener) {
            Some(listener) => poll_arrival(listener, &mut Context::from_waker(&all)),
            None => Poll::Pending,
        }
    }
}

/// Connections the kernel keeps for a listener, which is polled by every lease on it.
const BACKLOG: i32 = 64;
