//! Going on with another configuration. Whatever can fail comes first; after that, nothing can.
//!
//! ```text
//!   read, check ─▶ bind what is new ─▶ pools ─▶ listeners ─▶ admin ─▶ what is gone is let go
//!       └── mistakes ─┴── told to the log and to whoever asked; nothing has changed
//! ```

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::bind::{Bound, bind};
use super::footing::Claims;
use super::{App, Load, handover, listeners};
use crate::config::diff::{self, Change, Effect};
use crate::config::{Admin, ApiAddress, Config};
use crate::net::inherit::Place;
use crate::net::unix::{UnixSocket, UnixSocketError};
use crate::ops::api::socket::ApiSocket;
use crate::ops::fleet::{Fleet, Reload};
use crate::ops::members::{Members, Surrounding};
use crate::ops::{admin, api, systemd};
use crate::telemetry::log::Filter;

/// Sockets that are bound and not in use yet.
#[derive(Default)]
pub(super) struct Fresh {
    listeners: listeners::Fresh,
    admin: Option<Bound<TcpListener>>,
    api: Option<Bound<ApiSocket>>,
    handover: Option<Bound<UnixSocket>>,
}

impl App {
    /// Binds what `config` wants and is not there yet; or says all that failed, and leaves nothing bound.
    pub(super) fn bind(
        &self,
        config: &Config,
        claims: &mut Claims,
    ) -> Result<Fresh, Vec<anyhow::Error>> {
        let loopback = match self.api.address() {
            Some(ApiAddress::Loopback(address)) => Some(*address),
            _ => None,
        };
        let asked = self.admin.address().copied().into_iter().chain(loopback);
        let held: Vec<SocketAddr> = self.listeners.addresses().chain(asked).collect();
        let listeners = self.listeners.bind(config, &held, claims);
        let Admin { address, api, .. } = &config.admin;
        let keepalive = config.timeouts.keepalive;
        let admin = { &self.admin }.fresh(address.as_ref(), |at| {
            bind(*at, BACKLOG, keepalive, &held, claims)
        });
        let api = self.api.fresh(api.as_ref(), |at| bind_api(at, claims));
        let path = config.process.handover.as_ref();
        let handover = self.handover.fresh(path, |path| {
            let socket = bind_unix(path, claims).context("process.handover")?;
            let shared = socket.share()?;
            Ok::<_, anyhow::Error>(Bound::own(socket, shared))
        });
        match (listeners, admin, api, handover) {
            (Ok(listeners), Ok(admin), Ok(api), Ok(handover)) => Ok(Fresh {
                listeners,
                admin,
                api,
                handover,
            }),
            (listeners, admin, api, handover) => {
                let errors = listeners.err().unwrap_or_default().into_iter();
                let errors = errors.chain(admin.err()).chain(api.err());
                Err(errors.chain(handover.err()).collect())
            }
        }
    }

    /// Does what is asked, and tells the log, the metrics and whoever asked.
    /// Nothing is done any more once `stop` says so: the file may be on a disk that hangs.
    pub(super) async fn serve_reload(
        &mut self,
        reload: Reload,
        load: &Load,
        stop: &CancellationToken,
    ) {
        systemd::reloading();
        let result = self.reload(load, stop).await;
        systemd::ready();
        match &result {
            Ok(changes) => tell(changes),
            Err(mistakes) => {
                for mistake in mistakes {
                    tracing::error!("reload: {mistake}");
                }
                tracing::error!(
                    mistakes = mistakes.len(),
                    "reload failed: the configuration in effect is as before"
                );
            }
        }
        self.fleet.process.metrics.reloads.ended(result.is_ok());
        // Whoever asked may have gone; the log has it.
        let _told_or_gone = reload.reply.send(result);
    }

    /// Whoever asks from now on, or waits already, hears that ftplb stops.
    pub(super) fn refuse_reloads(&mut self) {
        self.reloads.close();
        while self.reloads.try_recv().is_ok() {}
    }

    async fn reload(
        &mut self,
        load: &Load,
        stop: &CancellationToken,
    ) -> Result<Vec<Change>, Vec<String>> {
        let load = Arc::clone(load);
        let loading = tokio::task::spawn_blocking(move || load());
        let Some(loaded) = stop.run_until_cancelled(loading).await else {
            return Err(vec![STOPPING.to_owned()]);
        };
        let mut config = loaded.unwrap_or_else(|_| Err(vec![PANICKED.to_owned()]))?;
        let text = |error: anyhow::Error| format!("{error:#}");
        let filter = Filter::parse(&config.log.filter).map_err(|error| vec![text(error.into())])?;
        let forbidden = self.confinement.mistakes(&config);
        if !forbidden.is_empty() {
            return Err(forbidden);
        }
        let bound = self.bind(&config, &mut Claims::default());
        let fresh = bound.map_err(|errors| errors.into_iter().map(text).collect::<Vec<_>>())?;
        let changes = diff::diff(&self.config, &config);
        diff::keep_what_needs_a_restart(&self.config, &mut config);
        self.config = config;
        self.log_filter.set(filter);
        self.configure(fresh).await;
        Ok(changes)
    }

    /// Brings everything in step with the configuration. Nothing in here can fail.
    pub(super) async fn configure(&mut self, fresh: Fresh) {
        let (config, fleet) = (&self.config, &self.fleet);
        let before = fleet.all_pools();
        let mut pools = Vec::new();
        for (index, of_config) in config.pools.iter().enumerate() {
            pools.push(pool(config, index, of_config.clone(), &before, fleet));
        }
        let is_configured = |pool: &Arc<Members>| { pools.iter() }.any(|it| Arc::ptr_eq(it, pool));
        let gone: Vec<_> = { before.into_iter() }
            .filter(|pool| !is_configured(pool))
            .collect();
        fleet.pools.store(Arc::new(pools));
        fleet.leaving.store(Arc::new(gone.clone()));
        let listeners = &mut self.listeners;
        listeners.configure(config, fleet, fresh.listeners).await;
        self.open_doors(fresh.admin, fresh.api);
        let path = self.config.process.handover.as_ref();
        let (fleet, successors) = (Arc::clone(&self.fleet), self.successors.clone());
        { &mut self.handover }.move_to(path, fresh.handover, &self.aside, |socket, stop| {
            handover::serve(socket, fleet, successors, stop)
        });
        // No listener picks from them any more.
        for pool in &gone {
            pool.retire();
        }
    }

    /// Answers operators where the configuration says.
    fn open_doors(&mut self, admin: Option<Bound<TcpListener>>, api: Option<Bound<ApiSocket>>) {
        let Admin {
            address,
            api: orders,
            page,
        } = &self.config.admin;
        let fleet = &self.fleet;
        fleet.page.store(Arc::new(*page));
        let closed =
            { &mut self.admin }.move_to(address.as_ref(), admin, &self.aside, |listener, stop| {
                if let Ok(address) = listener.local_addr() {
                    tracing::info!(%address, "serving /metrics, /healthz and /readyz");
                }
                admin::serve(listener, Arc::clone(fleet), stop)
            });
        if let Some(address) = closed {
            tracing::info!(%address, "not serving /metrics, /healthz and /readyz there any more");
        }
        let closed =
            { &mut self.api }.move_to(orders.as_ref(), api, &self.aside, |socket, stop| {
                tracing::info!(address = %socket, "taking orders");
                api::serve(socket, Arc::clone(fleet), stop)
            });
        if let Some(address) = closed {
            tracing::info!(?address, "taking no more orders there");
        }
    }
}

fn bind_api(at: &ApiAddress, claims: &mut Claims) -> anyhow::Result<Bound<ApiSocket>> {
    let socket = match at {
        ApiAddress::Unix(path) => bind_unix(path, claims).context("admin.api")?.into(),
        ApiAddress::Loopback(address) => {
            ApiSocket::tcp(*address, claims.take(*address).map(|claim| claim.socket))?
        }
    };
    let shared = socket.share()?;
    Ok(Bound::own(socket, shared))
}

/// Listens at `path`, by the socket that was passed if there is one.
fn bind_unix(path: &Path, claims: &mut Claims) -> Result<UnixSocket, UnixSocketError> {
    match claims.inherited.take(&Place::unix(path)) {
        Some(given) => UnixSocket::inherit(path, given.socket),
        None => UnixSocket::bind(path),
    }
}

/// Connections to the admin address that wait to be accepted.
const BACKLOG: i32 = 64;

/// The pool of the configuration that is called like `of_config`: a new one if there was none in `before`.
fn pool(
    config: &Config,
    index: usize,
    of_config: crate::config::Pool,
    before: &[Arc<Members>],
    fleet: &Fleet,
) -> Arc<Members> {
    let listener = config.listeners.iter().find(|of| of.pool == index);
    let surrounding = Surrounding {
        scripts: config.scripts.clone(),
        backend_drain: config.timeouts.backend_drain,
        listener: listener.map(|listener| listener.address),
    };
    let known = { before.iter() }.find(|pool| **pool.parts.pool.name() == *of_config.name);
    match known {
        Some(known) => {
            known.configure(of_config, surrounding);
            Arc::clone(known)
        }
        None => Members::new(of_config, surrounding, fleet),
    }
}

fn tell(changes: &[Change]) {
    if changes.is_empty() {
        tracing::info!("reload: nothing has changed");
        return;
    }
    for change in changes {
        match change.effect {
            Effect::Applied => tracing::info!("reload: {change}"),
            Effect::NeedsRestart => tracing::warn!("reload: {change}"),
        }
    }
    tracing::info!(
        changes = changes.len(),
        "reload: the new configuration is in effect"
    );
}

/// Whoever stops has no use for another configuration.
const STOPPING: &str = "ftplb is stopping";

/// What is left to say of an error of ftplb's own; the panic is on standard error.
const PANICKED: &str =
    "the configuration could not be read by an error of ftplb's own: please report it";
