//! The members of one pool: those that are configured and those that are discovered. Keeps the pool, its
//! checks and its metrics in step with them, tells what changes, and lets go whom nobody wants any more.
//!
//! ```text
//!   Draining, Removed:  Retire ──── half of backend_drain ───▶ Drain ──── backend_drain ───▶ Kill
//!   Disabled:           Kill at once
//! ```
//! Lock order: the state of a check's run, then `inner`, then the pool's own.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::balance::{
    self, AffinityRule, Algorithm, BackendId, Member, News, Pool, QuorumRule, Standing, Target,
};
use crate::config::{self, HealthCheck, Notify, Probe, Scripts, Via};
use crate::health::{Availability, EjectionRule};
use crate::ops::checks::{Checks, Report, Run, Subject, Subscription, Through};
use crate::ops::fleet::Fleet;
use crate::ops::journal::Journal;
use crate::ops::notify::Notifier;
use crate::proxy::service::PoolParts;
use crate::proxy::sessions::Sessions;
use crate::session::Order;
use crate::telemetry::metrics::PoolMetrics;
use crate::telemetry::pool::{tell_availability, tell_check, tell_diagnosis, tell_news};

/// A pool that runs.
pub struct Members {
    /// What its listeners know of it.
    pub parts: PoolParts,
    /// What was last seen of its backends.
    pub journal: Journal,
    checks: Arc<Checks>,
    sessions: Arc<Sessions>,
    notifier: Arc<Notifier>,
    inner: Mutex<Inner>,
}

/// What holds for every pool, beside its own configuration.
#[derive(Clone, Debug)]
pub struct Surrounding {
    /// How scripts are run.
    pub scripts: Scripts,
    /// How long the sessions of a backend may go on that is drained or removed.
    pub backend_drain: Duration,
    /// A listener of the pool, for checks that go through it.
    pub listener: Option<SocketAddr>,
}

/// A backend that was found by name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// Where its control port is.
    pub address: SocketAddr,
    /// Its share.
    pub weight: u32,
}

struct Inner {
    config: config::Pool,
    surrounding: Surrounding,
    /// Beside each of the pool's discoveries, by its name.
    found: HashMap<String, Vec<Found>>,
    subscriptions: HashMap<BackendId, Vec<Subscription>>,
    notifies: HashMap<BackendId, Notify>,
    /// Since when a backend has been asked to let its sessions go.
    leaving: HashMap<BackendId, Instant>,
}

/// A member with what belongs to it outside of the pool.
struct Wanted {
    member: Member,
    runs: Vec<Arc<Run>>,
    notify: Notify,
}

impl Members {
    /// The pool of `config`. Nobody is told of how it begins, and it is checked from now on. Within a
    /// runtime.
    pub fn new(config: config::Pool, surrounding: Surrounding, fleet: &Fleet) -> Arc<Self> {
        let pool = Arc::new(Pool::new(
            config.name.as_str(),
            rand::random(),
            Instant::now(),
        ));
        let metrics = PoolMetrics::new(Arc::clone(&fleet.process.metrics), Arc::clone(pool.name()));
        let members = Arc::new(Self {
            parts: PoolParts {
                pool,
                metrics: Arc::new(metrics),
                room: Arc::default(),
                pins: Arc::default(),
            },
            journal: Journal::default(),
            checks: Arc::clone(&fleet.checks),
            sessions: Arc::clone(&fleet.process.sessions),
            notifier: Arc::clone(&fleet.notifier),
            inner: Mutex::new(Inner {
                config,
                surrounding,
                found: HashMap::new(),
                subscriptions: HashMap::new(),
                notifies: HashMap::new(),
                leaving: HashMap::new(),
            }),
        });
        let _beginning = members.apply(Instant::now());
        members
    }

    /// Goes on with another configuration. The sessions live on; see [`Pool::configure`].
    pub fn configure(self: &Arc<Self>, config: config::Pool, surrounding: Surrounding) {
        {
            let mut inner = self.inner();
            let is_asked = |name: &str| config.discoveries.iter().any(|d| d.name == name);
            inner.found.retain(|name, _| is_asked(name));
            inner.config = config;
            inner.surrounding = surrounding;
        }
        let now = Instant::now();
        let news = self.apply(now);
        self.tell(&news, now);
    }

    /// What the discovery by `name` has found. Without a change, nothing happens.
    pub fn discovered(self: &Arc<Self>, name: &str, found: Vec<Found>) {
        {
            let mut inner = self.inner();
            if inner.found.get(name) == Some(&found) {
                return;
            }
            inner.found.insert(name.to_owned(), found);
        }
        let now = Instant::now();
        let news = self.apply(now);
        self.tell(&news, now);
    }

    /// The operator wants another standing of a backend. `false` if there is no such backend.
    pub fn stand(&self, id: BackendId, standing: Standing) -> bool {
        let now = Instant::now();
        let news = self.parts.pool.set_standing(id, standing, now);
        self.obeyed(news, now)
    }

    /// The operator wants another weight, or the configured one. `false` if there is no such backend.
    pub fn weigh(&self, id: BackendId, weight: Option<u32>) -> bool {
        let now = Instant::now();
        let news = self.parts.pool.set_weight(id, weight, now);
        self.obeyed(news, now)
    }

    fn obeyed(&self, news: Option<Vec<News>>, now: Instant) -> bool {
        let is_there = news.is_some();
        self.tell(&news.unwrap_or_default(), now);
        self.tend(now);
        is_there
    }

    /// Lets go: orders the sessions of backends that serve no longer, and forgets those that are gone. To
    /// be called every second or so.
    pub fn tend(&self, now: Instant) {
        let name = self.parts.pool.name();
        {
            let mut inner = self.inner();
            let limit = inner.surrounding.backend_drain;
            let snapshot = self.parts.pool.snapshot(now);
            self.journal.observe(&snapshot, now);
            let leaves = |target: &&Target| target.standing != Standing::Serving;
            let leaving: Vec<_> = { snapshot.targets().iter() }.filter(leaves).collect();
            inner
                .leaving
                .retain(|id, _| leaving.iter().any(|target| target.id == *id));
            for target in leaving {
                let since = *inner.leaving.entry(target.id).or_insert(now);
                let order = order_of(target.standing, now - since, limit);
                self.sessions.order_backend(name, target.id, order);
            }
        }
        for target in self.parts.pool.reap(now) {
            self.parts.metrics.forget(&target);
            tracing::info!(pool = %name, backend = %target.name, "backend removed: its last session has ended");
        }
    }

    /// What is known only by looking, into the gauges.
    pub fn publish(&self, now: Instant) {
        self.parts
            .metrics
            .publish(&self.parts.pool, self.parts.room.waiting(), now);
    }

    /// Lets all backends go: the pool is no longer configured.
    pub fn retire(self: &Arc<Self>) {
        {
            let mut inner = self.inner();
            inner.config.backends.clear();
            inner.config.discoveries.clear();
            inner.config.sorry = None;
            inner.found.clear();
        }
        let now = Instant::now();
        let _nobody_asks_any_more = self.apply(now);
        self.tend(now);
    }

    /// Whether there is no backend any more.
    pub fn is_empty(&self, now: Instant) -> bool {
        self.parts.pool.snapshot(now).targets().is_empty()
    }

    /// The configuration in effect.
    pub fn config(&self) -> config::Pool {
        self.inner().config.clone()
    }

    /// At shutdown: the scripts for down are run if the pool wants that (keepalived's omega).
    pub fn farewell(&self) {
        let inner = self.inner();
        if !inner.config.omega {
            return;
        }
        let scripts = inner.surrounding.scripts.clone();
        let snapshot = self.parts.pool.snapshot(Instant::now());
        // Who is down already was told of.
        let is_up = |target: &&Target| !is_down(target.state);
        for target in snapshot.targets().iter().filter(is_up) {
            if let Some(notify) = inner.notifies.get(&target.id) {
                self.notifier
                    .backend(self.parts.pool.name(), target, false, notify, &scripts);
            }
        }
        if snapshot.has_quorum() {
            let notify = &inner.config.quorum.notify;
            self.notifier
                .quorum(self.parts.pool.name(), false, notify, &scripts);
        }
    }

    /// Brings the pool in step with what is configured and found.
    fn apply(self: &Arc<Self>, now: Instant) -> Vec<News> {
        let mut fresh = Vec::new();
        let news = {
            let mut inner = self.inner();
            let wanted = self.wanted(&inner);
            let members = wanted.iter().map(|wanted| wanted.member.clone()).collect();
            let news = self
                .parts
                .pool
                .configure(members, settings(&inner.config), now);
            let snapshot = self.parts.pool.snapshot(now);
            // The old subscriptions go last: a check that stays must not stop for that.
            let before = std::mem::take(&mut inner.subscriptions);
            inner.notifies.clear();
            for Wanted {
                member,
                runs,
                notify,
            } in wanted
            {
                let is_it = |target: &&Target| target.address == member.address && !target.is_sorry;
                let Some(target) = snapshot.targets().iter().find(is_it) else {
                    continue;
                };
                self.journal.configured(target.id, &member, now);
                let subscriptions: Vec<_> = { runs.iter() }
                    .map(|run| run.subscribe(self.subscriber(target)))
                    .collect();
                fresh.extend(subscriptions.iter().map(Subscription::known));
                inner.subscriptions.insert(target.id, subscriptions);
                inner.notifies.insert(target.id, notify);
            }
            drop(before);
            news
        };
        for known in fresh {
            known.tell();
        }
        self.parts.room.look_again();
        news
    }

    /// What the members are to be, in order. An address that is configured is not discovered again.
    fn wanted(&self, inner: &Inner) -> Vec<Wanted> {
        let config = &inner.config;
        let mut wanted: Vec<Wanted> = Vec::new();
        for backend in &config.backends {
            let (on_up, on_down) = (&backend.notify.on_up, &backend.notify.on_down);
            let notify = Notify {
                on_up: on_up.clone().or_else(|| config.notify.on_up.clone()),
                on_down: on_down.clone().or_else(|| config.notify.on_down.clone()),
            };
            let health = backend.health.as_ref().unwrap_or(&config.health);
            let runs = self.runs(inner, backend.address, health);
            let member = Member {
                address: backend.address,
                name: backend.name.as_str().into(),
                weight: backend.weight,
                max_sessions: backend.max_sessions,
                resume_sessions: backend.resume_sessions,
                checks: runs.iter().map(|run| run.id).collect(),
            };
            wanted.push(Wanted {
                member,
                runs,
                notify,
            });
        }
        for discovery in &config.discoveries {
            for found in inner.found.get(&discovery.name).into_iter().flatten() {
                let is_there = |wanted: &Wanted| wanted.member.address == found.address;
                if wanted.iter().any(is_there) {
                    continue;
                }
                let runs = self.runs(inner, found.address, &config.health);
                let member = Member {
                    address: found.address,
                    name: found.address.to_string().into(),
                    weight: found.weight,
                    max_sessions: discovery.max_sessions,
                    resume_sessions: discovery.resume_sessions,
                    checks: runs.iter().map(|run| run.id).collect(),
                };
                wanted.push(Wanted {
                    member,
                    runs,
                    notify: config.notify.clone(),
                });
            }
        }
        wanted
    }

    fn runs(&self, inner: &Inner, backend: SocketAddr, health: &[HealthCheck]) -> Vec<Arc<Run>> {
        let run = |check: &HealthCheck| {
            let is_through = matches!(
                check.probe,
                Probe::Transfer {
                    via: Via::Listener,
                    ..
                }
            );
            let listener = inner.surrounding.listener.filter(|_| is_through);
            let through = listener.map(|listener| Through {
                listener,
                pool: Arc::clone(self.parts.pool.name()),
                backend,
            });
            let subject = Subject {
                address: check.address.of(backend),
                source: inner.config.source,
                check: check.clone(),
                run_as: inner.surrounding.scripts.run_as.clone(),
                through,
            };
            self.checks.of(subject, &self.parts.pins)
        };
        health.iter().map(run).collect()
    }

    /// Takes what a check of `target` says.
    fn subscriber(self: &Arc<Self>, target: &Target) -> Arc<dyn Fn(&Report<'_>) + Send + Sync> {
        let (members, target) = (Arc::downgrade(self), target.clone());
        Arc::new(move |report| {
            if let Some(members) = members.upgrade() {
                members.on_report(&target, report);
            }
        })
    }

    fn on_report(&self, target: &Target, report: &Report<'_>) {
        // It may have been said before the backend went, and its metrics with it.
        if !self.inner().subscriptions.contains_key(&target.id) {
            return;
        }
        let now = Instant::now();
        let (weight, diagnosis) = match report.result {
            Some(Ok(finding)) => (finding.weight, finding.diagnosis),
            Some(Err(error)) => (None, error.diagnosis()),
            None => (None, None),
        };
        let (pool, metrics) = (self.parts.pool.name(), self.parts.metrics.backend(target));
        if let Some(result) = report.result {
            metrics.checked(result.is_ok(), report.took);
            let (check, error) = (report.check, result.as_ref().err());
            { &self.journal }.checked(target.id, check, report.took, error.map(|e| e as _), now);
            tell_check(pool, target, error.map(|e| e as _));
        }
        if let Some(diagnosis) = diagnosis
            && let Some(suppressed) = metrics.diagnosed(diagnosis, now)
        {
            tell_diagnosis(pool, target, diagnosis, suppressed);
        }
        if report.news.is_some() || weight.is_some() {
            let (id, check) = (target.id, report.check);
            let news = self
                .parts
                .pool
                .report_check(id, check, report.news, weight, now);
            let error = report.result.and_then(|result| result.as_ref().err());
            tell_news(&self.parts.pool, &news, error.map(|error| error as _));
            self.run_scripts(&news);
            self.parts.room.look_again();
            self.journal.observe(&self.parts.pool.snapshot(now), now);
        }
        tell_availability(&self.parts.pool, now);
    }

    fn tell(&self, news: &[News], now: Instant) {
        tell_news(&self.parts.pool, news, None);
        tell_availability(&self.parts.pool, now);
        self.run_scripts(news);
        self.parts.room.look_again();
    }

    fn run_scripts(&self, news: &[News]) {
        if news.is_empty() {
            return;
        }
        let inner = self.inner();
        let (pool, scripts) = (self.parts.pool.name(), &inner.surrounding.scripts);
        for news in news {
            match news {
                // What a check only confirms is no change; an ejection is none either.
                News::Backend { target, state } if is_down(target.state) != is_down(*state) => {
                    let is_up = !is_down(*state);
                    if let Some(notify) = inner.notifies.get(&target.id) {
                        self.notifier.backend(pool, target, is_up, notify, scripts);
                    }
                }
                News::Backend { .. } => {}
                News::Quorum { is_held, .. } => {
                    let notify = &inner.config.quorum.notify;
                    self.notifier.quorum(pool, *is_held, notify, scripts);
                }
            }
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_down(state: Availability) -> bool {
    state == Availability::Down
}

/// What the sessions of a backend are told that has not served for `since`.
fn order_of(standing: Standing, since: Duration, limit: Duration) -> Order {
    if standing == Standing::Disabled || since >= limit {
        Order::Kill
    } else if since >= limit / 2 {
        Order::Drain
    } else {
        Order::Retire
    }
}

/// How a pool decides, by its configuration.
fn settings(config: &config::Pool) -> balance::Settings {
    let affinity = config.affinity.as_ref().map(|affinity| AffinityRule {
        timeout: affinity.timeout,
        prefix_v4: affinity.prefix_v4,
        prefix_v6: affinity.prefix_v6,
        entries: affinity.entries,
    });
    balance::Settings {
        algorithm: config.algorithm,
        hash_port: config.hash_port,
        // By user name the user decides, not the address from which it comes.
        affinity: affinity.filter(|_| config.algorithm != Algorithm::UserHash),
        alpha: config.alpha,
        ejection: config.ejection.as_ref().map(|ejection| EjectionRule {
            failures: ejection.failures,
            time: ejection.time,
        }),
        quorum: QuorumRule {
            weight: config.quorum.weight,
            hysteresis: config.quorum.hysteresis,
        },
        sorry: config.sorry,
        slow_start: config.slow_start,
    }
}
