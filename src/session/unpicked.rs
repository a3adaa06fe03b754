//! What happens before the backend is picked, where the user's name decides which one it is (H5).
//!
//! ftplb greets the client itself and waits for USER. That line, and what was pipelined behind it, waits
//! for the backend as lines ahead of a greeting do (F11). There is nobody to ask yet, so little is answered
//! before, and nothing that a backend might answer otherwise.

use std::time::Instant;

use bytes::Bytes;

use crate::ending::{Cause, Side};
use crate::ftp::command::{self, Verb};
use crate::session::client::{command_of, refusal};
use crate::session::machine::{Session, State};
use crate::session::replies;
use crate::session::waiting::ClientLine;

impl Session {
    pub(super) fn await_user(&mut self, now: Instant) {
        let timeouts = &self.settings.timeouts;
        let until = now + timeouts.user.min(timeouts.login);
        self.phase = State::AwaitingUser { until };
        self.send(Side::Client, replies::GREETING, false);
    }

    /// A line of a client for whom no backend was picked yet.
    pub(super) fn on_line_before_user(&mut self, line: ClientLine, now: Instant) {
        let ClientLine::Whole { text, .. } = &line else {
            return self.answer(replies::LINE_TOO_LONG, now);
        };
        let command = match command_of(text) {
            Ok(command) => command,
            Err(reply) => return self.answer(reply, now),
        };
        match command.verb {
            Verb::User if user_name(text).is_empty() => self.answer(replies::BAD_ARGUMENT, now),
            Verb::User => {
                self.held.push(line);
                self.pick();
            }
            Verb::Noop => self.answer(replies::NOOP_OK, now),
            Verb::Quit => self.leave_now(Side::Client, Cause::Complete, Some(replies::GOODBYE)),
            verb => self.refuse(verb, refusal(verb).unwrap_or(replies::LOG_IN_FIRST), now),
        }
    }

    /// The name that the backend is picked by, if it is picked by one: that of the USER which waits for it.
    pub(super) fn deciding_user(&self) -> Bytes {
        match self.held.first() {
            Some(ClientLine::Whole { text, .. }) if self.settings.pick_by_user => user_name(text),
            _ => Bytes::new(),
        }
    }
}

/// The name in a USER as it was sent (F5, H6); empty if there is none but blanks.
fn user_name(text: &Bytes) -> Bytes {
    let name = command::parse(text).ok().and_then(|user| user.argument);
    let name = name.filter(|name| !name.trim_ascii().is_empty());
    name.map(|name| text.slice_ref(name)).unwrap_or_default()
}
