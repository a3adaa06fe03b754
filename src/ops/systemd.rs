//! What systemd hears of the process, where systemd has started it (sd_notify(3)): that it serves, that it
//! reads its configuration, that it stops, how many sessions it has, and that it is alive.
//!
//! Elsewhere nothing is said. Nobody waits for systemd: a message for which it has no room is lost, and
//! systemd says what it misses.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use tokio_util::sync::CancellationToken;

use crate::ops::fleet::Fleet;
use crate::proxy::workers::Workers;

/// Clients are served, or the configuration has been read.
pub fn ready() {
    say("READY=1");
}

/// The configuration is being read: [`ready`] follows.
pub fn reloading() {
    // Type=notify-reload wants to know since when.
    let since = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from);
    let since = since.unwrap_or_default().as_micros();
    say(&format!("RELOADING=1\nMONOTONIC_USEC={since}"));
}

/// The end begins.
pub fn stopping() {
    say("STOPPING=1");
}

/// Tells of the sessions and of being alive, until told to stop. A process of which a thread hangs is silent,
/// and systemd ends it then, if the unit has a watchdog.
pub async fn tell(fleet: Arc<Fleet>, workers: Workers, stop: CancellationToken) {
    if env::var_os(SOCKET).is_none() {
        return;
    }
    let watchdog = watchdog();
    let period = watchdog.map_or(STATUS, |limit| (limit / 2).clamp(SHORTEST, STATUS));
    let mut ticks = tokio::time::interval(period);
    let mut told = String::new();
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let now = status(&fleet);
        if now != told {
            say(&format!("STATUS={now}"));
            told = now;
        }
        if watchdog.is_some() {
            let answered = stop.run_until_cancelled(workers.answer()).await;
            if answered == Some(true) {
                say("WATCHDOG=1");
            }
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

/// How long silence may last, if this process is watched (sd_watchdog_enabled(3)).
fn watchdog() -> Option<Duration> {
    let number = |name| env::var(name).ok()?.parse::<u64>().ok();
    let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    number("WATCHDOG_USEC")
        .filter(|_| is_ours)
        .map(Duration::from_micros)
}

fn say(message: &str) {
    if let Some(socket) = env::var_os(SOCKET)
        && let Err(error) = send(&socket, message)
    {
        tracing::debug!(%error, message, "systemd can not be told");
    }
}

fn send(to: &OsStr, message: &str) -> io::Result<()> {
    let address = match to.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(to)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(message.as_bytes(), &address).map(drop)
}

/// Where systemd listens, in the environment.
const SOCKET: &str = "NOTIFY_SOCKET";

/// Between two looks at the sessions.
const STATUS: Duration = Duration::from_secs(10);

/// A watchdog that is shorter is a mistake.
const SHORTEST: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_hears_at_a_path_and_at_a_name() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("notify");
        let name = format!("ftplb-{}", path.display());
        let abstracted = SocketAddr::from_abstract_name(&name).unwrap();
        for (to, socket) in [
            (path.display().to_string(), UnixDatagram::bind(&path)),
            (format!("@{name}"), UnixDatagram::bind_addr(&abstracted)),
        ] {
            let socket = socket.unwrap();
            send(OsStr::new(&to), "READY=1").unwrap();
            let mut bytes = [0; 16];
            assert_eq!(socket.recv(&mut bytes).unwrap(), 7, "{to}");
            assert_eq!(&bytes[..7], b"READY=1");
        }
    }

    #[test]
    fn nobody_waits_for_a_systemd_that_does_not_listen() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("notify");
        let _socket = UnixDatagram::bind(&path).unwrap();
        let mut sent = (0..100_000).map(|_| send(path.as_os_str(), "WATCHDOG=1"));
        let error = sent.find_map(Result::err).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
