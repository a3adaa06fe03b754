//! Data associations in the session: how PASV, EPSV, PORT and EPRT make them, how data events move them
//! through their stages, and how they end.

use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::time::Instant;

use bytes::Bytes;

use crate::config::{BackendActive, BackendPassive};
use crate::diagnosis::Diagnosis;
use crate::ending::{Cause, Ending, Moved, Phase, Side};
use crate::ftp::command::{Direction, Verb};
use crate::ftp::endpoint;
use crate::ftp::reply::Code;
use crate::session::data::{Association, DataEnd, DataId, Mode, Stage};
use crate::session::machine::Session;
use crate::session::pending::{Expect, PassiveAsk};
use crate::session::{Action, DataEvent, replies};

impl Session {
    /// Something happened to a data association. Events of released or ended ones are stale and ignored.
    pub fn on_data(&mut self, id: DataId, event: DataEvent, now: Instant) {
        let awaited = self.association_mut(id).filter(|a| a.end().is_none());
        let Some(association) = awaited else {
            return;
        };
        match event {
            DataEvent::Ready(address) => self.on_ready(id, address, now),
            DataEvent::Unavailable => {
                if self.candidate.take_if(|c| c.id == id).is_some() {
                    self.answer(replies::NO_DATA_PORT, now);
                }
            }
            DataEvent::Accepted => self.on_accepted(id, now),
            DataEvent::Dialled => self.on_dialled(id),
            DataEvent::DialFailed => {
                // P16, A9: the leg that stands is reset, the backend finds its own words.
                let side = association.dialled_side();
                let cut = Some(Ending::new(side, Phase::Dial, Cause::Dial));
                self.act(Action::Release(id));
                self.end_data(
                    id,
                    DataEnd {
                        moved: Moved::default(),
                        cut,
                    },
                    now,
                );
            }
            DataEvent::Finished(Direction::ToBackend) => {
                if let Stage::Relaying { uploaded, .. } = &mut association.stage {
                    *uploaded = true;
                }
            }
            DataEvent::Finished(Direction::ToClient) => {
                if let Stage::Relaying { flushed, .. } = &mut association.stage {
                    *flushed = true;
                }
                self.release_hold_of(id, now);
            }
            DataEvent::Ended(moved) => self.end_data(id, DataEnd { moved, cut: None }, now),
            DataEvent::Cut { moved, ending } => {
                self.end_data(
                    id,
                    DataEnd {
                        moved,
                        cut: Some(ending),
                    },
                    now,
                );
            }
        }
        self.settle(now);
    }

    pub(super) fn associations(&self) -> impl Iterator<Item = &Association> {
        let named = [self.current.as_deref(), self.candidate.as_deref()];
        named.into_iter().flatten().chain(&self.finishing)
    }

    pub(super) fn association_mut(&mut self, id: DataId) -> Option<&mut Association> {
        let named = [self.current.as_deref_mut(), self.candidate.as_deref_mut()];
        named
            .into_iter()
            .flatten()
            .chain(&mut self.finishing)
            .find(|a| a.id == id)
    }

    /// Whether any data connection stands or is being made.
    pub(super) fn is_data_alive(&self) -> bool {
        self.associations().any(Association::is_alive)
    }

    /// Whether a data connection that a transfer uses stands or is being made. One that was opened for
    /// nothing, as curl does before it asks for the size of a file that is not there, is not waited for.
    pub(super) fn is_data_used(&self) -> bool {
        self.associations()
            .any(|association| association.used && association.is_alive())
    }

    /// A new association, which becomes the current one if the backend agrees (S3).
    pub(super) fn new_candidate(&mut self, mode: Mode, asked: Verb, now: Instant) -> DataId {
        let id = DataId(self.last_id.0.wrapping_add(1));
        self.last_id = id;
        self.candidate = Some(Box::new(Association::new(id, mode, asked, now)));
        id
    }

    /// A4: the backend is given a port of ours; A12: or asked for one of its own.
    pub(super) fn ask_for_active(&mut self, id: DataId, now: Instant) {
        match self.settings.backend_active {
            BackendActive::Active => self.act(Action::Listen(id)),
            BackendActive::Passive => self.ask_for_passive(now),
        }
    }

    fn on_ready(&mut self, id: DataId, address: SocketAddr, now: Instant) {
        let is_awaited = |c: &&mut Association| c.id == id && c.stage == Stage::Reserving;
        let Some(candidate) = self.candidate.as_deref_mut().filter(is_awaited) else {
            return;
        };
        let (mode, asked) = (candidate.mode, candidate.asked);
        candidate.client_port = address.port();
        match mode {
            Mode::Passive => self.ask_for_passive(now),
            Mode::Active => {
                candidate.stage = Stage::Asking { came: false };
                if let Some((local, peer)) = self.backend {
                    // V1: a client that has only EPRT for its family may meet a backend that knows PORT.
                    let is_short = asked == Verb::Port || self.client.is_ipv6();
                    let text = active_command(is_short, local, peer, address.port());
                    // R11: a connection tracker on the way reads only the start of a segment.
                    self.send(Side::Backend, text, true);
                    self.pending.push(Expect::Active, now);
                }
            }
        }
    }

    /// Sends the backend a PASV or EPSV (P8).
    fn ask_for_passive(&mut self, now: Instant) {
        let Some(candidate) = self.candidate.as_deref_mut() else {
            return;
        };
        candidate.stage = Stage::Asking { came: false };
        let client = candidate.asked;
        let (extended, may_retry) = self.backend_verb(client);
        let text = if extended { "EPSV" } else { "PASV" };
        self.send(Side::Backend, Bytes::from_static(text.as_bytes()), false);
        self.pending
            .push(Expect::Passive(PassiveAsk { client, may_retry }), now);
    }

    /// Whether the backend is asked by EPSV, and whether a refusal is met by PASV (P8).
    fn backend_verb(&self, client_verb: Verb) -> (bool, bool) {
        let Some((_, peer)) = self.backend else {
            return (false, false);
        };
        if peer.is_ipv6() {
            return (true, false);
        }
        let own = client_verb == Verb::Epsv && self.client.is_ipv4();
        match self.settings.backend_passive {
            BackendPassive::Same => (own, false),
            BackendPassive::Epsv if own => (true, false),
            BackendPassive::Epsv if !self.flags.backend_lacks_epsv => (true, true),
            BackendPassive::Epsv | BackendPassive::Pasv => (false, false),
        }
    }

    /// The backend has answered a PASV or EPSV and named `port`, or none.
    pub(super) fn on_backend_port(&mut self, ask: PassiveAsk, port: Option<u16>, now: Instant) {
        let Some(mut candidate) = self.candidate.take() else {
            return;
        };
        let (id, came) = (candidate.id, candidate.has_come());
        if candidate.end().is_some() {
            // Somebody has used the lease up before the client could know of it.
            self.send(Side::Client, replies::NO_DATA_CONNECTION, false);
            return;
        }
        // P4, RFC 2577 §3: a privileged port is nobody's data port.
        let Some(port) = port.filter(|port| *port >= 1024) else {
            self.act(Action::Release(id));
            self.diagnose(Diagnosis::NoDataPort);
            self.send(Side::Client, replies::NO_DATA_CONNECTION, false);
            return;
        };
        candidate.backend_port = port;
        match ask.client {
            Verb::Port | Verb::Eprt => {
                candidate.stage = Stage::Promised;
                let ok = if ask.client == Verb::Port {
                    replies::PORT_OK
                } else {
                    replies::EPRT_OK
                };
                self.send(Side::Client, ok, false);
            }
            verb => {
                candidate.listen(now + self.settings.timeouts.data_open);
                let text = self.passive_reply(verb, candidate.client_port);
                // R11, R12.
                self.send(Side::Client, text, true);
            }
        }
        self.replace_current(candidate);
        if came {
            self.on_accepted(id, now);
        }
    }

    /// P7: the address that the client already uses, or the one outside the NAT.
    fn passive_reply(&self, verb: Verb, port: u16) -> Bytes {
        match (verb, self.vip) {
            (Verb::Pasv, IpAddr::V4(vip)) => {
                let host = self.settings.advertise.unwrap_or(vip);
                endpoint::reply_227(SocketAddrV4::new(host, port))
            }
            _ => endpoint::reply_229(port),
        }
    }

    /// The backend has answered a PORT or EPRT.
    pub(super) fn on_active_reply(&mut self, code: Code, now: Instant) {
        if !code.is_positive() {
            return self.drop_candidate();
        }
        let Some(mut candidate) = self.candidate.take() else {
            return;
        };
        let (id, came) = (candidate.id, candidate.has_come());
        candidate.listen(now + self.settings.timeouts.data_open);
        self.replace_current(candidate);
        if came {
            self.on_accepted(id, now);
        }
    }

    /// S2: the newer association takes the place of the older, whose unused legs close. One that a
    /// transfer uses finishes beside it.
    fn replace_current(&mut self, newer: Box<Association>) {
        if let Some(older) = self.current.replace(newer) {
            self.retire(*older);
        }
    }

    fn retire(&mut self, older: Association) {
        let has_ended = older.end().is_some();
        let matters = if has_ended {
            self.pending.uses(older.id)
        } else {
            older.used && older.is_alive()
        };
        if matters && self.finishing.len() < MAX_FINISHING {
            self.finishing.push(older);
        } else if !has_ended {
            self.tell_replaced(&older);
            self.act(Action::Release(older.id));
        }
    }

    pub(super) fn drop_candidate(&mut self) {
        if let Some(candidate) = self.candidate.take()
            && candidate.end().is_none()
        {
            self.act(Action::Release(candidate.id));
        }
    }

    /// S12: REIN leaves nothing of what was set up, but lets what is moving arrive (RFC 959 §4.1.1).
    pub(super) fn drop_associations(&mut self) {
        self.drop_candidate();
        if let Some(current) = self.current.take() {
            self.retire(*current);
        }
    }

    fn on_accepted(&mut self, id: DataId, now: Instant) {
        self.last_activity = now;
        let Some(association) = self.association_mut(id) else {
            return;
        };
        association.since = now;
        let action = match (
            association.stage,
            association.mode,
            association.client_target,
        ) {
            // A4, A7: pyftpdlib connects ahead of its 200. The client is dialled after it.
            (Stage::Asking { .. }, _, _) => {
                association.stage = Stage::Asking { came: true };
                return;
            }
            (Stage::Listening { .. }, Mode::Passive, _) => {
                Action::DialBackend(id, association.backend_port)
            }
            (Stage::Listening { .. }, Mode::Active, Some(target)) => Action::DialClient(id, target),
            _ => return,
        };
        association.stage = Stage::Dialling;
        self.act(action);
    }

    fn on_dialled(&mut self, id: DataId) {
        let Some(association) = self.association_mut(id) else {
            return;
        };
        match association.stage {
            Stage::DiallingBackend => {
                association.stage = Stage::Standing;
                if association.begun {
                    self.dial_waiting_client(id);
                }
            }
            Stage::Dialling => {
                association.stage = Stage::Relaying {
                    flushed: false,
                    uploaded: false,
                };
                self.act(Action::Relay(id));
            }
            _ => {}
        }
    }

    /// The transfer has begun, by the backend's word: a client in active mode that a passive backend
    /// serves is connected to now, and not for a transfer that is refused (A7, A12).
    pub(super) fn note_begun(&mut self, id: DataId) {
        if let Some(association) = self.association_mut(id) {
            association.begun = true;
            if association.stage == Stage::Standing {
                self.dial_waiting_client(id);
            }
        }
    }

    fn dial_waiting_client(&mut self, id: DataId) {
        if let Some(association) = self.association_mut(id)
            && let Some(target) = association.client_target
        {
            association.stage = Stage::Dialling;
            self.act(Action::DialClient(id, target));
        }
    }

    /// The association that a transfer command uses. One that a passive backend serves is dialled now.
    pub(super) fn use_association(&mut self, now: Instant) -> Option<DataId> {
        let reply = self.settings.timeouts.reply;
        let association = self.current.as_deref_mut()?;
        let has_failed = association.end().is_some_and(|end| end.cut.is_some());
        let is_over = association.end().is_some() && (!has_failed || association.used);
        // One data connection, one transfer: that of an answered transfer is not the next one's.
        if is_over || association.answered.is_some() {
            return None;
        }
        association.used = true;
        if let (Stage::Listening { until }, Mode::Active) =
            (&mut association.stage, association.mode)
        {
            // It is the backend that is to connect, and it may have to fetch the file from a tape first.
            *until = (*until).max(now + reply);
        }
        let (id, port) = (association.id, association.backend_port);
        if association.stage == Stage::Promised {
            association.stage = Stage::DiallingBackend;
            self.act(Action::DialBackend(id, port));
        }
        Some(id)
    }

    /// P14: a lease or a listener that nobody came to.
    pub(super) fn expire_associations(&mut self, now: Instant) {
        let Some(association) = self.current.as_deref_mut() else {
            return;
        };
        if let Stage::Listening { until } = association.stage
            && until <= now
        {
            let id = association.id;
            let cut = Some(Ending::new(
                association.first_leg(),
                Phase::Open,
                Cause::Timeout,
            ));
            association.stage = Stage::Ended(DataEnd {
                moved: Moved::default(),
                cut,
            });
            self.act(Action::Release(id));
            self.release_hold_of(id, now);
        }
    }
}

/// A4, A5: PORT or EPRT with the address that the backend knows, in the family of its connection.
fn active_command(is_short: bool, local: IpAddr, peer: SocketAddr, port: u16) -> Bytes {
    match local {
        IpAddr::V4(local) if peer.is_ipv4() && is_short => {
            endpoint::format_port(SocketAddrV4::new(local, port))
        }
        local => endpoint::format_eprt(SocketAddr::new(local, port)),
    }
}

/// Transfers of one session whose data may still be moving after their association was replaced. More
/// than one takes a backend that answers ahead of its data.
const MAX_FINISHING: usize = 4;
