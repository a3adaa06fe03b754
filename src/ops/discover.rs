//! Backends that are found by name: each question that a pool asks of DNS is asked again and again, and
//! the pool is told what is known.
//!
//! ```text
//!   ask ── records, nothing, or no answer ─▶ what is known ─▶ tell, if that is news ─▶ pause ─▶ ask …
//! ```
//! The pause is the TTL of the answer within the bounds of the configuration. What `known` does with
//! an answer that says nothing decides whether backends leave.

mod known;
mod resolver;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use self::known::{Known, Pace};
use self::resolver::Resolver;
use crate::config::{Discovery, Record};
use crate::proxy::service::PoolParts;
use crate::telemetry::metrics::{DiscoveryMetrics, LookupResult};

/// What is asked of DNS. Discoveries that ask the same share what is found.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Question {
    /// The name.
    pub name: String,
    /// Which records.
    pub record: Record,
    /// Who is asked; nobody stands for the name servers of the host.
    pub servers: Vec<SocketAddr>,
}

/// One answer to a [`Question`].
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Found {
    /// Of [`Record::Address`].
    Host(IpAddr),
    /// Of [`Record::Srv`]: it names the port and the weight, which is not 0.
    Service(SocketAddr, u16),
}

/// Hears of what is found from now on: all of it, in order, each address once. Only when it is news.
pub type Listener = Arc<dyn Fn(&Question, Vec<Found>) + Send + Sync>;

/// The questions of one pool that are asked now.
#[derive(Debug, Default)]
pub struct Discoveries {
    asked: HashMap<Question, Asked>,
    metrics: Option<Arc<DiscoveryMetrics>>,
}

#[derive(Debug)]
struct Asked {
    pace: watch::Sender<Pace>,
    _task: AbortOnDropHandle<()>,
}

impl Question {
    /// What `discovery` asks.
    pub fn of(discovery: &Discovery) -> Self {
        Self {
            name: discovery.name.clone(),
            record: discovery.record,
            servers: discovery.servers.clone(),
        }
    }
}

impl Found {
    /// The address and the weight of the backend that `discovery` has found.
    pub fn as_backend(self, discovery: &Discovery) -> (SocketAddr, u32) {
        match self {
            Self::Host(ip) => (SocketAddr::new(ip, discovery.port), discovery.weight),
            Self::Service(address, weight) => (address, weight.into()),
        }
    }
}

impl Discoveries {
    /// Asks what these discoveries of the pool ask, and nothing else, from now on. What is asked already is
    /// asked on, with all that is known. Within a runtime.
    pub fn configure(&mut self, wanted: &[Discovery], parts: &PoolParts, listener: &Listener) {
        let mut paces: HashMap<Question, Pace> = HashMap::new();
        for discovery in wanted {
            let pace = Pace::of(discovery);
            let known = paces.entry(Question::of(discovery)).or_insert(pace);
            *known = known.quicker(pace);
        }
        self.asked
            .retain(|question, _| paces.contains_key(question));
        if paces.is_empty() {
            self.metrics = None;
            return;
        }
        let metrics =
            { &mut self.metrics }.get_or_insert_with(|| Arc::new(parts.metrics.discovery()));
        for (question, pace) in paces {
            let is_other = |known: &mut Pace| std::mem::replace(known, pace) != pace;
            if let Some(asked) = self.asked.get(&question) {
                asked.pace.send_if_modified(is_other);
                continue;
            }
            let (sender, paces) = watch::channel(pace);
            let follow = Follow {
                question: question.clone(),
                pool: Arc::clone(parts.pool.name()),
                pace: paces,
                listener: Arc::clone(listener),
                metrics: Arc::downgrade(metrics),
                told: Told::default(),
            };
            let asked = Asked {
                pace: sender,
                _task: AbortOnDropHandle::new(tokio::spawn(follow.run())),
            };
            self.asked.insert(question, asked);
        }
    }

    /// Says how many of the pool's backends are found by name.
    pub fn set_backends(&self, backends: usize) {
        if let Some(metrics) = &self.metrics {
            metrics.set_backends(backends);
        }
    }
}

/// The task of one question.
struct Follow {
    question: Question,
    pool: Arc<str>,
    pace: watch::Receiver<Pace>,
    listener: Listener,
    /// Gone when nothing is asked any more.
    metrics: Weak<DiscoveryMetrics>,
    told: Told,
}

/// What the log was told last, so that it is told of changes only.
#[derive(Debug, Default)]
struct Told {
    is_failing: bool,
    is_empty: bool,
    are_too_many: bool,
}

/// What came of one look at all the records of a question.
#[derive(Debug, Default)]
struct Look {
    /// The shortest of the answers' TTLs.
    ttl: Option<Duration>,
    /// Why records could not be asked for, of the last that could not.
    failure: Option<String>,
    /// Whether an answer is to be confirmed by another.
    is_doubted: bool,
    /// Whether there were any records.
    has_records: bool,
}

impl Follow {
    async fn run(mut self) {
        let (mut known, mut told) = (Known::default(), Vec::new());
        loop {
            let look = self.look(&mut known).await;
            let mut found = known.found(self.question.record);
            self.note(&look, found.len());
            found.truncate(MOST_FOUND);
            if found != told {
                (self.listener)(&self.question, found.clone());
                told = found;
            }
            let pause = self.pace.borrow_and_update().pause(&look);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // At another pace the next look comes at once.
                _ = self.pace.changed() => {}
            }
        }
    }

    /// Asks for every record that the question takes, once. The name servers of the host are read anew each
    /// time, and nobody remembers an answer beside us.
    async fn look(&self, known: &mut Known) -> Look {
        let mut look = Look::default();
        let Question {
            name,
            record,
            servers,
        } = &self.question;
        let resolver = match Resolver::new(servers) {
            Ok(resolver) => resolver,
            Err(error) => {
                look.failure = Some(error);
                return look;
            }
        };
        match record {
            Record::Address => {
                known.take_addresses(name, resolver.addresses(name).await, &mut look);
            }
            Record::Srv => {
                known.take_services(resolver.services(name).await, &mut look);
                for hosts in known.classes().values() {
                    for (host, answers) in resolver.addresses_of_all(hosts).await {
                        known.take_addresses(&host, answers, &mut look);
                    }
                    if known.has_address(hosts) {
                        break;
                    }
                }
                known.forget_hosts();
            }
        }
        look
    }

    /// Counts a look by which `found` backends are known, and logs what is another than before.
    fn note(&mut self, look: &Look, found: usize) {
        let (pool, name) = (&self.pool, &self.question.name);
        let failure = look.failure.as_deref();
        let result = match failure {
            _ if look.has_records => LookupResult::Found,
            Some(_) => LookupResult::Failed,
            None => LookupResult::Empty,
        };
        if let Some(metrics) = self.metrics.upgrade() {
            metrics.looked_up(result);
        }
        let told = &mut self.told;
        match failure {
            Some(error) if !told.is_failing => {
                tracing::warn!(%pool, name, found, error, "backends can not be looked up: those that were found stay");
            }
            None if told.is_failing => {
                tracing::info!(%pool, name, found, "backends can be looked up again");
            }
            _ => {}
        }
        told.is_failing = failure.is_some();
        if result == LookupResult::Empty && !told.is_empty {
            tracing::warn!(%pool, name, found, "DNS has no backend by this name: those that were found leave if it says so again");
        }
        if result != LookupResult::Failed {
            told.is_empty = result == LookupResult::Empty;
        }
        let are_too_many = found > MOST_FOUND;
        if are_too_many && !told.are_too_many {
            let most = MOST_FOUND;
            tracing::warn!(%pool, name, found, most, "more backends are found than are taken");
        }
        told.are_too_many = are_too_many;
    }
}

/// Backends of one name. Each costs its checks and its metrics, and each answer of DNS has room for far less
/// than a few thousand.
const MOST_FOUND: usize = 1_000;
