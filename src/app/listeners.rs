//! The listeners: bound before anything else happens, serving later, changed by a reload.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::bind::{Bound, bind, whole};
use super::footing::Claims;
use crate::config::Config;
use crate::net::inherit::Shared;
use crate::ops::fleet::Fleet;
use crate::proxy::listener::{self, Halt};
use crate::proxy::service::Service;
use crate::proxy::workers::Workers;

/// What clients can connect to.
pub(super) struct Listeners {
    all: Vec<Listening>,
    /// Each ends when its listener is told to stop.
    tasks: JoinSet<()>,
    /// Where the sessions of all of them run.
    pub(super) workers: Workers,
}

struct Listening {
    address: SocketAddr,
    service: Arc<ArcSwap<Service>>,
    halt: Halt,
    shared: Shared,
    /// systemd listens there as well.
    is_systemds: bool,
    /// Cancelled when nothing listens there any more.
    closed: CancellationToken,
}

/// Sockets that are bound and not in use yet.
#[derive(Default)]
pub(super) struct Fresh(Vec<(SocketAddr, Bound<TcpListener>)>);

impl Listeners {
    /// None yet.
    pub(super) fn new(workers: Workers) -> Self {
        Self {
            all: Vec::new(),
            tasks: JoinSet::new(),
            workers,
        }
    }

    /// Where they are.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.all.iter().map(|listening| listening.address)
    }

    /// For another process.
    pub(super) fn shared(&self) -> impl Iterator<Item = &Shared> {
        self.all.iter().map(|listening| &listening.shared)
    }

    /// Binds those of `config` that are not there yet; or says what failed, and leaves nothing bound. ftplb
    /// itself listens on `held`.
    pub(super) fn bind(
        &self,
        config: &Config,
        held: &[SocketAddr],
        claims: &mut Claims,
    ) -> Result<Fresh, Vec<anyhow::Error>> {
        let is_there = |address| self.addresses().any(|known| known == address);
        let addresses = config.listeners.iter().map(|listener| listener.address);
        let fresh = addresses.filter(|address| !is_there(*address));
        let keepalive = config.timeouts.keepalive;
        let bound =
            fresh.map(|address| Ok((address, bind(address, BACKLOG, keepalive, held, claims)?)));
        Ok(Fresh(whole(bound)?))
    }

    /// Goes on with those of `config`, whose pools are in `fleet` already, and begins to serve on `fresh`.
    /// Those that are gone accept nobody any more; their sessions live on. Their sockets are closed when it
    /// returns, so that the next reload can have the addresses again.
    pub(super) async fn configure(&mut self, config: &Config, fleet: &Fleet, fresh: Fresh) {
        let (now, pools) = (Instant::now(), fleet.pools.load_full());
        fleet.process.gate.configure(&config.limits);
        let mut fresh = fresh.0;
        let mut before = std::mem::take(&mut self.all);
        for of_config in &config.listeners {
            // The configuration is checked: its listeners have pools.
            let Some(pool) = pools.get(of_config.pool) else {
                continue;
            };
            let known = before
                .iter()
                .position(|known| known.address == of_config.address)
                .map(|index| before.remove(index));
            let current = known.as_ref().map(|known| known.service.load_full());
            let service = Arc::new(Service::new(
                config,
                of_config,
                &pool.parts,
                &fleet.process,
                current.as_deref(),
                now,
            ));
            if let Some(known) = known {
                known.service.store(service);
                self.all.push(known);
            } else if let Some(index) =
                { fresh.iter() }.position(|(address, _)| *address == of_config.address)
            {
                let (_, bound) = fresh.swap_remove(index);
                self.serve(of_config.address, service, bound);
            }
        }
        let services = self
            .all
            .iter()
            .map(|listening| listening.service.load_full());
        fleet.services.store(Arc::new(services.collect()));
        for gone in before {
            gone.halt.close.cancel();
            gone.closed.cancelled().await;
            let service = gone.service.load_full();
            tracing::info!(listener = %service.name(), "accepting no more clients: the listener was removed");
            fleet.forget_listener(&service);
        }
    }

    fn serve(&mut self, address: SocketAddr, service: Arc<Service>, bound: Bound<TcpListener>) {
        let Bound {
            socket,
            shared,
            is_systemds,
        } = bound;
        let (listener, pool) = (service.name(), service.pool.name());
        tracing::info!(%listener, %pool, "accepting clients");
        let (service, halt) = (Arc::new(ArcSwap::new(service)), Halt::default());
        let closed = CancellationToken::new();
        let at_its_end = closed.clone().drop_guard();
        let workers = self.workers.clone();
        let serve = listener::serve(socket, Arc::clone(&service), workers, halt.clone());
        self.tasks.spawn_on(
            async move {
                serve.await;
                drop(at_its_end);
            },
            self.workers.desk(self.all.len()),
        );
        self.all.push(Listening {
            address,
            service,
            halt,
            shared,
            is_systemds,
            closed,
        });
    }

    /// Ready when a listener has failed, which only a panic makes it do. Nobody is helped by a process that
    /// is deaf.
    pub(super) async fn failed(&mut self) {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(())) => {}
                Some(Err(_)) => return,
                None => std::future::pending().await,
            }
        }
    }

    /// Stops accepting. After this no session can begin unseen. Whoever the kernel has let in already is
    /// served, but not where another process listens now, which has `taken` the place, or systemd does.
    pub(super) async fn stop(&mut self, taken: &[String]) {
        for listening in &self.all {
            let place = listening.shared.place().to_string();
            if listening.is_systemds || taken.contains(&place) {
                listening.halt.hand_over.cancel();
            } else {
                listening.halt.close.cancel();
            }
        }
        while self.tasks.join_next().await.is_some() {}
        self.all.clear();
    }
}

/// Connections that wait to be accepted. Whoever finds no place among them tries again after a second, so this
/// is as many as Linux lets wait unless told otherwise (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;
