//! A control connection's byte stream, plain or TLS (design decision 13).
//!
//! The session's driver polls it and knows nothing of what it is made of. TLS becomes a second variant
//! of [`ControlStream`], to which a stream can be changed in mid-session on either leg independently.

use std::io;
use std::net::Shutdown;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::Interest;

use super::connection::Connection;
use super::socket;

/// The stream of one control connection.
#[derive(Debug)]
pub enum ControlStream {
    /// As it comes from the socket.
    Plain(Connection),
}

/// What is known of the peer of a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Peer {
    /// It has sent FIN.
    Closed,
    /// As far as is known it is there.
    Open,
    /// The connection has failed.
    Reset,
}

impl ControlStream {
    /// Reads into `buffer`; 0 is the peer's FIN.
    pub fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let Self::Plain(stream) = self;
        stream.poll_read(cx, buffer)
    }

    /// Writes the beginning of `bytes`.
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self::Plain(stream) = self;
        stream.poll_write(cx, bytes)
    }

    /// Sends one urgent byte: the Telnet data mark of a Synch (T6).
    pub fn poll_write_urgent(&self, cx: &mut Context<'_>, byte: u8) -> Poll<io::Result<()>> {
        let Self::Plain(stream) = self;
        stream.poll_writable(cx, |stream| socket::send_urgent(stream, byte))
    }

    /// What the runtime has heard of the peer, whatever is still unread. Nothing is taken from the stream:
    /// an error is told once, to whoever reads (D3).
    pub fn peer(&self) -> Peer {
        let Self::Plain(stream) = self;
        let ready = pin!(stream.heard(Interest::READABLE | Interest::ERROR));
        match ready.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(ready)) if ready.is_error() => Peer::Reset,
            Poll::Ready(Ok(ready)) if ready.is_read_closed() => Peer::Closed,
            Poll::Ready(Err(_)) => Peer::Reset,
            Poll::Ready(Ok(_)) | Poll::Pending => Peer::Open,
        }
    }

    /// From now on a peer that vanished is found out (K5).
    pub fn keep_alive(&self, keepalive: Duration) -> io::Result<()> {
        let Self::Plain(stream) = self;
        socket::keep_alive(stream, keepalive)
    }

    /// Sends FIN.
    pub fn shut(&self) -> io::Result<()> {
        let Self::Plain(stream) = self;
        SockRef::from(stream).shutdown(Shutdown::Write)
    }
}
