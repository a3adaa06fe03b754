//! What waits for its turn: lines of the client behind a barrier or the greeting, answers of ftplb's own
//! behind replies of the backend, and the client's FIN behind its last command.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use crate::ending::{Cause, Ending, Side};
use crate::session::Action;
use crate::session::machine::{Session, State};
use crate::session::pending::Expect;

/// A line of the client. It may wait (S1, F11).
#[derive(Clone, Debug)]
pub(super) enum ClientLine {
    /// One over the limit. Its refusal has a turn like every answer (F7).
    TooLong,
    /// A command as it came.
    Whole {
        text: Bytes,
        /// Whether a Telnet interrupt or data mark came with it (T6).
        interrupt: bool,
    },
}

impl ClientLine {
    fn bytes(&self) -> usize {
        match self {
            Self::TooLong => 0,
            Self::Whole { text, .. } => text.len(),
        }
    }
}

/// The lines that wait, in their order. Most sessions never have one, and pay a pointer.
#[derive(Debug, Default)]
pub(super) struct Held(Option<Box<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    queue: VecDeque<ClientLine>,
    /// Asked for at every turn, while a client may have a thousand lines here.
    bytes: usize,
}

impl Held {
    pub(super) fn push(&mut self, line: ClientLine) {
        let lines = self.0.get_or_insert_default();
        lines.bytes += line.bytes();
        lines.queue.push_back(line);
    }

    pub(super) fn pop(&mut self) -> Option<ClientLine> {
        let lines = self.0.as_mut()?;
        let line = lines.queue.pop_front()?;
        lines.bytes -= line.bytes();
        if lines.queue.is_empty() {
            self.clear();
        }
        Some(line)
    }

    pub(super) fn first(&self) -> Option<&ClientLine> {
        self.0.as_ref()?.queue.front()
    }

    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |lines| lines.queue.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |lines| lines.bytes)
    }

    pub(super) fn clear(&mut self) {
        self.0 = None;
    }
}

impl Session {
    /// Sends the lines that waited, as far as the next barrier.
    pub(super) fn run_held(&mut self, now: Instant) {
        while matches!(self.phase, State::Open { .. })
            && !self.is_barred()
            && let Some(line) = self.held.pop()
        {
            self.process(line, now);
            self.flush_local(now);
        }
        self.pass_on_eof();
    }

    /// S13: the client's FIN follows its last command.
    pub(super) fn pass_on_eof(&mut self) {
        if !self.flags.client_eof || self.flags.backend_shut || !self.held.is_empty() {
            return;
        }
        match self.phase {
            State::Open { .. } => {
                self.flags.backend_shut = true;
                self.act(Action::ShutdownBackend);
            }
            State::AwaitingUser { .. } | State::Connecting | State::Greeting { .. } => {
                let ending = Ending::new(Side::Client, self.ending_phase(), Cause::Close);
                self.close(ending);
            }
            _ => {}
        }
    }

    /// Answers a command that is not forwarded, when its turn comes.
    pub(super) fn answer(&mut self, reply: Bytes, now: Instant) {
        let is_refusal = reply.first() == Some(&b'5');
        if self.pending.is_empty() && self.disposition.is_none() {
            self.send(Side::Client, reply, false);
        } else {
            self.pending.push(Expect::Local(reply), now);
        }
        if is_refusal {
            self.count_error();
        }
    }

    /// Gives the local answers whose turn it is.
    pub(super) fn flush_local(&mut self, now: Instant) {
        while self.disposition.is_none()
            && let Some(reply) = self.pending.take_local(now)
        {
            self.send(Side::Client, reply, false);
        }
    }
}
