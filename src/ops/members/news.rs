//! What is told of the members of a pool: to logs, metrics, the journal and scripts.

use std::sync::Arc;
use std::time::Instant;

use super::Members;
use crate::balance::{BackendId, News, Snapshot, Standing, Target};
use crate::ops::checks::Report;
use crate::telemetry::pool::{tell_availability, tell_check, tell_diagnosis, tell_news};

impl Members {
    /// Takes what a check of the backend called `id` has found.
    pub(super) fn on_report(&self, id: BackendId, report: &Report<'_>) {
        let now = Instant::now();
        let snapshot = self.parts.pool.snapshot(now);
        // It may have been found before the backend went, and its metrics with it.
        let Some(target) = snapshot.target(id) else {
            return;
        };
        let (pool, metrics) = (&self.parts.pool, self.parts.metrics.backend(target));
        let (weight, error) = (report.weight(), report.error().map(|error| error as _));
        if report.result.is_some() {
            metrics.checked(error.is_none(), report.took);
            { &self.journal }.checked(id, report.check, report.took, error, now);
            tell_check(pool.name(), target, error);
        }
        if let Some(diagnosis) = report.diagnosis()
            && let Some(suppressed) = metrics.diagnosed(diagnosis, now)
        {
            tell_diagnosis(pool.name(), target, diagnosis, suppressed);
        }
        if report.news.is_some() || weight.is_some() {
            let news = pool.report_check(id, report.check, report.news, weight, now);
            tell_news(pool, &news, error);
            self.run_scripts(&news);
            self.parts.room.look_again();
            self.journal.observe(&pool.snapshot(now), now);
        }
        tell_availability(pool, now);
    }

    /// Says which backends have come and gone by name.
    pub(super) fn tell_members(&self, before: &Snapshot, after: &Snapshot) {
        let pool = self.parts.pool.name();
        let stands = |snapshot: &Snapshot, id| {
            let target = snapshot.target(id);
            target.is_some_and(|target| target.standing != Standing::Removed)
        };
        for target in after.targets() {
            let backend = &target.name;
            match (stands(before, target.id), stands(after, target.id)) {
                (false, true) => tracing::info!(%pool, %backend, "backend found by name"),
                (true, false) => {
                    tracing::info!(%pool, %backend, "backend is found by name no longer: it is drained");
                }
                _ => {}
            }
        }
    }

    /// Says what has changed by an order, a reload or a discovery.
    pub(super) fn tell(&self, news: &[News], now: Instant) {
        tell_news(&self.parts.pool, news, None);
        tell_availability(&self.parts.pool, now);
        self.run_scripts(news);
        self.parts.room.look_again();
    }

    /// At shutdown: the scripts for down are run if the pool wants that (keepalived's omega).
    pub fn farewell(&self) {
        let inner = self.inner();
        if !inner.config.omega {
            return;
        }
        let (pool, scripts) = (self.parts.pool.name(), inner.surrounding.scripts.clone());
        let snapshot = self.parts.pool.snapshot(Instant::now());
        // Who is down already was told of.
        let is_up = |target: &&Arc<Target>| !target.state.is_down();
        for target in snapshot.targets().iter().filter(is_up) {
            if let Some(notify) = inner.notifies.get(&target.id) {
                { &self.notifier }.backend(pool, target, false, notify, &scripts);
            }
        }
        if snapshot.has_quorum() {
            let notify = &inner.config.quorum.notify;
            self.notifier.quorum(pool, false, notify, &scripts);
        }
    }

    fn run_scripts(&self, news: &[News]) {
        if news.is_empty() {
            return;
        }
        let inner = self.inner();
        let (pool, scripts) = (self.parts.pool.name(), &inner.surrounding.scripts);
        for news in news {
            match news {
                // What a check only confirms is no change; an ejection is none either.
                News::Backend { target, state } if target.state.is_down() != state.is_down() => {
                    let is_up = !state.is_down();
                    if let Some(notify) = inner.notifies.get(&target.id) {
                        self.notifier.backend(pool, target, is_up, notify, scripts);
                    }
                }
                News::Backend { .. } => {}
                News::Quorum { is_held, .. } => {
                    let notify = &inner.config.quorum.notify;
                    self.notifier.quorum(pool, *is_held, notify, scripts);
                }
            }
        }
    }
}
