//! The checked configuration: only values that make sense together, none of them optional unless
//! absence means something.
//!
//! A [`Config`] comes from a TOML file ([`mod@check`] gives it meaning), or from a few flags or
//! environment variables ([`args`]). Nothing is bound, opened or dialled here (design decision 14).

pub mod args;
pub mod check;
mod file;
pub mod key;
pub mod problem;
mod reader;
mod sections;
pub mod show;
mod similar;
mod together;
mod value;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::balance::Algorithm;
use crate::health::Thresholds;
use crate::limits::{Limits, Timeouts};

/// Everything that ftplb needs to know to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where clients connect. At least one.
    pub listeners: Vec<Listener>,
    /// The backends. At least one pool, and every listener's [`Listener::pool`] is an index into it.
    pub pools: Vec<Pool>,
    /// Bounds on buffers, queues and counts.
    pub limits: Limits,
    /// The deadlines of the waits.
    pub timeouts: Timeouts,
    /// Where metrics and health are served, if anywhere.
    pub admin: Option<SocketAddr>,
    /// How logs are written.
    pub log: Log,
}

/// A VIP and port where clients connect, and how their data connections are made.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// The address of the control connections. May be a wildcard: the VIP of a session is the address
    /// that its client connected to.
    pub address: SocketAddr,
    /// Index of the pool in [`Config::pools`].
    pub pool: usize,
    /// The ports of passive data connections; 1024 or above.
    pub passive_ports: RangeInclusive<u16>,
    /// The IPv4 address named in 227 when clients reach the VIP through NAT; else the VIP (P7).
    pub advertise: Option<Ipv4Addr>,
    /// From where a client's data connections may come (P12).
    pub data_peer_check: PeerCheck,
    /// What happens to a PORT or EPRT that names another address than the client's (A3).
    pub port_address: PortAddress,
    /// Whether active data connections must come from the port below the control port (20); else they
    /// fall back to any port when it can not be had (A8).
    pub strict_port20: bool,
}

/// From where data connections of a session are accepted (P12).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PeerCheck {
    /// From the address of the control connection only.
    Strict,
    /// From the same network: the prefix lengths for IPv4 and IPv6. Passive ports are then not shared.
    Prefix {
        /// Bits for IPv4, 0 to 32.
        v4: u8,
        /// Bits for IPv6, 0 to 128.
        v6: u8,
    },
    /// From anywhere. Data can be stolen then. Passive ports are then not shared.
    Off,
}

/// What happens to a PORT or EPRT that names another address than the client's (A3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PortAddress {
    /// It is refused with 501.
    Reject,
    /// The client's control address is used in its place: clients behind NAT name their private one.
    UseControlIp,
}

/// Backends that serve the same files, and how one is chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// The name, unique, in metrics and logs.
    pub name: String,
    /// How a backend is picked.
    pub algorithm: Algorithm,
    /// The backends. At least one.
    pub backends: Vec<Backend>,
    /// Whether and how a client comes back to its backend.
    pub affinity: Option<Affinity>,
    /// Active health checks, if any.
    pub health: Option<HealthCheck>,
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

/// Active health checks of the backends of a pool.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HealthCheck {
    /// What is tried.
    pub probe: Probe,
    /// From one check to the next.
    pub interval: Duration,
    /// A check that takes longer has failed.
    pub timeout: Duration,
    /// How many results in a row change the state.
    pub thresholds: Thresholds,
}

/// What a health check tries.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Probe {
    /// A TCP connection.
    Tcp,
    /// A TCP connection and a 220 greeting (H9).
    Greeting,
    /// The same, and a login.
    Login {
        /// The user name.
        user: String,
        /// The password.
        password: Secret,
    },
}

/// Text that is never shown.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(pub String);

impl Secret {
    /// What is shown in its place.
    pub const MASK: &str = "***";
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(Self::MASK)
    }
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

/// How logs are written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Log {
    /// Lines for people or for machines.
    pub format: LogFormat,
    /// What is written, in the syntax of `tracing_subscriber`'s `EnvFilter`: `info`, `ftplb=debug` …
    pub filter: String,
    /// A file in place of standard error.
    pub file: Option<PathBuf>,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Text.
    Text,
}

impl PeerCheck {
    /// Whether a data connection from `peer` may belong to a session of `client`. Both are normalised:
    /// no IPv4-mapped IPv6 (V2).
    pub fn allows(self, client: IpAddr, peer: IpAddr) -> bool {
        let within =
            |bits: u8| IpNet::new(client, bits).is_ok_and(|network| network.contains(&peer));
        match (self, client) {
            (Self::Off, _) => true,
            (Self::Strict, _) => client == peer,
            (Self::Prefix { v4, .. }, IpAddr::V4(_)) => within(v4),
            (Self::Prefix { v6, .. }, IpAddr::V6(_)) => within(v6),
        }
    }
}
