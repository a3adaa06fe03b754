//! What sessions show to be wrong with a backend: counted always, said once an hour.

use std::time::{Duration, Instant};

use prometheus::IntCounterVec;

use super::{Each, Families, Labels, forget};
use crate::diagnosis::Diagnosis;
use crate::telemetry::sparse::Sparse;

/// The diagnoses of one backend.
#[derive(Debug)]
pub(super) struct DiagnosisMetrics {
    counters: Each<Diagnosis>,
    advised: Advised,
}

impl DiagnosisMetrics {
    pub(super) fn add(&self, diagnosis: Diagnosis, now: Instant) -> Option<u64> {
        self.counters.add(diagnosis, 1);
        self.advised.pass(diagnosis, now)
    }
}

/// The family of which [`DiagnosisMetrics`] are one backend's part.
#[derive(Debug)]
pub(super) struct DiagnosisFamily {
    counters: IntCounterVec,
}

impl DiagnosisFamily {
    pub(super) fn new(families: Families<'_>) -> Self {
        Self {
            counters: families.counters(
                "ftplb_backend_diagnoses_total",
                "Sessions that showed something to be wrong with the backend, by what it is.",
                &["pool", "backend", "diagnosis"],
            ),
        }
    }

    /// Drops every series that has all of these labels.
    pub(super) fn forget(&self, labels: &Labels<'_>) {
        forget(&self.counters, labels);
    }

    pub(super) fn resolve(&self, pool: &str, backend: &str) -> DiagnosisMetrics {
        let counter = |diagnosis: Diagnosis| {
            let labels = [pool, backend, diagnosis.label()];
            self.counters.with_label_values(&labels)
        };
        DiagnosisMetrics {
            counters: Each::new(&Diagnosis::ALL, counter),
            advised: Advised::new(Instant::now()),
        }
    }
}

/// When each diagnosis of one backend was last said.
#[derive(Debug)]
struct Advised {
    lines: [(Diagnosis, Sparse); Diagnosis::ALL.len()],
}

impl Advised {
    fn new(now: Instant) -> Self {
        let line = |diagnosis| (diagnosis, Sparse::once_in(INTERVAL, now));
        Self {
            lines: Diagnosis::ALL.map(line),
        }
    }

    fn pass(&self, diagnosis: Diagnosis, now: Instant) -> Option<u64> {
        let (_, line) = self.lines.iter().find(|(of, _)| *of == diagnosis)?;
        line.pass(now)
    }
}

/// Between two lines on the same: often enough for whoever looks at the log of a watch, and no flood where a
/// backend stays as it is for years.
const INTERVAL: Duration = Duration::from_hours(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_diagnosis_is_said_once_an_hour() {
        let now = Instant::now();
        let advised = Advised::new(now);
        for (time, said) in [
            (now, Some(0)),
            (now + INTERVAL.mul_f64(0.99), None),
            (now + INTERVAL, Some(1)),
        ] {
            for diagnosis in Diagnosis::ALL {
                assert_eq!(advised.pass(diagnosis, time), said, "{diagnosis:?}");
            }
        }
    }
}
