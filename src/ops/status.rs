//! What the API answers, as values that go over the wire as JSON. The command line reads them back.
//!
//! Times are in seconds, and are ages and rests rather than moments: the two ends need no common clock.
//! Names and words are those of the logs and metrics.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::balance::Standing;

/// Everything about the process, its listeners and its pools.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Status {
    /// The version of ftplb.
    pub version: String,
    /// How long it has run.
    pub uptime_seconds: f64,
    /// It is stopping: no new sessions are taken.
    pub draining: bool,
    /// Why `/readyz` says no; `null` while it says yes.
    pub not_ready: Option<String>,
    /// Sessions of all listeners.
    pub sessions: usize,
    /// Sessions that are left in the process that this one took over from.
    pub older_sessions: usize,
    /// How long silence may last.
    pub timeouts: TimeoutStatus,
    /// Where clients connect, in the order of the configuration.
    pub listeners: Vec<ListenerStatus>,
    /// The pools, in the order of the configuration; then those that were removed and still have sessions.
    pub pools: Vec<PoolStatus>,
}

/// The times of `[timeouts]` that listings of connections name.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct TimeoutStatus {
    /// A client that is logged in and silent: `timeouts.idle`.
    pub idle_seconds: f64,
    /// A session that is being closed: `timeouts.settle`.
    pub settle_seconds: f64,
}

/// A place where clients connect.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ListenerStatus {
    /// The address as configured.
    pub address: SocketAddr,
    /// The name of its pool.
    pub pool: String,
    /// Sessions that it took and that have not ended.
    pub sessions: usize,
    /// Passive ports that are promised to a client now.
    pub leases: usize,
    /// Passive ports that the client who is worst off can not have now: clients may share one.
    pub passive_ports_taken: usize,
    /// How many passive ports there are.
    pub passive_ports: usize,
}

/// The backends behind a listener.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one question each, which others ask over the wire"
)]
pub struct PoolStatus {
    /// Its name.
    pub name: String,
    /// It is no longer configured, and goes with its last session.
    pub removed: bool,
    /// How a backend is picked.
    pub algorithm: String,
    /// What ipvs calls that; what ftplb calls it where ipvs has no word.
    pub scheduler: String,
    /// How clients come back to their backend, if they do.
    pub affinity: Option<AffinityRuleStatus>,
    /// A backend could be picked.
    pub available: bool,
    /// Enough of it is alive.
    pub quorum: bool,
    /// New sessions go to the sorry server, because the quorum is lost.
    pub sorry_in_use: bool,
    /// Sessions that wait because every backend that is up is full.
    pub waiting: usize,
    /// The backends, in the order of the configuration.
    pub backends: Vec<BackendStatus>,
}

/// How clients come back to their backend.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct AffinityRuleStatus {
    /// How long a client network is remembered after its last session began.
    pub timeout_seconds: f64,
    /// Clients whose first bits agree count as one, for IPv4.
    pub prefix_v4: u8,
    /// The same for IPv6.
    pub prefix_v6: u8,
    /// How many client networks are remembered now.
    pub entries: usize,
}

/// One FTP server of a pool.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct BackendStatus {
    /// Its name in metrics and logs.
    pub name: String,
    /// Its control port.
    pub address: SocketAddr,
    /// It is the sorry server of its pool.
    pub sorry: bool,
    /// What the operator wants of it.
    pub standing: Standing,
    /// What its checks and live sessions say of it.
    pub state: State,
    /// How long it has been as `standing` and `state` say, to the second.
    pub since_seconds: f64,
    /// When an ejection ends.
    pub ejected_seconds: Option<f64>,
    /// The last result of each of its checks.
    pub checks: Vec<CheckStatus>,
    /// Its weight in effect. 0: no new sessions.
    pub weight: u32,
    /// Its weight in the configuration or in DNS; `null` of one that is no longer in there.
    pub configured_weight: Option<u32>,
    /// How much of its weight it gets in its slow start; 100 otherwise.
    pub share_percent: u32,
    /// Sessions that it has now, those that are being connected with them.
    pub sessions: u32,
    /// Sessions that it was given in all.
    pub sessions_total: u64,
    /// It has as many sessions as it may, or had and is not below `resume_sessions` yet.
    pub full: bool,
    /// How many sessions it may have; 0: any number.
    pub max_sessions: u32,
    /// Once full, it takes sessions again below this; 0: below three quarters of `max_sessions`.
    pub resume_sessions: u32,
    /// Transfers that run now.
    pub transfers: usize,
    /// Bytes of data for clients, in all.
    pub to_client_bytes: u64,
    /// Bytes of data from clients, in all.
    pub to_backend_bytes: u64,
}

/// Whether a backend may be given new sessions.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// No: its checks fail.
    Down,
    /// Not for a while: live sessions failed.
    Ejected,
    /// Yes.
    Up,
}

/// The last result of a check.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct CheckStatus {
    /// How long ago it ended.
    pub seconds_ago: f64,
    /// How long it took.
    pub took_seconds: f64,
    /// Why it failed; `null` if it passed.
    pub error: Option<String>,
}

/// The live sessions.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct SessionList {
    /// How many there are of those that were asked for.
    pub total: usize,
    /// The first of them in the order that was asked for, at most as many as were asked for.
    pub sessions: Vec<SessionStatus>,
}

/// One live session.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct SessionStatus {
    /// What the logs call it.
    pub id: u64,
    /// The client's address.
    pub client: SocketAddr,
    /// The listener's address as configured.
    pub listener: String,
    /// The address that the client connected to.
    pub vip: SocketAddr,
    /// The listener's pool.
    pub pool: String,
    /// The name of its backend, once that has greeted it.
    pub backend: Option<String>,
    /// The address of that.
    pub backend_address: Option<SocketAddr>,
    /// Who the client says it is.
    pub user: Option<String>,
    /// How far it has come: a phase of docs/endings.md, or `waiting`.
    pub phase: String,
    /// How long it has lived.
    pub age_seconds: f64,
    /// How long nothing was said and no data moved.
    pub idle_seconds: f64,
    /// When it ends if the client keeps silent; `null` before the login, and while that time stands still.
    pub idle_left_seconds: Option<f64>,
    /// The transfer under way.
    pub transfer: Option<TransferStatus>,
    /// Transfers that have ended.
    pub transfers: u32,
    /// Bytes of data for the client, those of the transfer under way with them.
    pub to_client_bytes: u64,
    /// Bytes of data from the client, likewise.
    pub to_backend_bytes: u64,
}

/// A transfer under way.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct TransferStatus {
    /// Its command.
    pub verb: String,
    /// `to_client` or `to_backend`.
    pub direction: String,
    /// What has crossed so far.
    pub bytes: u64,
    /// Since its command.
    pub seconds: f64,
    /// Its file, as far as that is known: escaped, and the end of it if it is long.
    pub file: Option<String>,
    /// How many bytes there are, if the backend has said so.
    pub size: Option<u64>,
}

/// The client networks that are remembered.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct AffinityList {
    /// How many there are, in all pools.
    pub total: usize,
    /// The latest of each pool, at most as many as were asked for in all.
    pub entries: Vec<AffinityStatus>,
}

/// A client network that comes back to its backend.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct AffinityStatus {
    /// The pool.
    pub pool: String,
    /// The network: address and prefix length.
    pub network: String,
    /// The backend's name, while it is there.
    pub backend: Option<String>,
    /// The backend's address.
    pub backend_address: SocketAddr,
    /// Until it is forgotten, unless a session begins before.
    pub seconds_left: f64,
}

/// An order to give a backend another weight.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WeightOrder {
    /// The weight; `null`: that of the configuration again. May not be left out.
    #[serde(deserialize_with = "Option::deserialize")]
    pub weight: Option<u32>,
}

/// A reload that was done.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Reloaded {
    /// What has changed.
    pub changes: Vec<String>,
}

/// Why something was not done.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Refusal {
    /// In one sentence.
    pub error: String,
    /// The names that there are, or every mistake.
    #[serde(default)]
    pub details: Vec<String>,
}
