//! What a status of these tests begins with; a test changes what it is about.

use crate::balance::Standing;
use crate::ops::status::{BackendStatus, ListenerStatus, PoolStatus, State, Status, TimeoutStatus};

/// A backend that is up and idle.
pub(super) fn backend(name: &str, address: &str) -> BackendStatus {
    BackendStatus {
        name: name.into(),
        address: address.parse().unwrap(),
        sorry: false,
        standing: Standing::Serving,
        state: State::Up,
        since_seconds: 3_700.0,
        ejected_seconds: None,
        checks: Vec::new(),
        weight: 1,
        configured_weight: Some(1),
        share_percent: 100,
        sessions: 0,
        sessions_total: 0,
        full: false,
        max_sessions: 0,
        resume_sessions: 0,
        transfers: 0,
        to_client_bytes: 0,
        to_backend_bytes: 0,
    }
}

/// A pool of these backends.
pub(super) fn pool(name: &str, backends: Vec<BackendStatus>) -> PoolStatus {
    PoolStatus {
        name: name.into(),
        removed: false,
        algorithm: "weighted_least_connections".into(),
        scheduler: "wlc".into(),
        affinity: None,
        available: true,
        quorum: true,
        sorry_in_use: false,
        waiting: 0,
        backends,
    }
}

/// A listener that has no session.
pub(super) fn listener(address: &str, pool: &str) -> ListenerStatus {
    ListenerStatus {
        address: address.parse().unwrap(),
        pool: pool.into(),
        sessions: 0,
        leases: 0,
        passive_ports_taken: 0,
        passive_ports: 10_001,
    }
}

/// A balancer with seven sessions.
pub(super) fn status(listeners: Vec<ListenerStatus>, pools: Vec<PoolStatus>) -> Status {
    Status {
        version: "1.2.3".into(),
        uptime_seconds: 100.0,
        draining: false,
        not_ready: None,
        sessions: 7,
        older_sessions: 0,
        timeouts: TimeoutStatus {
            idle_seconds: 600.0,
            settle_seconds: 10.0,
        },
        listeners,
        pools,
    }
}
