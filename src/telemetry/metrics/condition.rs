//! What is counted of a backend's condition: checks, weight, standing.

use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::{Each, Families, Labels, forget, observe};
use crate::balance::{Standing, Target};
use crate::health::Availability;

/// The condition of one backend.
#[derive(Debug)]
pub(super) struct Condition {
    up: IntGauge,
    weight: IntGauge,
    standings: Vec<(Standing, IntGauge)>,
    checks: Each<bool>,
    check: Histogram,
    ejections: IntCounter,
}

impl Condition {
    pub(super) fn publish(&self, target: &Target) {
        let is_up = target.state == Availability::Up;
        self.set(is_up, target.weight, target.standing);
    }

    pub(super) fn set_gone(&self) {
        self.set(false, 0, Standing::Removed);
    }

    fn set(&self, is_up: bool, weight: u32, standing: Standing) {
        self.up.set(is_up.into());
        self.weight.set(weight.into());
        for (of, gauge) in &self.standings {
            gauge.set((*of == standing).into());
        }
    }

    pub(super) fn checked(&self, ok: bool, took: Duration) {
        self.checks.add(ok, 1);
        observe(&self.check, took);
    }

    pub(super) fn ejected(&self) {
        self.ejections.inc();
    }
}

/// The families of which [`Condition`] is one backend's part.
#[derive(Debug)]
pub(super) struct ConditionFamilies {
    up: IntGaugeVec,
    weight: IntGaugeVec,
    standing: IntGaugeVec,
    checks: IntCounterVec,
    check: HistogramVec,
    ejections: IntCounterVec,
}

impl ConditionFamilies {
    pub(super) fn new(families: Families<'_>) -> Self {
        let of_backend = &["pool", "backend"];
        Self {
            up: families.gauges(
                "ftplb_backend_up",
                "1 while checks and live traffic say that the backend works, else 0.",
                of_backend,
            ),
            weight: families.gauges(
                "ftplb_backend_weight",
                "The weight of the backend in effect. 0: it gets no new sessions.",
                of_backend,
            ),
            standing: families.gauges(
                "ftplb_backend_standing",
                "1 at what the operator wants of the backend, else 0.",
                &["pool", "backend", "standing"],
            ),
            checks: families.counters(
                "ftplb_backend_checks_total",
                "Health checks, by result.",
                &["pool", "backend", "result"],
            ),
            check: families.histograms(
                "ftplb_backend_check_seconds",
                "Time that a health check took.",
                of_backend,
            ),
            ejections: families.counters(
                "ftplb_backend_ejections_total",
                "Times that the backend was left out for failing in live traffic.",
                of_backend,
            ),
        }
    }

    /// Drops every series of these labels.
    pub(super) fn forget(&self, labels: &Labels<'_>) {
        for gauges in [&self.up, &self.weight, &self.standing] {
            forget(gauges, labels);
        }
        for counters in [&self.checks, &self.ejections] {
            forget(counters, labels);
        }
        forget(&self.check, labels);
    }

    pub(super) fn resolve(&self, pool: &str, backend: &str) -> Condition {
        let labels = &[pool, backend];
        let standing = |standing: Standing| {
            let gauge = { &self.standing }.with_label_values(&[pool, backend, standing.label()]);
            (standing, gauge)
        };
        Condition {
            up: self.up.with_label_values(labels),
            weight: self.weight.with_label_values(labels),
            standings: STANDINGS.map(standing).into(),
            checks: Each::new(&[true, false], |ok| {
                let result = if ok { "ok" } else { "failed" };
                self.checks.with_label_values(&[pool, backend, result])
            }),
            check: self.check.with_label_values(labels),
            ejections: self.ejections.with_label_values(labels),
        }
    }
}

const STANDINGS: [Standing; 4] = [
    Standing::Serving,
    Standing::Draining,
    Standing::Disabled,
    Standing::Removed,
];
