//! The only wiring: everything is built from a checked [`Config`], or nothing; then it runs until told
//! to stop, and changes when told to reload.

mod listeners;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing_appender::non_blocking::ErrorCounter;

use self::listeners::{Fresh, Listeners};
use crate::config::Config;
use crate::net::socket;
use crate::ops::admin;
use crate::ops::api;
use crate::ops::api::socket::ApiSocket;
use crate::ops::fleet::{Fleet, Reload};
use crate::ops::members::{Members, Surrounding};
use crate::proxy::sessions::Sessions;
use crate::session::Order;

/// A balancer whose sockets are bound and which has not begun to serve.
pub struct App {
    config: Config,
    fleet: Arc<Fleet>,
    listeners: Listeners,
    fresh: Fresh,
    admin: Option<TcpListener>,
    api: Option<ApiSocket>,
    reloads: mpsc::Receiver<Reload>,
}

/// What an operator orders a running balancer to do.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// No new sessions; transfers finish, idle sessions end.
    pub drain: CancellationToken,
    /// Whatever is left ends now.
    pub kill: CancellationToken,
}

/// Reads the configuration anew, checks it and warns of what is doubtful, or says everything that is wrong.
pub type Load = Box<dyn Fn() -> Result<Config, Vec<String>> + Send>;

impl App {
    /// Binds everything, or fails and leaves nothing bound. Within a runtime.
    /// `log_dropped` counts the log lines that were not written.
    pub fn build(config: Config, log_dropped: ErrorCounter) -> anyhow::Result<Self> {
        let (reloader, reloads) = mpsc::channel(1);
        let listeners = Listeners::default();
        Ok(Self {
            fresh: listeners.bind(&config)?,
            listeners,
            admin: config.admin.address.map(bind_admin).transpose()?,
            api: { config.admin.api.as_ref() }
                .map(ApiSocket::bind)
                .transpose()?,
            fleet: Arc::new(Fleet::new(reloader, log_dropped)),
            config,
            reloads,
        })
    }

    /// What runs, once it does.
    pub fn fleet(&self) -> Arc<Fleet> {
        Arc::clone(&self.fleet)
    }

    /// Serves until `stop` says so and every session has ended, or a listener fails. `load` is called for
    /// each reload.
    pub async fn run(mut self, stop: Stop, load: Load) -> anyhow::Result<()> {
        let backends = self.config.pools.iter().map(|pool| pool.backends.len());
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            backends = backends.sum::<usize>(),
            "ftplb starts"
        );
        let aside = Aside::default();
        let fresh = std::mem::take(&mut self.fresh);
        self.configure(fresh);
        if let Some(listener) = self.admin.take() {
            self.serve_admin(listener, &aside);
        }
        if let Some(socket) = self.api.take() {
            tracing::info!(address = %socket, "taking orders");
            let served = api::serve(socket, self.fleet(), aside.stop.clone());
            aside.tasks.spawn(served);
        }
        { &aside.tasks }.spawn(Arc::clone(&self.fleet).tend(aside.stop.clone()));
        let failed = loop {
            tokio::select! {
                biased;
                () = stop.drain.cancelled() => break false,
                () = self.listeners.failed() => break true,
                Some(reload) = self.reloads.recv() => {
                    let result = self.reload(&load);
                    // Whoever asked may have gone; the log has it.
                    let _told_or_gone = reload.reply.send(result);
                }
            }
        };
        stop.drain.cancel();
        self.fleet.set_draining();
        // The way through the listeners ends now, and nobody is given a backend any more.
        self.fleet.checks.stop();
        self.listeners.stop().await;
        let grace = self.config.timeouts.drain;
        let sessions = &self.fleet.process.sessions;
        drain(&self.listeners.sessions, sessions, grace, &stop.kill).await;
        for pool in self.fleet.pools.load().iter() {
            pool.farewell();
        }
        tokio::select! {
            () = self.fleet.notifier.finish(LAST_SCRIPTS) => {}
            () = stop.kill.cancelled() => self.fleet.notifier.finish(Duration::ZERO).await,
        }
        aside.end().await;
        tracing::info!("stopped");
        anyhow::ensure!(
            !failed,
            "a listener failed by an error of ftplb's own: please report it"
        );
        Ok(())
    }

    /// Goes on with the configuration as it is now, or says why not and changes nothing.
    fn reload(&mut self, load: &Load) -> Result<(), Vec<String>> {
        let config = load()?;
        let fresh = self
            .listeners
            .bind(&config)
            .map_err(|error| vec![format!("{error:#}")])?;
        self.config = config;
        self.configure(fresh);
        Ok(())
    }

    /// Brings everything in step with the configuration. Nothing in here can fail.
    fn configure(&mut self, fresh: Fresh) {
        let (config, fleet) = (&self.config, &self.fleet);
        let before = fleet.pools.load_full();
        let mut pools = Vec::new();
        for (index, of_config) in config.pools.iter().enumerate() {
            let (of_config, surrounding) = (of_config.clone(), surrounding(config, index));
            pools.push(match fleet.pool(&of_config.name) {
                Some(known) => {
                    known.configure(of_config, surrounding);
                    known
                }
                None => Members::new(of_config, surrounding, fleet),
            });
        }
        let is_gone = |pool: &&Arc<Members>| !pools.iter().any(|known| Arc::ptr_eq(known, pool));
        let gone: Vec<_> = before.iter().filter(is_gone).cloned().collect();
        fleet.pools.store(Arc::new(pools));
        self.listeners.configure(config, fleet, fresh);
        for pool in &gone {
            pool.retire();
        }
        let leaving = fleet.leaving.load_full();
        let leaving = leaving.iter().chain(&gone).cloned().collect();
        fleet.leaving.store(Arc::new(leaving));
    }

    fn serve_admin(&self, listener: TcpListener, aside: &Aside) {
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, "serving /metrics, /healthz and /readyz");
        }
        let served = admin::serve(listener, self.fleet(), aside.stop.clone());
        aside.tasks.spawn(served);
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
            tracing::debug!("the admin address or the API still had a connection");
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

/// What a pool has to know beside its own configuration.
fn surrounding(config: &Config, pool: usize) -> Surrounding {
    let listener = config.listeners.iter().find(|of| of.pool == pool);
    Surrounding {
        scripts: config.scripts.clone(),
        backend_drain: config.timeouts.backend_drain,
        listener: listener.map(|listener| listener.address),
    }
}

fn bind_admin(address: SocketAddr) -> anyhow::Result<TcpListener> {
    socket::control_listener(address, BACKLOG)
        .with_context(|| format!("cannot listen on {address} for metrics and health"))
}

/// Connections to the admin address that wait to be accepted.
const BACKLOG: i32 = 64;

/// For clients to read their 421 and close, after the grace period.
const LAST_WORDS: Duration = Duration::from_secs(6);

/// For the scripts that tell of the end, and those that still ran.
const LAST_SCRIPTS: Duration = Duration::from_secs(10);

/// For the admin address and the API to finish their answers.
const ASIDE: Duration = Duration::from_secs(1);
