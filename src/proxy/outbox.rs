//! What waits to be written to one control connection.
//!
//! Lines are gathered into as few writes as possible, except those that a connection tracker on the way
//! must find at the start of a segment: they are one `send()` each (R11).

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};

use crate::net::stream::ControlStream;

/// The queue of one control connection. Empty, it holds no memory (design decision 11).
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// All that waits, in its order.
    bytes: BytesMut,
    /// Nearly always none: commands and most replies may share a write.
    apart: Option<Box<Apart>>,
}

/// Which of the bytes may not share a write with others.
#[derive(Debug, Default)]
struct Apart {
    /// Bytes that have been written since the first of them was queued.
    written: usize,
    /// Counted from there.
    parts: VecDeque<Part>,
}

#[derive(Debug)]
struct Part {
    range: Range<usize>,
    /// The Telnet data mark (T6).
    is_urgent: bool,
}

impl Outbox {
    /// Queues a line; its end is added here.
    pub(super) fn push_line(&mut self, text: &[u8], alone: bool) {
        self.bytes.reserve(text.len() + CRLF.len());
        if alone {
            self.part(text.len() + CRLF.len(), false);
        }
        self.bytes.extend_from_slice(text);
        self.bytes.extend_from_slice(CRLF);
    }

    /// Queues bytes that are no line: Telnet's answers (T2).
    pub(super) fn push_telnet(&mut self, answer: &[u8]) {
        self.bytes.extend_from_slice(answer);
    }

    /// Queues Telnet IP and a Synch: the data mark goes urgent, for ProFTPD takes the sequence without
    /// urgency as a reason to wait (T6).
    pub(super) fn push_interrupt(&mut self) {
        self.part(IP.len(), false);
        self.bytes.extend_from_slice(IP);
        self.part(1, true);
        self.bytes.extend_from_slice(&[DATA_MARK]);
    }

    /// The next `length` bytes are to be written by themselves.
    fn part(&mut self, length: usize, is_urgent: bool) {
        let apart = self.apart.get_or_insert_default();
        let start = apart.written + self.bytes.len();
        apart.parts.push_back(Part {
            range: start..start + length,
            is_urgent,
        });
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
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
        while !self.bytes.is_empty() {
            let (length, is_urgent) = self.next_write();
            let next = self.bytes.get(..length).unwrap_or_default();
            let written = match (is_urgent, next) {
                (true, &[mark]) => {
                    ready!(stream.poll_write_urgent(cx, mark))?;
                    1
                }
                _ => ready!(stream.poll_write(cx, next))?,
            };
            self.note_written(written);
        }
        self.clear();
        Poll::Ready(Ok(()))
    }

    fn note_written(&mut self, count: usize) {
        self.bytes.advance(count);
        if let Some(apart) = &mut self.apart {
            apart.written += count;
        }
    }

    /// How many bytes may be written together now, and whether as urgent ones.
    fn next_write(&mut self) -> (usize, bool) {
        let waiting = self.bytes.len();
        let Some(apart) = &mut self.apart else {
            return (waiting, false);
        };
        while apart
            .parts
            .front()
            .is_some_and(|part| part.range.end <= apart.written)
        {
            apart.parts.pop_front();
        }
        match apart.parts.front() {
            None => (waiting, false),
            Some(part) if apart.written < part.range.start => {
                (part.range.start - apart.written, false)
            }
            Some(part) => (part.range.end - apart.written, part.is_urgent),
        }
    }
}

const CRLF: &[u8] = b"\r\n";

/// Telnet: interpret as command, interrupt process, interpret as command (RFC 959 §4.1.3, RFC 854).
const IP: &[u8] = &[0xff, 0xf4, 0xff];

/// Telnet: data mark, the urgent end of a Synch.
const DATA_MARK: u8 = 0xf2;

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written if the socket takes `most` bytes at a time; an urgent byte is in angle brackets.
    fn writes(outbox: &mut Outbox, most: usize) -> Vec<String> {
        let mut writes = Vec::new();
        while !outbox.is_empty() {
            let (length, is_urgent) = outbox.next_write();
            let count = length.min(most);
            let bytes = outbox.bytes[..count].escape_ascii().to_string();
            writes.push(if is_urgent {
                format!("<{bytes}>")
            } else {
                bytes
            });
            outbox.note_written(count);
        }
        writes
    }

    #[test]
    fn lines_share_a_write_but_for_those_that_must_not() {
        let mut outbox = Outbox::default();
        outbox.push_line(b"220-a", false);
        outbox.push_line(b"220 b", false);
        outbox.push_telnet(b"xyz");
        assert_eq!(writes(&mut outbox, 99), ["220-a\\r\\n220 b\\r\\nxyz"]);
        outbox.push_line(b"1", false);
        outbox.push_line(b"227 x", true);
        outbox.push_line(b"2", true);
        outbox.push_line(b"3", false);
        outbox.push_line(b"4", false);
        assert_eq!(outbox.len(), 19);
        let expected = ["1\\r\\n", "227 x\\r\\n", "2\\r\\n", "3\\r\\n4\\r\\n"];
        assert_eq!(writes(&mut outbox, 99), expected);
        assert_eq!(outbox.len(), 0);
    }

    #[test]
    fn what_is_apart_stays_so_when_the_socket_takes_a_part_of_it() {
        let mut outbox = Outbox::default();
        outbox.push_line(b"abcd", true);
        assert_eq!(outbox.next_write(), (6, false));
        outbox.note_written(3);
        outbox.push_line(b"e", false);
        outbox.push_line(b"f", true);
        assert_eq!(
            writes(&mut outbox, 2),
            ["d\\r", "\\n", "e\\r", "\\n", "f\\r", "\\n"]
        );
    }

    #[test]
    fn t6_the_data_mark_alone_is_urgent() {
        let mut outbox = Outbox::default();
        outbox.push_line(b"NOOP", false);
        outbox.push_interrupt();
        outbox.push_line(b"ABOR", false);
        let expected = ["NOOP\\r\\n", "\\xff\\xf4\\xff", "<\\xf2>", "ABOR\\r\\n"];
        assert_eq!(writes(&mut outbox, 99), expected);
    }
}
