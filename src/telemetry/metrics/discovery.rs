//! What is counted of the backends that a pool finds by name.

use std::sync::Arc;

use prometheus::{IntCounterVec, IntGauge, IntGaugeVec};

use super::{Each, Families, Labels, Metrics, forget};

/// The metrics of one pool's discovery. Its series are there while this lives.
#[derive(Debug)]
pub struct DiscoveryMetrics {
    metrics: Arc<Metrics>,
    pool: Arc<str>,
    lookups: Each<LookupResult>,
    backends: IntGauge,
}

/// What came of a look into DNS.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum LookupResult {
    /// No name server says that there is anything.
    Empty,
    /// No name server could say.
    Failed,
    /// Something was found.
    Found,
}

impl DiscoveryMetrics {
    pub(super) fn new(metrics: Arc<Metrics>, pool: Arc<str>) -> Self {
        let DiscoveryFamilies { lookups, backends } = &metrics.discoveries;
        Self {
            lookups: Each::new(&LookupResult::ALL, |result| {
                lookups.with_label_values(&[&*pool, result.label()])
            }),
            backends: backends.with_label_values(&[&*pool]),
            metrics,
            pool,
        }
    }

    /// Counts a look into DNS.
    pub fn looked_up(&self, result: LookupResult) {
        self.lookups.add(result, 1);
    }

    /// Says how many backends are found now, by all names of the pool.
    pub fn set_backends(&self, backends: usize) {
        let backends = i64::try_from(backends).unwrap_or(i64::MAX);
        self.backends.set(backends);
    }
}

impl Drop for DiscoveryMetrics {
    fn drop(&mut self) {
        let labels: &Labels<'_> = &[("pool", &[&self.pool])];
        forget(&self.metrics.discoveries.lookups, labels);
        forget(&self.metrics.discoveries.backends, labels);
    }
}

impl LookupResult {
    const ALL: [Self; 3] = [Self::Empty, Self::Failed, Self::Found];

    const fn label(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Failed => "failed",
            Self::Found => "ok",
        }
    }
}

/// The families of which [`DiscoveryMetrics`] are one pool's part.
#[derive(Debug)]
pub(super) struct DiscoveryFamilies {
    lookups: IntCounterVec,
    backends: IntGaugeVec,
}

impl DiscoveryFamilies {
    pub(super) fn new(families: Families<'_>) -> Self {
        Self {
            lookups: families.counters(
                "ftplb_discovery_lookups_total",
                "Looks into DNS for the backends of the pool, by result.",
                &["pool", "result"],
            ),
            backends: families.gauges(
                "ftplb_discovery_backends",
                "Backends that were found by name and are in the pool.",
                &["pool"],
            ),
        }
    }
}
