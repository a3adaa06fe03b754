//! One leg of a data connection: a TCP connection to the client or to the backend.
//!
//! # Why a leg is reset unless it was finished
//! FTP tells the end of a file by closing the connection. A server that sees FIN in the middle of an
//! upload keeps a truncated file and says 226 (D2), so a FIN that nobody decided on is a lie. Therefore
//! `SO_LINGER {on, 0}` is set before there is a connection at all: on a socket before it connects, and
//! on a listener before it listens, from which Linux hands it down to every accepted socket. From then
//! on whatever closes the socket sends RST: a dropped value, a panic, a cancelled future, `kill -9`. Only
//! `Leg::finish` takes it back, when every byte has been written and FIN is the truth.
//!
//! What it deliberately does not do: no `TCP_NODELAY`, for the FIN that follows the last byte pushes that
//! byte out; no `TCP_USER_TIMEOUT`, which would also cut a peer that is alive and slow (the relay's idle
//! limit judges that); no keepalive from the start, for most legs live some milliseconds and every option
//! is a system call.
//!
//! # Invariants
//! - One owner: an error of a socket is reported once (D3), so nobody else may read, write or ask.
//! - `SO_ERROR` is taken only to be acted on at once: by `Leg::poll_fault` and `Leg::finish`.

use std::future::Future;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use nix::libc::{MSG_MORE, MSG_NOSIGNAL};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{Interest, Ready};

use super::connection::Connection;

/// A data connection to one party. Dropping it resets it, unless its direction had been finished.
pub struct Leg {
    /// Shared with `fault` only, which borrows it across polls.
    stream: Arc<Connection>,
    fault: Fault,
}

/// The wait for `EPOLLERR`, which hardly any leg needs.
enum Fault {
    Unasked,
    Awaited(Pin<Box<dyn Future<Output = io::Result<Ready>> + Send + Sync>>),
    Told,
}

impl Leg {
    /// A leg over `stream`, whose socket, or the listener that it came from, went through [`prepare`].
    pub(super) fn new(stream: Connection) -> Self {
        Self {
            stream: Arc::new(stream),
            fault: Fault::Unasked,
        }
    }

    /// Reads into `buffer`; 0 is the peer's FIN.
    pub(super) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.stream.poll_read(cx, buffer)
    }

    /// Writes the beginning of `bytes`.
    pub(super) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream.poll_write(cx, bytes)
    }

    /// As [`Leg::poll_write`]. [`Leg::finish`] follows when all of `bytes` was written, and at once: till
    /// then the kernel may keep back their end.
    pub(super) fn poll_write_last(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_writable(cx, |stream| {
            SockRef::from(stream).send_with_flags(bytes, MSG_MORE | MSG_NOSIGNAL)
        })
    }

    /// As [`Connection::poll_readable`].
    pub(super) fn poll_readable<T>(
        &self,
        cx: &mut Context<'_>,
        attempt: impl FnMut(&TcpStream) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        self.stream.poll_readable(cx, attempt)
    }

    /// As [`Connection::poll_writable`].
    pub(super) fn poll_writable<T>(
        &self,
        cx: &mut Context<'_>,
        attempt: impl FnMut(&TcpStream) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        self.stream.poll_writable(cx, attempt)
    }

    /// Waits for the connection to fail, even while nobody reads or writes it. Ready at most once.
    ///
    /// `BrokenPipe` means that the peer sent FIN before its reset: Linux answers a RST so in `CLOSE_WAIT`.
    /// Everything the peer sent is then still to be read, up to a clean end. Any other error means
    /// that its direction will never end in order. An error that a read or a write already got is not
    /// told again.
    pub(super) fn poll_fault(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if matches!(self.fault, Fault::Unasked) {
            let stream = Arc::clone(&self.stream);
            let heard = async move { stream.heard(Interest::ERROR).await };
            self.fault = Fault::Awaited(Box::pin(heard));
        }
        let Fault::Awaited(heard) = &mut self.fault else {
            return Poll::Pending;
        };
        let ready = ready!(heard.as_mut().poll(cx));
        self.fault = Fault::Told;
        match ready.and_then(|_| self.stream.socket().take_error()) {
            Ok(Some(error)) | Err(error) => Poll::Ready(error),
            Ok(None) => Poll::Pending,
        }
    }

    /// Sends FIN: every byte for this peer has been written. From here on closing the socket is no reset:
    /// what the kernel still holds for a slow peer would be lost with it (D4).
    ///
    /// `BrokenPipe` means what it does in [`Leg::poll_fault`].
    pub(super) fn finish(&self) -> io::Result<()> {
        let socket = SockRef::from(&*self.stream);
        match socket.shutdown(Shutdown::Write) {
            Ok(()) => socket.set_linger(None),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Err(self
                .stream
                .socket()
                .take_error()?
                .unwrap_or_else(|| io::ErrorKind::BrokenPipe.into())),
            Err(error) => Err(error),
        }
    }

    /// The same for a leg that is dropped next, whose peer has sent FIN and was sent nothing: nothing can be
    /// lost, and closing the socket sends FIN.
    pub(super) fn finish_by_closing(&self) -> io::Result<()> {
        SockRef::from(&*self.stream).set_linger(None)
    }

    /// From now on a silently vanished peer is found out (K5).
    pub(super) fn keep_alive(&self) -> io::Result<()> {
        SockRef::from(&*self.stream).set_tcp_keepalive(
            &TcpKeepalive::new()
                .with_time(KEEPALIVE_TIME)
                .with_interval(KEEPALIVE_INTERVAL)
                .with_retries(KEEPALIVE_RETRIES),
        )
    }

    #[cfg(test)]
    pub(super) fn is_kept_alive(&self) -> bool {
        SockRef::from(&*self.stream).keepalive().is_ok_and(|on| on)
    }

    /// Resets the connection, finished or not.
    pub(super) fn abort(self) {
        if let Err(error) = SockRef::from(&*self.stream).set_linger(Some(Duration::ZERO)) {
            tracing::warn!(%error, "a data connection could not be reset, it is closed");
        }
    }
}

/// Makes a socket that is to be connected, or a listener whose sockets inherit it, fit for legs: reset
/// by default.
pub(super) fn prepare(socket: &impl AsFd) -> io::Result<()> {
    SockRef::from(socket).set_linger(Some(Duration::ZERO))
}

/// Silence before the first probe: with the probes after it well below the five minutes of the data idle
/// limit, so that a dead peer is told from a slow one.
const KEEPALIVE_TIME: Duration = Duration::from_mins(1);

/// Between probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Unanswered probes that make a peer dead.
const KEEPALIVE_RETRIES: u32 = 5;

#[cfg(test)]
mod tests;
