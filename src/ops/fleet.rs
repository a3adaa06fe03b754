//! What runs now: pools and listeners. A reload changes it, the admin address looks at it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::config::Page;
use crate::config::diff::Change;
use crate::net::ports::PassivePorts;
use crate::ops::checks::Checks;
use crate::ops::members::Members;
use crate::ops::notify::Notifier;
use crate::proxy::service::{ProcessParts, Service};
use crate::telemetry::log::Dropped;
use crate::telemetry::transfer_log::TransferLog;

/// Everything that runs beside its tasks.
pub struct Fleet {
    /// When the process began to run.
    pub since: Instant,
    /// What all listeners share.
    pub process: ProcessParts,
    /// The health checks.
    pub checks: Arc<Checks>,
    /// The scripts that hear of changes.
    pub notifier: Arc<Notifier>,
    /// The pools of the configuration, in its order.
    pub pools: ArcSwap<Vec<Arc<Members>>>,
    /// Pools that are no longer configured and still have sessions.
    pub leaving: ArcSwap<Vec<Arc<Members>>>,
    /// The listeners of the configuration, in its order.
    pub services: ArcSwap<Vec<Arc<Service>>>,
    /// Listeners that were removed, while sessions of theirs live.
    listeners_leaving: Mutex<Vec<LeavingListener>>,
    /// What the status page shows.
    pub page: ArcSwap<Page>,
    draining: AtomicBool,
    reloader: mpsc::Sender<Reload>,
    log_dropped: Dropped,
}

/// An order to go on with the configuration as it is now.
pub struct Reload {
    /// What that has changed; or everything that is wrong, and nothing has changed.
    pub reply: oneshot::Sender<Result<Vec<Change>, Vec<String>>>,
}

struct LeavingListener {
    name: Arc<str>,
    /// Every session of it holds these.
    ports: Weak<PassivePorts>,
}

impl Fleet {
    /// A fleet without pools and listeners. Whoever has the other end of `reloader` changes it;
    /// `log_dropped` counts the log lines that were not written; `transfers` takes those that end.
    pub fn new(
        reloader: mpsc::Sender<Reload>,
        log_dropped: Dropped,
        transfers: Option<TransferLog>,
    ) -> Self {
        Self {
            since: Instant::now(),
            process: ProcessParts {
                transfers,
                ..ProcessParts::default()
            },
            checks: Arc::default(),
            notifier: Arc::default(),
            pools: ArcSwap::default(),
            leaving: ArcSwap::default(),
            services: ArcSwap::default(),
            listeners_leaving: Mutex::default(),
            page: ArcSwap::default(),
            draining: AtomicBool::new(false),
            reloader,
            log_dropped,
        }
    }

    /// No new sessions are taken any more.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether that is so.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Why a new session would not be served; `None` if it would.
    pub fn not_ready(&self, now: Instant) -> Option<String> {
        if self.is_draining() {
            return Some("draining".to_owned());
        }
        let services = self.services.load();
        let without =
            { services.iter() }.find(|service| !service.pool.snapshot(now).is_available());
        without.map(|service| format!("pool {} has no backend that is up", service.pool.name()))
    }

    /// Goes on with the configuration as it is now, and says what that has changed; or says everything that
    /// is wrong, and changes nothing. The log hears of it too.
    pub async fn reload(&self) -> Result<Vec<Change>, Vec<String>> {
        let stopping = || {
            tracing::warn!("reload refused: ftplb is stopping");
            vec!["ftplb is stopping".to_owned()]
        };
        let (reply, told) = oneshot::channel();
        let asked = self.reloader.send(Reload { reply }).await;
        asked.map_err(|_| stopping())?;
        told.await.unwrap_or_else(|_| Err(stopping()))
    }

    /// The pools that are configured and those that are left, which may be configured again.
    pub fn all_pools(&self) -> Vec<Arc<Members>> {
        let (pools, leaving) = (self.pools.load(), self.leaving.load());
        pools.iter().chain(leaving.iter()).cloned().collect()
    }

    /// Drops what is counted of a listener that accepts nobody any more; what its sessions make goes with
    /// the last of them.
    pub fn forget_listener(&self, service: &Service) {
        self.process.metrics.forget_listener(service.name());
        self.listeners_leaving().push(LeavingListener {
            name: Arc::clone(service.name()),
            ports: Arc::downgrade(&service.ports),
        });
    }

    /// The pool called `name`.
    pub fn pool(&self, name: &str) -> Option<Arc<Members>> {
        let pools = self.pools.load();
        { pools.iter() }
            .find(|pool| **pool.parts.pool.name() == *name)
            .cloned()
    }

    /// Brings what is known only by looking into the gauges, before every scrape.
    pub fn publish(&self) {
        for service in self.services.load().iter() {
            service.publish();
        }
        for pool in self.all_pools() {
            pool.publish(Instant::now());
        }
        let metrics = &self.process.metrics;
        metrics.set_sessions_before_login(self.process.sessions.before_login());
        metrics.set_log_lines_dropped(self.log_dropped.lines());
        let transfers = self.process.transfers.as_ref();
        metrics.set_transfer_log_lines_dropped(transfers.map_or(0, TransferLog::dropped));
    }

    /// Looks after what leaves, and tells of what was kept back, until told to stop.
    pub async fn tend(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.tend_once(Instant::now()),
                () = stop.cancelled() => return,
            }
        }
    }

    fn tend_once(&self, now: Instant) {
        self.process.gate.tell_more(now);
        for pool in self.all_pools() {
            pool.tend(now);
        }
        if self.leaving.load().iter().any(|pool| pool.is_gone(now)) {
            self.leaving.rcu(|pools| {
                let stays = |pool: &&Arc<Members>| !pool.is_gone(now);
                pools.iter().filter(stays).cloned().collect::<Vec<_>>()
            });
        }
        let services = self.services.load();
        let is_back = |name: &Arc<str>| services.iter().any(|service| service.name() == name);
        self.listeners_leaving().retain(|gone| {
            let has_sessions = gone.ports.strong_count() > 0;
            if !has_sessions && !is_back(&gone.name) {
                self.process.metrics.forget_listener_sessions(&gone.name);
            }
            has_sessions
        });
    }

    fn listeners_leaving(&self) -> MutexGuard<'_, Vec<LeavingListener>> {
        { self.listeners_leaving.lock() }.unwrap_or_else(PoisonError::into_inner)
    }
}

/// How soon a drained session is seen to. A drain lasts seconds to minutes.
const TICK: Duration = Duration::from_secs(1);
