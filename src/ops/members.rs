//! The members of one pool: those that are configured and those that are discovered. Keeps the pool, its
//! checks and its metrics in step with them, tells what changes, and lets go whom nobody wants any more.
//!
//! Lock order: the state of a check's run, then `inner`, then the pool's own.

mod leaving;
mod news;
mod wanted;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use self::leaving::order_of;
use self::wanted::{Wanted, settings};
use crate::balance::{BackendId, News, Pool, Standing, Target};
use crate::config::{self, Notify, Scripts};
use crate::ops::checks::{Checks, Subscriber, Subscription};
use crate::ops::discover::{Discoveries, Found, Question};
use crate::ops::fleet::Fleet;
use crate::ops::journal::Journal;
use crate::ops::notify::Notifier;
use crate::proxy::service::PoolParts;
use crate::proxy::sessions::Sessions;
use crate::session::Order;
use crate::telemetry::metrics::PoolMetrics;

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

struct Inner {
    config: config::Pool,
    surrounding: Surrounding,
    /// What was found by each question of the pool's discoveries.
    found: HashMap<Question, Vec<Found>>,
    discoveries: Discoveries,
    subscriptions: HashMap<BackendId, Vec<Subscription>>,
    notifies: HashMap<BackendId, Notify>,
    /// Since when a backend has been asked to let its sessions go.
    leaving: HashMap<BackendId, Instant>,
    /// When the affinity of those who have a session was last renewed.
    renewed: Instant,
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
                discoveries: Discoveries::default(),
                subscriptions: HashMap::new(),
                notifies: HashMap::new(),
                leaving: HashMap::new(),
                renewed: Instant::now(),
            }),
        });
        let _beginning = members.apply(Instant::now());
        members.discover();
        members
    }

    /// Goes on with another configuration. The sessions live on; see [`Pool::configure`].
    pub fn configure(self: &Arc<Self>, config: config::Pool, surrounding: Surrounding) {
        {
            let mut inner = self.inner();
            let questions: Vec<_> = config.discoveries.iter().map(Question::of).collect();
            inner.found.retain(|asked, _| questions.contains(asked));
            inner.config = config;
            inner.surrounding = surrounding;
        }
        let now = Instant::now();
        let news = self.apply(now);
        self.tell(&news, now);
        self.discover();
    }

    /// What is found by `question` from now on.
    pub fn discovered(self: &Arc<Self>, question: &Question, found: Vec<Found>) {
        let now = Instant::now();
        {
            let mut inner = self.inner();
            // A late answer to what is not asked any more finds nobody.
            let is_asked = |discovery| Question::of(discovery) == *question;
            if !inner.config.discoveries.iter().any(is_asked) {
                return;
            }
            inner.found.insert(question.clone(), found);
        }
        let before = self.parts.pool.snapshot(now);
        let news = self.apply(now);
        self.tell_members(&before, &self.parts.pool.snapshot(now));
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
        for target in self.parts.pool.reap(now) {
            tracing::info!(pool = %name, backend = %target.name, "backend removed: its last session has ended");
        }
        {
            let mut inner = self.inner();
            let limit = inner.surrounding.backend_drain;
            let snapshot = self.parts.pool.snapshot(now);
            self.journal.observe(&snapshot, now);
            let leaves = |target: &&Arc<Target>| target.standing != Standing::Serving;
            let leaving: Vec<_> = { snapshot.targets().iter() }.filter(leaves).collect();
            let still_leaves = |id: &BackendId| leaving.iter().any(|target| target.id == *id);
            for id in inner.leaving.keys().filter(|id| !still_leaves(id)) {
                self.sessions.order_backend(name, *id, Order::Stay);
            }
            inner.leaving.retain(|id, _| still_leaves(id));
            for target in leaving {
                let since = *inner.leaving.entry(target.id).or_insert(now);
                let order = order_of(target.standing, now - since, limit);
                self.sessions.order_backend(name, target.id, order);
            }
        }
        self.parts.metrics.follow(&self.parts.pool, now);
        self.renew_affinity(now);
    }

    /// Whoever has a session is not forgotten meanwhile: in time, and no more often than it takes.
    fn renew_affinity(&self, now: Instant) {
        {
            let mut inner = self.inner();
            let timeout = inner.config.affinity.as_ref().map(|rule| rule.timeout);
            if timeout.is_none_or(|timeout| now < inner.renewed + timeout / RENEWALS) {
                return;
            }
            inner.renewed = now;
        }
        let pool = &self.parts.pool;
        pool.renew(&self.sessions.of_pool(pool.name()), now);
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
        self.discover();
        self.tend(now);
    }

    /// Whether nothing is left of it: no backend, no session, and no listener.
    pub fn is_gone(&self, now: Instant) -> bool {
        self.parts.pool.snapshot(now).targets().is_empty() && self.parts.metrics.is_unused()
    }

    /// The configuration in effect.
    pub fn config(&self) -> config::Pool {
        self.inner().config.clone()
    }

    /// Brings the pool in step with what is configured and found.
    fn apply(self: &Arc<Self>, now: Instant) -> Vec<News> {
        let (pool, mut fresh) = (&self.parts.pool, Vec::new());
        let news = {
            let mut inner = self.inner();
            let wanted = self.wanted(&inner);
            let found = wanted.len() - inner.config.backends.len();
            inner.discoveries.set_backends(found);
            let members = wanted.iter().map(|wanted| wanted.member.clone()).collect();
            let news = pool.configure(members, settings(&inner.config), now);
            let snapshot = pool.snapshot(now);
            let mut before = std::mem::take(&mut inner.subscriptions);
            inner.notifies.clear();
            for Wanted {
                member,
                runs,
                notify,
            } in wanted
            {
                let mut targets = snapshot.targets().iter();
                let target = targets
                    .find(|target| target.address == member.address && !target.is_sorry)
                    .expect("the pool has been given this member, and forgets only those that were removed");
                self.journal.configured(target.id, &member, now);
                let mut known = before.remove(&target.id).unwrap_or_default();
                let subscriptions: Vec<_> = { runs.iter() }
                    .map(|run| {
                        let is_it = |subscription: &Subscription| subscription.check() == run.id;
                        if let Some(index) = known.iter().position(is_it) {
                            return known.swap_remove(index);
                        }
                        let subscription = run.subscribe(self.subscriber(target.id));
                        fresh.push(subscription.known());
                        subscription
                    })
                    .collect();
                inner.subscriptions.insert(target.id, subscriptions);
                inner.notifies.insert(target.id, notify);
            }
            news
        };
        for known in fresh {
            known.tell();
        }
        self.parts.metrics.follow(pool, now);
        self.parts.room.look_again();
        news
    }

    /// Brings what is asked of DNS in step with the configuration.
    fn discover(self: &Arc<Self>) {
        let members = Arc::downgrade(self);
        let mut inner = self.inner();
        let Inner {
            config,
            discoveries,
            ..
        } = &mut *inner;
        discoveries.configure(
            &config.discoveries,
            &self.parts,
            &(Arc::new(move |question: &Question, found| {
                if let Some(members) = members.upgrade() {
                    members.discovered(question, found);
                }
            }) as _),
        );
    }

    /// Takes what a check of the backend called `id` says.
    fn subscriber(self: &Arc<Self>, id: BackendId) -> Subscriber {
        let members = Arc::downgrade(self);
        Arc::new(move |report| {
            if let Some(members) = members.upgrade() {
                members.on_report(id, report);
            }
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often affinity is renewed within its time: often enough that a late turn does no harm.
const RENEWALS: u32 = 4;

#[cfg(test)]
mod tests;
