//! What is counted for a pool, and the handles of its backends.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use dashmap::DashMap;
use prometheus::{IntGauge, IntGaugeVec};

use super::{BackendMetrics, DiscoveryMetrics, Families, Metrics, forget};
use crate::balance::{BackendId, Pool, Standing, Target};

/// The metrics of a pool. Its backends come, go and change their names; the series of a name go when no
/// backend has it any more, and no session that counts there is left.
#[derive(Debug)]
pub struct PoolMetrics {
    metrics: Arc<Metrics>,
    pool: Arc<str>,
    backends: DashMap<BackendId, Arc<BackendMetrics>>,
    /// Of backends that are gone or have another name now.
    former: Mutex<Vec<Arc<BackendMetrics>>>,
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
            former: Mutex::default(),
            metrics,
            pool,
        }
    }

    /// The metrics of one of its backends.
    pub fn backend(&self, target: &Target) -> Arc<BackendMetrics> {
        if let Some(known) = self.backends.get(&target.id) {
            return Arc::clone(&known);
        }
        let resolve = || self.resolve(target);
        Arc::clone(&self.backends.entry(target.id).or_insert_with(resolve))
    }

    /// The metrics of what it finds by name.
    pub fn discovery(&self) -> DiscoveryMetrics {
        DiscoveryMetrics::new(Arc::clone(&self.metrics), Arc::clone(&self.pool))
    }

    /// Goes on with the backends that the pool has now. To be called after each change of them, and now and
    /// then: sessions come to an end at any time.
    pub fn follow(&self, pool: &Pool, now: Instant) {
        let mut former = self.former.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshot = pool.snapshot(now);
        for target in snapshot.targets() {
            let mut known =
                { self.backends.entry(target.id) }.or_insert_with(|| self.resolve(target));
            if *known.name() != *target.name {
                former.push(std::mem::replace(&mut *known, self.resolve(target)));
            }
        }
        self.backends.retain(|id, known| {
            let is_there = snapshot.target(*id).is_some();
            if !is_there {
                former.push(Arc::clone(known));
            }
            is_there
        });
        // Whoever is not held by a session can not come to be held: nobody finds it any more.
        let is_left = |known: &mut Arc<BackendMetrics>| Arc::strong_count(known) == 1;
        let left: Vec<_> = former.extract_if(.., is_left).collect();
        let has_name = |known: &BackendMetrics, name: &str| known.name() == name;
        let is_named = |name: &str| self.backends.iter().any(|known| has_name(&known, name));
        for known in former.iter().filter(|known| !is_named(known.name())) {
            known.set_gone();
        }
        let is_unused =
            |name: &&str| !is_named(name) && !former.iter().any(|known| has_name(known, name));
        let names: Vec<_> = { left.iter() }
            .map(|known| known.name())
            .filter(is_unused)
            .collect();
        if !names.is_empty() {
            self.metrics.forget_backends(&self.pool, &names);
        }
    }

    /// Writes what is known only by looking into the gauges: before every scrape. `waiting` sessions wait
    /// for room.
    pub fn publish(&self, pool: &Pool, waiting: usize, now: Instant) {
        let snapshot = pool.snapshot(now);
        self.quorum.set(snapshot.has_quorum().into());
        self.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        let targets = snapshot.targets();
        let is_there = |target: &&Arc<Target>| target.standing != Standing::Removed;
        for target in targets {
            // Another may have taken the name of one that is about to go.
            let mut others = targets.iter().filter(is_there);
            let is_namesake = |other: &Target| other.id != target.id && other.name == target.name;
            if (is_there(&target) || !others.any(|other| is_namesake(other)))
                && let Some(metrics) = self.backends.get(&target.id)
            {
                metrics.publish(target);
            }
        }
    }

    /// Whether nothing is left of it: no backend, no session, and no listener.
    pub fn is_unused(self: &Arc<Self>) -> bool {
        let former = self.former.lock().unwrap_or_else(PoisonError::into_inner);
        former.is_empty() && self.backends.is_empty() && Arc::strong_count(self) == 1
    }

    fn resolve(&self, target: &Target) -> Arc<BackendMetrics> {
        Arc::new(self.metrics.backend(&self.pool, &target.name))
    }
}

impl Drop for PoolMetrics {
    fn drop(&mut self) {
        // Those of sessions that no backend has had; nobody else knows of them any more.
        forget(&self.metrics.sessions, &[("pool", &[&*self.pool])]);
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
