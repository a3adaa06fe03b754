//! Taking over from an older process, and leaving to a newer one.
//!
//! ```text
//!   serves ── the newer process serves ─▶ as before ── half of `timeouts.upgrade` ─▶ at the next pause ── all of it ─▶ drain
//!                                             └───────────── the last session ends ──────┴────────────────────────▶ ends
//! ```

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::App;
use super::handover::{Successor, Takeover};
use crate::net::inherit::Shared;
use crate::session::Order;

impl App {
    /// Tells the older process that clients are served here now.
    pub(super) async fn take_over(&mut self, takeover: Takeover) {
        let who = takeover.who.clone();
        let taken = self.shared().map(|shared| shared.place().to_string());
        let (mut older, sessions) = match takeover.served(taken.collect()).await {
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
            pid = who.pid, version = %who.version, sessions,
            "taken over: the older process finishes its sessions"
        );
        let (fleet, stop) = (Arc::clone(&self.fleet), self.aside.stop.clone());
        fleet.set_older_sessions(sessions);
        { &self.aside.tasks }.spawn(async move {
            while let Some(Ok(sessions)) = stop.run_until_cancelled(older.next()).await {
                fleet.set_older_sessions(sessions);
            }
            if !stop.is_cancelled() {
                fleet.set_older_sessions(0);
                tracing::info!(pid = older.who.pid, "the older process has ended");
            }
        });
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
        let sessions = &self.fleet.process.sessions;
        tracing::info!(
            pid = who.pid, version = %who.version, sessions = sessions.len(),
            within = %humantime::format_duration(limit),
            "handed over: sessions go on here, new ones begin there"
        );
        let tasks = &self.listeners.sessions;
        tasks.close();
        let begin = Instant::now();
        let (mut told, mut spoke, mut is_listening) = (None, begin, true);
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = tasks.wait() => return successor,
                () = stop.cancelled() => return successor,
                _ = ticks.tick() => {}
            }
            let left = sessions.len();
            if is_listening && told.replace(left) != Some(left) {
                is_listening = successor.tell(left).await.is_ok();
            }
            if spoke.elapsed() >= WORD {
                spoke = Instant::now();
                tracing::info!(sessions = left, "leaving: sessions that are left");
            }
            if begin.elapsed() >= limit {
                return successor;
            }
            if begin.elapsed() >= limit / 2 {
                sessions.order_all(Order::Retire);
            }
        }
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

/// How soon it is seen that sessions have ended. An upgrade takes minutes.
const TICK: Duration = Duration::from_secs(1);

/// Between two lines of the log that say how many are left.
const WORD: Duration = Duration::from_secs(60);
