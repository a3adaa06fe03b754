//! The only wiring: everything is built from a checked [`Config`], or nothing; then it runs until told
//! to stop, and changes when told to reload.

mod bind;
mod door;
mod footing;
mod handover;
mod leaving;
mod listeners;
mod reload;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::door::Door;
pub use self::footing::{Footing, FootingError};
pub use self::handover::HandoverError;
use self::handover::{Request, Successor, Takeover};
use self::listeners::Listeners;
use self::reload::Fresh;
use crate::config::{ApiAddress, Config};
use crate::ops::fleet::{Fleet, Reload};
use crate::ops::systemd;
use crate::privilege::Confinement;
use crate::proxy::sessions::Sessions;
use crate::proxy::workers::Workers;
use crate::session::Order;
use crate::telemetry::log::{FilterSwitch, Logging};

/// A balancer whose sockets are bound and which has not begun to serve.
pub struct App {
    config: Config,
    fleet: Arc<Fleet>,
    listeners: Listeners,
    admin: Door<SocketAddr>,
    api: Door<ApiAddress>,
    handover: Door<PathBuf>,
    /// The process that still serves what this one is to serve.
    takeover: Option<Takeover>,
    /// What a newer process wants.
    requests: mpsc::Receiver<Request>,
    successors: mpsc::Sender<Request>,
    /// What is bound and not in use yet.
    fresh: Fresh,
    aside: Aside,
    confinement: Confinement,
    log_filter: FilterSwitch,
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
/// May block.
pub type Load = Arc<dyn Fn() -> Result<Config, Vec<String>> + Send + Sync>;

impl App {
    /// Binds everything, or fails and leaves nothing bound. Within a runtime.
    pub fn build(config: Config, logging: &Logging, footing: Footing) -> anyhow::Result<Self> {
        let Footing {
            mut claims,
            confinement,
            takeover,
        } = footing;
        let workers = Workers::start().context("cannot start threads for the sessions")?;
        let (reloader, reloads) = mpsc::channel(1);
        let (successors, requests) = mpsc::channel(1);
        let mut app = Self {
            listeners: Listeners::new(workers),
            admin: Door::default(),
            api: Door::default(),
            handover: Door::default(),
            takeover,
            requests,
            successors,
            fresh: Fresh::default(),
            aside: Aside::default(),
            confinement,
            fleet: Arc::new(Fleet::new(reloader, logging.dropped(), logging.transfers())),
            log_filter: logging.filter(),
            config,
            reloads,
        };
        let bound = app.bind(&app.config, &mut claims);
        app.fresh = bound.map_err(|errors| {
            let errors: Vec<_> = errors.iter().map(|error| format!("{error:#}")).collect();
            anyhow::anyhow!(errors.join("\n"))
        })?;
        claims.inherited.finish()?;
        Ok(app)
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
        let fresh = std::mem::take(&mut self.fresh);
        self.configure(fresh).await;
        let metrics = &self.fleet.process.metrics;
        metrics.reloads.began();
        { &self.aside.tasks }.spawn(Arc::clone(&self.fleet).tend(self.aside.stop.clone()));
        if let Some(takeover) = self.takeover.take() {
            self.take_over(takeover).await;
        }
        systemd::ready();
        let (fleet, workers) = (Arc::clone(&self.fleet), self.listeners.workers.clone());
        let telling = systemd::tell(fleet, workers, self.aside.stop.clone());
        { &self.aside.tasks }.spawn(telling);
        let end = self.serve(&stop.drain, &load).await;
        self.fleet.set_draining();
        self.refuse_reloads();
        // The way through the listeners ends now, and nobody is given a backend any more.
        self.fleet.checks.stop();
        let failed = matches!(end, End::Failed);
        let successor = if let End::HandedOver { taken, successor } = end {
            Some(self.leave(&taken, successor, &stop.drain).await)
        } else {
            self.listeners.stop(&[]).await;
            None
        };
        systemd::stopping();
        stop.drain.cancel();
        let grace = self.config.timeouts.drain;
        let sessions = &self.fleet.process.sessions;
        drain(&self.listeners.workers, sessions, grace, &stop.kill).await;
        // What hears of pools hears of them from the process that serves them now.
        if successor.is_none() {
            for pool in self.fleet.pools.load().iter() {
                pool.farewell();
            }
        }
        tokio::select! {
            () = self.fleet.notifier.finish(LAST_SCRIPTS) => {}
            () = stop.kill.cancelled() => self.fleet.notifier.finish(Duration::ZERO).await,
        }
        self.aside.end().await;
        tracing::info!("stopped");
        anyhow::ensure!(
            !failed,
            "a listener failed by an error of ftplb's own: please report it"
        );
        Ok(())
    }

    /// Does what is asked, until there is a reason to serve no longer.
    async fn serve(&mut self, stop: &CancellationToken, load: &Load) -> End {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break End::Ordered,
                () = self.listeners.failed() => break End::Failed,
                Some(reload) = self.reloads.recv() => self.serve_reload(reload, load, stop).await,
                Some(request) = self.requests.recv() => match request {
                    Request::Offer { reply } => self.offer(reply),
                    Request::Leave { taken, successor } => break End::HandedOver { taken, successor },
                }
            }
        }
    }
}

/// Why a balancer serves no longer.
enum End {
    /// A listener has failed.
    Failed,
    /// Another process serves.
    HandedOver {
        taken: Vec<String>,
        successor: Successor,
    },
    /// An operator wants it so.
    Ordered,
}

/// What runs beside the sessions, and longer than they do.
#[derive(Default)]
struct Aside {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Aside {
    async fn end(&self) {
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
async fn drain(workers: &Workers, sessions: &Sessions, grace: Duration, kill: &CancellationToken) {
    tracing::info!(
        sessions = sessions.len(), grace = %humantime::format_duration(grace),
        "stopping: no new sessions, transfers may finish"
    );
    sessions.order_all(Order::Drain);
    tokio::select! {
        () = workers.wait() => return,
        () = tokio::time::sleep(grace) => {}
        () = kill.cancelled() => {}
    }
    tracing::warn!(
        sessions = sessions.len(),
        "ending the sessions that are left"
    );
    sessions.order_all(Order::Kill);
    if tokio::time::timeout(LAST_WORDS, workers.wait())
        .await
        .is_err()
    {
        tracing::warn!("some clients did not close their connection");
    }
}

/// For clients to read their 421 and close, after the grace period.
const LAST_WORDS: Duration = Duration::from_secs(6);

/// For the scripts that tell of the end, and those that still ran.
const LAST_SCRIPTS: Duration = Duration::from_secs(10);

/// For the admin address and the API to finish their answers.
const ASIDE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
