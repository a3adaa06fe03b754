//! One data association: what a PASV, EPSV, PORT or EPRT set up, until its data has gone or a newer one
//! takes its place (S2).
//!
//! ```text
//!  passive        Reserving ─leased─▶ Asking ─227/229─▶ Listening ─client came─▶ Dialling ─▶ Relaying ─▶ Ended
//!  active         Reserving ─listens─▶ Asking ─200─────▶ Listening ─backend came▶ Dialling ─▶ Relaying ─▶ Ended
//!  active served  Asking ─227/229─▶ Promised ─transfer command─▶ DiallingBackend
//!  by passive                                 ─▶ Standing ─1yz or 2yz─▶ Dialling ─▶ Relaying ─▶ Ended
//! ```

use std::net::SocketAddr;
use std::time::Instant;

use crate::ending::{Cause, Ending, Moved, Phase, Side};
use crate::ftp::command::{Direction, Verb};
use crate::ftp::reply::Code;
use crate::session::whereabouts::Subject;

/// Names a data association within its session. Later ones have higher numbers.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DataId(pub u32);

/// Who connects to whom, as the client sees it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Mode {
    /// The client was promised a port and connects to it.
    Passive,
    /// The client named a port and is connected to.
    Active,
}

impl Mode {
    /// The label in metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Passive => "passive",
            Self::Active => "active",
        }
    }
}

/// How far an association has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// The driver was asked for a port.
    Reserving,
    /// The backend was asked and has not answered. The first leg may have come already (A4).
    Asking { came: bool },
    /// The first leg is awaited.
    Listening { until: Instant },
    /// The backend's port is known, and dialled once there is a transfer command (A12).
    Promised,
    /// The backend is being dialled, for a client in active mode (A12).
    DiallingBackend,
    /// The backend leg stands, the client is dialled once the transfer has begun (A7, A12).
    Standing,
    /// The second leg is being dialled.
    Dialling,
    /// Data moves. `flushed`: the client leg has been handed its last byte and FIN (R13).
    /// `uploaded`: so has the backend leg.
    Relaying { flushed: bool, uploaded: bool },
    /// It is over.
    Ended(DataEnd),
}

/// How the data connection of an association ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct DataEnd {
    pub(super) moved: Moved,
    /// `None`: both directions ended in order.
    pub(super) cut: Option<Ending>,
}

/// One data association.
#[derive(Debug)]
pub(super) struct Association {
    pub(super) id: DataId,
    pub(super) mode: Mode,
    pub(super) stage: Stage,
    pub(super) since: Instant,
    /// The port that the client was promised, in passive mode.
    pub(super) client_port: u16,
    /// The port that the backend named, where it is dialled.
    pub(super) backend_port: u16,
    /// The address that the client named, in active mode.
    pub(super) client_target: Option<SocketAddr>,
    /// A transfer that was answered before its data had ended.
    pub(super) answered: Option<Answered>,
    /// Whether a transfer command was sent for it that was not refused (S4).
    pub(super) used: bool,
    /// Whether the backend has said that the transfer begins.
    pub(super) begun: bool,
    /// Whether the driver was told to distrust the end of its upload.
    pub(super) distrusted: bool,
    /// What the client sent for it: PASV, EPSV, PORT or EPRT.
    pub(super) asked: Verb,
}

/// A transfer whose last reply has come.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Answered {
    pub(super) verb: Verb,
    pub(super) since: Instant,
    pub(super) code: Code,
    /// Whether a 1yz had come before.
    pub(super) begun: bool,
    /// What it was about, where that is wanted.
    pub(super) subject: Option<Box<Subject>>,
}

impl Association {
    pub(super) fn new(id: DataId, mode: Mode, asked: Verb, now: Instant) -> Self {
        Self {
            id,
            mode,
            stage: Stage::Reserving,
            since: now,
            client_port: 0,
            backend_port: 0,
            client_target: None,
            answered: None,
            used: false,
            begun: false,
            distrusted: false,
            asked,
        }
    }

    /// Whether data moves or is about to, so that the control connection is not idle (O3). A backend leg
    /// that waits for its transfer to begin is not: nothing bounds that wait but the control connection's
    /// own deadlines.
    pub(super) fn is_alive(&self) -> bool {
        matches!(
            self.stage,
            Stage::DiallingBackend | Stage::Dialling | Stage::Relaying { .. }
        )
    }

    /// Whether bytes may still be on their way to the client, so that the reply that ends the transfer
    /// has to wait (R13).
    pub(super) fn may_owe_client(&self) -> bool {
        match self.stage {
            Stage::DiallingBackend
            | Stage::Standing
            | Stage::Dialling
            | Stage::Relaying { flushed: false, .. } => true,
            // The backend has connected, by its own word; the driver has not said so yet.
            Stage::Listening { .. } => self.mode == Mode::Active,
            _ => false,
        }
    }

    pub(super) fn end(&self) -> Option<DataEnd> {
        match self.stage {
            Stage::Ended(end) => Some(end),
            _ => None,
        }
    }

    /// Whether the first leg has come ahead of the backend's answer.
    pub(super) fn has_come(&self) -> bool {
        self.stage == Stage::Asking { came: true }
    }

    /// The backend has agreed. The first leg may have come and gone by then.
    pub(super) fn listen(&mut self, until: Instant) {
        if self.end().is_none() {
            self.stage = Stage::Listening { until };
        }
    }

    /// When the first leg must have come (P14).
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Listening { until } => Some(until),
            _ => None,
        }
    }

    /// The side whose data port is being dialled.
    pub(super) fn dialled_side(&self) -> Side {
        match (self.stage, self.mode) {
            (Stage::Dialling, Mode::Active) => Side::Client,
            _ => Side::Backend,
        }
    }

    /// The side that is to connect first.
    pub(super) fn first_leg(&self) -> Side {
        match self.mode {
            Mode::Passive => Side::Client,
            Mode::Active => Side::Backend,
        }
    }
}

/// A transfer that is over: what one log line and one increment say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TransferEnd {
    /// The command; `None` when data moved without one.
    pub verb: Option<Verb>,
    /// How the data connection was made, if there was one.
    pub mode: Option<Mode>,
    /// The association whose data connection still stands and knows what has crossed it.
    pub data: Option<DataId>,
    /// What crossed it.
    pub moved: Moved,
    /// From the command to the end.
    pub since: Instant,
    /// The reply that ended it, if it came.
    pub code: Option<Code>,
    /// Who ended it, when and why.
    pub ending: Ending,
    /// What it was about, where that is wanted.
    pub subject: Option<Box<Subject>>,
}

/// Whom to name for a transfer that was answered and whose data ended as `end`.
pub(super) fn transfer_ending(answered: &Answered, end: Option<DataEnd>) -> Ending {
    let &Answered {
        verb, code, begun, ..
    } = answered;
    if let Some(cut) = end.and_then(|end| end.cut) {
        return cut;
    }
    let has_begun = begun || end.is_some_and(|end| end.moved != Moved::default());
    let phase = if end.is_some() {
        Phase::Transfer
    } else {
        Phase::Open
    };
    if code.is_negative() {
        let cause = if has_begun {
            Cause::Failed
        } else {
            Cause::Refused
        };
        return Ending::new(Side::Backend, phase, cause);
    }
    let side = match verb.transfer() {
        Some(Direction::ToBackend) => Side::Client,
        _ => Side::Backend,
    };
    Ending::new(side, phase, Cause::Complete)
}
