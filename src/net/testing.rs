//! What the tests of this floor share: legs with their far ends, and bounded waits.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};

use super::leg::{self, Leg};
use super::ports::Lease;
use super::relay::{Relay, RelayEvent};
use super::socket;

/// Ends a test that waits for what never comes.
pub(super) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), what)
        .await
        .expect("in time")
}

/// A leg that was accepted, and the socket of the peer.
pub(super) async fn leg() -> (Leg, TcpStream) {
    let socket = socket::bound(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    leg::prepare(&socket).unwrap();
    let listener = socket::listen_for_data(socket, 1).unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (stream, _) = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
    (Leg::new(stream), peer)
}

/// A connection from an address of the loopback network.
pub(super) async fn connect(from: impl Into<IpAddr>, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.bind((from.into(), 0).into())?;
    soon(socket.connect(to)).await
}

pub(super) async fn accept(lease: &mut Lease) -> io::Result<Leg> {
    soon(poll_fn(|cx| lease.poll_accept(cx))).await
}

pub(super) async fn event(relay: &mut Relay) -> RelayEvent {
    poll_fn(|cx| relay.poll_event(cx)).await
}

/// Closes with RST.
pub(super) fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
    drop(stream);
}

/// Reads to the end and says what came: the bytes, and whether FIN or RST ended them.
pub(super) async fn ending(stream: &mut TcpStream) -> (Vec<u8>, End) {
    let mut bytes = Vec::new();
    let end = match stream.read_to_end(&mut bytes).await {
        Ok(_) => End::Fin,
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => End::Rst,
        Err(error) => panic!("neither FIN nor RST: {error}"),
    };
    (bytes, end)
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    Fin,
    Rst,
}
