//! Taking over from an older process, and leaving to a newer one.
//!
//! ```text
//!   serves ── the newer process serves ─▶ as before ── half of `timeouts.upgrade` ─▶ at the next pause ── all of it ─▶ drain
//!                                             └───────────── the last session ends ──────┴────────────────────────▶ ends
//! ```

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::App;
use super::handover::{Older, Rest, Successor, Takeover};
use crate::net::inherit::Shared;
use crate::ops::fleet::Fleet;
use crate::session::Order;

impl App {
    /// Tells the older process that clients are served here now.
    pub(super) async fn take_over(&mut self, takeover: Takeover) {
        let who = takeover.who.clone();
        self.shared().for_each(Shared::take_over);
        let taken = self.shared().map(|shared| shared.place().to_string());
        let (older, rest) = match takeover.served(taken.collect()).await {
            Ok(told) => told,
            Err(error) => {
                tracing::error!(
                    pid = who.pid, %error,
                    "the older process does not say that it leaves: it may still accept clients; stop it"
                );
                return;
            }
        };
        tracing::info!(
            pid = who.pid, version = %who.version, sessions = rest.sessions,
            "taken over: the older process finishes its sessions"
        );
        let (fleet, stop) = (Arc::clone(&self.fleet), self.aside.stop.clone());
        { &self.aside.tasks }.spawn(watch(older, rest, fleet, stop));
    }

    /// Gives all that is listened on to another process, which may or may not come to serve.
    pub(super) fn offer(&self, reply: oneshot::Sender<Vec<OwnedFd>>) {
        let clones = self
            .shared()
            .map(|shared| shared.descriptor().try_clone_to_owned());
        match clones.collect() {
            // Whoever asked may have gone.
            Ok(sockets) => drop(reply.send(sockets)),
            Err(error) => tracing::error!(%error, "cannot hand over"),
        }
    }

    /// Leaves all that others connect to, and waits for the sessions: until all have ended, their time is up or
    /// an operator has no more patience. The newer process takes this one for ended when the successor is
    /// dropped.
    pub(super) async fn leave(
        &mut self,
        taken: &[String],
        mut successor: Successor,
        stop: &CancellationToken,
    ) -> Successor {
        let passed_on = { self.shared() }.filter(|it| taken.contains(&it.place().to_string()));
        passed_on.for_each(Shared::hand_over);
        self.listeners.stop(taken).await;
        self.admin.close();
        self.api.close();
        self.handover.close();
        let who = successor.who().clone();
        let limit = self.config.timeouts.upgrade;
        let fleet = &self.fleet;
        let sessions = &fleet.process.sessions;
        tracing::info!(
            pid = who.pid, version = %who.version, sessions = sessions.len(),
            within = %humantime::format_duration(limit),
            "handed over: sessions go on here, new ones begin there"
        );
        let mut news = News::default();
        let mut is_heard = news.tell(fleet, &mut successor).await.is_ok();
        let workers = &self.listeners.workers;
        let begin = Instant::now();
        let mut spoke = begin;
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while begin.elapsed() < limit {
            tokio::select! {
                biased;
                () = workers.wait() => break,
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            is_heard = is_heard && news.tell(fleet, &mut successor).await.is_ok();
            if spoke.elapsed() >= WORD {
                spoke = Instant::now();
                tracing::info!(sessions = sessions.len(), "leaving: sessions that are left");
            }
            if begin.elapsed() >= limit / 2 {
                sessions.order_all(Order::Retire);
            }
        }
        successor
    }

    /// All that is listened on.
    fn shared(&self) -> impl Iterator<Item = &Shared> {
        let doors = [
            self.admin.shared(),
            self.api.shared(),
            self.handover.shared(),
        ];
        self.listeners.shared().chain(doors.into_iter().flatten())
    }
}

/// Counts the sessions of the older process, and keeps the ports that its clients gave up from their sessions
/// here, until it ends.
async fn watch(mut older: Older, rest: Rest, fleet: Arc<Fleet>, stop: CancellationToken) {
    let handovers = &fleet.process.metrics.handovers;
    let mut next = Some(Ok(rest));
    while let Some(Ok(rest)) = next {
        handovers.set_older_sessions(rest.sessions);
        for service in fleet.services.load().iter() {
            for port in &rest.given_up {
                service.ports.keep_from(*port);
            }
        }
        next = stop.run_until_cancelled(older.next()).await;
    }
    handovers.set_older_sessions(0);
    if !stop.is_cancelled() {
        tracing::info!(pid = older.who.pid, "the older process has ended");
    }
}

/// What the newer process was told last, and when.
#[derive(Default)]
struct News {
    sessions: Option<usize>,
    looked: Option<Instant>,
}

impl News {
    /// Tells it what is left, if that is something else.
    async fn tell(&mut self, fleet: &Fleet, successor: &mut Successor) -> io::Result<()> {
        let sessions = fleet.process.sessions.len();
        let since = self.looked.replace(Instant::now());
        let services = fleet.services.load();
        let ports = services.iter().map(|service| service.ports.given_up(since));
        let given_up: Vec<_> = ports.flatten().collect();
        let has_changed = self.sessions.replace(sessions) != Some(sessions);
        if has_changed || !given_up.is_empty() {
            successor.tell(Rest { sessions, given_up }).await?;
        }
        Ok(())
    }
}

/// How soon it is seen that sessions have ended. An upgrade takes minutes.
const TICK: Duration = Duration::from_secs(1);

/// Between two lines of the log that say how many are left.
const WORD: Duration = Duration::from_secs(60);
