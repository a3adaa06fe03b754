//! What the session machine costs without any input or output: a whole session, and one round of a command.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use ftplb::config::{BackendActive, BackendPassive, PortAddress};
use ftplb::ending::{Ending, Moved, Side};
use ftplb::ftp::command::Direction;
use ftplb::limits::{Limits, Timeouts};
use ftplb::session::{Action, DataEvent, Input, Picked, Session, Settings};

use super::Work;

pub(super) fn all() -> Vec<Work> {
    vec![whole_session(), transfer(), one_round()]
}

/// A session whose actions are obeyed at once, by a driver that has neither sockets nor a clock.
struct World {
    session: Session,
    now: Instant,
    sent: usize,
    closed: Option<Ending>,
}

impl World {
    fn new(settings: &Arc<Settings>, now: Instant) -> Self {
        let mut world = Self {
            session: Session::new(Arc::clone(settings), CLIENT, VIP.ip(), None, now),
            now,
            sent: 0,
            closed: None,
        };
        world.obey();
        world
    }

    fn logged_in(settings: &Arc<Settings>, now: Instant) -> Self {
        let mut world = Self::new(settings, now);
        for &(speaker, line) in LOGIN {
            world.says(speaker, line);
        }
        world
    }

    fn says(&mut self, speaker: Side, line: &'static [u8]) {
        let input = Input::Line {
            text: Bytes::from_static(line),
            interrupt: false,
        };
        self.hears(speaker, input);
    }

    fn hears(&mut self, speaker: Side, input: Input) {
        if speaker == Side::Client {
            self.session.on_client(input, self.now);
        } else {
            self.session.on_backend(input, self.now);
        }
        self.obey();
    }

    fn obey(&mut self) {
        while let Some(action) = self.session.poll_action() {
            match black_box(action) {
                Action::Pick { .. } => {
                    let picked = Picked::Connected {
                        local: LOCAL,
                        peer: BACKEND,
                    };
                    self.session.on_picked(picked, self.now);
                }
                Action::Send { .. } => self.sent += 1,
                // The client connects as soon as it can.
                Action::Lease(id) => {
                    for event in [DataEvent::Ready(LEASED), DataEvent::Accepted] {
                        self.session.on_data(id, event, self.now);
                    }
                }
                Action::DialBackend(id, _) => {
                    self.session.on_data(id, DataEvent::Dialled, self.now);
                }
                Action::Relay(id) => {
                    let moved = Moved {
                        to_client: 4096,
                        to_backend: 0,
                    };
                    for event in [
                        DataEvent::Finished(Direction::ToClient),
                        DataEvent::Finished(Direction::ToBackend),
                        DataEvent::Ended(moved),
                    ] {
                        self.session.on_data(id, event, self.now);
                    }
                }
                Action::Close(ending) => self.closed = Some(ending),
                _ => {}
            }
        }
    }
}

fn whole_session() -> Work {
    let (settings, now) = (settings(), Instant::now());
    let run = move || {
        let mut world = World::logged_in(&settings, now);
        for &(speaker, line) in TRANSFER.iter().chain(QUIT) {
            world.says(speaker, line);
        }
        world.hears(Side::Backend, Input::Eof);
        world
    };
    let world = run();
    assert!(
        world.closed.is_some_and(Ending::is_complete),
        "{:?}",
        world.closed
    );
    assert_eq!(
        world.sent,
        LOGIN.len() + TRANSFER.len() + QUIT.len(),
        "every line is passed on once"
    );
    Work::new("machine: login, PASV, RETR, QUIT", move || {
        black_box(run());
    })
}

fn transfer() -> Work {
    let mut world = World::logged_in(&settings(), Instant::now());
    Work::new("machine: PASV, RETR", move || {
        for &(speaker, line) in TRANSFER {
            world.says(speaker, line);
        }
        assert!(world.closed.is_none());
    })
}

fn one_round() -> Work {
    let mut world = World::logged_in(&settings(), Instant::now());
    Work::new("machine: NOOP and its reply", move || {
        world.says(Side::Client, b"NOOP");
        world.says(Side::Backend, b"200 NOOP ok.");
        assert!(world.closed.is_none());
    })
}

fn settings() -> Arc<Settings> {
    Arc::new(Settings {
        limits: Limits::default(),
        timeouts: Timeouts::default(),
        advertise: None,
        port_address: PortAddress::Reject,
        backend_passive: BackendPassive::Same,
        backend_active: BackendActive::Active,
        deny_commands: Vec::new(),
        pick_by_user: false,
        follow_paths: false,
    })
}

const CLIENT: SocketAddr = address(7, 40_000);
const VIP: SocketAddr = address(1, 21);
const LEASED: SocketAddr = address(1, 12_345);
const LOCAL: IpAddr = address(2, 0).ip();
const BACKEND: SocketAddr = address(11, 21);

const fn address(host: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, host)), port)
}

/// Who says what.
type Script = &'static [(Side, &'static [u8])];

const LOGIN: Script = &[
    (Side::Backend, b"220 Service ready."),
    (Side::Client, b"USER anonymous"),
    (Side::Backend, b"331 Please specify the password."),
    (Side::Client, b"PASS guest@example.org"),
    (Side::Backend, b"230 Login successful."),
];

const TRANSFER: Script = &[
    (Side::Client, b"PASV"),
    (
        Side::Backend,
        b"227 Entering Passive Mode (192,0,2,11,200,10).",
    ),
    (Side::Client, b"RETR report.txt"),
    (Side::Backend, b"150 Opening BINARY mode data connection."),
    (Side::Backend, b"226 Transfer complete."),
];

const QUIT: Script = &[(Side::Client, b"QUIT"), (Side::Backend, b"221 Goodbye.")];
