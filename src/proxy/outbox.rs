//! What waits to be written to one control connection.
//!
//! Lines are gathered into as few writes as possible, except those that a connection tracker on the way
//! must find at the start of a segment: they are one `send()` each (R11).

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};

use crate::net::stream::ControlStream;

/// The queue of one control connection. Empty, it costs a pointer (design decision 11).
#[derive(Debug, Default)]
pub(super) struct Outbox(Option<Box<Waiting>>);

/// What waits, and is never nothing.
#[derive(Debug, Default)]
struct Waiting {
    bytes: BytesMut,
    /// Bytes that have been written since the first of them was queued.
    written: usize,
    /// Which of the bytes may not share a write with others, counted from there. Nearly always none: commands
    /// and most replies may.
    apart: VecDeque<Part>,
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
        let waiting = self.waiting();
        waiting.bytes.reserve(text.len() + CRLF.len());
        if alone {
            waiting.part(text.len() + CRLF.len(), false);
        }
        waiting.bytes.extend_from_slice(text);
        waiting.bytes.extend_from_slice(CRLF);
    }

    /// Queues bytes that are no line: Telnet's answers (T2).
    pub(super) fn push_telnet(&mut self, answer: [u8; 3]) {
        self.waiting().bytes.extend_from_slice(&answer);
    }

    /// Queues Telnet IP and a Synch: the data mark goes urgent, for ProFTPD takes the sequence without
    /// urgency as a reason to wait (T6).
    pub(super) fn push_interrupt(&mut self) {
        let waiting = self.waiting();
        waiting.part(IP.len(), false);
        waiting.bytes.extend_from_slice(IP);
        waiting.part(1, true);
        waiting.bytes.extend_from_slice(&[DATA_MARK]);
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.bytes.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Forgets what waits: nobody is there to read it.
    pub(super) fn clear(&mut self) {
        self.0 = None;
    }

    /// Writes until everything is written or the socket takes no more.
    pub(super) fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        stream: &ControlStream,
    ) -> Poll<io::Result<()>> {
        while let Some((next, is_urgent)) = self.next_write() {
            let written = match (is_urgent, next) {
                (true, &[mark]) => {
                    ready!(stream.poll_write_urgent(cx, mark))?;
                    1
                }
                _ => ready!(stream.poll_write(cx, next))?,
            };
            self.note_written(written);
        }
        Poll::Ready(Ok(()))
    }

    fn waiting(&mut self) -> &mut Waiting {
        { &mut self.0 }.get_or_insert_with(|| SPARE.take().unwrap_or_default())
    }

    /// The bytes that may be written together now, and whether as urgent ones.
    fn next_write(&mut self) -> Option<(&[u8], bool)> {
        self.0.as_mut().map(|waiting| waiting.next_write())
    }

    fn note_written(&mut self, count: usize) {
        let Some(waiting) = &mut self.0 else { return };
        waiting.bytes.advance(count);
        waiting.written += count;
        if waiting.bytes.is_empty() {
            let spare = self.0.take();
            SPARE.set(spare.and_then(Waiting::emptied));
        }
    }
}

impl Waiting {
    /// The next `length` bytes are to be written by themselves.
    fn part(&mut self, length: usize, is_urgent: bool) {
        let start = self.written + self.bytes.len();
        self.apart.push_back(Part {
            range: start..start + length,
            is_urgent,
        });
    }

    fn next_write(&mut self) -> (&[u8], bool) {
        let written = self.written;
        while { self.apart.front() }.is_some_and(|part| part.range.end <= written) {
            self.apart.pop_front();
        }
        let (length, is_urgent) = match self.apart.front() {
            None => (self.bytes.len(), false),
            Some(part) if written < part.range.start => (part.range.start - written, false),
            Some(part) => (part.range.end - written, part.is_urgent),
        };
        (self.bytes.get(..length).unwrap_or_default(), is_urgent)
    }

    /// As new, for the next who has something to write, unless it has held so much that it is too large to keep.
    fn emptied(mut self: Box<Self>) -> Option<Box<Self>> {
        if self.written > SPARE_BYTES {
            return None;
        }
        self.written = 0;
        self.apart.clear();
        Some(self)
    }
}

thread_local! {
    /// What the last one has written from: nearly every line is written as soon as it is queued, by one thread
    /// after the other.
    static SPARE: Cell<Option<Box<Waiting>>> = const { Cell::new(None) };
}

/// Any usual reply.
const SPARE_BYTES: usize = 4096;

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
        while let Some((next, is_urgent)) = outbox.next_write() {
            let count = next.len().min(most);
            let bytes = next[..count].escape_ascii().to_string();
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
        outbox.push_telnet(*b"xyz");
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
        assert_eq!(outbox.next_write(), Some((b"abcd\r\n".as_slice(), false)));
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
