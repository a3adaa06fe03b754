//! What the API tells. Looking changes nothing.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri};
use ipnet::IpNet;
use serde::Deserialize;

use super::answer::{Answer, Refused};
use crate::balance::{BackendId, Snapshot, Target};
use crate::ending::Moved;
use crate::ftp::command::Direction;
use crate::health::Availability;
use crate::ops::fleet::Fleet;
use crate::ops::members::Members;
use crate::ops::status::{
    AffinityList, AffinityRuleStatus, AffinityStatus, BackendStatus, CheckStatus, ListenerStatus,
    PoolStatus, SessionList, SessionStatus, State as HealthState, Status, TimeoutStatus,
    TransferStatus,
};
use crate::proxy::sessions::Entry;
use crate::proxy::view::View;

/// Everything about the process, its listeners and its pools.
pub(super) async fn status(State(fleet): State<Arc<Fleet>>) -> Answer<Status> {
    let now = Instant::now();
    let tally = Tally::of(&fleet.process.sessions.list());
    let services = fleet.services.load();
    let listeners = services.iter().map(|service| ListenerStatus {
        address: service.address,
        pool: service.pool.name().to_string(),
        sessions: { &tally.listeners }
            .get(&service.name)
            .map_or(0, |count| *count),
        leases: service.ports.in_use(),
    });
    let timeouts = services.first().map(|service| &service.settings.timeouts);
    let seconds = |of: Option<Duration>| of.unwrap_or_default().as_secs_f64();
    let (pools, leaving) = (fleet.pools.load(), fleet.leaving.load());
    let pools = { pools.iter().map(|pool| (pool, false)) }
        .chain(leaving.iter().map(|pool| (pool, true)))
        .map(|(members, removed)| pool_status(members, removed, &tally, now));
    Answer(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_seconds: (now - fleet.since).as_secs_f64(),
        draining: fleet.is_draining(),
        sessions: fleet.process.sessions.len(),
        older_sessions: fleet.process.metrics.handovers.older_sessions(),
        timeouts: TimeoutStatus {
            idle_seconds: seconds(timeouts.map(|of| of.idle)),
            settle_seconds: seconds(timeouts.map(|of| of.settle)),
        },
        listeners: listeners.collect(),
        pools: pools.collect(),
    })
}

/// What the live sessions add up to.
#[derive(Default)]
struct Tally {
    listeners: HashMap<Arc<str>, usize>,
    backends: HashMap<(Arc<str>, BackendId), (usize, Moved)>,
}

impl Tally {
    fn of(entries: &[Arc<Entry>]) -> Self {
        let mut tally = Self::default();
        for entry in entries {
            let listener = Arc::clone(&entry.origin.listener);
            *tally.listeners.entry(listener).or_default() += 1;
            let Some(pinned) = entry.pinned.get() else {
                continue;
            };
            let Some(moved) = entry.view().carried() else {
                continue;
            };
            let backend = (Arc::clone(&entry.origin.pool), pinned.backend);
            let (transfers, sum) = tally.backends.entry(backend).or_default();
            *transfers += 1;
            sum.to_client += moved.to_client;
            sum.to_backend += moved.to_backend;
        }
        tally
    }
}

fn pool_status(members: &Members, removed: bool, tally: &Tally, now: Instant) -> PoolStatus {
    let pool = &members.parts.pool;
    let snapshot = pool.snapshot(now);
    members.journal.observe(&snapshot, now);
    let rule = members.config().affinity;
    let affinity = rule
        .zip(pool.affinity())
        .map(|(rule, table)| AffinityRuleStatus {
            timeout_seconds: rule.timeout.as_secs_f64(),
            prefix_v4: rule.prefix_v4,
            prefix_v6: rule.prefix_v6,
            entries: table.len(),
        });
    let backends = { snapshot.targets().iter() }.map(|target| {
        let backend = (Arc::clone(pool.name()), target.id);
        let running = tally.backends.get(&backend).copied();
        backend_status(members, &snapshot, target, running.unwrap_or_default(), now)
    });
    let algorithm = snapshot.algorithm();
    PoolStatus {
        name: pool.name().to_string(),
        removed,
        algorithm: algorithm.name().to_owned(),
        scheduler: { algorithm.ipvs_name() }
            .unwrap_or(algorithm.name())
            .to_owned(),
        affinity,
        quorum: snapshot.has_quorum(),
        sorry_in_use: snapshot.is_sorry_time(),
        waiting: members.parts.room.waiting(),
        backends: backends.collect(),
    }
}

/// How one backend of a pool is; what its sessions carry just now is looked up.
pub(super) fn status_of(fleet: &Fleet, members: &Members, id: BackendId) -> Option<BackendStatus> {
    let now = Instant::now();
    let snapshot = members.parts.pool.snapshot(now);
    members.journal.observe(&snapshot, now);
    let tally = Tally::of(&fleet.process.sessions.list());
    let backend = (Arc::clone(members.parts.pool.name()), id);
    let running = tally.backends.get(&backend).copied().unwrap_or_default();
    let target = snapshot.target(id)?;
    Some(backend_status(members, &snapshot, target, running, now))
}

fn backend_status(
    members: &Members,
    snapshot: &Snapshot,
    target: &Target,
    (transfers, running): (usize, Moved),
    now: Instant,
) -> BackendStatus {
    let page = members.journal.page(target.id);
    let metrics = members.parts.metrics.backend(target);
    let (max_sessions, resume_sessions) = target.load.limits();
    let (state, ejected_seconds) = match target.state {
        Availability::Down => (HealthState::Down, None),
        Availability::Up => (HealthState::Up, None),
        Availability::Ejected { until } => {
            let left = until.saturating_duration_since(now);
            (HealthState::Ejected, Some(left.as_secs_f64()))
        }
    };
    let checks = { page.iter().flat_map(|page| &page.results) }.map(|result| CheckStatus {
        seconds_ago: seconds_since(result.at, now),
        took_seconds: result.took.as_secs_f64(),
        error: result.error.clone(),
    });
    BackendStatus {
        name: target.name.to_string(),
        address: target.address,
        sorry: target.is_sorry,
        standing: target.standing,
        state,
        since_seconds: { page.as_ref() }.map_or(0.0, |page| seconds_since(page.since, now)),
        ejected_seconds,
        checks: checks.collect(),
        weight: target.weight,
        configured_weight: page.as_ref().and_then(|page| page.weight),
        share_percent: snapshot.share_percent(target),
        sessions: target.load.active(),
        sessions_total: target.load.total(),
        full: target.load.is_full(),
        max_sessions,
        resume_sessions,
        transfers,
        to_client_bytes: metrics.moved_in_all(Direction::ToClient) + running.to_client,
        to_backend_bytes: metrics.moved_in_all(Direction::ToBackend) + running.to_backend,
    }
}

/// Which sessions are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionsWanted {
    #[serde(default = "usual_limit")]
    limit: usize,
    /// The name or the address.
    backend: Option<String>,
    /// The address, with or without port, or a network.
    client: Option<String>,
}

/// The live sessions.
pub(super) async fn sessions(
    State(fleet): State<Arc<Fleet>>,
    uri: Uri,
) -> Result<Answer<SessionList>, Refused> {
    let wanted: SessionsWanted = query(&uri)?;
    let limit = within(wanted.limit)?;
    let clients = wanted.client.as_deref().map(Clients::parse).transpose()?;
    let now = Instant::now();
    let addresses = addresses(&fleet, now);
    let address_of = |entry: &Entry| {
        let pinned = entry.pinned.get()?;
        let backend = (Arc::clone(&entry.origin.pool), pinned.backend);
        addresses.get(&backend).copied()
    };
    let is_wanted = |entry: &Arc<Entry>| {
        let of_backend = wanted.backend.as_deref().is_none_or(|wanted| {
            let is_named = entry
                .pinned
                .get()
                .is_some_and(|pinned| *pinned.name == *wanted);
            is_named
                || wanted
                    .parse()
                    .ok()
                    .is_some_and(|at| address_of(entry) == Some(at))
        });
        of_backend && { clients.as_ref() }.is_none_or(|of| of.contains(entry.origin.client))
    };
    let mut entries = fleet.process.sessions.list();
    entries.retain(is_wanted);
    let sessions =
        { entries.iter().take(limit) }.map(|entry| session_status(entry, address_of(entry), now));
    Ok(Answer(SessionList {
        total: entries.len(),
        sessions: sessions.collect(),
    }))
}

/// How one session is. `backend_address` is that of its backend, if it has one.
pub(super) fn session_status(
    entry: &Entry,
    backend_address: Option<SocketAddr>,
    now: Instant,
) -> SessionStatus {
    let view = entry.view().clone();
    let origin = &entry.origin;
    let running = view.carried().unwrap_or_default();
    let transfer = view.transfer.as_ref().map(|transfer| {
        let direction = transfer.verb.transfer().unwrap_or(Direction::ToClient);
        TransferStatus {
            verb: transfer.verb.label().to_owned(),
            direction: direction.label().to_owned(),
            bytes: transfer.moved.to_client + transfer.moved.to_backend,
            seconds: seconds_since(transfer.since, now),
        }
    });
    let View { phase, .. } = view;
    SessionStatus {
        id: entry.id,
        client: origin.client,
        listener: origin.listener.to_string(),
        vip: origin.vip,
        pool: origin.pool.to_string(),
        backend: entry.pinned.get().map(|pinned| pinned.name.to_string()),
        backend_address,
        user: (!view.user.is_empty()).then(|| view.user.to_string()),
        phase: if view.is_waiting {
            "waiting"
        } else {
            phase.label()
        }
        .to_owned(),
        age_seconds: seconds_since(entry.since, now),
        // What moves is not idle.
        idle_seconds: match transfer {
            Some(_) => 0.0,
            None => seconds_since(view.last_activity, now),
        },
        idle_left_seconds: { view.idle_until }
            .map(|until| until.saturating_duration_since(now).as_secs_f64()),
        transfer,
        transfers: view.transfers,
        to_client_bytes: view.moved.to_client + running.to_client,
        to_backend_bytes: view.moved.to_backend + running.to_backend,
    }
}

/// How many client networks are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AffinityWanted {
    #[serde(default = "usual_limit")]
    limit: usize,
}

/// The client networks that are remembered.
pub(super) async fn affinity(
    State(fleet): State<Arc<Fleet>>,
    uri: Uri,
) -> Result<Answer<AffinityList>, Refused> {
    let wanted: AffinityWanted = query(&uri)?;
    let limit = within(wanted.limit)?;
    let now = Instant::now();
    let mut list = AffinityList {
        total: 0,
        entries: Vec::new(),
    };
    for members in fleet.pools.load().iter() {
        let pool = &members.parts.pool;
        let Some(table) = pool.affinity() else {
            continue;
        };
        list.total += table.len();
        let snapshot = pool.snapshot(now);
        let left = limit - list.entries.len();
        list.entries
            .extend({ table.entries(left, now).into_iter() }.map(|entry| {
                let mut targets = snapshot.targets().iter();
                let target = targets.find(|target| target.address == entry.backend);
                AffinityStatus {
                    pool: pool.name().to_string(),
                    network: entry.network.to_string(),
                    backend: target.map(|target| target.name.to_string()),
                    backend_address: entry.backend,
                    seconds_left: entry.remaining.as_secs_f64(),
                }
            }));
    }
    Ok(Answer(list))
}

/// The clients that a filter means.
enum Clients {
    Network(IpNet),
    One(SocketAddr),
}

impl Clients {
    fn parse(text: &str) -> Result<Self, Refused> {
        let one = || text.parse().map(Self::One).ok();
        let address = || {
            text.parse::<IpAddr>()
                .map(|ip| Self::Network(ip.into()))
                .ok()
        };
        let network = || text.parse().map(Self::Network).ok();
        one().or_else(address).or_else(network).ok_or_else(|| {
            let error = format!("client={text}: an address, with or without port, or a network");
            Refused::new(StatusCode::BAD_REQUEST, error)
        })
    }

    fn contains(&self, client: SocketAddr) -> bool {
        match self {
            Self::Network(network) => network.contains(&client.ip()),
            Self::One(one) => *one == client,
        }
    }
}

/// Where each backend of every pool is.
pub(super) fn addresses(fleet: &Fleet, now: Instant) -> HashMap<(Arc<str>, BackendId), SocketAddr> {
    let (pools, leaving) = (fleet.pools.load(), fleet.leaving.load());
    let mut addresses = HashMap::new();
    // Those that are configured come last: one that has the name of a removed pool goes before it.
    for members in leaving.iter().chain(pools.iter()) {
        let pool = &members.parts.pool;
        for target in pool.snapshot(now).targets() {
            addresses.insert((Arc::clone(pool.name()), target.id), target.address);
        }
    }
    addresses
}

/// What stands behind the question mark.
pub(super) fn query<Q: for<'de> Deserialize<'de>>(uri: &Uri) -> Result<Q, Refused> {
    match Query::try_from_uri(uri) {
        Ok(Query(query)) => Ok(query),
        Err(error) => Err(Refused::new(StatusCode::BAD_REQUEST, error.body_text())),
    }
}

fn within(limit: usize) -> Result<usize, Refused> {
    if limit <= MOST {
        return Ok(limit);
    }
    let error = format!("limit={limit}: at most {MOST}");
    Err(Refused::new(StatusCode::BAD_REQUEST, error))
}

fn seconds_since(then: Instant, now: Instant) -> f64 {
    now.saturating_duration_since(then).as_secs_f64()
}

const fn usual_limit() -> usize {
    1_000
}

/// What one answer lists at most: some megabytes, and a millisecond of whoever wants a backend meanwhile.
const MOST: usize = 10_000;
