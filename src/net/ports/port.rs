//! One passive port: its listener, and who waits on it.
//!
//! ```text
//!   Closed ─open─▶ Quiet ─asked, and nobody had come─▶ Watched
//!      ▲             └───── the room is empty ────────────┤
//!      └──────────────────────────────────────────────────┘
//! ```
//! A client that is near has commonly connected when the port is asked for the first time (see `proxy::data`). So only
//! one that is asked in vain is made known to the runtime: two calls, a registration and a wake-up less.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::{io, mem};

use super::lock;
use super::room::Room;
use crate::net::connection::{Connection, Listener, QuietListener};
use crate::net::{leg, socket};

/// A port that leases wait on.
pub(super) struct Port {
    pub(super) address: SocketAddr,
    pub(super) room: Arc<Room>,
    /// Open while somebody is in the room.
    listening: Mutex<Listening>,
}

#[derive(Default)]
enum Listening {
    #[default]
    Closed,
    Quiet(QuietListener),
    Watched(Listener),
}

impl Port {
    /// One that does not listen yet.
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            room: Arc::default(),
            listening: Mutex::default(),
        }
    }

    /// Listens, unless it does already. For somebody who is in the room.
    pub(super) fn open(&self) -> io::Result<()> {
        let mut listening = lock(&self.listening);
        if matches!(*listening, Listening::Closed) {
            let socket = socket::bound(self.address)?;
            leg::prepare(&socket)?;
            socket.listen(BACKLOG)?;
            *listening = Listening::Quiet(QuietListener::new(socket));
        }
        Ok(())
    }

    /// Closes the listener, unless somebody is in the room by now.
    pub(super) fn close_if_unused(&self) {
        let mut listening = lock(&self.listening);
        if self.room.is_empty() {
            // Under the lock: whoever comes now finds the port free.
            *listening = Listening::Closed;
        }
    }

    /// A connection that has come; the room is woken when there may be another.
    pub(super) fn poll_arrival(&self) -> Poll<io::Result<(Connection, SocketAddr)>> {
        let mut listening = lock(&self.listening);
        let listener = match mem::take(&mut *listening) {
            Listening::Closed => return Poll::Pending,
            Listening::Watched(listener) => listener,
            Listening::Quiet(quiet) => {
                let accepted = quiet.accept_now();
                let is_none = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
                if !accepted.as_ref().is_err_and(is_none) {
                    *listening = Listening::Quiet(quiet);
                    let (stream, peer) = accepted?;
                    return Poll::Ready(Connection::new(stream).map(|stream| (stream, peer)));
                }
                match quiet.watch() {
                    Ok(listener) => listener,
                    Err((quiet, error)) => {
                        *listening = Listening::Quiet(quiet);
                        return Poll::Ready(Err(error));
                    }
                }
            }
        };
        let all = Waker::from(Arc::clone(&self.room));
        let arrival = listener.poll_accept(&mut Context::from_waker(&all));
        *listening = Listening::Watched(listener);
        arrival
    }
}

/// Connections the kernel keeps for a listener: the clients that share it, and strangers for the moment until somebody
/// looks. Where it is full a client waits a second, for its next SYN.
pub(super) const BACKLOG: i32 = 512;
