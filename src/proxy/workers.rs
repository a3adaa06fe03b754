//! The threads that sessions run on: one for each processor, each with a runtime of its own.
//!
//! A runtime whose threads take tasks from each other pays for that at every wake-up, and sessions gain nothing
//! by it (docs/performance.md). So a session stays on the thread that it was given, with its sockets, its timers
//! and its data connections. It is given to the thread that has fewest, which keeps two long transfers apart;
//! where that leaves a choice, to the one that has accepted it, which need not wake another.

use std::io;
use std::iter;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::net::turn;

/// The threads, for those who give them sessions. With the last clone they end, and with them every session.
#[derive(Clone)]
pub struct Workers(Arc<Threads>);

struct Threads {
    first: Worker,
    others: Vec<Worker>,
}

/// A thread.
struct Worker {
    handle: Handle,
    sessions: TaskTracker,
    /// Ends the thread, and is dropped first.
    stop: Option<DropGuard>,
    thread: Option<JoinHandle<()>>,
}

impl Workers {
    /// Starts a thread for each processor that this process may use.
    pub fn start() -> io::Result<Self> {
        Self::start_some(thread::available_parallelism()?.get())
    }

    fn start_some(count: usize) -> io::Result<Self> {
        let first = Worker::start(0)?;
        let others = (1..count).map(Worker::start).collect::<Result<_, _>>()?;
        Ok(Self(Arc::new(Threads { first, others })))
    }

    /// Where the listener with this number accepts: each at another one.
    pub fn desk(&self, number: usize) -> &Handle {
        let worker = self.0.all().cycle().nth(number);
        &worker.unwrap_or(&self.0.first).handle
    }

    /// Begins a session. What `begin` takes into a runtime's care is in the care of its thread.
    pub fn spawn<F>(&self, begin: impl FnOnce() -> io::Result<F>) -> io::Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let here = Handle::try_current().map(|handle| handle.id()).ok();
        let burden = |worker: &&Worker| (worker.sessions.len(), Some(worker.handle.id()) != here);
        let worker = self.0.all().min_by_key(burden).unwrap_or(&self.0.first);
        let _within = worker.handle.enter();
        worker.sessions.spawn_on(begin()?, &worker.handle);
        Ok(())
    }

    /// Waits for the end of every session. None may begin any more.
    pub async fn wait(&self) {
        for worker in self.0.all() {
            worker.sessions.close();
            worker.sessions.wait().await;
        }
    }

    /// Waits until each thread has done something for whoever asks: one that hangs never does. False if one has
    /// ended.
    pub async fn answer(&self) -> bool {
        for worker in self.0.all() {
            if worker.handle.spawn(async {}).await.is_err() {
                return false;
            }
        }
        true
    }
}

impl Threads {
    fn all(&self) -> impl Iterator<Item = &Worker> + Clone {
        iter::once(&self.first).chain(&self.others)
    }
}

impl Worker {
    fn start(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .on_thread_park(turn::give_way)
            .build()?;
        let handle = runtime.handle().clone();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let thread = thread::Builder::new().name(format!("sessions-{number}"));
        let thread = thread.spawn(move || runtime.block_on(stopped.cancelled()))?;
        Ok(Self {
            handle,
            sessions: TaskTracker::new(),
            stop: Some(stop.drop_guard()),
            thread: Some(thread),
        })
    }

    /// Sessions are ended by their thread, in the middle of what they do; that is told of before the process ends.
    fn end(&mut self) {
        self.stop = None;
        let is_other = |thread: &JoinHandle<()>| thread.thread().id() != thread::current().id();
        // A listener that is dropped by its own thread may have had the last clone: nobody waits for himself.
        let thread = self.thread.take().filter(is_other);
        let _ended_or_panicked = thread.map(JoinHandle::join);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;

    /// Long for a test, where something must not happen that takes no time.
    const A_WHILE: Duration = Duration::from_millis(50);

    fn run<F: Future<Output = ()> + Send + 'static>(workers: &Workers, session: F) {
        workers.spawn(|| Ok(session)).unwrap();
    }

    fn burdens(workers: &Workers) -> Vec<usize> {
        let sessions = |worker: &Worker| worker.sessions.len();
        workers.0.all().map(sessions).collect()
    }

    #[tokio::test]
    async fn sessions_are_spread_evenly_and_stay_where_they_are() {
        let workers = Workers::start_some(3).unwrap();
        let (tell, mut told) = tokio::sync::mpsc::channel(600);
        for _ in 0..6 {
            let tell = tell.clone();
            run(&workers, async move {
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                    tell.try_send(thread::current().id()).unwrap();
                }
                std::future::pending::<()>().await;
            });
        }
        assert_eq!(burdens(&workers), [2, 2, 2]);
        let mut heard = std::collections::HashMap::new();
        for _ in 0..600 {
            *heard.entry(told.recv().await.unwrap()).or_insert(0) += 1;
        }
        assert_eq!(heard.into_values().collect::<Vec<_>>(), [200, 200, 200]);
    }

    #[tokio::test]
    async fn a_session_begins_where_it_was_accepted_if_others_have_no_fewer() {
        let workers = Workers::start_some(3).unwrap();
        for desk in [2, 1, 0] {
            let of_desk = workers.clone();
            let accepted = workers.desk(desk).spawn(async move {
                run(&of_desk, std::future::pending());
            });
            accepted.await.unwrap();
            let expected = [desk == 0, desk <= 1, true].map(usize::from);
            assert_eq!(burdens(&workers), expected);
        }
        assert_eq!(workers.desk(3).id(), workers.desk(0).id());
    }

    #[tokio::test]
    async fn a_session_that_panics_takes_no_other_with_it() {
        let workers = Workers::start_some(1).unwrap();
        let (tell, told) = oneshot::channel();
        let (go, gone) = oneshot::channel();
        run(&workers, async move {
            gone.await.unwrap();
            tell.send(()).unwrap();
        });
        run(&workers, async { panic!("on purpose") });
        assert!(workers.answer().await);
        go.send(()).unwrap();
        told.await.unwrap();
        workers.wait().await;
    }

    #[tokio::test]
    async fn sessions_that_are_left_end_with_their_threads() {
        let workers = Workers::start().unwrap();
        let (tell, told) = oneshot::channel::<()>();
        run(&workers, async move {
            let _tell = tell;
            std::future::pending::<()>().await;
        });
        assert!(tokio::time::timeout(A_WHILE, workers.wait()).await.is_err());
        drop(workers);
        assert!(told.await.is_err(), "dropped before this thread goes on");
    }

    #[tokio::test]
    async fn the_last_clone_may_go_on_a_thread_of_its_own() {
        let workers = Workers::start_some(2).unwrap();
        let (tell, told) = oneshot::channel();
        let desk = workers.desk(0).clone();
        desk.spawn(async move {
            drop(workers);
            tell.send(()).unwrap();
        });
        told.await.unwrap();
    }

    #[tokio::test]
    async fn a_session_that_can_not_begin_leaves_nothing() {
        let workers = Workers::start().unwrap();
        let begun =
            workers.spawn(|| Err::<std::future::Pending<()>, _>(io::ErrorKind::Other.into()));
        assert!(begun.is_err());
        workers.wait().await;
    }

    #[tokio::test]
    async fn a_thread_that_hangs_or_has_ended_does_not_answer() {
        let workers = Workers::start_some(2).unwrap();
        assert!(workers.answer().await);
        let (go, gone) = mpsc::channel::<()>();
        run(&workers, async move {
            let _released = gone.recv();
        });
        let asked = tokio::time::timeout(A_WHILE, workers.answer());
        assert!(asked.await.is_err());
        drop(go);
        assert!(workers.answer().await);
        let mut threads = Arc::into_inner(workers.0).unwrap();
        threads.first.end();
        assert!(!Workers(Arc::new(threads)).answer().await);
    }
}
