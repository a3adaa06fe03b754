//! What Prometheus, orchestrators and operators ask over HTTP: `/metrics`, `/healthz`, `/readyz`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing_appender::non_blocking::ErrorCounter;

use crate::ops::bounded::Bounded;
use crate::proxy::service::Service;
use crate::telemetry::metrics::{self, Metrics};

/// What the answers are made of.
pub struct Admin {
    /// Everything that is counted.
    pub metrics: Arc<Metrics>,
    /// Every listener's service.
    pub services: Vec<Arc<Service>>,
    /// Set when no new sessions are taken any more.
    pub draining: AtomicBool,
    /// Counts the log lines that were not written.
    pub log_dropped: ErrorCounter,
}

/// Answers until told to stop.
pub async fn serve(listener: TcpListener, admin: Arc<Admin>, stop: CancellationToken) {
    let router = Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(scrape))
        .with_state(admin);
    let served =
        axum::serve(Bounded::new(listener), router).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = served.await {
        tracing::error!(%error, "the admin address is served no longer");
    }
}

/// Whether a new session would be served: for load balancers in front and for orchestrators.
async fn ready(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    if admin.draining.load(Ordering::Acquire) {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned());
    }
    let now = Instant::now();
    let without = admin
        .services
        .iter()
        .find(|service| !service.pool.snapshot(now).is_available());
    match without {
        Some(service) => {
            let text = format!("pool {} has no backend that is up\n", service.pool.name());
            (StatusCode::SERVICE_UNAVAILABLE, text)
        }
        None => (StatusCode::OK, "ready\n".to_owned()),
    }
}

async fn scrape(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let now = Instant::now();
    for service in &admin.services {
        service.publish(now);
    }
    admin
        .metrics
        .set_log_lines_dropped(admin.log_dropped.dropped_lines());
    (
        [(header::CONTENT_TYPE, metrics::CONTENT_TYPE)],
        admin.metrics.render(),
    )
}
