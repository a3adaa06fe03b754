//! What is counted for a pool, and the handles of its backends.

use std::sync::Arc;
use std::time::Instant;

use dashmap::DashMap;
use prometheus::{IntGauge, IntGaugeVec};

use super::{BackendMetrics, Families, Metrics};
use crate::balance::{BackendId, Pool, Target};

/// The metrics of a pool. Its backends come and go; their series go with the last of a name.
#[derive(Debug)]
pub struct PoolMetrics {
    metrics: Arc<Metrics>,
    pool: Arc<str>,
    backends: DashMap<BackendId, Arc<BackendMetrics>>,
    quorum: IntGauge,
    waiting: IntGauge,
}

impl PoolMetrics {
    /// The metrics of the pool called `pool`.
    pub fn new(metrics: Arc<Metrics>, pool: Arc<str>) -> Self {
        let PoolFamilies { quorum, waiting } = &metrics.pools;
        Self {
            quorum: quorum.with_label_values(&[&*pool]),
            waiting: waiting.with_label_values(&[&*pool]),
            backends: DashMap::new(),
            metrics,
            pool,
        }
    }

    /// The metrics of one of its backends.
    pub fn backend(&self, target: &Target) -> Arc<BackendMetrics> {
        if let Some(known) = self.backends.get(&target.id) {
            return Arc::clone(&known);
        }
        let resolve = || Arc::new(self.metrics.backend(&self.pool, &target.name));
        Arc::clone(&self.backends.entry(target.id).or_insert_with(resolve))
    }

    /// Writes what is known only by looking into the gauges: before every scrape. `waiting` sessions wait
    /// for room.
    pub fn publish(&self, pool: &Pool, waiting: usize, now: Instant) {
        let snapshot = pool.snapshot(now);
        self.quorum.set(snapshot.has_quorum().into());
        self.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        for target in snapshot.targets() {
            self.backend(target).publish(target);
        }
    }

    /// Forgets a backend that is gone. Its series go, unless another has taken its name.
    pub fn forget(&self, target: &Target) {
        self.backends.remove(&target.id);
        let is_namesake = |backend: &BackendMetrics| backend.name() == &*target.name;
        if !self.backends.iter().any(|other| is_namesake(&other)) {
            self.metrics.forget_backend(&self.pool, &target.name);
        }
    }
}

impl Drop for PoolMetrics {
    fn drop(&mut self) {
        for family in [&self.metrics.pools.quorum, &self.metrics.pools.waiting] {
            // It was made in `new`, and nobody else removes it.
            let _removed = family.remove_label_values(&[&*self.pool]);
        }
    }
}

/// The families of which [`PoolMetrics`] are one pool's part.
#[derive(Debug)]
pub(super) struct PoolFamilies {
    quorum: IntGaugeVec,
    waiting: IntGaugeVec,
}

impl PoolFamilies {
    pub(super) fn new(families: Families<'_>) -> Self {
        let gauges = |name, help| families.gauges(name, help, &["pool"]);
        Self {
            quorum: gauges(
                "ftplb_pool_quorum",
                "1 while enough of the pool is alive, else 0.",
            ),
            waiting: gauges(
                "ftplb_sessions_waiting",
                "Sessions that wait because every backend that is up is full.",
            ),
        }
    }
}
