//! The FTP session, without input or output (design decision 1).
//!
//! Lines, data events and deadlines go in, [`Action`]s come out. There is no socket, no clock and no
//! randomness here: `now` is an argument, ports are asked of the driver. The driver in `proxy` obeys
//! the actions in their order and decides nothing about FTP.
//!
//! ```text
//!            Input::{Line, TooLong, Runaway, Eof, Reset}          DataEvent, Order, deadline
//!  client ──────────────▶ client.rs ─┐                                   │
//!                                    ├─▶ machine.rs ◀── association.rs ◀─┘
//!  backend ─────────────▶ backend.rs ┘        │
//!            pending.rs: which command a      ▼
//!            reply answers                 Action
//! ```
//!
//! What the machine guarantees: every command is answered at most once and in order; a 227 or 229 is
//! believed only when it was asked for (R4); no association outlives its session; every transfer and
//! the session itself are told of exactly once.

mod association;
mod backend;
mod client;
mod data;
mod deadline;
mod hold;
mod leaving;
mod machine;
mod pace;
mod pending;
mod replies;
#[cfg(any(fuzzing, test))]
mod simulation;
#[cfg(test)]
mod tests;
mod transfer;
mod unpicked;
mod waiting;
mod whereabouts;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;

pub use self::data::{DataId, Mode, TransferEnd};
pub use self::machine::{Session, Workspace};
#[cfg(any(fuzzing, test))]
pub(crate) use self::simulation::simulate;
pub use self::transfer::Underway;
pub use self::whereabouts::Subject;
use crate::config::{BackendActive, BackendPassive, PortAddress};
use crate::diagnosis::Diagnosis;
use crate::ending::{Ending, Moved, Side};
use crate::ftp::command::Direction;
use crate::ftp::denial::Denial;
use crate::ftp::line::Line;
use crate::ftp::reply::Code;
use crate::limits::{Limits, Timeouts};

/// What of the configuration a session needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bounds on buffers, queues and counts.
    pub limits: Limits,
    /// The deadlines of the waits.
    pub timeouts: Timeouts,
    /// The IPv4 address to name in 227, when it is not the VIP (P7).
    pub advertise: Option<Ipv4Addr>,
    /// What happens to a PORT that names a foreign address (A3).
    pub port_address: PortAddress,
    /// How a passive data connection is asked of the backend (P8).
    pub backend_passive: BackendPassive,
    /// How a client's active mode is served (A12).
    pub backend_active: BackendActive,
    /// The commands that are refused (F13).
    pub deny_commands: Vec<Denial>,
    /// Whether the backend is picked by the user's name, and so only after USER: ftplb greets the client
    /// itself then (H5).
    pub pick_by_user: bool,
    /// Whether it is wanted to know what transfers are about: [`TransferEnd::subject`].
    pub follow_paths: bool,
}

/// What came from one of the two control connections.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Input {
    /// A whole line without its end.
    Line {
        /// The bytes, Telnet commands taken out.
        text: Bytes,
        /// Whether a Telnet interrupt or data mark came with it (T6).
        interrupt: bool,
    },
    /// A line over the limit; what came of it is gone (F7).
    TooLong,
    /// So much without a line end that the stream is no use any more (F7).
    Runaway,
    /// The peer closed its direction in order.
    Eof,
    /// The connection failed.
    Reset,
}

impl From<Line> for Input {
    fn from(Line { text, interrupt }: Line) -> Self {
        Self::Line { text, interrupt }
    }
}

/// The answer to [`Action::Pick`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Picked {
    /// A backend was picked and its control port accepted the connection.
    Connected {
        /// The address the backend sees, for control and data (P15, A5).
        local: IpAddr,
        /// The backend's control address, and so its data address (P2).
        peer: SocketAddr,
    },
    /// A backend was picked and could not be connected.
    Failed,
    /// The backends that could take the session have as many as they may.
    Full,
    /// No backend is left that could take the session.
    None,
}

/// What happened to a data association.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DataEvent {
    /// [`Action::Lease`] or [`Action::Listen`] was carried out: somebody can connect to this address now.
    Ready(SocketAddr),
    /// They were not: no port to be had (P5).
    Unavailable,
    /// The client connected to the lease, or the backend to the listener.
    Accepted,
    /// The leg that was dialled stands.
    Dialled,
    /// It could not be dialled.
    DialFailed,
    /// One direction is over: its last byte and FIN were handed on.
    Finished(Direction),
    /// Both directions ended in order.
    Ended(Moved),
    /// The connection was cut; both legs are reset.
    Cut {
        /// What had crossed.
        moved: Moved,
        /// Who cut it, when and why.
        ending: Ending,
    },
}

/// What the operator wants of a session. The later ones are stronger; only `Stay` takes one back.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Order {
    /// Stay after all: what was said by [`Order::Retire`] or [`Order::Drain`] is taken back.
    Stay,
    /// End when the client has been idle for a while: the backend is to lose its sessions without any of
    /// them noticing more than it must.
    Retire,
    /// End at the next idle moment (O8).
    Drain,
    /// End now.
    Kill,
}

/// What the driver has to do, in this order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// Pick a backend that was not tried yet and dial it; answer with [`Session::on_picked`].
    Pick {
        /// The user's name as the client sent it, where the backend is picked by it; else empty.
        user: Bytes,
    },
    /// Send a line; the driver adds the line end.
    Send {
        /// To which party.
        to: Side,
        /// The line.
        text: Bytes,
        /// Whether the line must be one `send()` of its own (R11).
        alone: bool,
    },
    /// Send the backend Telnet IP and an urgent Synch ahead of the ABOR that follows (T6).
    Interrupt,
    /// Send the backend FIN: the client has sent its own (S13).
    ShutdownBackend,
    /// Lease a passive port for the client; answer at once with `Ready` or `Unavailable`.
    Lease(DataId),
    /// Listen for the backend; answer at once with `Ready` or `Unavailable`.
    Listen(DataId),
    /// Dial the data port of the backend, from the address it knows; answer later.
    DialBackend(DataId, u16),
    /// Dial the data port of the client, from the VIP; answer later.
    DialClient(DataId, SocketAddr),
    /// Relay between the two legs.
    Relay(DataId),
    /// From now on a FIN of the client's data leg is no end of a file but a cut: reset the backend's leg.
    /// Said at most once for an association, after its [`Action::Relay`].
    ///
    /// The client's control connection has ended without QUIT in the middle of an upload. A process that
    /// is killed leaves by FIN on both its connections, and its file would pass for a whole one (design
    /// decision 5).
    DistrustEnd(DataId),
    /// Close what there is of this association: listeners, and legs by reset.
    Release(DataId),
    /// Nothing to do, something to tell.
    Tell(Tell),
    /// Flush what was sent to the client, close everything. The last action.
    Close(Ending),
}

/// What is worth a log line or a metric.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Tell {
    /// The backend's greeting was accepted: the session is pinned to it.
    Greeted,
    /// The backend refused the session, or kept silent, before its greeting.
    BackendFailed(&'static str),
    /// A whole reply of the backend was relayed.
    Reply(Code),
    /// Who the client says it is; one that takes another's place once the backend agrees.
    User(Box<[u8]>),
    /// A command was refused because the configuration denies it (F13).
    Denied,
    /// The client asked for TLS, which is not offered (X10).
    TlsRefused,
    /// A side sends more lines than its rate allows, and is not read for a moment.
    Paused(Side),
    /// The backend refused a password (O7).
    LoginFailed,
    /// A transfer ended.
    Transfer(TransferEnd),
    /// Something about the backend that its operator should know. Each at most once of a backend.
    Diagnosis(Diagnosis),
}
