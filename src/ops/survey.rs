//! What runs, looked at: the answers of the API and of the status page are made here, from one look each.
//!
//! A look goes through every session, and holds no lock for longer than one of them takes.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::balance::{BackendId, Snapshot, Target};
use crate::ending::Moved;
use crate::ftp::command::Direction;
use crate::health::Availability;
use crate::ops::fleet::Fleet;
use crate::ops::members::Members;
use crate::ops::status::{
    AffinityRuleStatus, BackendStatus, CheckStatus, ListenerStatus, PoolStatus, SessionList,
    SessionStatus, State as HealthState, Status, TimeoutStatus, TransferStatus,
};
use crate::proxy::sessions::Entry;
use crate::proxy::view::View;

/// Everything about the process, its listeners and its pools.
pub(super) fn status(fleet: &Fleet, now: Instant) -> Status {
    let tally = Tally::of(&fleet.process.sessions.list());
    let services = fleet.services.load();
    let listeners = services.iter().map(|service| ListenerStatus {
        address: service.address,
        pool: service.pool.name().to_string(),
        sessions: { &tally.listeners }
            .get(service.name())
            .map_or(0, |count| *count),
        leases: service.ports.in_use(),
        passive_ports_taken: service.ports.taken(),
        passive_ports: service.ports.size(),
    });
    let timeouts = services.first().map(|service| &service.settings.timeouts);
    let seconds = |of: Option<Duration>| of.unwrap_or_default().as_secs_f64();
    let (pools, leaving) = (fleet.pools.load(), fleet.leaving.load());
    let pools = { pools.iter().map(|pool| (pool, false)) }
        .chain(leaving.iter().map(|pool| (pool, true)))
        .map(|(members, removed)| pool_status(members, removed, &tally, now));
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_seconds: (now - fleet.since).as_secs_f64(),
        draining: fleet.is_draining(),
        not_ready: fleet.not_ready(now),
        sessions: fleet.process.sessions.len(),
        older_sessions: fleet.process.metrics.handovers.older_sessions(),
        timeouts: TimeoutStatus {
            idle_seconds: seconds(timeouts.map(|of| of.idle)),
            settle_seconds: seconds(timeouts.map(|of| of.settle)),
        },
        listeners: listeners.collect(),
        pools: pools.collect(),
    }
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
            let listener = Arc::clone(&entry.origin.names.listener);
            *tally.listeners.entry(listener).or_default() += 1;
            let Some(pinned) = entry.pinned.get() else {
                continue;
            };
            let Some(moved) = entry.view().carried() else {
                continue;
            };
            let backend = (Arc::clone(&entry.origin.names.pool), pinned.backend);
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
        available: snapshot.is_available(),
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
            file: (!transfer.file.is_empty()).then(|| transfer.file.to_string()),
            size: transfer.size,
        }
    });
    let View { phase, .. } = view;
    SessionStatus {
        id: entry.id,
        client: origin.client,
        listener: origin.names.listener.to_string(),
        vip: origin.vip,
        pool: origin.names.pool.to_string(),
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

/// Puts those that transfer first, the fastest ahead; then those that have paused for the shortest time.
pub(super) fn sort_by_business(entries: &mut [Arc<Entry>], now: Instant) {
    entries.sort_by_cached_key(|entry| {
        let view = entry.view();
        let speed = view.transfer.as_ref().map(|transfer| {
            let seconds = now.saturating_duration_since(transfer.since).as_secs();
            (transfer.moved.to_client + transfer.moved.to_backend) / seconds.max(1)
        });
        Reverse((speed, view.last_activity))
    });
}

/// Those sessions that most is going on in, at most so many.
pub(super) fn busiest(fleet: &Fleet, most: usize, now: Instant) -> SessionList {
    let addresses = addresses(fleet, now);
    let mut entries = fleet.process.sessions.list();
    sort_by_business(&mut entries, now);
    let sessions = entries.iter().take(most).map(|entry| {
        let address = entry.pinned.get().and_then(|pinned| {
            let backend = (Arc::clone(&entry.origin.names.pool), pinned.backend);
            addresses.get(&backend).copied()
        });
        session_status(entry, address, now)
    });
    SessionList {
        total: entries.len(),
        sessions: sessions.collect(),
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

fn seconds_since(then: Instant, now: Instant) -> f64 {
    now.saturating_duration_since(then).as_secs_f64()
}
