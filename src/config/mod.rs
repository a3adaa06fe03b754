//! The checked configuration: only values that make sense together, none of them optional unless
//! absence means something.
//!
//! A [`Config`] comes from a TOML file ([`mod@check`] gives it meaning), or from a few flags or
//! environment variables ([`args`]). Nothing is bound, opened or dialled here (design decision 14).

mod access;
pub mod args;
pub mod check;
pub mod diff;
mod file;
mod health;
pub mod import;
pub mod ipvsadm;
pub mod keepalived;
pub mod key;
mod pool;
pub mod problem;
mod reader;
mod script;
pub mod secret;
mod sections;
pub mod show;
mod similar;
mod together;
mod value;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use ipnet::IpNet;

pub use self::access::Access;
pub use self::health::{CheckAddress, HealthCheck, HttpProbe, Probe, Via};
pub use self::pool::{
    Affinity, Backend, BackendActive, BackendPassive, Discovery, Ejection, Pool, Quorum, Record,
    Waiting,
};
pub use self::script::{Notify, RunAs, Script, Scripts};
pub use self::secret::Secret;
use crate::ftp::denial::Denial;
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
    /// What holds for every script that is run.
    pub scripts: Scripts,
    /// What the process may do once it has started.
    pub process: Process,
    /// Where metrics and health are served and orders are taken.
    pub admin: Admin,
    /// How logs are written.
    pub log: Log,
    /// Where transfers are written down.
    pub transfer_log: TransferLog,
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
    /// Who may connect.
    pub access: Access,
    /// The commands that are refused (F13).
    pub deny_commands: Vec<Denial>,
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

/// What the process may do once it has started.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Process {
    /// Whom it becomes when it was started as root; else it stays who it is.
    pub user: Option<RunAs>,
    /// Whether it keeps the right to bind ports below 1024 when it gives up the others.
    pub privileged_ports: bool,
    /// Whether it gives up gaining privileges, and what else the kernel can keep it from.
    pub sandbox: bool,
    /// The absolute path of the Unix socket at which a newer process takes over from it, and it from an
    /// older one.
    pub handover: Option<PathBuf>,
}

/// Where ftplb tells of itself and takes orders.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Admin {
    /// Where metrics and health are served, if anywhere.
    pub address: Option<SocketAddr>,
    /// Where orders are taken, if anywhere.
    pub api: Option<ApiAddress>,
    /// What the status page at the admin address shows.
    pub page: Page,
}

/// What the status page shows, and to whom: whoever reaches the admin address.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Page {
    /// Everything, live sessions with client addresses, user and file names included.
    Full,
    /// Listeners, pools and backends: what the metrics tell, and why checks fail.
    Summary,
    /// There is none.
    #[default]
    Off,
}

impl Admin {
    /// Where metrics and health are served unless something else is said, by a port beside those that
    /// exporters of Prometheus commonly use.
    pub const USUAL_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9121);
}

/// Where orders are taken: only from this host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ApiAddress {
    /// A loopback address.
    Loopback(SocketAddr),
    /// The absolute path of a Unix socket.
    Unix(PathBuf),
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

/// Where transfers are written down.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TransferLog {
    /// The form of its lines.
    pub format: TransferFormat,
    /// The file, if there is to be one.
    pub file: Option<PathBuf>,
}

/// The form of a line of the transfer log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TransferFormat {
    /// One JSON object.
    Json,
    /// That of wu-ftpd, which xferlog(5) describes.
    Xferlog,
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
