//! What is counted of reloads. The two gauges are those that Prometheus and Alertmanager have of themselves.

use std::time::SystemTime;

use prometheus::IntGauge;

use super::{Each, Families};

/// The metrics of reloads.
#[derive(Debug)]
pub struct ReloadMetrics {
    reloads: Each<bool>,
    successful: IntGauge,
    success_time: IntGauge,
}

impl ReloadMetrics {
    pub(super) fn new(families: Families<'_>) -> Self {
        let reloads = families.counters(
            "ftplb_reloads_total",
            "Reloads of the configuration, by result.",
            &["result"],
        );
        let gauge = |name, help| {
            let gauges = families.gauges(name, help, &[]);
            gauges.with_label_values::<&str>(&[])
        };
        Self {
            reloads: Each::new(&[true, false], |ok| {
                reloads.with_label_values(&[if ok { "ok" } else { "failed" }])
            }),
            successful: gauge(
                "ftplb_config_last_reload_successful",
                "1 if the configuration as it was last read is in effect, 0 if it was refused.",
            ),
            success_time: gauge(
                "ftplb_config_last_reload_success_timestamp_seconds",
                "When the configuration in effect was read, in seconds since 1970.",
            ),
        }
    }

    /// Says that ftplb begins with a configuration.
    pub fn began(&self) {
        self.successful.set(1);
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        self.success_time.set(seconds);
    }

    /// Counts a reload, and whether there is another configuration in effect now.
    pub fn ended(&self, ok: bool) {
        self.reloads.add(ok, 1);
        if ok {
            self.began();
        } else {
            self.successful.set(0);
        }
    }
}
