//! How a session ends: at once, or when the data that is on its way has arrived.

use std::time::Instant;

use bytes::Bytes;

use crate::ending::{Cause, Ending, Side};
use crate::session::machine::{Session, State};
use crate::session::{Action, replies};

/// Waiting for data to arrive before the end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Leaving {
    pub(super) ending: Ending,
    pub(super) until: Instant,
    moved: u64,
    /// Whether the client still has to be told 421.
    owes_word: bool,
}

impl Session {
    /// Ends the session once the data that is on its way has arrived, or has not for a while.
    pub(super) fn leave(&mut self, side: Side, cause: Cause, owes_word: bool, now: Instant) {
        if matches!(self.phase, State::Leaving(_) | State::Closed) {
            return;
        }
        let ending = Ending::new(side, self.ending_phase(), cause);
        let until = now + self.settings.timeouts.settle;
        self.phase = State::Leaving(Leaving {
            ending,
            until,
            moved: 0,
            owes_word,
        });
    }

    pub(super) fn expire_leaving(&mut self, now: Instant, moved: u64) {
        let settle = self.settings.timeouts.settle;
        if let State::Leaving(leaving) = &mut self.phase {
            if leaving.moved == moved {
                self.finish_leaving(now);
            } else {
                leaving.moved = moved;
                leaving.until = now + settle;
            }
        }
    }

    pub(super) fn finish_leaving(&mut self, now: Instant) {
        self.release_hold(now);
        if let State::Leaving(leaving) = self.phase {
            self.flush_local(now);
            if leaving.owes_word {
                self.send(Side::Client, replies::NOT_AVAILABLE, false);
            }
            self.close(leaving.ending);
        }
    }

    /// Ends the session at once, with a last word for the client.
    pub(super) fn leave_now(&mut self, side: Side, cause: Cause, word: Option<Bytes>) {
        if self.phase == State::Closed {
            return;
        }
        if let Some(word) = word {
            self.send(Side::Client, word, false);
        }
        self.close(Ending::new(side, self.ending_phase(), cause));
    }

    /// Ends the session: every transfer is told of, every association released, once.
    pub(super) fn close(&mut self, ending: Ending) {
        if self.phase == State::Closed {
            return;
        }
        self.phase = State::Closed;
        self.hold = None;
        self.release_all(ending);
        self.held.clear();
        self.act(Action::Close(ending));
    }
}
