//! The only wiring: everything is built from a checked [`Config`], or nothing; then it runs until told
//! to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing_appender::non_blocking::ErrorCounter;

use crate::balance::{AffinityTable, Member, Pool, Settings};
use crate::config::{self, Config};
use crate::health::EjectionRule;
use crate::net::socket;
use crate::ops::admin::{self, Admin};
use crate::ops::probe::Checks;
use crate::proxy::listener;
use crate::proxy::service::Service;
use crate::proxy::sessions::Sessions;
use crate::session::Order;
use crate::telemetry::metrics::Metrics;

/// A balancer whose sockets are bound and which has not begun to serve.
pub struct App {
    config: Config,
    listeners: Vec<(TcpListener, Arc<Service>)>,
    admin: Option<(TcpListener, SocketAddr)>,
    checks: Vec<Checks>,
    metrics: Arc<Metrics>,
    sessions: Arc<Sessions>,
    log_dropped: ErrorCounter,
}

/// What an operator orders a running balancer to do.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// No new sessions; transfers finish, idle sessions end.
    pub drain: CancellationToken,
    /// Whatever is left ends now.
    pub kill: CancellationToken,
}

impl App {
    /// Binds everything, or fails and leaves nothing bound. Within a runtime.
    /// `log_dropped` counts the log lines that were not written.
    pub fn build(config: Config, log_dropped: ErrorCounter) -> anyhow::Result<Self> {
        let now = Instant::now();
        let metrics = Arc::new(Metrics::new());
        let sessions = Arc::new(Sessions::default());
        let pools: Vec<_> = config
            .pools
            .iter()
            .map(|pool| Arc::new(build_pool(pool)))
            .collect();
        let mut listeners = Vec::new();
        for listener in &config.listeners {
            let bound = socket::control_listener(listener.address, BACKLOG).with_context(|| {
                format!("cannot listen on {}: is the address this host's, the port free, and may ftplb bind it?", listener.address)
            })?;
            let pool = pools
                .get(listener.pool)
                .context("a listener without a pool")?;
            let (pool, sessions) = (Arc::clone(pool), Arc::clone(&sessions));
            let service =
                Service::new(&config, listener, pool, sessions, Arc::clone(&metrics), now);
            listeners.push((bound, Arc::new(service)));
        }
        let admin = config
            .admin
            .map(|address| {
                let listener = socket::control_listener(address, BACKLOG).with_context(|| {
                    format!("cannot listen on {address} for metrics and health")
                })?;
                let address = listener.local_addr()?;
                anyhow::Ok((listener, address))
            })
            .transpose()?;
        let checks = build_checks(&config, &pools, &metrics, now);
        Ok(Self {
            config,
            listeners,
            admin,
            checks,
            metrics,
            sessions,
            log_dropped,
        })
    }

    /// Serves until `stop` says so and every session has ended, or a listener fails.
    pub async fn run(mut self, stop: Stop) -> anyhow::Result<()> {
        self.announce();
        let (sessions, aside) = (TaskTracker::new(), Aside::default());
        let admin = self.start_aside(&aside);
        let mut listeners = JoinSet::new();
        for (listener, service) in self.listeners {
            let (sessions, stop) = (sessions.clone(), stop.drain.clone());
            listeners.spawn(listener::serve(listener, service, sessions, stop));
        }
        // A listener ends before the drain only by a panic. Nobody is helped by a process that is deaf.
        let failed = tokio::select! {
            biased;
            () = stop.drain.cancelled() => false,
            Some(_) = listeners.join_next() => true,
        };
        stop.drain.cancel();
        admin.draining.store(true, Ordering::Release);
        // After this no session can begin unseen by the drain.
        while listeners.join_next().await.is_some() {}
        let grace = self.config.timeouts.drain;
        drain(&sessions, &self.sessions, grace, &stop.kill).await;
        aside.end().await;
        tracing::info!("stopped");
        anyhow::ensure!(
            !failed,
            "a listener failed by an error of ftplb's own: please report it"
        );
        Ok(())
    }

    fn announce(&self) {
        let backends = self.config.pools.iter().map(|pool| pool.backends.len());
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            backends = backends.sum::<usize>(),
            "ftplb starts"
        );
        for (_, service) in &self.listeners {
            let (listener, pool) = (&service.name, service.pool.name());
            tracing::info!(%listener, %pool, "accepting clients");
        }
    }

    /// Starts the checks and the admin address.
    fn start_aside(&mut self, aside: &Aside) -> Arc<Admin> {
        let admin = Arc::new(Admin {
            metrics: Arc::clone(&self.metrics),
            services: self
                .listeners
                .iter()
                .map(|(_, service)| Arc::clone(service))
                .collect(),
            draining: AtomicBool::new(false),
            log_dropped: self.log_dropped.clone(),
        });
        if let Some((listener, address)) = self.admin.take() {
            tracing::info!(%address, "serving /metrics, /healthz and /readyz");
            let served = admin::serve(listener, Arc::clone(&admin), aside.stop.clone());
            aside.tasks.spawn(served);
        }
        for checks in self.checks.drain(..) {
            aside.tasks.spawn(checks.run(aside.stop.clone()));
        }
        admin
    }
}

/// What runs beside the sessions, and longer than they do.
#[derive(Default)]
struct Aside {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Aside {
    async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        // An HTTP client that does not hang up must not keep the process.
        if tokio::time::timeout(ASIDE, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::debug!("the admin address still had a connection");
        }
    }
}

/// O8: transfers finish within the grace period, idle sessions get 421, then everything ends.
async fn drain(
    tasks: &TaskTracker,
    sessions: &Sessions,
    grace: Duration,
    kill: &CancellationToken,
) {
    tasks.close();
    tracing::info!(
        sessions = sessions.len(), grace = %humantime::format_duration(grace),
        "stopping: no new sessions, transfers may finish"
    );
    sessions.order_all(Order::Drain);
    tokio::select! {
        () = tasks.wait() => return,
        () = tokio::time::sleep(grace) => {}
        () = kill.cancelled() => {}
    }
    tracing::warn!(
        sessions = sessions.len(),
        "ending the sessions that are left"
    );
    sessions.order_all(Order::Kill);
    if tokio::time::timeout(LAST_WORDS, tasks.wait())
        .await
        .is_err()
    {
        tracing::warn!("some clients did not close their connection");
    }
}

fn build_pool(pool: &config::Pool) -> Pool {
    let members = pool.backends.iter().map(|backend| Member {
        address: backend.address,
        name: backend.name.as_str().into(),
        weight: backend.weight,
    });
    let affinity = pool
        .affinity
        .as_ref()
        .map(|a| AffinityTable::new(a.timeout, a.prefix_v4, a.prefix_v6, a.entries));
    let settings = Settings {
        algorithm: pool.algorithm,
        affinity,
        thresholds: pool
            .health
            .as_ref()
            .map(|health| health.thresholds)
            .unwrap_or_default(),
        ejection: pool.ejection.as_ref().map(|e| EjectionRule {
            failures: e.failures,
            time: e.time,
        }),
    };
    Pool::new(pool.name.as_str(), members.collect(), settings)
}

fn build_checks(
    config: &Config,
    pools: &[Arc<Pool>],
    metrics: &Metrics,
    now: Instant,
) -> Vec<Checks> {
    let mut checks = Vec::new();
    for (of_pool, pool) in config.pools.iter().zip(pools) {
        let Some(check) = &of_pool.health else {
            continue;
        };
        for (index, target) in pool.snapshot(now).targets().iter().enumerate() {
            checks.push(Checks {
                pool: Arc::clone(pool),
                index,
                address: target.address,
                name: Arc::clone(&target.name),
                source: of_pool.source,
                check: check.clone(),
                metrics: metrics.backend(pool.name(), &target.name),
            });
        }
    }
    checks
}

/// Connections that wait to be accepted: a burst of a second's new sessions.
const BACKLOG: i32 = 1024;

/// For clients to read their 421 and close, after the grace period.
const LAST_WORDS: Duration = Duration::from_secs(6);

/// For the admin address to finish its answers.
const ASIDE: Duration = Duration::from_secs(1);
