//! Commands: which are forwarded, which are answered here, and which wait.
//!
//! Forwarded byte for byte unless it sets up a data connection or changes addressing (F12). The table
//! of these rules is in ARCHITECTURE.md.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use bytes::Bytes;

use crate::config::PortAddress;
use crate::ending::{Cause, Ending, Side};
use crate::ftp::command::{self, Command, CommandError, Verb};
use crate::ftp::endpoint::{self, EprtError, Epsv};
use crate::session::data::Mode;
use crate::session::machine::{Login, Session, State};
use crate::session::pending::{Expect, TransferAsk};
use crate::session::waiting::ClientLine;
use crate::session::{Action, Tell, replies};

impl Session {
    /// A line of the client: now, or when what it depends on is known (S1, F11).
    pub(super) fn on_command(&mut self, line: ClientLine, now: Instant) {
        // Blank lines say nothing of who speaks: PROXY protocol 2 begins with two of them.
        if let ClientLine::Whole { text, .. } = &line
            && !self.flags.spoken
            && !text.is_empty()
        {
            self.flags.spoken = true;
            if command::is_foreign_protocol(text) {
                // F10: a browser or another server was made to talk to us. Not a word in return.
                let ending = Ending::new(Side::Client, self.ending_phase(), Cause::Protocol);
                self.close(ending);
                return;
            }
        }
        if let State::AwaitingUser { .. } = self.phase {
            self.on_line_before_user(line, now);
            return;
        }
        let must_wait =
            !matches!(self.phase, State::Open { .. }) || self.is_barred() || !self.held.is_empty();
        if must_wait && !self.may_overtake(&line) {
            self.held.push(line);
        } else {
            self.process(line, now);
        }
    }

    /// T5: what concerns a running transfer does not wait behind a PASV that was sent during it. It
    /// never overtakes another command.
    fn may_overtake(&self, line: &ClientLine) -> bool {
        let ClientLine::Whole { text, .. } = line else {
            return false;
        };
        let concerns_transfer = command::parse(text).is_ok_and(|command| {
            matches!(
                command.verb,
                Verb::Abor | Verb::Noop | Verb::Quit | Verb::Stat
            )
        });
        concerns_transfer
            && matches!(self.phase, State::Open { .. })
            && self.held.is_empty()
            && self.pending.transfer().is_some()
            && !self.pending.may_ask_again()
    }

    /// Carries out one command.
    pub(super) fn process(&mut self, line: ClientLine, now: Instant) {
        if self.flags.quit || self.flags.service_closing {
            return;
        }
        let ClientLine::Whole { text, interrupt } = line else {
            return self.answer(replies::LINE_TOO_LONG, now);
        };
        let command = match command_of(&text) {
            Ok(command) => command,
            Err(reply) => return self.answer(reply, now),
        };
        if self.denies(&command) {
            self.tell(Tell::Denied);
            return self.answer(replies::DENIED, now);
        }
        if self.flags.draining && !self.concerns_running(command.verb) {
            // O8: nothing new begins; the 421 follows as soon as what runs has ended.
            return;
        }
        let argument = command.argument.unwrap_or_default();
        match command.verb {
            Verb::Pasv => self.on_pasv(&command, now),
            Verb::Epsv => self.on_epsv(&command, now),
            Verb::Port => self.on_port(argument, now),
            Verb::Eprt => self.on_eprt(argument, now),
            verb => match refusal(verb) {
                Some(reply) => self.refuse(verb, reply, now),
                None => self.forward(verb, text, interrupt, now),
            },
        }
    }

    /// Answers a command that no backend hears of.
    pub(super) fn refuse(&mut self, verb: Verb, reply: Bytes, now: Instant) {
        if verb == Verb::Auth {
            self.tell(Tell::TlsRefused);
        }
        self.answer(reply, now);
    }

    /// F13: what the operator does not want.
    fn denies(&self, command: &Command<'_>) -> bool {
        let mut denied = self.settings.deny_commands.iter();
        denied.any(|denial| denial.covers(command))
    }

    /// R14: what is denied is not promised.
    pub(super) fn denies_feature(&self, feature: &[u8]) -> bool {
        command::parse(feature).is_ok_and(|command| self.denies(&command))
    }

    fn concerns_running(&self, verb: Verb) -> bool {
        matches!(verb, Verb::Abor | Verb::Noop | Verb::Quit | Verb::Stat)
            && !self.pending.is_empty()
    }

    /// Sends a command as it came and notes what its reply will mean.
    fn forward(&mut self, verb: Verb, text: Bytes, interrupt: bool, now: Instant) {
        if verb == Verb::Abor {
            // Who aborts does not read its data to the end: the reply waits for nothing (T7).
            self.release_hold(now);
            if self.phase == State::Closed {
                return;
            }
        }
        let expect = match verb {
            Verb::Abor => {
                if interrupt {
                    self.act(Action::Interrupt);
                }
                Expect::Abor
            }
            Verb::Acct | Verb::Pass => Expect::Password,
            Verb::Feat => Expect::Feat,
            Verb::Noop => Expect::Noop,
            Verb::Quit => {
                self.flags.quit = true;
                Expect::Quit
            }
            Verb::Rein => Expect::Rein,
            Verb::Stat => Expect::Stat,
            Verb::User => {
                let name = text.get(5..).unwrap_or_default();
                let name: Box<[u8]> = name.get(..MAX_USER).unwrap_or(name).into();
                if self.login == Login::Done {
                    self.asked_user = Some(name);
                } else {
                    self.login = Login::User;
                    self.asked_user = None;
                    self.tell(Tell::User(name));
                }
                Expect::User
            }
            verb if verb.transfer().is_some() => {
                let data = self.use_association(now);
                let subject = self.subject(&text);
                Expect::Transfer(TransferAsk {
                    verb,
                    data,
                    since: now,
                    preliminary: false,
                    subject,
                })
            }
            verb => self.step(verb, &text).map_or(Expect::Plain, Expect::Where),
        };
        self.send(Side::Backend, text, false);
        self.pending.push(expect, now);
    }

    fn on_pasv(&mut self, command: &Command<'_>, now: Instant) {
        if self.flags.epsv_all {
            self.answer(replies::EPSV_ALL_SAID, now);
        } else if command
            .argument
            .is_some_and(|argument| !argument.trim_ascii().is_empty())
        {
            self.answer(replies::BAD_ARGUMENT, now);
        } else if self.vip.is_ipv6() {
            self.answer(replies::NO_PASV_ON_IPV6, now);
        } else {
            self.begin_passive(Verb::Pasv, now);
        }
    }

    fn on_epsv(&mut self, command: &Command<'_>, now: Instant) {
        let own: u8 = if self.client.is_ipv4() { 1 } else { 2 };
        match endpoint::parse_epsv(command.argument) {
            // S9: never forwarded, we can serve EPSV whatever the backend can.
            Epsv::All => {
                self.flags.epsv_all = true;
                self.answer(replies::EPSV_ALL_OK, now);
            }
            Epsv::Bare => self.begin_passive(Verb::Epsv, now),
            Epsv::Family(family) if family == own => self.begin_passive(Verb::Epsv, now),
            Epsv::Family(_) => self.answer(self.own_family(), now),
            Epsv::Bad => self.answer(replies::BAD_ARGUMENT, now),
        }
    }

    fn on_port(&mut self, argument: &[u8], now: Instant) {
        if self.flags.epsv_all {
            return self.answer(replies::EPSV_ALL_SAID, now);
        }
        match endpoint::parse_port(argument) {
            Ok(target) => self.begin_active(Verb::Port, SocketAddr::V4(target), now),
            Err(_) => self.answer(replies::BAD_ARGUMENT, now),
        }
    }

    fn on_eprt(&mut self, argument: &[u8], now: Instant) {
        if self.flags.epsv_all {
            return self.answer(replies::EPSV_ALL_SAID, now);
        }
        match endpoint::parse_eprt(argument) {
            // V5: the list names the family of the control connection.
            Ok(target) if target.is_ipv4() != self.client.is_ipv4() => {
                self.answer(self.own_family(), now);
            }
            Ok(target) => self.begin_active(Verb::Eprt, target, now),
            Err(EprtError::Family) => self.answer(self.own_family(), now),
            Err(EprtError::Syntax) => self.answer(replies::BAD_ARGUMENT, now),
        }
    }

    fn own_family(&self) -> Bytes {
        if self.client.is_ipv4() {
            replies::USE_FAMILY_1
        } else {
            replies::USE_FAMILY_2
        }
    }

    /// P5: a port is leased before anything is forwarded.
    fn begin_passive(&mut self, client_verb: Verb, now: Instant) {
        let id = self.new_candidate(Mode::Passive, client_verb, now);
        self.act(Action::Lease(id));
    }

    /// A1–A3: the client's own address and an unprivileged port, or nothing.
    fn begin_active(&mut self, client_verb: Verb, mut target: SocketAddr, now: Instant) {
        if target.port() == 0 {
            return self.answer(replies::BAD_ARGUMENT, now);
        }
        if target.port() < 1024 {
            return self.answer(replies::PRIVILEGED_PORT, now);
        }
        if target.ip() != self.client.ip() {
            if self.settings.port_address == PortAddress::Reject || !self.same_family(target.ip()) {
                return self.answer(replies::FOREIGN_ADDRESS, now);
            }
            target.set_ip(self.client.ip());
        }
        if let (SocketAddr::V6(target), SocketAddr::V6(client)) = (&mut target, self.client) {
            // V6: a link-local client has a zone that EPRT can not name.
            target.set_scope_id(client.scope_id());
        }
        let id = self.new_candidate(Mode::Active, client_verb, now);
        if let Some(candidate) = &mut self.candidate {
            candidate.client_target = Some(target);
        }
        self.ask_for_active(id, now);
    }

    fn same_family(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.client.is_ipv4()
    }
}

/// The command of a line, or what is answered to a line that has none.
pub(super) fn command_of(text: &[u8]) -> Result<Command<'_>, Bytes> {
    command::parse(text).map_err(|error| match error {
        CommandError::Empty => replies::NO_COMMAND,
        CommandError::Forbidden => replies::BAD_BYTE,
        CommandError::Verb => replies::BAD_VERB,
    })
}

/// What is answered to a verb that is never forwarded, whatever the backend can.
pub(super) fn refusal(verb: Verb) -> Option<Bytes> {
    match verb {
        Verb::Auth | Verb::Ccc | Verb::Pbsz | Verb::Prot => Some(replies::NO_TLS),
        // F12: whatever else sets up data connections or changes addressing.
        Verb::Adat
        | Verb::Algs
        | Verb::Cepr
        | Verb::Conf
        | Verb::Cpsv
        | Verb::Enc
        | Verb::Esta
        | Verb::Estp
        | Verb::Host
        | Verb::Lprt
        | Verb::Lpsv
        | Verb::Mic
        | Verb::Spsv
        | Verb::Sscn => Some(replies::NOT_IMPLEMENTED),
        _ => None,
    }
}

/// Bytes of a user name that logs show (H6, O6).
const MAX_USER: usize = 128;
