//! The checks that run: each check of one address once, however many pools use it.
//!
//! Whoever wants to know subscribes; the check runs while anybody does. It has one state for all, and a new
//! subscriber is told what is known already.
//!
//! ```text
//!   warmup ─▶ run ── in time, at every `interval` ──────────────▶ run …
//!              └── the verdict is in doubt: after `retry_interval` ─┘
//! ```

use std::collections::HashMap;
use std::error::Error as _;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use rand::RngExt;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::{HealthCheck, RunAs};
use crate::diagnosis::Diagnosis;
use crate::health::{CheckId, CheckState, Verdict};
use crate::ops::probe::{self, Finding, ProbeError};
use crate::proxy::pins::Pins;
use crate::telemetry::sparse::Sparse;

/// Every check of the process.
pub struct Checks {
    runs: Mutex<HashMap<Subject, Weak<Run>>>,
    last_id: AtomicU64,
    prober: Prober,
    stop: CancellationToken,
}

/// Does one run of a check.
type Prober = Arc<dyn Fn(Subject, Arc<Pins>) -> Probing + Send + Sync>;

type Probing = Pin<Box<dyn Future<Output = Result<Finding, ProbeError>> + Send>>;

/// What is checked, and how. Two that are equal are one check.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Subject {
    /// The backend's control port.
    pub address: SocketAddr,
    /// The source address of connections to it, if not the kernel's choice.
    pub source: Option<IpAddr>,
    /// What is tried, how often.
    pub check: HealthCheck,
    /// As whom scripts are run that do not say so.
    pub run_as: Option<RunAs>,
    /// For a check through ftplb's own listener: which way it goes.
    pub through: Option<Through>,
}

/// The way through a listener of ftplb's own to one certain backend.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Through {
    /// Where the listener is.
    pub listener: SocketAddr,
    /// The name of its pool.
    pub pool: Arc<str>,
    /// The backend's control port.
    pub backend: SocketAddr,
}

/// What a run of a check says.
pub struct Report<'a> {
    /// Which check.
    pub check: CheckId,
    /// What it says from now on, if that is news.
    pub news: Option<Verdict>,
    /// What it found, unless this is only what was known already.
    pub result: Option<&'a Result<Finding, ProbeError>>,
    /// How long it took.
    pub took: Duration,
}

impl<'a> Report<'a> {
    /// The weight that the backend is to have from now on, if it says so.
    pub fn weight(&self) -> Option<u32> {
        self.result?.as_ref().ok()?.weight
    }

    /// Why it failed, if it did.
    pub fn error(&self) -> Option<&'a ProbeError> {
        self.result?.as_ref().err()
    }

    /// What it shows to be wrong with the backend.
    pub fn diagnosis(&self) -> Option<Diagnosis> {
        match self.result? {
            Ok(finding) => finding.diagnosis,
            Err(error) => error.diagnosis(),
        }
    }
}

/// Hears of every run of a check.
pub type Subscriber = Arc<dyn Fn(&Report<'_>) + Send + Sync>;

/// A check that somebody wants to know of, until this is dropped.
#[must_use = "the check runs only while this lives"]
pub struct Subscription {
    run: Arc<Run>,
    key: u64,
}

/// What a check knows already when somebody subscribes.
#[must_use = "the subscriber is to be told"]
pub struct Known {
    run: Arc<Run>,
    key: u64,
}

/// A check that is there, and runs as soon as anybody subscribes.
pub struct Run {
    /// Which one it is.
    pub id: CheckId,
    subject: Subject,
    pins: Arc<Pins>,
    prober: Prober,
    stop: CancellationToken,
    /// Keeps checks that can not be made out of the log.
    not_made: Sparse,
    /// Held while subscribers are told, so that none hears an older verdict after a newer one.
    state: Mutex<CheckState>,
    subscribers: Mutex<Vec<(u64, Subscriber)>>,
    last_key: AtomicU64,
    task: OnceLock<AbortHandle>,
}

impl Default for Checks {
    /// No checks, and those to come are those of `probe`.
    fn default() -> Self {
        Self::by(Arc::new(|subject, pins| {
            Box::pin(async move { probe::run(&subject, &pins).await })
        }))
    }
}

impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checks").finish_non_exhaustive()
    }
}

impl Checks {
    fn by(prober: Prober) -> Self {
        Self {
            runs: Mutex::default(),
            last_id: AtomicU64::new(0),
            prober,
            stop: CancellationToken::new(),
        }
    }

    /// Ends all of them for good: what is checked from here on is no news.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// How many checks there are.
    pub fn len(&self) -> usize {
        let runs = lock(&self.runs);
        { runs.values() }
            .filter(|run| run.strong_count() > 0)
            .count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The check of `subject`, which may be running already. Else it begins with what is `known` of its
    /// backend. `pins` are those of its pool.
    pub fn of(
        &self,
        subject: Subject,
        pins: &Arc<Pins>,
        known: impl FnOnce() -> Verdict,
    ) -> Arc<Run> {
        let mut runs = lock(&self.runs);
        if let Some(run) = runs.get(&subject).and_then(Weak::upgrade) {
            return run;
        }
        runs.retain(|_, run| run.strong_count() > 0);
        let id = CheckId(self.last_id.fetch_add(1, Ordering::Relaxed) + 1);
        let run = Arc::new(Run {
            id,
            state: Mutex::new(CheckState::new(subject.check.thresholds, known())),
            subject: subject.clone(),
            pins: Arc::clone(pins),
            prober: Arc::clone(&self.prober),
            stop: self.stop.clone(),
            not_made: Sparse::new(Instant::now().into_std()),
            subscribers: Mutex::default(),
            last_key: AtomicU64::new(0),
            task: OnceLock::new(),
        });
        runs.insert(subject, Arc::downgrade(&run));
        run
    }
}

impl Run {
    /// Tells `subscriber` of every run from now on. Within a runtime.
    pub fn subscribe(self: &Arc<Self>, subscriber: Subscriber) -> Subscription {
        let key = self.last_key.fetch_add(1, Ordering::Relaxed);
        lock(&self.subscribers).push((key, subscriber));
        self.task.get_or_init(|| {
            let (run, check) = (Arc::downgrade(self), self.subject.check.clone());
            let checking = keep_checking(run, check);
            let stop = self.stop.clone();
            tokio::spawn(stop.run_until_cancelled_owned(checking)).abort_handle()
        });
        Subscription {
            run: Arc::clone(self),
            key,
        }
    }

    fn take(&self, result: &Result<Finding, ProbeError>, took: Duration) -> bool {
        let mut state = lock(&self.state);
        let news = state.on_result(result.is_ok());
        let subscribers = lock(&self.subscribers).clone();
        for (_, subscriber) in subscribers {
            let (check, result) = (self.id, Some(result));
            subscriber(&Report {
                check,
                news,
                result,
                took,
            });
        }
        let is_coming = state.verdict() == Verdict::Down;
        state.is_doubted() && (!is_coming || self.subject.check.fast_recovery)
    }
}

impl Run {
    fn note_not_made(&self, error: &ProbeError) {
        if let Some(suppressed) = self.not_made.pass(Instant::now().into_std()) {
            let cause = error.source().map(ToString::to_string);
            tracing::error!(
                address = %self.subject.address, %error, cause, suppressed,
                "a health check could not be made, for want of descriptors, ports or memory of this host: \
                 the verdict stays"
            );
        }
    }
}

impl Subscription {
    /// Which check it is.
    pub fn check(&self) -> CheckId {
        self.run.id
    }

    /// What is known already, to be told.
    pub fn known(&self) -> Known {
        Known {
            run: Arc::clone(&self.run),
            key: self.key,
        }
    }
}

impl Known {
    /// Tells the subscriber what the check has said so far, if anything. It must hold no lock that it takes
    /// when it is told.
    pub fn tell(self) {
        let state = lock(&self.run.state);
        let subscribers = lock(&self.run.subscribers).clone();
        let own = subscribers.iter().find(|(key, _)| *key == self.key);
        if let Some((_, subscriber)) = own
            && state.verdict() != Verdict::Unknown
        {
            subscriber(&Report {
                check: self.run.id,
                news: Some(state.verdict()),
                result: None,
                took: Duration::ZERO,
            });
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        lock(&self.run.subscribers).retain(|(key, _)| *key != self.key);
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

/// Runs a check for as long as anybody holds it. The first run comes at a random time within the warm-up,
/// so that many backends are not all checked at once.
async fn keep_checking(run: Weak<Run>, check: HealthCheck) {
    let warmup = check.warmup.mul_f64(rand::rng().random_range(0.0..=1.0));
    tokio::time::sleep(warmup).await;
    loop {
        let started = Instant::now();
        let probing = |run: Arc<Run>| (run.prober)(run.subject.clone(), Arc::clone(&run.pins));
        let Some(probing) = run.upgrade().map(probing) else {
            return;
        };
        let result = probing.await;
        let Some(run) = run.upgrade() else { return };
        let is_doubted = match &result {
            Err(error) if error.is_of_this_host() => {
                // Backends must not be down because ftplb has no descriptor left to ask them.
                run.note_not_made(error);
                false
            }
            _ => run.take(&result, started.elapsed()),
        };
        drop(run);
        // After a failure the pause counts from its end, as keepalived's does: a server that lets checks run
        // into their timeout gets the same time to come to itself.
        let next = if is_doubted {
            Instant::now() + check.retry_interval
        } else {
            started + check.interval
        };
        tokio::time::sleep_until(next).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
