//! A pool as configured: its backends, those that are found by name, and how sessions are shared out.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::health::HealthCheck;
use super::script::Notify;
use crate::balance::Algorithm;

/// Backends that serve the same files, and how one is chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// The name, unique, in metrics and logs.
    pub name: String,
    /// How a backend is picked.
    pub algorithm: Algorithm,
    /// Whether the hash of `source_hash` takes the client's port as well as its address (ipvs `sh-port`,
    /// `mh-port`).
    pub hash_port: bool,
    /// The backends whose addresses are written. Together with [`Self::discoveries`] at least one.
    pub backends: Vec<Backend>,
    /// The backends that are found by name.
    pub discoveries: Vec<Discovery>,
    /// Whether and how a client comes back to its backend.
    pub affinity: Option<Affinity>,
    /// Active health checks; a backend is up when all of them pass. Empty: none.
    pub health: Vec<HealthCheck>,
    /// Whether a backend is down until its checks passed once (keepalived's `alpha`).
    pub alpha: bool,
    /// How much of the pool must be up.
    pub quorum: Quorum,
    /// Used in place of all the backends while the quorum is lost. Without it, those that are up go on.
    pub sorry: Option<SocketAddr>,
    /// What is run when a backend comes up or goes down.
    pub notify: Notify,
    /// Whether the scripts for down are run at shutdown (keepalived's `omega`).
    pub omega: bool,
    /// How long a backend that comes back is spared: its share grows from nothing to all of it. Zero: it
    /// is not.
    pub slow_start: Duration,
    /// Whether sessions wait for room when every backend that is up is full.
    pub waiting: Option<Waiting>,
    /// Ejection of backends that fail in live traffic, if any.
    pub ejection: Option<Ejection>,
    /// How a passive data connection is asked of a backend (P8).
    pub backend_passive: BackendPassive,
    /// How a client's active mode is served (A12).
    pub backend_active: BackendActive,
    /// The source address of every connection to a backend; else the kernel's choice.
    pub source: Option<IpAddr>,
}

/// One FTP server of a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    /// The address of its control port.
    pub address: SocketAddr,
    /// The name in metrics and logs; the address unless set.
    pub name: String,
    /// Its share. 0: no new sessions.
    pub weight: u32,
    /// How many sessions it is given at most; 0: no limit (ipvs upper threshold).
    pub max_sessions: u32,
    /// Once full, it is given sessions again below this many; 0: below three quarters of
    /// [`Self::max_sessions`] (ipvs lower threshold).
    pub resume_sessions: u32,
    /// In place of [`Pool::health`], if set.
    pub health: Option<Vec<HealthCheck>>,
    /// What is set stands in place of that of [`Pool::notify`].
    pub notify: Notify,
}

/// Backends that are found by a name in DNS, and followed as its records change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Discovery {
    /// The name that is asked for.
    pub name: String,
    /// Which records are asked for.
    pub record: Record,
    /// The control port of each found backend. Of [`Record::Srv`] the records name it.
    pub port: u16,
    /// The weight of each found backend. Of [`Record::Srv`] the records name it, and 0 counts as 1.
    pub weight: u32,
    /// [`Backend::max_sessions`] of each found backend.
    pub max_sessions: u32,
    /// [`Backend::resume_sessions`] of each found backend.
    pub resume_sessions: u32,
    /// A shorter TTL of an answer is taken for this long.
    pub min_interval: Duration,
    /// A longer TTL of an answer is taken for this long.
    pub max_interval: Duration,
    /// Name servers in the order in which they are asked. Empty: those of the host.
    pub servers: Vec<SocketAddr>,
}

/// Which records of DNS name backends.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Record {
    /// A and AAAA: addresses.
    Address,
    /// SRV: hosts with their ports and weights.
    Srv,
}

/// How much of a pool must be up. As in keepalived, the quorum is lost below `weight - hysteresis`, or when
/// nothing is up, and gained at `weight + hysteresis`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Quorum {
    /// The sum of the weights of the backends that must be up. At least 1.
    pub weight: u32,
    /// How far the sum must be off that before anything changes; less than `weight`.
    pub hysteresis: u32,
    /// What is run when the quorum is gained or lost.
    pub notify: Notify,
}

/// Sessions wait when every backend that is up is full, instead of a `421` at once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Waiting {
    /// How long each waits for room.
    pub time: Duration,
    /// How many wait at most.
    pub sessions: usize,
}

/// A client comes back to its backend (keepalived's persistence).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Affinity {
    /// Forgotten so long after the client's last session began.
    pub timeout: Duration,
    /// Clients of one network count as one: prefix length for IPv4.
    pub prefix_v4: u8,
    /// The same for IPv6.
    pub prefix_v6: u8,
    /// How many client networks are remembered. The oldest is forgotten first.
    pub entries: usize,
}

/// A backend that fails in live traffic is left out for a while.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ejection {
    /// Failures in a row: refused, silent, or no greeting.
    pub failures: u32,
    /// How long it is left out, doubled for each time in a row, at most eightfold.
    pub time: Duration,
}

/// How a passive data connection is asked of a backend (P8).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum BackendPassive {
    /// By the client's own verb while both legs are of one family.
    #[default]
    Same,
    /// Always by PASV; of an IPv6 backend by EPSV.
    Pasv,
    /// Always by EPSV.
    Epsv,
}

/// How a client's active mode is served (A12).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum BackendActive {
    /// The backend connects to ftplb, by PORT or EPRT.
    #[default]
    Active,
    /// ftplb connects to the backend, by PASV or EPSV: no connection from backends is needed.
    Passive,
}
