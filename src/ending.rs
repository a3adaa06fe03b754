//! How sessions and transfers end: who ended it, in which phase, and why.
//!
//! Every session and every transfer ends exactly once (design decision 10). An [`Ending`] is what the
//! log line and the metric of that end say, so its three parts come from closed sets: they are metric
//! labels, and an operator can look each one up in `docs/endings.md`.

use std::fmt;

/// A party of a session: the one who ended it, or the one an error is blamed on.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Side {
    /// The FTP server that the session was given to.
    Backend,
    /// ftplb itself: a deadline, a limit, a drain.
    Balancer,
    /// The FTP client.
    Client,
}

impl Side {
    /// Every side, for metrics that are to exist before their first increment.
    pub const ALL: [Self; 3] = [Self::Backend, Self::Balancer, Self::Client];

    /// The label in metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Backend => "backend",
            Self::Balancer => "balancer",
            Self::Client => "client",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// How far a session or a transfer had come when it ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Phase {
    /// Session: a backend is being chosen and dialled.
    Connect,
    /// Session: connected, the backend's greeting is awaited.
    Greeting,
    /// Session: greeted, not yet logged in.
    Login,
    /// Session: logged in, no transfer under way.
    Command,
    /// Transfer: a data port was promised, nobody has connected to it.
    Open,
    /// Transfer: one leg stands, the other is being dialled.
    Dial,
    /// Session and transfer: data is moving.
    Transfer,
}

impl Phase {
    /// The label in metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Greeting => "greeting",
            Self::Login => "login",
            Self::Command => "command",
            Self::Open => "open",
            Self::Dial => "dial",
            Self::Transfer => "transfer",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// Why a session or a transfer ended. The side that did it is [`Ending::side`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Cause {
    /// Session: `QUIT` was answered. Transfer: every byte crossed, both ends closed in order.
    Complete,
    /// The control or data connection was closed in order, but too early.
    Close,
    /// The connection was reset, or failed in the network.
    Reset,
    /// A connection could not be made: refused, unreachable or too slow.
    Dial,
    /// The wait named by the phase was over its deadline.
    Timeout,
    /// Nothing moved for the idle limit.
    Idle,
    /// A command was not answered within the reply limit.
    NoReply,
    /// No backend of the pool could take the session.
    NoBackend,
    /// A limit of the configuration was reached.
    Limit,
    /// The peer broke the protocol in a way that can not be relayed safely.
    Protocol,
    /// The backend said 421, or refused the session in its greeting.
    Service,
    /// A negative reply answered the transfer command: nothing moved.
    Refused,
    /// A negative reply ended a transfer that had begun, and the connection itself says no more.
    Failed,
    /// A newer PASV, EPSV, PORT or EPRT took the place of this one.
    Replaced,
    /// The session that the transfer belonged to ended.
    SessionEnd,
    /// ftplb was told to stop, or the backend to drain.
    Drain,
    /// An error of ftplb's own: a system call that has no business failing, or a panic.
    Internal,
}

impl Cause {
    /// The label in metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Close => "close",
            Self::Reset => "reset",
            Self::Dial => "dial",
            Self::Timeout => "timeout",
            Self::Idle => "idle",
            Self::NoReply => "no_reply",
            Self::NoBackend => "no_backend",
            Self::Limit => "limit",
            Self::Protocol => "protocol",
            Self::Service => "service",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Replaced => "replaced",
            Self::SessionEnd => "session_end",
            Self::Drain => "drain",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// Who ended a session or a transfer, in which phase, and why.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Ending {
    /// Who ended it.
    pub side: Side,
    /// How far it had come.
    pub phase: Phase,
    /// Why.
    pub cause: Cause,
}

impl Ending {
    /// An ending by `side` in `phase` because of `cause`.
    pub const fn new(side: Side, phase: Phase, cause: Cause) -> Self {
        Self { side, phase, cause }
    }

    /// Whether everything went as the protocol means it to.
    pub fn is_complete(self) -> bool {
        self.cause == Cause::Complete
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.side, self.phase, self.cause)
    }
}

/// Bytes that crossed a data connection: handed to the kernel for a party.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Moved {
    /// From the client to the backend.
    pub to_backend: u64,
    /// From the backend to the client.
    pub to_client: u64,
}
