//! A control connection's byte stream, plain or TLS (design decision 13).
//!
//! The session's driver polls it and knows nothing of what it is made of. TLS becomes a second variant
//! of [`ControlStream`], to which a stream can be changed in mid-session on either leg independently.

use std::io;
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::net::TcpStream;

use super::socket;

/// The stream of one control connection.
#[derive(Debug)]
pub enum ControlStream {
    /// As it comes from the socket.
    Plain(TcpStream),
}

impl ControlStream {
    /// Reads into `buffer`; 0 is the peer's FIN.
    pub fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let Self::Plain(stream) = self;
        loop {
            ready!(stream.poll_read_ready(cx))?;
            match stream.try_read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// Writes the beginning of `bytes`.
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_writable(cx, |stream| stream.try_write(bytes))
    }

    /// Sends one urgent byte: the Telnet data mark of a Synch (T6).
    pub fn poll_write_urgent(&self, cx: &mut Context<'_>, byte: u8) -> Poll<io::Result<()>> {
        self.poll_writable(cx, |stream| socket::send_urgent(stream, byte))
    }

    fn poll_writable<T>(
        &self,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(&TcpStream) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        let Self::Plain(stream) = self;
        loop {
            ready!(stream.poll_write_ready(cx))?;
            match attempt(stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// Whether the peer's FIN is what would be read next, known or not yet known to the runtime.
    pub fn is_at_end(&self) -> bool {
        let Self::Plain(stream) = self;
        let mut byte = [MaybeUninit::uninit()];
        // A tokio stream is in non-blocking mode: this does not wait.
        matches!(SockRef::from(stream).peek(&mut byte), Ok(0))
    }

    /// Sends FIN.
    pub fn shut(&self) -> io::Result<()> {
        let Self::Plain(stream) = self;
        SockRef::from(stream).shutdown(Shutdown::Write)
    }

    /// The local address.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let Self::Plain(stream) = self;
        stream.local_addr()
    }
}
