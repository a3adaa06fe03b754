//! What is counted for a backend: health, sessions, replies, transfers.

use std::time::{Duration, Instant};

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::condition::{Condition, ConditionFamilies};
use super::diagnoses::{DiagnosisFamily, DiagnosisMetrics};
use super::{Each, Families, Labels, Running, count_internal, forget, labels_of, observe};
use crate::balance::Target;
use crate::diagnosis::Diagnosis;
use crate::ending::Ending;
use crate::ftp::command::Direction;

/// The metrics of one backend of a pool.
#[derive(Debug)]
pub struct BackendMetrics {
    pool: Box<str>,
    backend: Box<str>,
    condition: Condition,
    connect: Histogram,
    greeting: Histogram,
    sessions: IntGauge,
    login_failures: IntCounter,
    replies: Each<u16>,
    transfers_running: IntGauge,
    transfer_bytes: Each<Direction>,
    diagnoses: DiagnosisMetrics,
    /// Not resolved: it has a series for each ending.
    transfers: IntCounterVec,
    internal_errors: IntCounter,
}

/// Who connects for data, as the client asked for it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum DataMode {
    /// The server: `PORT`, `EPRT`.
    Active,
    /// Nobody: the transfer had no data connection.
    None,
    /// The client: `PASV`, `EPSV`.
    Passive,
}

/// What a transfer is for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TransferDirection {
    /// `RETR`.
    Download,
    /// `LIST`, `NLST`, `MLSD` and their like.
    List,
    /// The port was asked for, no transfer command came.
    None,
    /// `STOR`, `APPE`, `STOU`.
    Upload,
}

impl BackendMetrics {
    /// The name of the backend.
    pub fn name(&self) -> &str {
        &self.backend
    }

    /// Says what is known of the backend now.
    pub(super) fn publish(&self, target: &Target) {
        self.condition.publish(target);
    }

    /// Says that no backend has this name any more; sessions may still count here.
    pub(super) fn set_gone(&self) {
        self.condition.set_gone();
    }

    /// Bytes of data that were handed on in all, by direction.
    pub fn moved_in_all(&self, direction: Direction) -> u64 {
        self.transfer_bytes.get(direction)
    }

    /// Counts the result of a check, which took so long.
    pub fn checked(&self, ok: bool, took: Duration) {
        self.condition.checked(ok, took);
    }

    /// Counts an ejection.
    pub fn ejected(&self) {
        self.condition.ejected();
    }

    /// Counts what a session showed to be wrong with the backend. `Some`: it is time to say so; since the last
    /// time so many sessions showed it in silence.
    pub fn diagnosed(&self, diagnosis: Diagnosis, now: Instant) -> Option<u64> {
        self.diagnoses.add(diagnosis, now)
    }

    /// Counts a control connection that was made in `time`.
    pub fn connected(&self, time: Duration) {
        observe(&self.connect, time);
    }

    /// Counts a greeting that was complete `time` after the connection.
    pub fn greeted(&self, time: Duration) {
        observe(&self.greeting, time);
    }

    /// Counts a session as there until the returned value is dropped.
    pub fn session(&self) -> Running {
        Running::of(&self.sessions)
    }

    /// Counts a login that the backend refused.
    pub fn login_failed(&self) {
        self.login_failures.inc();
    }

    /// Counts a reply of the backend. Codes outside 100 to 699 are none.
    pub fn replied(&self, code: u16) {
        self.replies.add(code / 100, 1);
    }

    /// Counts a transfer as running until the returned value is dropped.
    pub fn transfer(&self) -> Running {
        Running::of(&self.transfers_running)
    }

    /// Counts `bytes` of data.
    pub fn moved(&self, direction: Direction, bytes: u64) {
        self.transfer_bytes.add(direction, bytes);
    }

    /// Counts the end of a transfer.
    pub fn transfer_ended(&self, direction: TransferDirection, mode: DataMode, ending: Ending) {
        let [side, phase, cause] = labels_of(ending);
        let (direction, mode) = (direction.label(), mode.label());
        let labels = [
            &self.pool,
            &self.backend,
            direction,
            mode,
            side,
            phase,
            cause,
        ];
        self.transfers.with_label_values(&labels).inc();
        count_internal(&self.internal_errors, ending);
    }
}

impl DataMode {
    /// The label in metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::None => "none",
            Self::Passive => "passive",
        }
    }
}

impl TransferDirection {
    /// The label in metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::List => "list",
            Self::None => "none",
            Self::Upload => "upload",
        }
    }
}

/// The families of which [`BackendMetrics`] are one backend's part.
#[derive(Debug)]
pub(super) struct BackendFamilies {
    conditions: ConditionFamilies,
    diagnoses: DiagnosisFamily,
    connect: HistogramVec,
    greeting: HistogramVec,
    sessions: IntGaugeVec,
    login_failures: IntCounterVec,
    replies: IntCounterVec,
    transfers_running: IntGaugeVec,
    transfer_bytes: IntCounterVec,
    transfers: IntCounterVec,
    /// Of the whole process.
    internal_errors: IntCounter,
}

impl BackendFamilies {
    pub(super) fn new(families: Families<'_>, internal_errors: IntCounter) -> Self {
        let counters = |name, help| families.counters(name, help, &["pool", "backend"]);
        let gauges = |name, help| families.gauges(name, help, &["pool", "backend"]);
        let histograms = |name, help| families.histograms(name, help, &["pool", "backend"]);
        let by = |name, help, label| families.counters(name, help, &["pool", "backend", label]);
        Self {
            conditions: ConditionFamilies::new(families),
            diagnoses: DiagnosisFamily::new(families),
            connect: histograms(
                "ftplb_backend_connect_seconds",
                "Time to connect the backend's control port.",
            ),
            greeting: histograms(
                "ftplb_backend_greeting_seconds",
                "Time from the connection to the end of the backend's greeting.",
            ),
            sessions: gauges(
                "ftplb_sessions_active",
                "Sessions that the backend has now.",
            ),
            login_failures: counters("ftplb_login_failures_total", "Logins that were refused."),
            replies: by(
                "ftplb_replies_total",
                "Replies of the backend, by first digit.",
                "class",
            ),
            transfers_running: gauges("ftplb_transfers_active", "Transfers that run now."),
            transfer_bytes: by(
                "ftplb_transfer_bytes_total",
                "Bytes of data connections that were handed on.",
                "direction",
            ),
            transfers: families.counters(
                "ftplb_transfers_total",
                "Transfers that ended, by who ended them, in which phase and why.",
                &TRANSFER_LABELS,
            ),
            internal_errors,
        }
    }

    /// Drops every series of these labels.
    pub(super) fn forget(&self, labels: &Labels<'_>) {
        let Self {
            conditions,
            diagnoses,
            connect,
            greeting,
            sessions,
            login_failures,
            replies,
            transfers_running,
            transfer_bytes,
            transfers,
            internal_errors: _,
        } = self;
        conditions.forget(labels);
        diagnoses.forget(labels);
        for gauges in [sessions, transfers_running] {
            forget(gauges, labels);
        }
        for histograms in [connect, greeting] {
            forget(histograms, labels);
        }
        for counters in [login_failures, replies, transfer_bytes, transfers] {
            forget(counters, labels);
        }
    }

    pub(super) fn resolve(&self, pool: &str, backend: &str) -> BackendMetrics {
        let by =
            |family: &IntCounterVec, label: &str| family.with_label_values(&[pool, backend, label]);
        let labels = &[pool, backend];
        BackendMetrics {
            pool: pool.into(),
            backend: backend.into(),
            condition: self.conditions.resolve(pool, backend),
            diagnoses: self.diagnoses.resolve(pool, backend),
            connect: self.connect.with_label_values(labels),
            greeting: self.greeting.with_label_values(labels),
            sessions: self.sessions.with_label_values(labels),
            login_failures: self.login_failures.with_label_values(labels),
            replies: Each::new(&[1, 2, 3, 4, 5, 6], |class| {
                by(&self.replies, &class.to_string())
            }),
            transfers_running: self.transfers_running.with_label_values(labels),
            transfer_bytes: Each::new(&[Direction::ToBackend, Direction::ToClient], |direction| {
                by(&self.transfer_bytes, direction.label())
            }),
            transfers: self.transfers.clone(),
            internal_errors: self.internal_errors.clone(),
        }
    }
}

const TRANSFER_LABELS: [&str; 7] = [
    "pool",
    "backend",
    "direction",
    "mode",
    "side",
    "phase",
    "cause",
];
