//! What the driver of the simulation has open, and what is still to be told and answered.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use super::parties::{is_final, tag_of};
use super::random::Random;
use crate::ending::{Cause, Ending, Phase, Side};
use crate::ftp::command::{self, Direction};
use crate::limits::Timeouts;
use crate::session::replies;
use crate::session::{Action, DataEvent, DataId, Input, Moved, Tell};

pub(super) const CLIENT: SocketAddr = SocketAddr::new(v4([192, 0, 2, 7]), 40_000);
pub(super) const VIP: SocketAddr = SocketAddr::new(v4([203, 0, 113, 1]), 21);
pub(super) const LOCAL: IpAddr = v4([10, 0, 0, 9]);
pub(super) const BACKEND: SocketAddr = SocketAddr::new(v4([10, 0, 0, 1]), 21);

const fn v4([a, b, c, d]: [u8; 4]) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

#[derive(Default)]
pub(super) struct Books {
    open: BTreeMap<DataId, Open>,
    /// The associations of which there was something to close.
    opened: BTreeSet<DataId>,
    /// The port of the last lease.
    pub(super) port: u16,
    pub(super) moved: u64,
    /// The client's commands that wait for their reply: their tags, none if ftplb answers.
    awaited: VecDeque<Option<u64>>,
    answered: Vec<u64>,
    transfers: usize,
    told: usize,
    is_shut: bool,
    pub(super) closed: Option<Ending>,
}

/// One association as the driver knows it.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
struct Open {
    port: Option<u16>,
    has_first: bool,
    dials: bool,
    relays: bool,
    finished: [bool; 2],
    distrusted: bool,
    moved: Moved,
    since: Instant,
}

impl Books {
    /// The client has said something that is to be answered. `by_us`: by ftplb, whatever it is.
    pub(super) fn awaits(&mut self, input: &Input, by_us: bool) {
        let tag = match input {
            Input::Line { text, .. } if !by_us => tag_of(text),
            _ => None,
        };
        self.awaited.push_back(tag);
    }

    /// Whether the client waits for a reply. Known only of a backend that answers in order.
    pub(super) fn owes_a_reply(&self) -> bool {
        !self.awaited.is_empty()
    }

    pub(super) fn sent_to_backend(&mut self, text: &[u8]) {
        let command = command::parse(text).expect("the backend is sent commands only");
        if command.verb.transfer().is_some() {
            self.transfers += 1;
        }
    }

    /// Every reply answers a command, once, and those in order that are asked in order.
    pub(super) fn sent_to_client(&mut self, text: &[u8], alone: bool, is_in_order: bool) {
        assert!(!text.contains(&b'\r') && !text.contains(&b'\n'));
        if text.starts_with(b"227 ") || text.starts_with(b"229 ") {
            assert!(alone, "R11");
            assert!(
                self.open.values().any(|open| open.port == Some(self.port)),
                "a port without a lease"
            );
        }
        if !is_final(text) || text.starts_with(b"421") {
            return;
        }
        let tag = tag_of(text);
        if let Some(tag) = tag {
            assert!(!self.answered.contains(&tag), "answered twice");
            self.answered.push(tag);
        }
        if is_in_order {
            let awaited = self.awaited.pop_front();
            // In place of the backend's word, where the client could not be connected to.
            let is_in_place = awaited.is_some() && *text == *replies::NO_DATA_CONNECTION;
            assert!(
                is_in_place || awaited == Some(tag),
                "a reply out of its turn: {tag:?} in place of {awaited:?}"
            );
        }
    }

    /// A lease or a listener is asked for.
    pub(super) fn open(
        &mut self,
        id: DataId,
        is_lease: bool,
        is_granted: bool,
        now: Instant,
    ) -> DataEvent {
        if !is_granted {
            assert!(self.opened.insert(id), "an id twice");
            return DataEvent::Unavailable;
        }
        let port = 10_000 + u16::try_from(id.0).expect("few associations");
        self.insert(id, is_lease.then_some(port), now);
        let ip = if is_lease {
            self.port = port;
            VIP.ip()
        } else {
            LOCAL
        };
        DataEvent::Ready(SocketAddr::new(ip, port))
    }

    fn insert(&mut self, id: DataId, port: Option<u16>, now: Instant) {
        assert!(self.opened.insert(id), "an id twice");
        self.open.insert(
            id,
            Open {
                port,
                has_first: false,
                dials: false,
                relays: false,
                finished: [false; 2],
                distrusted: false,
                moved: Moved::default(),
                since: now,
            },
        );
    }

    pub(super) fn obey(&mut self, action: &Action, now: Instant) {
        match *action {
            Action::DialBackend(id, port) => {
                assert!(port >= 1024, "P4");
                if !self.open.contains_key(&id) {
                    // A12: nothing was open for it before.
                    self.insert(id, None, now);
                    self.get(id).has_first = true;
                }
                self.dial(id, now);
            }
            Action::DialClient(id, target) => {
                assert_eq!(target.ip(), CLIENT.ip(), "A3");
                self.dial(id, now);
            }
            Action::Relay(id) => {
                let open = self.get(id);
                assert!(open.has_first && !open.dials && !open.relays);
                open.relays = true;
                open.since = now;
            }
            Action::DistrustEnd(id) => {
                let open = self.get(id);
                assert!(open.relays && !open.distrusted && !open.finished[1]);
                open.distrusted = true;
            }
            // A12: there may be nothing yet.
            Action::Release(id) => {
                let was_open = self.open.remove(&id).is_some();
                assert!(was_open || !self.opened.contains(&id));
                self.opened.insert(id);
            }
            Action::ShutdownBackend => {
                assert!(!self.is_shut);
                self.is_shut = true;
            }
            Action::Tell(Tell::Transfer(ref end)) => {
                self.told += usize::from(end.verb.is_some());
                assert!(end.data.is_none_or(|id| self.open.contains_key(&id)));
            }
            Action::Close(ending) => {
                assert_eq!(self.open.len(), 0, "{:?}", self.open);
                assert_eq!(self.told, self.transfers, "every transfer is told of once");
                self.closed = Some(ending);
            }
            _ => {}
        }
    }

    fn dial(&mut self, id: DataId, now: Instant) {
        let open = self.get(id);
        assert!(open.has_first && !open.dials && !open.relays);
        open.dials = true;
        open.since = now;
    }

    fn get(&mut self, id: DataId) -> &mut Open {
        self.open
            .get_mut(&id)
            .expect("an action on what is not open")
    }

    /// Whether the association is none that the driver knows, but was one.
    pub(super) fn is_past(&self, id: DataId) -> bool {
        !self.open.contains_key(&id) && self.opened.contains(&id)
    }

    pub(super) fn open_ids(&self) -> impl Iterator<Item = DataId> {
        self.open.keys().copied()
    }

    pub(super) fn check(&self) {
        assert!(self.told <= self.transfers);
    }

    /// Whether data moves for the backend to speak of.
    pub(super) fn is_relaying(&self) -> bool {
        self.open.values().any(|open| open.relays)
    }

    /// Something that may happen to an association that is open.
    pub(super) fn data_event(
        &mut self,
        random: &mut Random,
        now: Instant,
    ) -> Option<(DataId, DataEvent)> {
        let index = random.below(self.open.len().max(1) as u64);
        let index = usize::try_from(index).expect("few associations");
        let (&id, open) = self.open.iter_mut().nth(index)?;
        if open.has_first && random.one_in(12) {
            return Some((id, self.cut(id)));
        }
        let event = if !open.has_first {
            open.has_first = true;
            DataEvent::Accepted
        } else if open.dials {
            if random.one_in(8) {
                return Some((id, DataEvent::DialFailed));
            }
            open.dials = false;
            DataEvent::Dialled
        } else if open.relays {
            open.since = now;
            match open.finished {
                [true, true] => {
                    let moved = open.moved;
                    self.open.remove(&id);
                    return Some((id, DataEvent::Ended(moved)));
                }
                [false, _] if random.one_in(3) => {
                    open.finished[0] = true;
                    DataEvent::Finished(Direction::ToClient)
                }
                [_, false] if random.one_in(2) => {
                    open.finished[1] = true;
                    DataEvent::Finished(Direction::ToBackend)
                }
                _ => {
                    open.moved.to_client += 1;
                    self.moved += 1;
                    return None;
                }
            }
        } else {
            return None;
        };
        Some((id, event))
    }

    fn cut(&mut self, id: DataId) -> DataEvent {
        let moved = self.open.remove(&id).map(|open| open.moved);
        DataEvent::Cut {
            moved: moved.unwrap_or_default(),
            ending: Ending::new(Side::Client, Phase::Transfer, Cause::Reset),
        }
    }

    /// The driver's own deadlines: a dial, and data that stands still (A9, O3).
    pub(super) fn overdue(
        &mut self,
        now: Instant,
        timeouts: &Timeouts,
    ) -> Vec<(DataId, DataEvent)> {
        let mut events = Vec::new();
        let ids: Vec<DataId> = self.open_ids().collect();
        for id in ids {
            let open = *self.get(id);
            if open.dials && open.since + timeouts.data_dial <= now {
                events.push((id, DataEvent::DialFailed));
            } else if open.relays && open.since + timeouts.data_idle <= now {
                events.push((id, self.cut(id)));
            }
        }
        events
    }
}
