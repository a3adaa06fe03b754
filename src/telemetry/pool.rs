//! What is said of a pool and its backends.

use std::error::Error;
use std::time::Instant;

use crate::balance::{News, Pool, Target};
use crate::diagnosis::Diagnosis;
use crate::health::Availability;

/// Says that a pool has lost its last backend, or has one again. After every change of a backend's state.
pub fn tell_availability(pool: &Pool, now: Instant) {
    let name = pool.name();
    match pool.availability_news(now) {
        Some(false) => tracing::error!(pool = %name, "no backend is up: clients get 421"),
        Some(true) => tracing::info!(pool = %name, "a backend is up again"),
        None => {}
    }
}

/// Says that a check has failed, to whoever looks into checks.
pub fn tell_check(pool: &str, target: &Target, error: Option<&(dyn Error + 'static)>) {
    if let Some(error) = error {
        let (backend, source) = (&target.name, error.source().map(ToString::to_string));
        tracing::debug!(%pool, %backend, error, source, "health check failed");
    }
}

/// Says what a check has shown to be wrong with a backend. `suppressed` tells since the last time.
pub fn tell_diagnosis(pool: &str, target: &Target, diagnosis: Diagnosis, suppressed: u64) {
    let (backend, label) = (&target.name, diagnosis.label());
    let advice = diagnosis.advice();
    tracing::warn!(%pool, %backend, diagnosis = label, suppressed, "{advice}");
}

/// Says what has changed, and by which failure of a check, if it was one.
pub fn tell_news(pool: &Pool, news: &[News], error: Option<&(dyn Error + 'static)>) {
    let pool = pool.name();
    let source = error.and_then(Error::source).map(ToString::to_string);
    for news in news {
        match news {
            News::Backend { target, state } => {
                let (backend, state) = (&target.name, *state);
                let label = state.label();
                if state == Availability::Up {
                    tracing::info!(%pool, %backend, state = label, "backend state changed by its health check");
                } else {
                    tracing::warn!(%pool, %backend, state = label, error, source, "backend state changed by its health check");
                }
            }
            News::Quorum { is_held: true, .. } => tracing::info!(%pool, "the pool has its quorum"),
            News::Quorum { is_sorry: true, .. } => {
                tracing::warn!(%pool, "the pool has lost its quorum: new sessions go to the sorry server");
            }
            News::Quorum { .. } => tracing::warn!(%pool, "the pool has lost its quorum"),
        }
    }
}
