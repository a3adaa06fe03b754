//! How transfers end: when the last reply has come and the data has ended, in whichever order.

use std::time::Instant;

use crate::ending::{Cause, Ending, Moved, Phase, Side};
use crate::ftp::command::{Direction, Verb};
use crate::ftp::reply::Code;
use crate::session::data::{
    Answered, Association, DataEnd, DataId, Mode, Stage, TransferEnd, transfer_ending,
};
use crate::session::machine::Session;
use crate::session::pending::{Expect, TransferAsk};
use crate::session::{Action, Subject, Tell};

/// A transfer that is not over.
#[derive(Clone, Copy, Debug)]
pub struct Underway<'s> {
    /// Its command.
    pub verb: Verb,
    /// When that came.
    pub since: Instant,
    /// A reply has come by now: what it is about does not change any more.
    pub has_begun: bool,
    /// What it is about, where that is wanted.
    pub subject: Option<&'s Subject>,
}

impl Session {
    /// The command of the transfer under way, and when it came: the oldest that is not answered, or one
    /// whose data still moves after its answer.
    pub fn transfer(&self) -> Option<Underway<'_>> {
        let asked = self.pending.transfer().map(|ask| Underway {
            verb: ask.verb,
            since: ask.since,
            has_begun: ask.preliminary,
            subject: ask.subject.as_deref(),
        });
        let moving = || {
            let mut answered = self.associations().filter_map(|of| of.answered.as_ref());
            answered.next().map(|answered| Underway {
                verb: answered.verb,
                since: answered.since,
                has_begun: true,
                subject: answered.subject.as_deref(),
            })
        };
        asked.or_else(moving)
    }

    /// The data of an association has ended, one way or the other.
    pub(super) fn end_data(&mut self, id: DataId, end: DataEnd, now: Instant) {
        let Some(association) = self.association_mut(id) else {
            return;
        };
        association.stage = Stage::Ended(end);
        let (mode, since) = (association.mode, association.since);
        let (used, answered) = (association.used, association.answered.take());
        self.last_activity = now;
        self.last_answer = now;
        if let Some(answered) = answered {
            self.tell_answered(answered, Some(mode), Some(end));
        } else if !used && end.moved != Moved::default() {
            let ending =
                end.cut
                    .unwrap_or(Ending::new(Side::Backend, Phase::Transfer, Cause::Complete));
            let moved = end.moved;
            let (verb, code, data, subject) = (None, None, None, None);
            self.tell(Tell::Transfer(TransferEnd {
                verb,
                mode: Some(mode),
                data,
                moved,
                since,
                code,
                ending,
                subject,
            }));
        }
        self.finishing
            .retain(|a| a.id != id || self.pending.uses(id));
        // One that failed before its transfer command came is what that transfer will have failed by.
        let is_told = used || end.cut.is_none() || end.moved != Moved::default();
        let is_current = self.current.as_ref().is_some_and(|a| a.id == id);
        if is_current && is_told && !self.pending.uses(id) {
            self.current = None;
        }
        self.release_hold_of(id, now);
    }

    /// Whether `data` is for a transfer to the backend, answered or not.
    pub fn is_upload(&self, data: DataId) -> bool {
        let mut asked = self.pending.transfers();
        let mut answered = self.associations().filter(|a| a.id == data);
        let is_upload = |verb: Verb| verb.transfer() == Some(Direction::ToBackend);
        asked.any(|ask| ask.data == Some(data) && is_upload(ask.verb))
            || answered.any(|a| a.answered.as_ref().is_some_and(|one| is_upload(one.verb)))
    }

    /// Whether the backend takes a transfer for done of which the client has seen nothing: in active mode it could not be
    /// connected to, and a small file fits into what the backend may send before it hears of that (A9). No connection is
    /// there whose reset would tell the client (decision 5).
    pub(super) fn is_undelivered(&self, ask: &TransferAsk, code: Code) -> bool {
        let association = ask
            .data
            .and_then(|id| self.associations().find(|a| a.id == id));
        let cut = association
            .and_then(Association::end)
            .and_then(|end| end.cut);
        let is_unreached = |cut: Ending| {
            (cut.side, cut.phase, cut.cause) == (Side::Client, Phase::Dial, Cause::Dial)
        };
        code.is_positive() && !code.is_preliminary() && cut.is_some_and(is_unreached)
    }

    /// The last reply of a transfer has come. It is told of once its data has ended as well.
    pub(super) fn end_transfer(&mut self, mut ask: TransferAsk, code: Code) {
        let answered = Answered {
            verb: ask.verb,
            since: ask.since,
            code,
            begun: ask.preliminary,
            subject: self.subject_of(&mut ask),
        };
        let is_awaited = ask.data.is_some_and(|id| self.pending.uses(id));
        let Some(association) = ask.data.and_then(|id| self.association_mut(id)) else {
            return self.tell_answered(answered, None, None);
        };
        let mode = Some(association.mode);
        match association.end() {
            Some(end) => {
                let id = association.id;
                self.tell_answered(answered, mode, Some(end));
                self.forget_ended(id);
            }
            None if association.is_alive() && (ask.preliminary || !code.is_negative()) => {
                if let Some(earlier) = association.answered.replace(answered) {
                    self.tell_answered(earlier, mode, None);
                }
            }
            // S4: the connection may serve the next transfer; this one never began.
            None => {
                association.used = is_awaited || association.answered.is_some();
                self.tell_answered(answered, mode, None);
            }
        }
    }

    /// A transfer that the backend has passed over in silence.
    pub(super) fn end_unanswered(&mut self, ask: TransferAsk) {
        let ending = Ending::new(Side::Backend, Phase::Transfer, Cause::NoReply);
        let data = ask.data;
        self.tell_open(ask, ending);
        if let Some(id) = data
            && let Some(association) = self.association_mut(id)
            && association.end().is_some()
        {
            self.forget_ended(id);
        }
    }

    /// A transfer that was answered, and whose data a newer association cuts short (S2).
    pub(super) fn tell_replaced(&mut self, older: &Association) {
        let ending = Ending::new(Side::Client, Phase::Transfer, Cause::Replaced);
        self.tell_moving(older, ending);
    }

    /// An association whose data has ended and whose transfer was told of serves nothing any more.
    fn forget_ended(&mut self, id: DataId) {
        self.finishing.retain(|a| a.id != id);
        if self.current.as_ref().is_some_and(|a| a.id == id) {
            self.current = None;
        }
    }

    fn tell_answered(&mut self, answered: Answered, mode: Option<Mode>, end: Option<DataEnd>) {
        let ending = transfer_ending(&answered, end);
        let Answered {
            verb,
            since,
            code,
            subject,
            ..
        } = answered;
        let moved = end.map(|end| end.moved).unwrap_or_default();
        let (verb, code, data) = (Some(verb), Some(code), None);
        self.tell(Tell::Transfer(TransferEnd {
            verb,
            mode,
            data,
            moved,
            since,
            code,
            ending,
            subject,
        }));
    }

    /// Design decision 5: once the client has left without a word, the end of what it uploads is not
    /// believed. One that had ended before is not touched.
    pub(super) fn distrust_ends(&mut self) {
        if !self.flags.client_eof || self.flags.quit {
            return;
        }
        let is_upload = |ask: &&TransferAsk| ask.verb.transfer() == Some(Direction::ToBackend);
        let uploads: Vec<DataId> = self
            .pending
            .transfers()
            .filter(is_upload)
            .filter_map(|ask| ask.data)
            .collect();
        for id in uploads {
            if let Some(association) = self.association_mut(id)
                && matches!(
                    association.stage,
                    Stage::Relaying {
                        uploaded: false,
                        ..
                    }
                )
                && !association.distrusted
            {
                association.distrusted = true;
                self.act(Action::DistrustEnd(id));
            }
        }
    }

    /// The session ends: so does every transfer, and nothing stays open (S14).
    pub(super) fn release_all(&mut self, ending: Ending) {
        let ending = Ending {
            cause: Cause::SessionEnd,
            phase: Phase::Transfer,
            ..ending
        };
        while let Some(expect) = self.pending.pop() {
            match expect {
                Expect::Transfer(ask) => self.tell_open(ask, ending),
                // Nobody will know whether it was agreed to.
                Expect::Where(step) => self.doubt_step(&step),
                _ => {}
            }
        }
        let current = self.current.take().map(|a| *a);
        let candidate = self.candidate.take().map(|a| *a);
        for association in current
            .into_iter()
            .chain(candidate)
            .chain(std::mem::take(&mut self.finishing))
        {
            self.tell_moving(&association, ending);
            if association.end().is_none() {
                self.act(Action::Release(association.id));
            }
        }
    }

    /// A transfer that will not be answered any more. `ending`: unless its data was cut before.
    fn tell_open(&mut self, mut ask: TransferAsk, ending: Ending) {
        let subject = self.subject_of(&mut ask);
        let association = ask.data.and_then(|id| self.association_mut(id));
        let mode = association.as_ref().map(|a| a.mode);
        let standing = association.as_ref().filter(|a| a.end().is_none());
        let data = standing.map(|a| a.id);
        let end = association.and_then(|a| a.end());
        self.tell(Tell::Transfer(TransferEnd {
            verb: Some(ask.verb),
            mode,
            data,
            moved: end.map(|end| end.moved).unwrap_or_default(),
            since: ask.since,
            code: None,
            ending: end.and_then(|end| end.cut).unwrap_or(ending),
            subject,
        }));
    }

    /// A transfer that was answered and whose data will not be waited for any more, if there is one.
    fn tell_moving(&mut self, association: &Association, ending: Ending) {
        if let Some(answered) = &association.answered {
            self.tell(Tell::Transfer(TransferEnd {
                verb: Some(answered.verb),
                mode: Some(association.mode),
                data: Some(association.id),
                moved: Moved::default(),
                since: answered.since,
                code: Some(answered.code),
                ending,
                subject: answered.subject.clone(),
            }));
        }
    }
}
