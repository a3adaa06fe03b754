//! What all sessions of one listener share.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::balance::{Algorithm, Pool};
use crate::config::{Access, Config, Listener, Page, Waiting};
use crate::net::host;
use crate::net::ports::PassivePorts;
use crate::proxy::gate::Gate;
use crate::proxy::pins::Pins;
use crate::proxy::room::WaitingRoom;
use crate::proxy::sessions::Sessions;
use crate::proxy::view::Names;
use crate::session::Settings;
use crate::telemetry::metrics::{Leg, ListenerMetrics, Metrics, PoolMetrics};
use crate::telemetry::sparse::Sparse;
use crate::telemetry::transfer_log::TransferLog;

/// One listener's share of the configuration, its passive ports and its pool.
pub struct Service {
    /// What it and its pool are called in metrics and logs.
    pub(super) names: Arc<Names>,
    /// Where clients connect.
    pub address: SocketAddr,
    /// What the session machine needs.
    pub settings: Arc<Settings>,
    /// The passive ports.
    pub ports: Arc<PassivePorts>,
    /// The choice among the backends.
    pub pool: Arc<Pool>,
    /// The source address of connections to backends, if not the kernel's choice.
    pub source: Option<IpAddr>,
    /// Clients are told an address of this host's own for data, which they follow or not: data connections
    /// are taken at all of its addresses (P7).
    advertises_itself: bool,
    /// Active data connections come from the port below the control port, or not at all (A8).
    pub strict_port20: bool,
    /// All live sessions of the process.
    pub sessions: Arc<Sessions>,
    /// Connections to backend listeners that came from elsewhere (A6).
    pub backend_peers_refused: Arc<AtomicU64>,
    /// Who may connect.
    pub access: Access,
    /// Who does what too often.
    pub gate: Arc<Gate>,
    /// Keeps floods of refused passive ports out of the log.
    pub refused_leases: Sparse,
    /// The same for backends that can not take a session.
    pub failed_backends: Sparse,
    /// The same for what this host is short of.
    pub shortages: Sparse,
    /// The same for sessions without a backend.
    pub without_backend: Sparse,
    /// The same for sessions for which there was no room.
    pub without_room: Sparse,
    /// Where transfers are written down, if anywhere.
    pub transfers: Option<TransferLog>,
    /// Where sessions are counted when they end.
    pub metrics: Arc<Metrics>,
    /// The counters of this listener.
    pub listener: ListenerMetrics,
    /// The counters of each backend.
    pub backends: Arc<PoolMetrics>,
    /// Where sessions wait while every backend is full.
    pub room: Arc<WaitingRoom>,
    /// Whether they do, and within which bounds.
    pub waiting: Option<Waiting>,
    /// The sessions whose backend is chosen beforehand.
    pub pins: Arc<Pins>,
}

/// What the listeners of a pool share.
#[derive(Clone, Debug)]
pub struct PoolParts {
    /// The choice among the backends.
    pub pool: Arc<Pool>,
    /// What is counted of them.
    pub metrics: Arc<PoolMetrics>,
    /// Where sessions wait while every backend is full.
    pub room: Arc<WaitingRoom>,
    /// The sessions whose backend is chosen beforehand.
    pub pins: Arc<Pins>,
}

/// What all listeners share.
#[derive(Clone, Debug, Default)]
pub struct ProcessParts {
    /// All live sessions.
    pub sessions: Arc<Sessions>,
    /// Who does what too often.
    pub gate: Arc<Gate>,
    /// Everything that is counted.
    pub metrics: Arc<Metrics>,
    /// Where transfers are written down, if anywhere.
    pub transfers: Option<TransferLog>,
}

impl Service {
    /// The service of `listener`, whose pool is `pool`. The passive ports are those of the service `before`
    /// it, if there was one: their leases live on over a reload.
    pub fn new(
        config: &Config,
        listener: &Listener,
        pool: &PoolParts,
        process: &ProcessParts,
        before: Option<&Self>,
        now: Instant,
    ) -> Self {
        let of_pool = config.pools.get(listener.pool);
        let settings = Settings {
            limits: config.limits.clone(),
            timeouts: config.timeouts.clone(),
            advertise: listener.advertise,
            port_address: listener.port_address,
            backend_passive: of_pool.map_or_else(Default::default, |pool| pool.backend_passive),
            backend_active: of_pool.map_or_else(Default::default, |pool| pool.backend_active),
            deny_commands: listener.deny_commands.clone(),
            pick_by_user: of_pool.is_some_and(|pool| pool.algorithm == Algorithm::UserHash),
            follow_paths: process.transfers.is_some() || is_watched(config),
        };
        let (range, check) = (listener.passive_ports.clone(), listener.data_peer_check);
        let per_client = config.limits.leases_per_client;
        let ports = match before {
            Some(before) => {
                before.ports.configure(range, check, per_client);
                Arc::clone(&before.ports)
            }
            None => Arc::new(PassivePorts::new(range, check, per_client)),
        };
        let name: Arc<str> = listener.address.to_string().into();
        Self {
            listener: process.metrics.listener(&name),
            names: Arc::new(Names {
                listener: name,
                pool: Arc::clone(pool.pool.name()),
            }),
            address: listener.address,
            settings: Arc::new(settings),
            backend_peers_refused: before.map_or_else(Arc::default, |before| {
                Arc::clone(&before.backend_peers_refused)
            }),
            access: listener.access.clone(),
            gate: Arc::clone(&process.gate),
            refused_leases: Sparse::new(now),
            failed_backends: Sparse::new(now),
            shortages: Sparse::new(now),
            without_backend: Sparse::new(now),
            without_room: Sparse::new(now),
            ports,
            pool: Arc::clone(&pool.pool),
            backends: Arc::clone(&pool.metrics),
            room: Arc::clone(&pool.room),
            pins: Arc::clone(&pool.pins),
            waiting: of_pool.and_then(|pool| pool.waiting.clone()),
            source: of_pool.and_then(|pool| pool.source),
            advertises_itself: listener.advertise.is_some_and(host::has),
            strict_port20: listener.strict_port20,
            sessions: Arc::clone(&process.sessions),
            metrics: Arc::clone(&process.metrics),
            transfers: process.transfers.clone(),
        }
    }

    /// The address of the listener as configured: its name in metrics and logs.
    pub fn name(&self) -> &Arc<str> {
        &self.names.listener
    }

    /// Writes what is known only by looking into the gauges: before every scrape.
    pub fn publish(&self) {
        self.listener.set_leases(self.ports.in_use());
        self.listener
            .set_passive_ports(self.ports.size(), self.ports.taken());
        self.listener.set_leases_unused(self.ports.unused());
        self.listener
            .set_peers_refused(Leg::Client, self.ports.refused());
        let refused = self.backend_peers_refused.load(Ordering::Relaxed);
        self.listener.set_peers_refused(Leg::Backend, refused);
    }

    /// Where passive data connections of a session at `vip` are taken.
    pub(super) fn data_ip(&self, vip: IpAddr) -> IpAddr {
        if self.advertises_itself && vip.is_ipv4() {
            return Ipv4Addr::UNSPECIFIED.into();
        }
        vip
    }

    /// How long a data connection may stand still (O3).
    pub(super) fn data_idle(&self) -> Duration {
        self.settings.timeouts.data_idle
    }
}

/// Whether what sessions transfer is shown to anybody.
fn is_watched(config: &Config) -> bool {
    config.admin.api.is_some() || config.admin.page == Page::Full
}
