//! One end of a session: the control connection to the client or to the backend, with the lines that
//! come in and the bytes that wait to go out.

use std::cell::RefCell;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::ftp::line::{Frame, Framer};
use crate::net::stream::{ControlStream, Peer};
use crate::proxy::outbox::Outbox;
use crate::session::Input;

/// A control connection.
pub(super) struct Party {
    pub(super) stream: ControlStream,
    pub(super) outbox: Outbox,
    framer: Framer,
    /// The peer has sent FIN, or is gone: nothing more is read.
    ended: bool,
    /// FIN is to follow what waits (S13).
    shut: Shut,
    /// It is found out if the peer vanishes (K5).
    is_guarded: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Shut {
    No,
    Wanted,
    Done,
}

impl Party {
    pub(super) fn new(stream: ControlStream, framer: Framer) -> Self {
        Self {
            stream,
            outbox: Outbox::default(),
            framer,
            ended: false,
            shut: Shut::No,
            is_guarded: false,
        }
    }

    /// The next line or the end, reading as needed. Ready with an end at most once.
    ///
    /// Telnet options are refused here, and never seen further in (T2).
    pub(super) fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<Input> {
        loop {
            while let Some(frame) = self.framer.next_frame() {
                match frame {
                    Frame::Line(line) => return Poll::Ready(line.into()),
                    Frame::TooLong => return Poll::Ready(Input::TooLong),
                    Frame::Runaway if self.ended => return Poll::Pending,
                    Frame::Runaway => {
                        self.ended = true;
                        return Poll::Ready(Input::Runaway);
                    }
                    Frame::Telnet(answer) => self.outbox.push_telnet(answer),
                }
            }
            if self.ended {
                return Poll::Pending;
            }
            let framer = &mut self.framer;
            let read = poll_read(&self.stream, cx, |bytes| {
                let line = framer.whole_line(bytes);
                if line.is_none() {
                    framer.push(bytes);
                }
                (bytes.len(), line)
            });
            match ready!(read) {
                Ok((_, Some(line))) => return Poll::Ready(line.into()),
                Ok((0, None)) => {
                    self.ended = true;
                    return Poll::Ready(Input::Eof);
                }
                Ok((_, None)) => {}
                Err(_) => {
                    self.ended = true;
                    return Poll::Ready(Input::Reset);
                }
            }
        }
    }

    /// Whether the peer has gone by now, as far as is known. What it said before and is still unread
    /// is not waited for; its end counts as told.
    pub(super) fn note_if_gone(&mut self) -> Option<Input> {
        if self.ended {
            return None;
        }
        let gone = match self.stream.peer() {
            Peer::Open => return None,
            Peer::Closed => Input::Eof,
            Peer::Reset => Input::Reset,
        };
        self.ended = true;
        Some(gone)
    }

    /// From now on it is found out if the peer vanishes (K5).
    pub(super) fn guard(&mut self, keepalive: Duration) -> io::Result<()> {
        self.is_guarded = true;
        self.stream.keep_alive(keepalive)
    }

    pub(super) fn is_guarded(&self) -> bool {
        self.is_guarded
    }

    /// Whether a line has begun and not ended.
    pub(super) fn is_mid_line(&self) -> bool {
        !self.ended && self.framer.is_mid_line()
    }

    /// The peer is gone: nothing more is written or read.
    pub(super) fn give_up(&mut self) {
        self.outbox.clear();
        self.ended = true;
    }

    /// Sends FIN once what waits has been written.
    pub(super) fn shut_after_flush(&mut self) {
        if self.shut == Shut::No {
            self.shut = Shut::Wanted;
        }
    }

    /// Writes what waits. An error means that the peer is gone; it is told once.
    #[inline]
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Asked at every turn, and nearly always so.
        if self.outbox.is_empty() && self.shut != Shut::Wanted {
            return Poll::Ready(Ok(()));
        }
        self.poll_write(cx)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut result = Poll::Ready(Ok(()));
        if !self.outbox.is_empty() {
            result = self.outbox.poll_flush(cx, &self.stream);
        }
        if result.is_ready() && self.shut == Shut::Wanted {
            self.shut = Shut::Done;
            result = Poll::Ready(self.stream.shut());
        }
        if let Poll::Ready(Err(_)) = result {
            self.outbox.clear();
        }
        result
    }

    /// Reads and forgets until the peer's FIN, so that what was sent to it is not lost by a reset (D4).
    pub(super) fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.ended {
            if !matches!(ready!(poll_read(&self.stream, cx, <[u8]>::len)), Ok(1..)) {
                self.ended = true;
            }
        }
        Poll::Ready(())
    }
}

/// Reads once, and returns what becomes of what came.
fn poll_read<T>(
    stream: &ControlStream,
    cx: &mut Context<'_>,
    take: impl FnOnce(&[u8]) -> T,
) -> Poll<io::Result<T>> {
    SCRATCH.with_borrow_mut(|scratch| {
        let read = ready!(stream.poll_read(cx, scratch))?;
        Poll::Ready(Ok(take(scratch.get(..read).unwrap_or_default())))
    })
}

thread_local! {
    /// Where bytes land before they are framed: one for each thread, so that an idle session holds no
    /// buffer (design decision 11). 4 KiB hold any usual burst of commands or replies.
    static SCRATCH: RefCell<[u8; 4096]> = const { RefCell::new([0; 4096]) };
}
