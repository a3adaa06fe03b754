//! Connecting: to a backend's control and data ports, to a client in active mode, and the listener on
//! which a backend in active mode connects.
//!
//! Every dial has a deadline, that of a session's connections by the session. Data connections become [`Leg`]s, which reset unless
//! they are finished.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::time::Instant;

use super::alarm;
use super::connection::{Connection, Listener};
use super::leg::{self, Leg};
use super::socket::{self, normalise, normalise_socket};

/// Connects to a backend's control port, from `source` if given. The caller sets the deadline, by a timer that it has,
/// and prepares the connection (T1).
pub async fn control(backend: SocketAddr, source: Option<IpAddr>) -> io::Result<Connection> {
    let socket = open(backend)?;
    if let Some(source) = source {
        bind_address(&socket, source)?;
    }
    Connection::connect(socket, backend).await
}

/// The same for a check, which connects to a backend's data port so as well.
pub async fn stream(
    backend: SocketAddr,
    source: Option<IpAddr>,
    timeout: Duration,
) -> io::Result<tokio::net::TcpStream> {
    let connected = alarm::before(Instant::now() + timeout, control(backend, source)).await;
    let connected = connected.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()));
    connected?.into_stream()
}

/// A socket that is bound to `source` and a port of the kernel's choice, and its address: known before it
/// is connected, and nobody else's while it is open.
pub fn bound(source: IpAddr) -> io::Result<(Socket, SocketAddr)> {
    let address = SocketAddr::new(source, 0);
    let socket = open(address)?;
    socket.bind(&address.into())?;
    let address = socket.local_addr()?.as_socket();
    let address = address.ok_or(io::ErrorKind::Unsupported)?;
    Ok((socket, normalise_socket(address)))
}

/// A leg that is being dialled. The deadline is its owner's.
pub struct LegDial {
    peer: SocketAddr,
    stage: Dial,
}

enum Dial {
    ToClient { source: SocketAddr, strict: bool },
    Begun(io::Result<Connection>),
    Done,
}

impl LegDial {
    /// Connects to a backend's passive data port from `source`, the address that the backend knows from the
    /// control connection: it refuses others (P15). It is begun at once: ahead of the command that is sent next.
    pub fn to_backend(address: SocketAddr, source: IpAddr) -> Self {
        Self {
            peer: address,
            stage: Dial::Begun(from_address(address, source)),
        }
    }

    /// Connects to the data port of a client in active mode from `source`, the virtual IP and the port below
    /// the control port (A7). When that port can not be had, or is in use towards this very client, any other
    /// port of the same address serves, unless `strict` (A8). It is begun when it is first polled: behind the reply that
    /// was sent before.
    pub fn to_client(client: SocketAddr, source: SocketAddr, strict: bool) -> Self {
        Self {
            peer: client,
            stage: Dial::ToClient { source, strict },
        }
    }

    /// Where it leads to.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The leg, once.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Leg>> {
        if let Dial::ToClient { source, strict } = self.stage {
            self.stage = Dial::Begun(from_port_or_another(self.peer, source, strict));
        }
        if let Dial::Begun(Ok(connection)) = &self.stage {
            ready!(connection.poll_stands(cx))?;
        }
        match std::mem::replace(&mut self.stage, Dial::Done) {
            Dial::Begun(connection) => Poll::Ready(connection.map(Leg::new)),
            Dial::ToClient { .. } | Dial::Done => Poll::Pending,
        }
    }
}

fn from_port_or_another(
    client: SocketAddr,
    source: SocketAddr,
    strict: bool,
) -> io::Result<Connection> {
    match from_port(client, source) {
        Err(error) if !strict && is_port_taken(&error) => {
            tracing::debug!(%error, %source, "active data connection from another port");
            from_address(client, source.ip())
        }
        result => result,
    }
}

fn from_address(peer: SocketAddr, source: IpAddr) -> io::Result<Connection> {
    let socket = open(peer)?;
    leg::prepare(&socket)?;
    bind_address(&socket, source)?;
    Connection::begin(socket, peer)
}

fn from_port(client: SocketAddr, source: SocketAddr) -> io::Result<Connection> {
    let socket = open(client)?;
    leg::prepare(&socket)?;
    // Every socket on port 20 needs it, or the second bind is refused (A8).
    socket.set_reuse_address(true)?;
    socket.bind(&source.into())?;
    Connection::begin(socket, client)
}

/// Whether the source port is to blame: it is privileged, or bound without sharing, or connected from it
/// to the same client already.
fn is_port_taken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrInUse
            | io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::PermissionDenied
    )
}

fn open(peer: SocketAddr) -> io::Result<Socket> {
    let (domain, kind) = (Domain::for_address(peer), Type::STREAM.nonblocking());
    Socket::new(domain, kind, Some(Protocol::TCP))
}

/// Binds the address and leaves the port to the connect, where it need only be unused towards that
/// peer: a single source address would otherwise be out of ports at 28,000 connections (K4).
fn bind_address(socket: &Socket, source: IpAddr) -> io::Result<()> {
    setsockopt(socket, sockopt::IpBindAddressNoPort, &true)?;
    // Not the error of a connect that finds every port taken: an address that is not here stays away.
    let unbound = |error: io::Error| {
        let said = format!("source address {source}: {error}");
        io::Error::new(error.kind(), said)
    };
    let address = SocketAddr::new(source, 0);
    socket.bind(&address.into()).map_err(unbound)
}

/// Where a backend in active mode connects, once (A4).
pub struct BackendListener {
    listener: Listener,
    address: SocketAddr,
    backend: IpAddr,
    refused: Arc<AtomicU64>,
}

impl BackendListener {
    /// Listens on `source`, the address that the backend knows from the control connection (A5), for a
    /// connection of `backend`. Connections from elsewhere are reset, and counted in `refused` (A6).
    pub fn open(source: IpAddr, backend: IpAddr, refused: Arc<AtomicU64>) -> io::Result<Self> {
        let socket = socket::bound(SocketAddr::new(source, 0))?;
        leg::prepare(&socket)?;
        let listener = socket::listen_for_data(socket, BACKLOG)?;
        let address = listener.local_addr()?;
        Ok(Self {
            listener,
            address,
            backend: normalise(backend),
            refused,
        })
    }

    /// What the backend is told by PORT or EPRT.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the backend. Others are reset and do not count. Drop the listener when it is ready.
    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Leg>> {
        loop {
            let (stream, peer) = ready!(self.listener.poll_accept(cx))?;
            if normalise_socket(peer).ip() == self.backend {
                return Poll::Ready(Ok(Leg::new(stream)));
            }
            tracing::debug!(%peer, backend = %self.backend, "foreign data connection reset");
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// One connection is awaited; the rest is for strangers that come first.
const BACKLOG: i32 = 16;

#[cfg(test)]
mod tests;
