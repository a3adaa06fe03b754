//! Programs of the operator's that hear of changes: keepalived's notify scripts.
//!
//! Each pool has a queue. Its scripts run one at a time, in the order of what they tell of, so that what
//! one of them writes is never overtaken by older news. Pools do not wait for each other.
//!
//! ```text
//!   nothing to tell ── news ─▶ one script runs ── done, more waits ─▶ the next …
//!          ▲                          │
//!          └───── done, none waits ───┘
//! ```

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::balance::{BackendId, Target};
use crate::config::{Notify, Script, Scripts};
use crate::ops::script::Call;

/// Runs what is to be told of changes.
#[derive(Debug, Default)]
pub struct Notifier {
    queues: Arc<Queues>,
    /// One task for each pool that has something to tell.
    tellers: TaskTracker,
    stop: CancellationToken,
}

/// What waits to be told, by pool. A pool has a queue exactly while somebody tells of it.
#[derive(Debug, Default)]
struct Queues(Mutex<HashMap<Arc<str>, VecDeque<News>>>);

/// A script that is to be run for one change.
#[derive(Debug)]
struct News {
    subject: Subject,
    /// For logs.
    name: Arc<str>,
    state: &'static str,
    call: Call,
}

/// What has changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Subject {
    Backend(BackendId),
    Quorum,
}

impl Notifier {
    /// A backend has come up or gone down. Within a runtime.
    pub fn backend(
        &self,
        pool: &Arc<str>,
        target: &Target,
        is_up: bool,
        notify: &Notify,
        scripts: &Scripts,
    ) {
        let about = [
            ("FTPLB_BACKEND", target.name.to_string()),
            ("FTPLB_ADDRESS", target.address.to_string()),
        ];
        if let Some(call) = call(pool, is_up, about.into(), notify, scripts) {
            self.push(
                pool,
                News {
                    subject: Subject::Backend(target.id),
                    name: Arc::clone(&target.name),
                    state: state(is_up),
                    call,
                },
            );
        }
    }

    /// The quorum of a pool was gained or lost. Within a runtime.
    pub fn quorum(&self, pool: &Arc<str>, is_held: bool, notify: &Notify, scripts: &Scripts) {
        let held = if is_held { "held" } else { "lost" };
        let about = vec![("FTPLB_QUORUM", held.to_owned())];
        if let Some(call) = call(pool, is_held, about, notify, scripts) {
            self.push(
                pool,
                News {
                    subject: Subject::Quorum,
                    name: "quorum".into(),
                    state: state(is_held),
                    call,
                },
            );
        }
    }

    /// Waits until everything has been told, but no longer than `limit`: then what runs is killed, and what
    /// waits is not told. To be called once, when nothing changes any more.
    pub async fn finish(&self, limit: Duration) {
        self.tellers.close();
        if tokio::time::timeout(limit, self.tellers.wait())
            .await
            .is_err()
        {
            self.stop.cancel();
            self.tellers.wait().await;
        }
    }

    fn push(&self, pool: &Arc<str>, news: News) {
        let mut queues = self.queues.lock();
        if let Some(queue) = queues.get_mut(pool) {
            if queue.len() >= MAX_WAITING {
                drop_one(pool, queue, news.subject);
            }
            queue.push_back(news);
            return;
        }
        queues.insert(Arc::clone(pool), VecDeque::new());
        let (queues, stop) = (Arc::clone(&self.queues), self.stop.clone());
        let pool = Arc::clone(pool);
        self.tellers.spawn(async move {
            tokio::select! {
                () = queues.tell(&pool, news) => {}
                () = stop.cancelled() => {
                    let untold = queues.lock().remove(&pool).map_or(0, |queue| queue.len());
                    tracing::warn!(%pool, untold, "a script was killed: ftplb stops");
                }
            }
        });
    }
}

impl Queues {
    /// Tells `news`, and then whatever waits.
    async fn tell(&self, pool: &Arc<str>, mut news: News) {
        loop {
            news.tell(pool).await;
            let mut queues = self.lock();
            let Some(next) = queues.get_mut(pool).and_then(VecDeque::pop_front) else {
                queues.remove(pool);
                return;
            };
            news = next;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, VecDeque<News>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl News {
    /// Runs the script. How it ends changes nothing but the log.
    async fn tell(&self, pool: &str) {
        let (backend, state) = (&*self.name, self.state);
        let script = self.call.program();
        match self.call.run().await {
            Ok(ended) if ended.code == 0 => {
                tracing::debug!(%pool, backend, state, script, output = ended.said, "script run");
            }
            Ok(ended) => tracing::warn!(
                %pool, backend, state, script, code = ended.code, output = ended.said,
                "script failed"
            ),
            Err(error) => {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%pool, backend, state, script, %error, source, "script failed");
            }
        }
    }
}

/// Makes room in a full queue. The last word on each subject counts: what is overtaken by later news goes
/// first, or else the oldest.
fn drop_one(pool: &str, queue: &mut VecDeque<News>, coming: Subject) {
    let is_overtaken = |(at, news): (usize, &News)| {
        let mut later = queue.iter().skip(at + 1).map(|news| news.subject);
        news.subject == coming || later.any(|subject| subject == news.subject)
    };
    let overtaken = queue.iter().enumerate().position(is_overtaken);
    if let Some(dropped) = queue.remove(overtaken.unwrap_or(0)) {
        tracing::warn!(
            %pool, backend = &*dropped.name, state = dropped.state, script = dropped.call.program(),
            limit = MAX_WAITING, "script not run: too many wait; is one of them slow?"
        );
    }
}

fn call(
    pool: &Arc<str>,
    is_up: bool,
    about: Vec<(&'static str, String)>,
    notify: &Notify,
    scripts: &Scripts,
) -> Option<Call> {
    let of = if is_up {
        &notify.on_up
    } else {
        &notify.on_down
    };
    let Script { words, run_as } = of.clone()?;
    let mut environment = about;
    environment.push(("FTPLB_POOL", pool.to_string()));
    environment.push(("FTPLB_STATE", state(is_up).to_owned()));
    Some(Call {
        words,
        run_as: run_as.or_else(|| scripts.run_as.clone()),
        environment,
        limit: scripts.timeout,
    })
}

const fn state(is_up: bool) -> &'static str {
    if is_up { "up" } else { "down" }
}

/// Scripts that wait in one pool: all backends of a large pool, at once.
const MAX_WAITING: usize = 1_000;

#[cfg(test)]
mod tests;
