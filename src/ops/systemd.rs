//! What systemd hears of the process, where systemd has started it (sd_notify(3)): that it serves, that it
//! reads its configuration, that it stops, how many sessions it has, and that it is alive.
//!
//! Elsewhere nothing is said. A message that can not be sent changes nothing here; systemd waits for it, and
//! says so.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use crate::ops::fleet::Fleet;

/// Clients are served, or the configuration has been read.
pub fn ready() {
    say(&[NotifyState::Ready]);
}

/// The configuration is being read: [`ready`] follows.
pub fn reloading() {
    // systemd wants to know since when, in its Type=notify-reload.
    let since = NotifyState::monotonic_usec_now();
    say(&[
        NotifyState::Reloading,
        since.unwrap_or(NotifyState::MonotonicUsec(0)),
    ]);
}

/// The end begins.
pub fn stopping() {
    say(&[NotifyState::Stopping]);
}

/// Tells of the sessions and of being alive, until told to stop. A runtime that hangs is silent, and systemd
/// ends the process then, if the unit has a watchdog.
pub async fn tell(fleet: Arc<Fleet>, stop: CancellationToken) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let watchdog = sd_notify::watchdog_enabled();
    let period = watchdog.map_or(STATUS, |limit| (limit / 2).min(STATUS));
    // A period of zero would be a panic.
    let mut ticks = tokio::time::interval(period.max(SHORTEST));
    let mut told = String::new();
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let now = status(&fleet);
        if now != told {
            say(&[NotifyState::Status(&now)]);
            told = now;
        }
        if watchdog.is_some() {
            say(&[NotifyState::Watchdog]);
        }
    }
}

fn status(fleet: &Fleet) -> String {
    let sessions = fleet.process.sessions.len();
    let older = fleet.process.metrics.handovers.older_sessions();
    match (fleet.is_draining(), older) {
        (true, _) => format!("leaving, sessions: {sessions}"),
        (false, 0) => format!("serving, sessions: {sessions}"),
        (false, older) => {
            format!("serving, sessions: {sessions}, in the older process: {older}")
        }
    }
}

fn say(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd can not be told {states:?}");
    }
}

/// Between two looks at the sessions.
const STATUS: Duration = Duration::from_secs(10);

const SHORTEST: Duration = Duration::from_millis(10);
