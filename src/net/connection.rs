//! A TCP connection in the care of the runtime, and the listener that it comes from.
//!
//! Tokio's own stream asks the kernel for less than FTP needs. A read that does not fill its buffer has
//! commonly emptied the socket, and to be told so by one more read is a call for each line. But a read also ends
//! short before an urgent byte (T1), and what follows would wait for ever. So this one asks for `EPOLLPRI`:
//!
//! ```text
//!            ┌─ filled the buffer ──────────────────────────▶ still readable
//!   read ────┼─ short, an urgent byte is about ─────────────▶ still readable
//!            ├─ short ──────────────────────────────────────▶ readable when the kernel says so again
//!            └─ would block ────────────────────────────────▶ the same, and nothing urgent is about
//! ```
//! What the kernel said after the read was looked at is not forgotten: readiness is taken back only as of
//! then. An accepted socket is not taken for readable before the kernel says so, for a client waits for the greeting.
//!
//! What it deliberately does not do: it knows no options, and whether closing means FIN or RST.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll, ready};

use nix::libc::EINPROGRESS;
use socket2::Socket;
use tokio::io::unix::AsyncFd;
use tokio::io::{Interest, Ready};

/// A connection. Dropping it closes it.
pub struct Connection(AsyncFd<TcpStream>);

impl Connection {
    /// Takes a non-blocking stream into the runtime's care.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        let interest = Interest::READABLE | Interest::WRITABLE | Interest::PRIORITY;
        #[expect(
            deprecated,
            reason = "the other one is unsafe for descriptors that their owner closes or changes: a TcpStream \
                      does neither, and nobody else gets at this one"
        )]
        AsyncFd::with_interest(stream, interest).map(Self)
    }

    /// Connects `socket`, which does not block, to `peer`.
    pub async fn connect(socket: Socket, peer: SocketAddr) -> io::Result<Self> {
        let connection = Self::begin(socket, peer)?;
        poll_fn(|cx| connection.poll_stands(cx)).await?;
        Ok(connection)
    }

    /// Begins to connect `socket`, which does not block, to `peer`. It is to be waited for, see
    /// [`Connection::poll_stands`].
    pub fn begin(socket: Socket, peer: SocketAddr) -> io::Result<Self> {
        match socket.connect(&peer.into()) {
            Err(error) if error.raw_os_error() != Some(EINPROGRESS) => Err(error),
            _ => Self::new(socket.into()),
        }
    }

    /// Ready when a connection that was begun stands, or can not.
    pub fn poll_stands(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut guard = ready!(self.0.poll_write_ready(cx))?;
        guard.retain_ready();
        if guard.ready().is_write_closed()
            && let Some(error) = self.socket().take_error()?
        {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(()))
    }

    /// Hands the connection to those who want a stream of tokio's own.
    pub fn into_stream(self) -> io::Result<tokio::net::TcpStream> {
        tokio::net::TcpStream::from_std(self.0.into_inner())
    }

    /// The socket, for its options and addresses.
    pub fn socket(&self) -> &TcpStream {
        self.0.get_ref()
    }

    /// Reads into `buffer`; 0 is the peer's FIN.
    pub fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(cx))?;
            // Before the read: what becomes urgent after it is news of the kernel's.
            let is_urgent = self.is_urgent();
            match self.socket().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    guard.clear_ready_matching(Ready::READABLE | Ready::PRIORITY);
                }
                Ok(count) if count > 0 && count < buffer.len() && !is_urgent => {
                    guard.clear_ready();
                    return Poll::Ready(Ok(count));
                }
                result => return Poll::Ready(result),
            }
        }
    }

    /// Whether the kernel has spoken of an urgent byte since a read last found nothing, or of the peer's end.
    fn is_urgent(&self) -> bool {
        self.0.try_io(Interest::PRIORITY, |_| Ok(())).is_ok()
    }

    /// Writes the beginning of `bytes`.
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_writable(cx, |mut stream| stream.write(bytes))
    }

    /// Tries `attempt` when the socket is readable, until it says something other than `WouldBlock`, which
    /// it says only when this socket is to be waited for.
    pub fn poll_readable<T>(
        &self,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(&TcpStream) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(cx))?;
            if let Ok(result) = guard.try_io(|stream| attempt(stream.get_ref())) {
                return Poll::Ready(result);
            }
        }
    }

    /// As [`Connection::poll_readable`], when the socket is writable.
    pub fn poll_writable<T>(
        &self,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(&TcpStream) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            let mut guard = ready!(self.0.poll_write_ready(cx))?;
            if let Ok(result) = guard.try_io(|stream| attempt(stream.get_ref())) {
                return Poll::Ready(result);
            }
        }
    }

    /// Waits until the kernel has said one of `interest`, and returns what it has said of it.
    pub async fn heard(&self, interest: Interest) -> io::Result<Ready> {
        let mut guard = self.0.ready(interest).await?;
        guard.retain_ready();
        Ok(guard.ready())
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket().fmt(f)
    }
}

/// Where connections come in, of whom the runtime does not tell: somebody asks when one may have come.
pub struct QuietListener(mio::net::TcpListener);

impl QuietListener {
    /// Of a socket that listens and does not block.
    pub fn new(socket: Socket) -> Self {
        Self(mio::net::TcpListener::from_std(socket.into()))
    }

    /// Accepts one that has come already; `WouldBlock` if there is none.
    pub fn accept_now(&self) -> io::Result<(TcpStream, SocketAddr)> {
        accept(&self.0)
    }

    /// Gives it into the runtime's care. What has come by then is told of. On an error it goes on listening.
    pub fn watch(self) -> Result<Listener, (Self, io::Error)> {
        #[expect(
            deprecated,
            reason = "as for a connection: the listener keeps its descriptor to itself"
        )]
        let watched = AsyncFd::try_with_interest(self.0, Interest::READABLE);
        watched.map(Listener).map_err(|error| {
            let (quiet, error) = error.into_parts();
            (Self(quiet), error)
        })
    }
}

/// Where connections come in.
pub struct Listener(AsyncFd<mio::net::TcpListener>);

impl Listener {
    /// Takes a socket that listens and does not block into the runtime's care.
    pub fn new(socket: Socket) -> io::Result<Self> {
        let watched = QuietListener::new(socket).watch();
        watched.map_err(|(_, error)| error)
    }

    /// Takes over a listener of tokio's.
    pub fn adopt(listener: tokio::net::TcpListener) -> io::Result<Self> {
        Self::new(Socket::from(listener.into_std()?))
    }

    /// Where it listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().local_addr()
    }

    /// Accepts a connection. Only the last who polled is woken.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Connection, SocketAddr)>> {
        let (stream, peer) = ready!(self.poll_accept_stream(cx))?;
        Poll::Ready(Connection::new(stream).map(|connection| (connection, peer)))
    }

    /// Accepts a stream for a runtime that is yet to be chosen. Cancelled, it has accepted none.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|cx| self.poll_accept_stream(cx)).await
    }

    /// Accepts one that has come already; `WouldBlock` if there is none, whatever the runtime knows.
    pub fn accept_now(&self) -> io::Result<(TcpStream, SocketAddr)> {
        accept(self.0.get_ref())
    }

    fn poll_accept_stream(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(cx))?;
            if let Ok(accepted) = guard.try_io(|listener| accept(listener.get_ref())) {
                return Poll::Ready(accepted);
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.get_ref().fmt(f)
    }
}

/// Accepts a stream that does not block. One that failed while it was queued is passed over: accept(2) reports what
/// is wrong with the network of the connection it would return.
fn accept(listener: &mio::net::TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    loop {
        match listener.accept() {
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            accepted => return accepted.map(|(stream, peer)| (stream.into(), peer)),
        }
    }
}

#[cfg(test)]
mod tests;
