//! What Prometheus is told.
//!
//! A [`Metrics`] is built once, owns its registry and is passed on; there is no global. Labels come from
//! closed sets: names of listeners, pools and backends, which the configuration bounds, and the enums
//! here and in [`crate::ending`]. No address of a client, user name or file name ever is a label.
//!
//! Who counts often resolves a [`ListenerMetrics`] or a [`BackendMetrics`] once and keeps it: an increment
//! then is one atomic addition. What happens once in a session or a transfer is looked up by its labels.
//! Series of the closed sets exist from the start, at 0, so that a rate sees the first increment; those by
//! ending appear with their first.

mod backend;
mod condition;
mod diagnoses;
mod discovery;
mod handover;
mod listener;
mod pool;
mod process;
mod reload;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use self::backend::BackendFamilies;
pub use self::backend::{BackendMetrics, DataMode, TransferDirection};
use self::discovery::DiscoveryFamilies;
pub use self::discovery::{DiscoveryMetrics, LookupResult};
pub use self::handover::HandoverMetrics;
use self::listener::ListenerFamilies;
pub use self::listener::{LeaseRefusal, Leg, ListenerMetrics};
use self::pool::PoolFamilies;
pub use self::pool::PoolMetrics;
use self::process::Process;
pub use self::reload::ReloadMetrics;
use crate::ending::{Cause, Ending};

/// The `Content-Type` of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Every metric of a process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    sessions: IntCounterVec,
    internal_errors: IntCounter,
    listeners: ListenerFamilies,
    backends: BackendFamilies,
    pools: PoolFamilies,
    discoveries: DiscoveryFamilies,
    /// Those of upgrades.
    pub handovers: HandoverMetrics,
    /// Those of reloads.
    pub reloads: ReloadMetrics,
    sessions_before_login: IntGauge,
    log_lines_dropped: IntCounter,
    transfer_log_lines_dropped: IntCounter,
    process: Process,
}

impl Metrics {
    /// All families, nothing counted.
    pub fn new() -> Self {
        let registry = Registry::new();
        let families = Families(&registry);
        families
            .gauges(
                "ftplb_build_info",
                "Always 1; the version is the label.",
                &["version"],
            )
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        let internal_errors = families.counters(
            "ftplb_internal_errors_total",
            "Sessions and transfers that ended by an error of ftplb's own.",
            &[],
        );
        let internal_errors = internal_errors.with_label_values::<&str>(&[]);
        Self {
            sessions: families.counters(
                "ftplb_sessions_total",
                "Sessions that ended, by who ended them, in which phase and why. No backend: none was reached.",
                &["listener", "pool", "backend", "side", "phase", "cause"],
            ),
            listeners: ListenerFamilies::new(families),
            backends: BackendFamilies::new(families, internal_errors.clone()),
            internal_errors,
            pools: PoolFamilies::new(families),
            discoveries: DiscoveryFamilies::new(families),
            handovers: HandoverMetrics::new(families),
            reloads: ReloadMetrics::new(families),
            sessions_before_login: families
                .gauges(
                    "ftplb_sessions_before_login",
                    "Sessions that have not logged in.",
                    &[],
                )
                .with_label_values::<&str>(&[]),
            log_lines_dropped: families
                .counters(
                    "ftplb_log_lines_dropped_total",
                    "Log lines that nobody took fast enough, or that could not be written.",
                    &[],
                )
                .with_label_values::<&str>(&[]),
            transfer_log_lines_dropped: families
                .counters(
                    "ftplb_transfer_log_lines_dropped_total",
                    "Transfers that are not in the transfer log: its file was not written fast enough, or not at all.",
                    &[],
                )
                .with_label_values::<&str>(&[]),
            process: Process::new(families),
            registry,
        }
    }

    /// The metrics of the listener called `listener`.
    pub fn listener(&self, listener: &str) -> ListenerMetrics {
        self.listeners.resolve(listener)
    }

    /// The metrics of the backend called `backend` of `pool`.
    pub fn backend(&self, pool: &str, backend: &str) -> BackendMetrics {
        self.backends.resolve(pool, backend)
    }

    /// Drops every series of the listener called `listener` but what its sessions have made.
    pub fn forget_listener(&self, listener: &str) {
        self.listeners.forget(&[("listener", &[listener])]);
    }

    /// Drops what the sessions of the listener called `listener` have made.
    pub fn forget_listener_sessions(&self, listener: &str) {
        forget(&self.sessions, &[("listener", &[listener])]);
    }

    /// Drops every series of these backends of `pool`.
    fn forget_backends(&self, pool: &str, backends: &[&str]) {
        let labels: &Labels<'_> = &[("pool", &[pool]), ("backend", backends)];
        forget(&self.sessions, labels);
        self.backends.forget(labels);
    }

    /// Counts the end of a session. Without a `backend` none had greeted it.
    pub fn session_ended(&self, listener: &str, pool: &str, backend: Option<&str>, ending: Ending) {
        let [side, phase, cause] = labels_of(ending);
        let labels = [
            listener,
            pool,
            backend.unwrap_or_default(),
            side,
            phase,
            cause,
        ];
        self.sessions.with_label_values(&labels).inc();
        count_internal(&self.internal_errors, ending);
    }

    /// Says how many sessions have not logged in.
    pub fn set_sessions_before_login(&self, sessions: usize) {
        let sessions = i64::try_from(sessions).unwrap_or(i64::MAX);
        self.sessions_before_login.set(sessions);
    }

    /// Says how many log lines were dropped in all.
    pub fn set_log_lines_dropped(&self, total: u64) {
        self.log_lines_dropped
            .inc_by(total.saturating_sub(self.log_lines_dropped.get()));
    }

    /// Says how many lines of the transfer log were dropped in all.
    pub fn set_transfer_log_lines_dropped(&self, total: u64) {
        self.transfer_log_lines_dropped
            .inc_by(total.saturating_sub(self.transfer_log_lines_dropped.get()));
    }

    /// Everything in the text format 0.0.4, whose media type is [`CONTENT_TYPE`].
    #[expect(
        clippy::missing_panics_doc,
        reason = "it does not: what could fail is made here"
    )]
    pub fn render(&self) -> String {
        self.process.update();
        let families = self.registry.gather();
        TextEncoder::new()
            .encode_to_string(&families)
            .expect("a string takes any text, and gathered families have a name and a value")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// One of what a gauge counts, until this is dropped.
#[derive(Debug)]
#[must_use = "it is counted only while this lives"]
pub struct Running(IntGauge);

impl Running {
    fn of(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The counters of one label, resolved for each of its values.
#[derive(Clone, Debug)]
struct Each<L> {
    counters: Vec<(L, IntCounter)>,
}

impl<L: Copy + Eq> Each<L> {
    fn new(values: &[L], counter: impl Fn(L) -> IntCounter) -> Self {
        Self {
            counters: values
                .iter()
                .map(|value| (*value, counter(*value)))
                .collect(),
        }
    }

    fn add(&self, value: L, amount: u64) {
        if let Some((_, counter)) = self.counters.iter().find(|(label, _)| *label == value) {
            counter.inc_by(amount);
        }
    }

    fn get(&self, value: L) -> u64 {
        let counter = self.counters.iter().find(|(label, _)| *label == value);
        counter.map_or(0, |(_, counter)| counter.get())
    }

    /// Brings a counter up to a total that is counted elsewhere.
    fn raise(&self, value: L, total: u64) {
        if let Some((_, counter)) = self.counters.iter().find(|(label, _)| *label == value) {
            counter.inc_by(total.saturating_sub(counter.get()));
        }
    }
}

/// Labels with the values that are meant.
type Labels<'a> = [(&'a str, &'a [&'a str])];

/// Drops the series of a family that have one of these values at each of these labels.
fn forget<B: MetricVecBuilder>(family: &MetricVec<B>, labels: &Labels<'_>) {
    for gathered in family.collect() {
        for metric in gathered.get_metric() {
            let pairs = { metric.get_label().iter() }.map(|pair| (pair.name(), pair.value()));
            let found: HashMap<_, _> = pairs.collect();
            let is_meant = |(name, values): &(&str, &[&str])| {
                { found.get(name) }.is_some_and(|value| values.contains(value))
            };
            if labels.iter().all(is_meant) {
                // Whoever was quicker has removed the same.
                let _removed = family.remove(&found);
            }
        }
    }
}

/// Where families are made.
#[derive(Clone, Copy)]
struct Families<'a>(&'a Registry);

impl Families<'_> {
    fn counters(self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.register(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn gauges(self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    /// Of seconds.
    fn histograms(self, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
        let options = HistogramOpts::new(name, help).buckets(BUCKETS_SECONDS.to_vec());
        self.register(HistogramVec::new(options, labels))
    }

    fn register<F: Collector + Clone + 'static>(self, family: prometheus::Result<F>) -> F {
        let family = family.expect("names and labels are valid constants");
        let registered = self.0.register(Box::new(family.clone()));
        registered.expect("every name is registered once");
        family
    }
}

fn labels_of(ending: Ending) -> [&'static str; 3] {
    [
        ending.side.label(),
        ending.phase.label(),
        ending.cause.label(),
    ]
}

/// Counts an error of ftplb's own once more, in a series that is there before it: an alert on the first one
/// needs that.
fn count_internal(errors: &IntCounter, ending: Ending) {
    if ending.cause == Cause::Internal {
        errors.inc();
    }
}

fn observe(histogram: &Histogram, time: std::time::Duration) {
    histogram.observe(time.as_secs_f64());
}

/// From a backend in the same rack to one that looks up its client's name before it greets.
const BUCKETS_SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0, 10.0, 30.0,
];
