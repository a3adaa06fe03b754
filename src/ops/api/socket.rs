//! Where the API is served: bound before anything else happens.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use socket2::Socket;
use tokio::net::TcpListener;

use crate::net::inherit::Shared;
use crate::net::socket;
use crate::net::unix::UnixSocket;

/// Why the API can not be served at an address.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve the API at {address}")]
pub struct ApiError {
    /// Where.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

/// A bound socket. The file of a Unix one is removed when this is dropped.
#[derive(Debug)]
#[must_use = "nobody can ask while it is not served"]
pub struct ApiSocket {
    pub(super) bound: Bound,
}

#[derive(Debug)]
pub(super) enum Bound {
    Tcp(TcpListener, SocketAddr),
    Unix(UnixSocket),
}

impl ApiSocket {
    /// Begins to listen on `bound`, which was bound to `address`. Within a runtime.
    pub fn tcp(address: SocketAddr, bound: io::Result<Socket>) -> Result<Self, ApiError> {
        let bound = bound
            .and_then(|socket| socket::listen(socket, BACKLOG))
            // The port that was chosen, where any was asked for.
            .and_then(|listener| Ok((listener.local_addr()?, listener)));
        match bound {
            Ok((address, listener)) => Ok(Self {
                bound: Bound::Tcp(listener, address),
            }),
            Err(source) => Err(ApiError { address, source }),
        }
    }

    /// For another process.
    pub fn share(&self) -> io::Result<Shared> {
        match &self.bound {
            Bound::Tcp(listener, _) => Shared::of(listener, None),
            Bound::Unix(socket) => socket.share(),
        }
    }
}

impl From<UnixSocket> for ApiSocket {
    fn from(socket: UnixSocket) -> Self {
        Self {
            bound: Bound::Unix(socket),
        }
    }
}

impl fmt::Display for ApiSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.bound {
            Bound::Tcp(_, address) => address.fmt(f),
            Bound::Unix(socket) => socket.path().display().fmt(f),
        }
    }
}

/// Connections that wait to be accepted: some people and their scripts.
const BACKLOG: i32 = 64;
