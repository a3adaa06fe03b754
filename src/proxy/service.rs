//! What all sessions of one listener share.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::balance::Pool;
use crate::config::{Config, Listener};
use crate::health::Availability;
use crate::net::ports::PassivePorts;
use crate::proxy::sessions::Sessions;
use crate::session::Settings;
use crate::telemetry::metrics::{BackendMetrics, Leg, ListenerMetrics, Metrics};
use crate::telemetry::sparse::Sparse;

/// One listener's share of the configuration, its passive ports and its pool.
pub struct Service {
    /// The address of the listener as configured: its name in metrics and logs.
    pub name: Arc<str>,
    /// Where clients connect.
    pub address: SocketAddr,
    /// What the session machine needs.
    pub settings: Arc<Settings>,
    /// The passive ports.
    pub ports: Arc<PassivePorts>,
    /// The backends.
    pub pool: Arc<Pool>,
    /// The source address of connections to backends, if not the kernel's choice.
    pub source: Option<IpAddr>,
    /// Active data connections come from the port below the control port, or not at all (A8).
    pub strict_port20: bool,
    /// All live sessions of the process.
    pub sessions: Arc<Sessions>,
    /// Connections to backend listeners that came from elsewhere (A6).
    pub backend_peers_refused: Arc<AtomicU64>,
    /// Keeps floods of refused sessions out of the log.
    pub refused_sessions: Sparse,
    /// The same for passive ports.
    pub refused_leases: Sparse,
    /// The same for backends that can not take a session.
    pub failed_backends: Sparse,
    /// The same for sessions without a backend.
    pub without_backend: Sparse,
    /// Where sessions are counted when they end.
    pub metrics: Arc<Metrics>,
    /// The counters of this listener.
    pub listener: ListenerMetrics,
    /// The counters of each backend, by its index in the pool.
    pub backends: Vec<BackendMetrics>,
    /// The names of the backends, likewise.
    pub backend_names: Vec<Arc<str>>,
}

impl Service {
    /// The service of `listener`.
    pub fn new(
        config: &Config,
        listener: &Listener,
        pool: Arc<Pool>,
        sessions: Arc<Sessions>,
        metrics: Arc<Metrics>,
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
        };
        let ports = PassivePorts::new(
            listener.passive_ports.clone(),
            listener.data_peer_check,
            config.limits.leases_per_client,
        );
        let name: Arc<str> = listener.address.to_string().into();
        let snapshot = pool.snapshot(now);
        let backend_names: Vec<_> = snapshot
            .targets()
            .iter()
            .map(|t| Arc::clone(&t.name))
            .collect();
        Self {
            listener: metrics.listener(&name),
            backends: backend_names
                .iter()
                .map(|b| metrics.backend(pool.name(), b))
                .collect(),
            backend_names,
            name,
            address: listener.address,
            settings: Arc::new(settings),
            backend_peers_refused: Arc::default(),
            refused_sessions: Sparse::new(now),
            refused_leases: Sparse::new(now),
            failed_backends: Sparse::new(now),
            without_backend: Sparse::new(now),
            ports: Arc::new(ports),
            pool,
            source: of_pool.and_then(|pool| pool.source),
            strict_port20: listener.strict_port20,
            sessions,
            metrics,
        }
    }

    /// Writes what is known only by looking into the gauges: before every scrape.
    pub fn publish(&self, now: Instant) {
        self.listener.set_leases(self.ports.in_use());
        self.listener.set_leases_unused(self.ports.unused());
        self.listener
            .set_peers_refused(Leg::Client, self.ports.refused());
        let refused = self.backend_peers_refused.load(Ordering::Relaxed);
        self.listener.set_peers_refused(Leg::Backend, refused);
        for (target, metrics) in self.pool.snapshot(now).targets().iter().zip(&self.backends) {
            metrics.set_up(target.state == Availability::Up);
            metrics.set_weight(target.weight);
        }
    }

    /// How long a data connection may stand still (O3).
    pub(super) fn data_idle(&self) -> Duration {
        self.settings.timeouts.data_idle
    }
}
