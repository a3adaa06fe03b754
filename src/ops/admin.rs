//! What Prometheus, orchestrators and operators ask over HTTP: `/metrics`, `/healthz`, `/readyz`, and the status
//! page at `/`.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::ops::bounded::Bounded;
use crate::ops::browsers;
use crate::ops::fleet::Fleet;
use crate::ops::page;
use crate::telemetry::metrics;

/// Answers until told to stop.
pub async fn serve(listener: TcpListener, fleet: Arc<Fleet>, stop: CancellationToken) {
    let is_local = { listener.local_addr() }.is_ok_and(|address| address.ip().is_loopback());
    let router = Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(scrape))
        .with_state(Arc::clone(&fleet))
        .merge(page::routes(fleet))
        .layer(middleware::from_fn_with_state(is_local, browsers::keep_out));
    let served =
        axum::serve(Bounded::new(listener), router).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = served.await {
        tracing::error!(%error, "the admin address is served no longer");
    }
}

/// Whether a new session would be served: for load balancers in front and for orchestrators.
async fn ready(State(fleet): State<Arc<Fleet>>) -> impl IntoResponse {
    match fleet.not_ready(Instant::now()) {
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        None => (StatusCode::OK, "ready\n".to_owned()),
    }
}

async fn scrape(State(fleet): State<Arc<Fleet>>) -> impl IntoResponse {
    fleet.publish();
    (
        [(header::CONTENT_TYPE, metrics::CONTENT_TYPE)],
        fleet.process.metrics.render(),
    )
}
