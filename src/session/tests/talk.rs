//! A test that reads as a conversation: what is said to the session, then what it does.
//!
//! Every input first checks that nothing the session did before was overlooked. [`Tell`]s stand aside
//! and are asked for by themselves.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::config::{BackendActive, BackendPassive, PortAddress};
use crate::ending::{Cause, Ending, Phase, Side};
use crate::ftp::command::Direction;
use crate::limits::{Limits, Timeouts};
use crate::session::{
    Action, DataEvent, DataId, Input, Moved, Order, Picked, Session, Settings, Tell, TransferEnd,
};

pub(super) const CLIENT: SocketAddr = v4([192, 0, 2, 7], 40_000);
pub(super) const VIP: SocketAddr = v4([203, 0, 113, 1], 21);
pub(super) const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));
pub(super) const BACKEND: SocketAddr = v4([10, 0, 0, 1], 21);
pub(super) const CLIENT_6: SocketAddr = v6(7, 40_000);
pub(super) const VIP_6: SocketAddr = v6(1, 21);
pub(super) const LOCAL_6: SocketAddr = v6(9, 0);
pub(super) const BACKEND_6: SocketAddr = v6(2, 21);

pub(super) const fn v4(octets: [u8; 4], port: u16) -> SocketAddr {
    let [a, b, c, d] = octets;
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port)
}

const fn v6(last: u16, port: u16) -> SocketAddr {
    let ip = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last);
    SocketAddr::new(IpAddr::V6(ip), port)
}

pub(super) fn settings() -> Settings {
    Settings {
        limits: Limits {
            pending_commands: 64,
            ..Limits::default()
        },
        timeouts: Timeouts::default(),
        advertise: None,
        port_address: PortAddress::Reject,
        backend_passive: BackendPassive::Same,
        backend_active: BackendActive::Active,
        deny_commands: Vec::new(),
        pick_by_user: false,
        follow_paths: true,
    }
}

pub(super) struct Talk {
    pub(super) session: Session,
    pub(super) now: Instant,
    /// The association that was set up last.
    pub(super) id: DataId,
    /// What the data connections have carried.
    pub(super) moved: u64,
    actions: VecDeque<Action>,
    pub(super) tells: Vec<Tell>,
}

/// How a talk begins.
impl Talk {
    /// The client has connected, no backend has.
    pub(super) fn connecting(settings: Settings, client: SocketAddr, vip: SocketAddr) -> Self {
        let mut talk = Self::begun(settings, client, vip);
        talk.picks("");
        talk
    }

    /// The client has connected, and the backend is picked by the name of its user.
    pub(super) fn unpicked(settings: Settings) -> Self {
        let pick_by_user = true;
        let mut talk = Self::begun(
            Settings {
                pick_by_user,
                ..settings
            },
            CLIENT,
            VIP,
        );
        talk.client_gets("220 FTP server ready.");
        talk
    }

    fn begun(settings: Settings, client: SocketAddr, vip: SocketAddr) -> Self {
        let now = Instant::now();
        let session = Session::new(Arc::new(settings), client, vip.ip(), None, now);
        let mut talk = Self {
            session,
            now,
            id: DataId(0),
            moved: 0,
            actions: VecDeque::new(),
            tells: Vec::new(),
        };
        talk.collect();
        talk
    }

    pub(super) fn connected() -> Self {
        let mut talk = Self::connecting(settings(), CLIENT, VIP);
        talk.picked(LOCAL, BACKEND);
        talk
    }

    pub(super) fn greeted() -> Self {
        Self::greeted_with(settings())
    }

    pub(super) fn greeted_with(settings: Settings) -> Self {
        let mut talk = Self::connecting(settings, CLIENT, VIP);
        talk.picked(LOCAL, BACKEND);
        talk.greets();
        talk
    }

    pub(super) fn logged_in() -> Self {
        Self::logged_in_with(settings())
    }

    pub(super) fn logged_in_with(settings: Settings) -> Self {
        let mut talk = Self::greeted_with(settings);
        talk.logs_in();
        talk
    }

    /// A client over IPv6 and its backend.
    pub(super) fn logged_in_6(settings: Settings, local: IpAddr, backend: SocketAddr) -> Self {
        let mut talk = Self::connecting(settings, CLIENT_6, VIP_6);
        talk.picked(local, backend);
        talk.greets();
        talk.logs_in();
        talk
    }

    pub(super) fn greets(&mut self) {
        self.relays_reply("220 hello");
    }

    pub(super) fn logs_in(&mut self) {
        self.exchange("USER u", "331 p");
        self.exchange("PASS p", "230 in");
        self.tells.clear();
    }
}

/// What happens to the session.
impl Talk {
    pub(super) fn picked(&mut self, local: IpAddr, peer: SocketAddr) {
        self.pick(Picked::Connected { local, peer });
    }

    pub(super) fn pick(&mut self, picked: Picked) {
        self.quiet();
        self.session.on_picked(picked, self.now);
        self.collect();
    }

    pub(super) fn client(&mut self, line: impl AsRef<[u8]>) {
        let text = Bytes::copy_from_slice(line.as_ref());
        let interrupt = false;
        self.client_input(Input::Line { text, interrupt });
    }

    pub(super) fn client_input(&mut self, input: Input) {
        self.quiet();
        self.session.on_client(input, self.now);
        self.collect();
    }

    pub(super) fn backend(&mut self, line: impl AsRef<[u8]>) {
        assert!(self.session.wants_backend(), "the backend is not read");
        let text = Bytes::copy_from_slice(line.as_ref());
        let interrupt = false;
        self.backend_input(Input::Line { text, interrupt });
    }

    pub(super) fn backend_input(&mut self, input: Input) {
        self.quiet();
        self.session.on_backend(input, self.now);
        self.collect();
    }

    pub(super) fn order(&mut self, order: Order) {
        self.quiet();
        self.session.on_order(order, self.now);
        self.collect();
    }

    /// Something happens to the association that was set up last.
    pub(super) fn data(&mut self, event: DataEvent) {
        self.data_of(self.id, event);
    }

    pub(super) fn data_of(&mut self, id: DataId, event: DataEvent) {
        self.quiet();
        self.session.on_data(id, event, self.now);
        self.collect();
    }

    pub(super) fn data_ends(&mut self, to_client: u64, to_backend: u64) {
        self.data(DataEvent::Ended(Moved {
            to_backend,
            to_client,
        }));
    }

    pub(super) fn data_is_cut(&mut self, side: Side) {
        self.data(DataEvent::Cut {
            moved: Moved::default(),
            ending: Ending::new(side, Phase::Transfer, Cause::Reset),
        });
    }

    /// Time goes by; every deadline on the way is kept, and each must move the next one on.
    pub(super) fn passes(&mut self, seconds: u64) {
        self.quiet();
        let end = self.now + Duration::from_secs(seconds);
        while let Some(due) = self.session.deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.session.on_deadline(self.now, self.moved);
            let next = self.session.deadline();
            assert!(next.is_none_or(|next| next > self.now), "a busy deadline");
            self.collect();
        }
        self.now = end;
    }
}

/// What the session does.
impl Talk {
    /// Nothing more than what was asked for.
    pub(super) fn quiet(&mut self) {
        assert_eq!(self.actions, [], "nothing else was to happen");
    }

    pub(super) fn does(&mut self, action: &Action) {
        assert_eq!(self.actions.pop_front().as_ref(), Some(action));
    }

    /// A backend is asked for, by the name of a user if not by an empty one.
    pub(super) fn picks(&mut self, user: &str) {
        let user = Bytes::copy_from_slice(user.as_bytes());
        self.does(&Action::Pick { user });
    }

    pub(super) fn client_gets(&mut self, line: &str) {
        self.sends(Side::Client, line, false);
    }

    pub(super) fn backend_gets(&mut self, line: &str) {
        self.sends(Side::Backend, line, false);
    }

    /// R11.
    pub(super) fn client_gets_alone(&mut self, line: &str) {
        self.sends(Side::Client, line, true);
    }

    pub(super) fn backend_gets_alone(&mut self, line: &str) {
        self.sends(Side::Backend, line, true);
    }

    fn sends(&mut self, to: Side, line: &str, alone: bool) {
        let text = Bytes::copy_from_slice(line.as_bytes());
        self.does(&Action::Send { to, text, alone });
    }

    /// A port is asked for and granted.
    pub(super) fn leased(&mut self, port: u16) {
        self.lease_is(DataEvent::Ready(SocketAddr::new(VIP.ip(), port)));
    }

    pub(super) fn lease_is(&mut self, event: DataEvent) {
        let id = DataId(self.id.0 + 1);
        self.does(&Action::Lease(id));
        self.id = id;
        self.data(event);
    }

    pub(super) fn listens(&mut self, address: SocketAddr) {
        let id = DataId(self.id.0 + 1);
        self.does(&Action::Listen(id));
        self.id = id;
        self.data(DataEvent::Ready(address));
    }

    pub(super) fn closes(&mut self, side: Side, phase: Phase, cause: Cause) {
        self.does(&Action::Close(Ending::new(side, phase, cause)));
        self.quiet();
        assert_eq!(self.session.deadline(), None, "it is over");
    }

    /// What was told of transfers since the last time.
    pub(super) fn transfers(&mut self) -> Vec<TransferEnd> {
        let is_transfer = |tell: &mut Tell| matches!(tell, Tell::Transfer(_));
        let told = self.tells.extract_if(.., is_transfer);
        told.map(|tell| match tell {
            Tell::Transfer(end) => end,
            other => panic!("{other:?}"),
        })
        .collect()
    }

    /// Just one transfer was told of.
    pub(super) fn transfer(&mut self) -> TransferEnd {
        let mut told = self.transfers();
        assert_eq!(told.len(), 1, "{told:?}");
        told.remove(0)
    }

    fn collect(&mut self) {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Tell(tell) => self.tells.push(tell),
                action => self.actions.push_back(action),
            }
        }
    }
}

/// What happens in most conversations.
impl Talk {
    /// A reply of the backend that reaches the client as it is.
    pub(super) fn relays_reply(&mut self, line: &str) {
        self.backend(line);
        self.client_gets(line);
    }

    pub(super) fn forwards(&mut self, line: &str) {
        self.client(line);
        self.backend_gets(line);
    }

    pub(super) fn exchange(&mut self, line: &str, reply: &str) {
        self.forwards(line);
        self.relays_reply(reply);
    }

    /// A command that ftplb answers by itself.
    pub(super) fn answers(&mut self, line: impl AsRef<[u8]>, reply: &str) {
        self.client(line);
        self.client_gets(reply);
        self.quiet();
    }

    /// PASV or EPSV up to the data connection that stands.
    pub(super) fn passive(&mut self) {
        self.asks_passive();
        self.data(DataEvent::Accepted);
        self.does(&Action::DialBackend(self.id, 8_000));
        self.data(DataEvent::Dialled);
        self.does(&Action::Relay(self.id));
    }

    pub(super) fn asks_passive(&mut self) {
        self.client("PASV");
        self.leased(50_000);
        self.backend_gets("PASV");
        self.backend("227 Entering Passive Mode (10,0,0,1,31,64).");
        self.client_gets_alone("227 Entering Passive Mode (203,0,113,1,195,80)");
    }

    /// PORT up to the data connection that stands.
    pub(super) fn active(&mut self) {
        self.asks_active();
        self.data(DataEvent::Accepted);
        self.does(&Action::DialClient(self.id, v4([192, 0, 2, 7], 5_000)));
        self.data(DataEvent::Dialled);
        self.does(&Action::Relay(self.id));
    }

    pub(super) fn asks_active(&mut self) {
        self.client("PORT 192,0,2,7,19,136");
        self.listens(SocketAddr::new(LOCAL, 6_000));
        self.backend_gets_alone("PORT 10,0,0,9,23,112");
        self.relays_reply("200 PORT command successful.");
    }

    /// The whole of a transfer that goes well, after its data connection was set up.
    pub(super) fn transfers_well(&mut self, line: &str) {
        self.exchange(line, "150 here it comes");
        self.data(DataEvent::Finished(Direction::ToClient));
        self.data_ends(1, 2);
        self.relays_reply("226 done");
        let told = self.transfer();
        assert_eq!((told.moved.to_client, told.moved.to_backend), (1, 2));
        assert!(told.ending.is_complete(), "{:?}", told.ending);
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.quiet();
        }
    }
}
