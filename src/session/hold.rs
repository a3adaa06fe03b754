//! The reply that ends a transfer does not overtake its data (R13, RFC 959 §5.2).

use std::time::Instant;

use bytes::Bytes;

use crate::ftp::command::Direction;
use crate::ftp::reply::Code;
use crate::session::data::{DataId, Stage};
use crate::session::machine::Session;
use crate::session::pending::Expect;

/// A reply that waits for the last byte of its transfer (R13).
#[derive(Clone, Debug)]
pub(super) struct Hold {
    pub(super) text: Bytes,
    pub(super) data: DataId,
    pub(super) until: Instant,
    moved: u64,
}

impl Session {
    /// R13: the association whose data has to arrive first, if this is the first line of a reply that ends
    /// a transfer whose data is still on its way to the client.
    ///
    /// A transfer that was refused before it began has no data to wait for (S4, D10). Nor does the failure
    /// of an upload wait until the client has sent all of it, nor what answers an ABOR (T7), nor a 421 (R8).
    pub(super) fn must_wait_for(&mut self, text: &[u8]) -> Option<DataId> {
        if self.disposition.is_some() {
            return None;
        }
        let code = Code::parse(text).filter(|code| !code.is(421))?;
        let found = self.pending.find(code)?;
        let Some(Expect::Transfer(ask)) = self.pending.get(found.index) else {
            return None;
        };
        let data = ask.data?;
        let is_download = ask.verb.transfer() == Some(Direction::ToClient);
        if code.is_positive() {
            self.note_begun(data);
        } else if !(code.is_negative() && ask.preliminary && is_download) {
            return None;
        }
        let mut associations = self.associations();
        let owes = associations.any(|a| a.id == data && a.may_owe_client());
        (owes && !self.pending.is_aborting()).then_some(data)
    }

    /// Makes a reply wait for the last byte of its transfer (R13).
    pub(super) fn hold_reply(&mut self, text: Bytes, data: DataId, now: Instant) {
        let until = now + self.settings.timeouts.settle;
        self.hold = Some(Box::new(Hold {
            text,
            data,
            until,
            moved: 0,
        }));
    }

    pub(super) fn release_hold(&mut self, now: Instant) {
        if let Some(hold) = self.hold.take() {
            self.on_reply_line(hold.text, true, now);
        }
    }

    /// R13: the wait is bounded by the time without progress, not by the length of the transfer.
    pub(super) fn expire_hold(&mut self, now: Instant, moved: u64) {
        let settle = self.settings.timeouts.settle;
        let data = self.hold.as_ref().map(|hold| hold.data);
        // A dial has a deadline of its own, and whether it succeeds decides what the reply is.
        let is_dialled = { self.associations() }
            .any(|a| Some(a.id) == data && matches!(a.stage, Stage::Dialling));
        match &mut self.hold {
            Some(hold) if hold.until <= now && (hold.moved != moved || is_dialled) => {
                hold.moved = moved;
                hold.until = now + settle;
            }
            Some(hold) if hold.until <= now => self.release_hold(now),
            _ => {}
        }
    }

    pub(super) fn release_hold_of(&mut self, id: DataId, now: Instant) {
        if self.hold.as_ref().is_some_and(|hold| hold.data == id) {
            self.release_hold(now);
        }
    }
}
