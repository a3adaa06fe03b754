//! What is counted of upgrades in place.

use prometheus::{IntCounter, IntGauge};

use super::Families;

/// The metrics of upgrades.
#[derive(Debug)]
pub struct HandoverMetrics {
    failed: IntCounter,
    older_sessions: IntGauge,
}

impl HandoverMetrics {
    pub(super) fn new(families: Families<'_>) -> Self {
        let failed = families.counters(
            "ftplb_handovers_failed_total",
            "Processes that asked to take over and did not come to serve.",
            &[],
        );
        let older_sessions = families.gauges(
            "ftplb_older_process_sessions",
            "Sessions that are left in the process that this one took over from.",
            &[],
        );
        Self {
            failed: failed.with_label_values::<&str>(&[]),
            older_sessions: older_sessions.with_label_values::<&str>(&[]),
        }
    }

    /// Counts a process that did not take over after all.
    pub fn failed(&self) {
        self.failed.inc();
    }

    /// Says how many sessions are left in the older process.
    pub fn set_older_sessions(&self, sessions: usize) {
        self.older_sessions
            .set(i64::try_from(sessions).unwrap_or(i64::MAX));
    }

    /// How many these are.
    pub fn older_sessions(&self) -> usize {
        usize::try_from(self.older_sessions.get()).unwrap_or_default()
    }
}
