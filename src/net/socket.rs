//! Socket options and addresses, as FTP's control connections want them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::TcpListener;

use super::connection::Listener;

/// As [`bound`], at an address that this host does not have yet: the virtual IP of a stand-by, which VRRP or
/// the like moves here later.
pub fn bound_ahead(address: SocketAddr) -> io::Result<Socket> {
    let socket = unbound(address)?;
    if address.is_ipv6() {
        socket.set_freebind_v6(true)?;
    } else {
        socket.set_freebind_v4(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// A non-blocking TCP socket that is bound to `address`, which may be in `TIME_WAIT` (K2). A wildcard IPv6
/// address takes IPv6 only: IPv4 has a listener of its own, so that no address is seen in two forms (V2).
pub fn bound(address: SocketAddr) -> io::Result<Socket> {
    let socket = unbound(address)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn unbound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// Begins to accept connections.
pub fn listen(socket: Socket, backlog: i32) -> io::Result<TcpListener> {
    socket.listen(backlog)?;
    TcpListener::from_std(socket.into())
}

/// Begins to accept data connections.
pub fn listen_for_data(socket: Socket, backlog: i32) -> io::Result<Listener> {
    socket.listen(backlog)?;
    Listener::new(socket)
}

/// Begins to accept control connections. They are born prepared: the kernel hands down what
/// [`prepare_control`] sets.
pub fn listen_for_control(
    socket: Socket,
    backlog: i32,
    keepalive: Duration,
) -> io::Result<TcpListener> {
    prepare_control(&socket, keepalive)?;
    listen(socket, backlog)
}

/// Sets all that a control connection needs: [`prepare_lines`], and [`keep_alive`].
pub fn prepare_control(socket: &impl AsFd, keepalive: Duration) -> io::Result<()> {
    prepare_lines(socket)?;
    keep_alive(socket, keepalive)
}

/// Sets what a control connection needs on either side of ftplb, before its first read: urgent bytes
/// stay in their place in the stream (T1), and a line is sent as one segment at once (R11).
pub fn prepare_lines(socket: &impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_out_of_band_inline(true)?;
    socket.set_tcp_nodelay(true)
}

/// From now on a peer that vanished is found out within `keepalive` and half as much again (K5).
pub fn keep_alive(socket: &impl AsFd, keepalive: Duration) -> io::Result<()> {
    let socket = SockRef::from(socket);
    let interval = (keepalive / (2 * KEEPALIVE_RETRIES)).max(Duration::from_secs(1));
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(keepalive.max(Duration::from_secs(1)))
            .with_interval(interval)
            .with_retries(KEEPALIVE_RETRIES),
    )?;
    // The same patience for a peer that does not acknowledge what it was sent.
    socket.set_tcp_user_timeout(Some(keepalive + interval * KEEPALIVE_RETRIES))
}

/// Sends what fits into the buffer of a connection that was just accepted. The runtime does not know yet that
/// it is writable, and would say that it is not.
pub fn send_at_once(socket: &impl AsFd, bytes: &[u8]) -> io::Result<()> {
    SockRef::from(socket).send(bytes).map(drop)
}

/// Sends one byte as TCP urgent data: the Telnet data mark of an abort (T6). `WouldBlock` when the socket
/// is not writable.
pub fn send_urgent(socket: &impl AsFd, byte: u8) -> io::Result<()> {
    SockRef::from(socket).send_out_of_band(&[byte]).map(drop)
}

/// `::ffff:a.b.c.d` is `a.b.c.d` (V2).
pub fn normalise(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// As [`normalise`], with a port. The scope of a link-local address is kept (V6).
pub fn normalise_socket(address: SocketAddr) -> SocketAddr {
    match normalise(address.ip()) {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => address,
    }
}

/// Unanswered probes that make a peer dead.
const KEEPALIVE_RETRIES: u32 = 5;

#[cfg(test)]
mod tests;
