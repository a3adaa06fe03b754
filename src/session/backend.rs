//! Replies: which are relayed, which are rewritten, and what they change.
//!
//! Lines are relayed as they come, so that a reply of any length needs no memory (R9); what becomes of
//! a reply is decided at its first line.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use crate::diagnosis::{Diagnosis, Step};
use crate::ending::{Cause, Side};
use crate::ftp::command::Verb;
use crate::ftp::endpoint;
use crate::ftp::reply::{Code, Place, ReplyError, ReplyLine};
use crate::session::machine::{Login, Session, State};
use crate::session::pending::{Expect, PassiveAsk, TransferAsk, opens_data};
use crate::session::{Input, Tell, replies};

/// What becomes of the lines of the reply that is being read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Disposition {
    /// They are relayed; then the command at this place in the queue, if any, is answered.
    Relay { index: Option<usize> },
    /// The same for a feature list, whose lines are edited (R14).
    Features {
        index: usize,
        has_epsv: bool,
        has_eprt: bool,
    },
    /// They are kept from the client, and a port is looked for in them (P1, P3).
    Port {
        index: usize,
        ask: PassiveAsk,
        port: Option<u16>,
    },
    /// They are kept from the client: the backend is asked once more in another way (P8).
    Retry { index: usize, ask: PassiveAsk },
    /// They are kept from the client, whom ftplb has greeted itself (H5).
    Swallow,
    /// They are kept from the client, who is told that nothing has come.
    Undelivered { index: usize },
}

impl Session {
    /// Before the client has seen anything, a backend that does not greet is replaced (decision 7).
    pub(super) fn on_greeting(&mut self, input: Input, now: Instant) {
        let failure = match input {
            Input::Line { text, .. } => match self.assembler.read(text) {
                Ok(None) => return,
                Ok(Some(line)) if line.code.is_positive() => {
                    return self.begin_greeting(line, now);
                }
                Ok(Some(line)) => {
                    if let Some(shown) = Diagnosis::of_reply(Step::Greeting, line.code, &line.text)
                    {
                        self.diagnose(shown);
                    }
                    if line.code.is_preliminary() {
                        // RFC 959 §5.4: 120 announces a delay, 220 follows.
                        return;
                    }
                    "refused the session in its greeting"
                }
                Err(_) => self.is_no_greeting(),
            },
            Input::TooLong | Input::Runaway => self.is_no_greeting(),
            Input::Eof => "closed the connection before its greeting",
            Input::Reset => "reset the connection before its greeting",
        };
        self.tell(Tell::BackendFailed(failure));
        self.pick();
    }

    fn is_no_greeting(&mut self) -> &'static str {
        self.diagnose(Diagnosis::NotFtp);
        "greeted with something that is no FTP reply"
    }

    fn begin_greeting(&mut self, line: ReplyLine, now: Instant) {
        if self.settings.pick_by_user && !is_last(&line) {
            // Nothing of it is shown: until its end another backend can still take the session.
            return;
        }
        if let State::Greeting { begun, .. } = &mut self.phase {
            *begun = true;
        }
        self.tell(Tell::Greeted);
        if line.code.is(230) {
            // RFC 959 §5.4: no login is needed.
            self.login = Login::Done;
        }
        self.last_activity = now;
        self.disposition = Some(if self.settings.pick_by_user {
            Disposition::Swallow
        } else {
            Disposition::Relay { index: None }
        });
        self.read_line(line, now);
    }

    /// Anything from the backend once its greeting has begun.
    pub(super) fn on_reply_input(&mut self, input: Input, now: Instant) {
        self.last_answer = now;
        self.last_activity = now;
        match input {
            Input::Line { text, .. } => self.on_reply_line(text, false, now),
            Input::TooLong | Input::Runaway => {
                self.on_violation(Diagnosis::ReplyTooLong);
            }
            Input::Eof => self.on_backend_eof(Cause::Close, now),
            Input::Reset => self.on_backend_eof(Cause::Reset, now),
        }
    }

    /// S15, S11: data that is on its way arrives, then the client hears of it.
    fn on_backend_eof(&mut self, cause: Cause, now: Instant) {
        let quit_answered = self.flags.quit && self.pending.is_empty();
        if quit_answered {
            self.leave(Side::Client, Cause::Complete, false, now);
        } else if self.flags.service_closing {
            self.leave(Side::Backend, Cause::Service, false, now);
        } else if self.flags.client_eof {
            self.leave(Side::Client, Cause::Close, !self.pending.is_empty(), now);
        } else {
            self.leave(Side::Backend, cause, true, now);
        }
    }

    /// What can not be relayed safely ends the session (R4, R9).
    fn on_violation(&mut self, shown: Diagnosis) {
        self.diagnose(shown);
        self.leave_now(Side::Backend, Cause::Protocol, Some(replies::NOT_AVAILABLE));
    }

    /// One line of a reply. `released`: it has waited for its transfer already (R13).
    pub(super) fn on_reply_line(&mut self, text: Bytes, released: bool, now: Instant) {
        let is_over = match self.phase {
            State::Leaving(_) => !released,
            phase => phase == State::Closed,
        };
        if is_over {
            return;
        }
        if !released && let Some(data) = self.must_wait_for(&text) {
            self.hold_reply(text, data, now);
            return;
        }
        match self.assembler.read(text) {
            Ok(None) => {}
            Ok(Some(line)) => {
                if self.disposition.is_none() && !self.dispose(line.code) {
                    return;
                }
                self.read_line(line, now);
            }
            Err(ReplyError::NotAReply) => self.on_violation(Diagnosis::NotFtp),
            Err(ReplyError::TooLong { .. } | ReplyError::TooManyLines { .. }) => {
                self.on_violation(Diagnosis::ReplyTooLong);
            }
        }
    }

    /// Decides what becomes of a reply, at its first line. `false`: the session has ended.
    fn dispose(&mut self, code: Code) -> bool {
        if code.is(421) {
            // R8: at any time, whatever was asked.
            self.flags.service_closing = true;
            self.disposition = Some(Disposition::Relay { index: None });
            return true;
        }
        let index = self.pending.find(code).map(|found| {
            self.pass_over(found.passed);
            found.index - found.passed
        });
        let expect = index.and_then(|index| self.pending.get(index));
        let disposition = match (index, expect) {
            (Some(index), Some(Expect::Passive(ask))) => passive_disposition(index, *ask, code),
            _ if opens_data(code) || code.is(234) || code.is(334) => {
                // R4, VU#328867: somebody makes the backend say it.
                self.on_violation(Diagnosis::UnaskedDataPort);
                return false;
            }
            (Some(index), Some(Expect::Transfer(ask))) if self.is_undelivered(ask, code) => {
                Disposition::Undelivered { index }
            }
            (Some(index), Some(Expect::Feat)) if code.is_positive() => Disposition::Features {
                index,
                has_epsv: false,
                has_eprt: false,
            },
            (index, _) => Disposition::Relay { index },
        };
        self.disposition = Some(disposition);
        true
    }

    /// Carries out the disposition for one line.
    fn read_line(&mut self, line: ReplyLine, now: Instant) {
        let is_last = is_last(&line);
        let code = line.code;
        match self.disposition {
            None
            | Some(
                Disposition::Retry { .. } | Disposition::Swallow | Disposition::Undelivered { .. },
            ) => {}
            Some(Disposition::Relay { index }) => {
                if code.is_negative() {
                    self.look_into_refusal(index, &line);
                } else {
                    self.look_for_path(index, &line);
                }
                self.send(Side::Client, line.text, false);
            }
            Some(Disposition::Features { .. }) => self.relay_feature(line),
            Some(Disposition::Port { .. }) => self.look_for_port(&line),
        }
        if is_last && let Some(disposition) = self.disposition.take() {
            self.count_line(Side::Backend, now);
            self.tell(Tell::Reply(code));
            self.end_reply(disposition, code, now);
        }
    }

    /// P1, P3: the first port that the lines name.
    fn look_for_port(&mut self, line: &ReplyLine) {
        let (address, port) = if line.code.is(229) {
            (None, endpoint::scan_229(&line.text))
        } else {
            let named = endpoint::scan_227(&line.text);
            let address = named.filter(|_| line.code.is(227));
            (address, named.map(|named| named.port()))
        };
        let Some(Disposition::Port {
            port: found @ None, ..
        }) = &mut self.disposition
        else {
            return;
        };
        *found = port;
        if let (Some(address), Some((_, SocketAddr::V4(own)))) = (address, self.backend)
            && address.ip() != own.ip()
        {
            // P2: it is of no account here, but to those who connect directly.
            self.diagnose(Diagnosis::ForeignAddress);
        }
    }

    /// Whether a line of a refusal shows what is wrong with the backend. It is relayed all the same.
    fn look_into_refusal(&mut self, index: Option<usize>, line: &ReplyLine) {
        let step = match index.and_then(|index| self.pending.get(index)) {
            Some(Expect::Password | Expect::User) => Step::Login,
            Some(Expect::Active | Expect::Transfer(_)) => Step::Data,
            Some(_) => return,
            None if self.login == Login::Done => Step::Data,
            None => Step::Login,
        };
        if let Some(shown) = Diagnosis::of_reply(step, line.code, &line.text) {
            self.diagnose(shown);
        }
    }

    /// A whole reply has been read.
    fn end_reply(&mut self, disposition: Disposition, code: Code, now: Instant) {
        match disposition {
            Disposition::Relay { index: None } | Disposition::Swallow => {
                if let State::Greeting { .. } = self.phase {
                    self.phase = State::Open { greeted: now };
                }
            }
            Disposition::Relay { index: Some(index) } | Disposition::Features { index, .. } => {
                self.end_command(index, code, now);
            }
            Disposition::Undelivered { index } => {
                self.send(Side::Client, replies::NO_DATA_CONNECTION, false);
                self.end_command(index, code, now);
            }
            Disposition::Port { index, ask, port } => {
                self.pending.take(index, now);
                self.on_backend_port(ask, port, now);
            }
            Disposition::Retry { index, ask } => {
                self.pending.take(index, now);
                self.flags.backend_lacks_epsv = true;
                self.send(Side::Backend, Bytes::from_static(b"PASV"), false);
                let ask = PassiveAsk {
                    may_retry: false,
                    ..ask
                };
                self.pending.push(Expect::Passive(ask), now);
            }
        }
    }

    /// The command at `index` was answered with `code`.
    fn end_command(&mut self, index: usize, code: Code, now: Instant) {
        if code.is_preliminary() {
            self.pending.note_preliminary(index);
            self.settle_subject(index);
            if let Some(Expect::Transfer(TransferAsk {
                data: Some(data), ..
            })) = self.pending.get(index)
            {
                let data = *data;
                self.note_begun(data);
            }
            return;
        }
        let Some(expect) = self.pending.take(index, now) else {
            return;
        };
        match expect {
            Expect::Transfer(ask) => self.end_transfer(ask, code),
            Expect::Abor => {
                self.pending.note_abort(code);
                if index > 0 && code.is_positive() {
                    self.end_passed_over(code, now);
                }
            }
            Expect::User | Expect::Password => self.on_login_reply(code, now),
            Expect::Rein if code.is_positive() => {
                // S12: back to before the login, on the same backend.
                self.login = Login::None;
                self.flags.epsv_all = false;
                self.forget_whereabouts();
                self.drop_associations();
                self.phase = State::Open { greeted: now };
            }
            Expect::Active => self.on_active_reply(code, now),
            // A refusal, relayed as it is: the client has a fall-back of its own (P8, S3).
            Expect::Passive(_) => self.drop_candidate(),
            Expect::Plain | Expect::Where(_) if code.is(500) || code.is(502) => self.count_error(),
            Expect::Where(step) if code.is_positive() => self.take_step(step),
            // Not a word of FTP's, but the session goes on then.
            Expect::Quit if code.is_negative() => self.flags.quit = false,
            _ => {}
        }
    }

    /// The backend has not answered the oldest `count` commands, and will not.
    fn pass_over(&mut self, count: usize) {
        for expect in self.pending.pass_over(count) {
            match expect {
                Expect::Local(reply) => self.send(Side::Client, reply, false),
                Expect::Transfer(ask) => self.end_unanswered(ask),
                Expect::Where(step) => self.doubt_step(&step),
                _ => {}
            }
        }
    }

    /// A 225 to ABOR says that there was no transfer any more: the one ahead of it got no reply.
    fn end_passed_over(&mut self, code: Code, now: Instant) {
        if let Some(Expect::Transfer(_)) = self.pending.get(0)
            && let Some(Expect::Transfer(ask)) = self.pending.take(0, now)
        {
            self.end_transfer(ask, code);
        }
    }

    fn on_login_reply(&mut self, code: Code, now: Instant) {
        if code.is_positive() {
            self.login = Login::Done;
            self.last_activity = now;
            self.leave_directory();
            if let Some(user) = self.asked_user.take() {
                self.tell(Tell::User(user));
            }
        } else if code.is(530) {
            self.tell(Tell::LoginFailed);
        }
    }

    /// R14: a feature that ftplb does not honour is not promised.
    fn relay_feature(&mut self, line: ReplyLine) {
        if line.place == Place::Last {
            self.add_features();
        }
        let feature = line.text.trim_ascii();
        let name = feature
            .split(|byte| *byte == b' ')
            .next()
            .unwrap_or_default();
        let is_hidden = |name: &[u8]| HIDDEN_FEATURES.iter().any(|f| name.eq_ignore_ascii_case(f));
        if line.place == Place::Inner && (is_hidden(name) || self.denies_feature(feature)) {
            return;
        }
        if let Some(Disposition::Features {
            has_epsv, has_eprt, ..
        }) = &mut self.disposition
        {
            *has_epsv |= name.eq_ignore_ascii_case(b"EPSV");
            *has_eprt |= name.eq_ignore_ascii_case(b"EPRT");
        }
        self.send(Side::Client, line.text, false);
    }

    /// What ftplb does by itself, whatever the backend can: where the families differ it translates.
    fn add_features(&mut self) {
        let translates = self
            .backend
            .is_some_and(|(_, peer)| peer.is_ipv4() != self.client.is_ipv4());
        if let Some(Disposition::Features {
            has_epsv, has_eprt, ..
        }) = self.disposition
            && translates
        {
            if !has_epsv && !self.denies_feature(b"EPSV") {
                self.send(Side::Client, Bytes::from_static(b" EPSV"), false);
            }
            if !has_eprt && !self.denies_feature(b"EPRT") {
                self.send(Side::Client, Bytes::from_static(b" EPRT"), false);
            }
        }
    }
}

/// Whether the reply ends with this line.
fn is_last(line: &ReplyLine) -> bool {
    matches!(line.place, Place::Last | Place::Only)
}

/// R5: by the code of the reply, not by the command.
fn passive_disposition(index: usize, ask: PassiveAsk, code: Code) -> Disposition {
    if opens_data(code) {
        return Disposition::Port {
            index,
            ask,
            port: None,
        };
    }
    if code.is_preliminary() {
        return Disposition::Relay { index: Some(index) };
    }
    if ask.may_retry && matches!(code.value(), 500 | 501 | 502 | 522) {
        return Disposition::Retry { index, ask };
    }
    let was_asked = matches!(ask.client, Verb::Pasv | Verb::Epsv);
    if code.is_negative() && was_asked {
        return Disposition::Relay { index: Some(index) };
    }
    // A client in active mode can make nothing of a reply to PASV, nor anybody of a 200 to it.
    Disposition::Port {
        index,
        ask,
        port: None,
    }
}

/// Features that belong to commands which ftplb refuses (F12).
const HIDDEN_FEATURES: [&[u8]; 18] = [
    b"ADAT", b"ALGS", b"AUTH", b"CCC", b"CEPR", b"CONF", b"CPSV", b"ENC", b"ESTA", b"ESTP",
    b"HOST", b"LPRT", b"LPSV", b"MIC", b"PBSZ", b"PROT", b"SPSV", b"SSCN",
];
