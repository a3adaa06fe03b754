//! What is said of a pool as a whole.

use std::time::Instant;

use crate::balance::Pool;

/// Says that a pool has lost its last backend, or has one again. After every change of a backend's state.
pub fn tell_availability(pool: &Pool, now: Instant) {
    let name = pool.name();
    match pool.availability_news(now) {
        Some(false) => tracing::error!(pool = %name, "no backend is up: clients get 421"),
        Some(true) => tracing::info!(pool = %name, "a backend is up again"),
        None => {}
    }
}
