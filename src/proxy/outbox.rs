//! What waits to be written to one control connection.
//!
//! Lines are gathered into as few writes as possible, except those that a connection tracker on the way
//! must find at the start of a segment: they are one `send()` each (R11).

use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};

use crate::net::stream::ControlStream;

/// The queue of one control connection. Empty, it holds no memory (design decision 11).
#[derive(Debug, Default)]
pub(super) struct Outbox {
    parts: VecDeque<Part>,
    bytes: usize,
}

#[derive(Debug)]
enum Part {
    /// Lines that may share a write.
    Lines(BytesMut),
    /// A line that must not.
    Alone(BytesMut),
    /// The Telnet data mark, urgent (T6).
    Mark,
}

impl Outbox {
    /// Queues a line; its end is added here.
    pub(super) fn push_line(&mut self, text: &[u8], alone: bool) {
        self.bytes += text.len() + CRLF.len();
        if let (false, Some(Part::Lines(lines))) = (alone, self.parts.back_mut()) {
            lines.extend_from_slice(text);
            lines.extend_from_slice(CRLF);
            return;
        }
        let mut line = BytesMut::with_capacity(text.len() + CRLF.len());
        line.extend_from_slice(text);
        line.extend_from_slice(CRLF);
        self.parts.push_back(if alone {
            Part::Alone(line)
        } else {
            Part::Lines(line)
        });
    }

    /// Queues bytes that are no line: Telnet's answers (T2).
    pub(super) fn push_telnet(&mut self, answer: &[u8]) {
        self.bytes += answer.len();
        match self.parts.back_mut() {
            Some(Part::Lines(lines)) => lines.extend_from_slice(answer),
            _ => self.parts.push_back(Part::Lines(BytesMut::from(answer))),
        }
    }

    /// Queues Telnet IP and a Synch: the data mark goes urgent, for ProFTPD takes the sequence without
    /// urgency as a reason to wait (T6).
    pub(super) fn push_interrupt(&mut self) {
        self.bytes += IP.len() + 1;
        self.parts.push_back(Part::Alone(BytesMut::from(IP)));
        self.parts.push_back(Part::Mark);
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Forgets what waits: nobody is there to read it.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Writes until everything is written or the socket takes no more.
    pub(super) fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        stream: &ControlStream,
    ) -> Poll<io::Result<()>> {
        while let Some(part) = self.parts.front_mut() {
            match part {
                Part::Lines(bytes) | Part::Alone(bytes) => {
                    let written = ready!(stream.poll_write(cx, bytes))?;
                    bytes.advance(written);
                    self.bytes -= written;
                    if !bytes.is_empty() {
                        continue;
                    }
                }
                Part::Mark => {
                    ready!(stream.poll_write_urgent(cx, DATA_MARK))?;
                    self.bytes -= 1;
                }
            }
            self.parts.pop_front();
        }
        self.parts = VecDeque::new();
        Poll::Ready(Ok(()))
    }
}

const CRLF: &[u8] = b"\r\n";

/// Telnet: interpret as command, interrupt process, interpret as command (RFC 959 §4.1.3, RFC 854).
const IP: &[u8] = &[0xff, 0xf4, 0xff];

/// Telnet: data mark, the urgent end of a Synch.
const DATA_MARK: u8 = 0xf2;
