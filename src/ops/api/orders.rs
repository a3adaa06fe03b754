//! What the API is told to do. Every order is logged, with who gave it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{StatusCode, Uri};
use serde::Deserialize;

use super::Asker;
use super::answer::{Answer, Refused};
use super::look;
use crate::balance::{Standing, Target};
use crate::ops::fleet::Fleet;
use crate::ops::members::Members;
use crate::ops::status::{BackendStatus, Reloaded, SessionStatus, WeightOrder};
use crate::ops::survey;
use crate::session::Order;

/// A backend is to be drained, disabled, or to serve again.
pub(super) async fn stand(
    State(fleet): State<Arc<Fleet>>,
    ConnectInfo(by): ConnectInfo<Asker>,
    Path((pool, backend, order)): Path<(String, String, String)>,
) -> Result<Answer<BackendStatus>, Refused> {
    let standing = match order.as_str() {
        "drain" => Standing::Draining,
        "disable" => Standing::Disabled,
        "resume" => Standing::Serving,
        _ => {
            let orders = ["drain", "disable", "resume", "weight"];
            let error = format!("a backend can not be told to {order}");
            return Err(
                Refused::new(StatusCode::NOT_FOUND, error).with(orders.map(str::to_owned).to_vec())
            );
        }
    };
    let (members, target) = find(&fleet, &pool, &backend)?;
    if !members.stand(target.id, standing) {
        return Err(removed(&target));
    }
    let backend = &target.name;
    tracing::info!(%by, %pool, %backend, %order, "order taken");
    after(&fleet, &members, &target)
}

/// A backend is to have another weight, or the configured one.
pub(super) async fn weigh(
    State(fleet): State<Arc<Fleet>>,
    ConnectInfo(by): ConnectInfo<Asker>,
    Path((pool, backend)): Path<(String, String)>,
    body: Bytes,
) -> Result<Answer<BackendStatus>, Refused> {
    let order: Result<WeightOrder, _> = serde_json::from_slice(&body);
    let weight = match order {
        Ok(WeightOrder { weight }) => weight,
        Err(error) => {
            let error = format!("{{\"weight\": N}} or {{\"weight\": null}} was expected: {error}");
            return Err(Refused::new(StatusCode::BAD_REQUEST, error));
        }
    };
    if weight.is_some_and(|weight| weight > MOST_WEIGHT) {
        let error = format!("a weight is at most {MOST_WEIGHT}");
        return Err(Refused::new(StatusCode::BAD_REQUEST, error));
    }
    let (members, target) = find(&fleet, &pool, &backend)?;
    if target.standing == Standing::Removed || !members.weigh(target.id, weight) {
        return Err(removed(&target));
    }
    let backend = &target.name;
    match weight {
        Some(weight) => {
            tracing::info!(%by, %pool, %backend, weight, order = "weight", "order taken");
        }
        None => {
            tracing::info!(%by, %pool, %backend, order = "weight of the configuration", "order taken");
        }
    }
    after(&fleet, &members, &target)
}

/// How a session is to end.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Gently {
    /// At its next idle moment, and not at once.
    drain: Option<String>,
}

/// A session is to end, at once or at its next idle moment.
pub(super) async fn end_session(
    State(fleet): State<Arc<Fleet>>,
    ConnectInfo(by): ConnectInfo<Asker>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Answer<SessionStatus>, Refused> {
    let Gently { drain } = look::query(&uri)?;
    let (order, called) = match drain {
        Some(_) => (Order::Drain, "drain"),
        None => (Order::Kill, "kill"),
    };
    let sessions = &fleet.process.sessions;
    let Some(entry) = id.parse().ok().and_then(|id| sessions.order(id, order)) else {
        let error = format!("no session {id} is alive");
        return Err(Refused::new(StatusCode::NOT_FOUND, error));
    };
    tracing::info!(%by, session = entry.id, order = called, "order taken");
    let now = Instant::now();
    let address = entry.pinned.get().and_then(|pinned| {
        let backend = (Arc::clone(&entry.origin.names.pool), pinned.backend);
        survey::addresses(&fleet, now).get(&backend).copied()
    });
    Ok(Answer(survey::session_status(&entry, address, now)))
}

/// The configuration is to be read anew.
pub(super) async fn reload(
    State(fleet): State<Arc<Fleet>>,
    ConnectInfo(by): ConnectInfo<Asker>,
) -> Result<Answer<Reloaded>, Refused> {
    tracing::info!(%by, order = "reload", "order taken");
    match fleet.reload().await {
        Ok(changes) => Ok(Answer(Reloaded {
            changes: changes.iter().map(ToString::to_string).collect(),
        })),
        Err(mistakes) => {
            let error = "the configuration was not taken, and nothing has changed";
            Err(Refused::new(StatusCode::UNPROCESSABLE_ENTITY, error).with(mistakes))
        }
    }
}

/// The backend that is called `backend`, or is at that address.
fn find(fleet: &Fleet, pool: &str, backend: &str) -> Result<(Arc<Members>, Arc<Target>), Refused> {
    let missing = |error| Refused::new(StatusCode::NOT_FOUND, error);
    let Some(members) = fleet.pool(pool) else {
        let pools = fleet.pools.load();
        let names = pools.iter().map(|pool| pool.parts.pool.name().to_string());
        return Err(missing(format!("there is no pool {pool}")).with(names.collect()));
    };
    let snapshot = members.parts.pool.snapshot(Instant::now());
    let targets = snapshot.targets();
    let address: Option<SocketAddr> = backend.parse().ok();
    let is_there = |target: &&Arc<Target>| target.standing != Standing::Removed;
    let is_meant =
        |target: &&Arc<Target>| *target.name == *backend || Some(target.address) == address;
    // One that was removed may still have the name that another has taken.
    let target = { targets.iter().filter(is_there).find(is_meant) }
        .or_else(|| targets.iter().find(is_meant));
    if let Some(target) = target {
        return Ok((members, Arc::clone(target)));
    }
    let names = targets.iter().map(|target| target.name.to_string());
    let error = format!("pool {pool} has no backend {backend}");
    Err(missing(error).with(names.collect()))
}

fn removed(target: &Target) -> Refused {
    let error = format!(
        "backend {} is no longer configured, and goes with its last session",
        target.name
    );
    Refused::new(StatusCode::CONFLICT, error)
}

fn after(
    fleet: &Fleet,
    members: &Members,
    target: &Target,
) -> Result<Answer<BackendStatus>, Refused> {
    survey::status_of(fleet, members, target.id)
        .map(Answer)
        .ok_or_else(|| removed(target))
}

/// The largest that the configuration takes.
const MOST_WEIGHT: u32 = 65_535;
