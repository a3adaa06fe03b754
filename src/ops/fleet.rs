//! What runs now: pools and listeners. A reload changes it, the admin address looks at it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing_appender::non_blocking::ErrorCounter;

use crate::ops::checks::Checks;
use crate::ops::members::Members;
use crate::ops::notify::Notifier;
use crate::proxy::service::{ProcessParts, Service};

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
    draining: AtomicBool,
    reloader: mpsc::Sender<Reload>,
    log_dropped: ErrorCounter,
}

/// An order to go on with the configuration as it is now.
pub struct Reload {
    /// Whether that was done; else everything that is wrong, and nothing has changed.
    pub reply: oneshot::Sender<Result<(), Vec<String>>>,
}

impl Fleet {
    /// A fleet without pools and listeners. Whoever has the other end of `reloader` changes it;
    /// `log_dropped` counts the log lines that were not written.
    pub fn new(reloader: mpsc::Sender<Reload>, log_dropped: ErrorCounter) -> Self {
        Self {
            since: Instant::now(),
            process: ProcessParts::default(),
            checks: Arc::default(),
            notifier: Arc::default(),
            pools: ArcSwap::default(),
            leaving: ArcSwap::default(),
            services: ArcSwap::default(),
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

    /// Goes on with the configuration as it is now; or says everything that is wrong, and changes nothing.
    pub async fn reload(&self) -> Result<(), Vec<String>> {
        let stopping = || vec!["ftplb is stopping".to_owned()];
        let (reply, told) = oneshot::channel();
        let asked = self.reloader.send(Reload { reply }).await;
        asked.map_err(|_| stopping())?;
        told.await.unwrap_or_else(|_| Err(stopping()))
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
        for pool in self.pools.load().iter() {
            pool.publish(Instant::now());
        }
        let metrics = &self.process.metrics;
        metrics.set_log_lines_dropped(self.log_dropped.dropped_lines());
    }

    /// Looks after the backends that leave, until told to stop.
    pub async fn tend(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            let now = Instant::now();
            for pool in self.pools.load().iter() {
                pool.tend(now);
            }
            let leaving = self.leaving.load_full();
            for pool in leaving.iter() {
                pool.tend(now);
            }
            if leaving.iter().any(|pool| pool.is_empty(now)) {
                self.leaving.rcu(|pools| {
                    let stays = |pool: &&Arc<Members>| !pool.is_empty(now);
                    pools.iter().filter(stays).cloned().collect::<Vec<_>>()
                });
            }
        }
    }
}

/// How soon a drained session is seen to. A drain lasts seconds to minutes.
const TICK: Duration = Duration::from_secs(1);
