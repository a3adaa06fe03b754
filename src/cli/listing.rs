//! Listings in the columns of `ipvsadm -L -n`, so that eyes and scripts that know those read these as well.
//!
//! A listener is a virtual service with the backends of its pool below it. A session is an active connection
//! until it ends; there are no inactive ones. A backend that is not simply up has a word behind its row.
//! Of a pool behind several listeners each shows the whole.

pub(super) mod connections;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr};

use super::table::whole;
use crate::balance::Standing;
use crate::ops::status::{
    AffinityList, AffinityRuleStatus, BackendStatus, ListenerStatus, PoolStatus, State, Status,
};

/// Weights and sessions: what `ipvsadm -Ln` shows.
pub(super) fn weights(status: &Status) -> String {
    let heading = "Prot LocalAddress:Port Scheduler Flags\n\
                   \x20 -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n";
    let row = |_: &PoolStatus, backend: &BackendStatus| {
        let address = backend.address.to_string();
        let (weight, active) = (backend.weight, backend.sessions);
        let columns = format!(
            "{address:<28} {FORWARD:<7} {weight:<6} {active:<10} {0:<10}",
            0
        );
        with_word(columns, backend)
    };
    listing(status, heading, flags, row)
}

/// Sessions and bytes so far: `--stats`.
pub(super) fn stats(status: &Status, exact: bool) -> String {
    let heading = numbers_heading(["Conns", "InPkts", "OutPkts", "InBytes", "OutBytes"]);
    let cells = |totals: Totals| {
        [totals.sessions, 0, 0, totals.to_backend, totals.to_client].map(|n| number(n, exact))
    };
    let service = |listener: &ListenerStatus, pool: &PoolStatus| {
        let totals = { pool.backends.iter() }
            .map(Totals::of)
            .fold(Totals::default(), Totals::plus);
        format!("{:<33}{}", service_name(listener), cells(totals).concat())
    };
    let row = |_: &PoolStatus, backend: &BackendStatus| {
        let address = backend.address.to_string();
        format!("{address:<28}{}", cells(Totals::of(backend)).concat())
    };
    listing(status, &heading, service, row)
}

/// Sessions and bytes a second between two looks: `--rate`.
pub(super) fn rates(before: &Status, after: &Status, exact: bool) -> String {
    let heading = numbers_heading(["CPS", "InPPS", "OutPPS", "InBPS", "OutBPS"]);
    let seconds = (after.uptime_seconds - before.uptime_seconds).max(SHORTEST);
    let rate = |pool: &PoolStatus, backend: &BackendStatus| {
        let known = { before.pools.iter() }
            .filter(|of| of.name == pool.name && of.removed == pool.removed)
            .flat_map(|of| &of.backends)
            .find(|of| of.address == backend.address && of.sorry == backend.sorry);
        let zero = Totals::default();
        // What is new since has begun at zero.
        Totals::of(backend).since(known.map_or(zero, Totals::of), seconds)
    };
    let service = |listener: &ListenerStatus, pool: &PoolStatus| {
        let rates = pool.backends.iter().map(|backend| rate(pool, backend));
        let sum = rates.fold(Totals::default(), Totals::plus);
        let cells = [sum.sessions, 0, 0, sum.to_backend, sum.to_client].map(|n| number(n, exact));
        format!("{:<33}{}", service_name(listener), cells.concat())
    };
    let row = |pool: &PoolStatus, backend: &BackendStatus| {
        let (address, rate) = (backend.address.to_string(), rate(pool, backend));
        let bytes = [rate.to_backend, rate.to_client].map(|n| number(n, exact));
        let (sessions, bytes) = (rate.sessions, bytes.concat());
        format!("{address:<28} {sessions:>8} {0:>8} {0:>8}{bytes}", 0)
    };
    listing(after, &heading, service, row)
}

/// How many sessions each backend may have: `--thresholds`.
pub(super) fn thresholds(status: &Status) -> String {
    let heading = format!(
        "{:<33} {:<10} {:<10} {:<10} {:<10}\n{REMOTE}",
        LOCAL, "Uthreshold", "Lthreshold", "ActiveConn", "InActConn"
    );
    let row = |_: &PoolStatus, backend: &BackendStatus| {
        let address = backend.address.to_string();
        let BackendStatus {
            max_sessions,
            resume_sessions,
            sessions,
            ..
        } = backend;
        let limits = format!("{max_sessions:<10} {resume_sessions:<10}");
        with_word(
            format!("{address:<28} {limits} {sessions:<10} {0:<10}", 0),
            backend,
        )
    };
    listing(status, &heading, flags, row)
}

/// How many clients come back to each backend: `--persistent-conn`.
pub(super) fn persistent(status: &Status, affinity: &AffinityList) -> String {
    let heading = format!(
        "{:<33} {:<9} {:<11} {:<10} {:<10}\n{REMOTE}",
        LOCAL, "Weight", "PersistConn", "ActiveConn", "InActConn"
    );
    let row = |pool: &PoolStatus, backend: &BackendStatus| {
        let address = backend.address.to_string();
        let clients = affinity.entries.iter().filter(|entry| {
            !pool.removed && entry.pool == pool.name && entry.backend_address == backend.address
        });
        let clients = if backend.sorry { 0 } else { clients.count() };
        let BackendStatus {
            weight, sessions, ..
        } = backend;
        let columns = format!(
            "{address:<28} {weight:<9} {clients:<11} {sessions:<10} {0:<10}",
            0
        );
        with_word(columns, backend)
    };
    listing(status, &heading, flags, row)
}

/// How long silence may last: `--timeout`.
pub(super) fn timeouts(status: &Status) -> String {
    let [idle, settle] = [status.timeouts.idle_seconds, status.timeouts.settle_seconds].map(whole);
    format!("Timeout (tcp tcpfin udp): {idle} {settle} 0\n")
}

/// The word behind a backend that is not simply up.
pub(super) fn word(backend: &BackendStatus) -> Option<String> {
    let word = match (backend.standing, backend.state) {
        (Standing::Removed, _) => "removed".to_owned(),
        (Standing::Disabled, _) => "disabled".to_owned(),
        (Standing::Draining, _) => "draining".to_owned(),
        (Standing::Serving, State::Down) => "down".to_owned(),
        (Standing::Serving, State::Ejected) => {
            let left = backend.ejected_seconds.unwrap_or_default().ceil();
            format!("ejected {}s", whole(left))
        }
        (Standing::Serving, State::Up) if backend.full => "full".to_owned(),
        (Standing::Serving, State::Up) if backend.share_percent < 100 => {
            format!("ramping {}%", backend.share_percent)
        }
        (Standing::Serving, State::Up) => return None,
    };
    Some(word)
}

/// A title, then each listener with the backends of its pool, then the pools that no listener has.
fn listing(
    status: &Status,
    heading: &str,
    service: impl Fn(&ListenerStatus, &PoolStatus) -> String,
    row: impl Fn(&PoolStatus, &BackendStatus) -> String,
) -> String {
    let Status {
        version,
        sessions,
        pools,
        ..
    } = status;
    let draining = if status.draining { ", draining" } else { "" };
    let older = match status.older_sessions {
        0 => String::new(),
        older => format!(", older={older}"),
    };
    let title = format!("ftplb {version} (sessions={sessions}{older}{draining})\n{heading}");
    let mut parts = vec![title];
    let rows = |pool: &PoolStatus| {
        let rows = { pool.backends.iter() }.map(|of| format!("  -> {}\n", row(pool, of)));
        rows.collect::<String>()
    };
    for listener in &status.listeners {
        let is_its = |pool: &&PoolStatus| !pool.removed && pool.name == listener.pool;
        if let Some(pool) = pools.iter().find(is_its) {
            parts.push(format!("{}\n{}", service(listener, pool), rows(pool)));
        }
    }
    for pool in pools {
        let is_its = |listener: &ListenerStatus| listener.pool == pool.name;
        if pool.removed || !status.listeners.iter().any(is_its) {
            let removed = if pool.removed { " removed" } else { "" };
            let (name, scheduler) = (&pool.name, &pool.scheduler);
            parts.push(format!("POOL {name} {scheduler}{removed}\n{}", rows(pool)));
        }
    }
    parts.concat()
}

/// A service with its scheduler and flags.
fn flags(listener: &ListenerStatus, pool: &PoolStatus) -> String {
    let quorum = if pool.quorum { "" } else { " quorum lost" };
    let service = format!("{} {}{quorum}", service_name(listener), pool.scheduler);
    let Some(AffinityRuleStatus {
        timeout_seconds,
        prefix_v4,
        prefix_v6,
        ..
    }) = pool.affinity
    else {
        return service;
    };
    let mask = match listener.address.ip() {
        IpAddr::V4(_) if prefix_v4 < 32 => {
            let bits = u32::MAX.checked_shl(32 - u32::from(prefix_v4));
            format!(" mask {}", Ipv4Addr::from_bits(bits.unwrap_or_default()))
        }
        IpAddr::V6(_) if prefix_v6 < 128 => format!(" mask {prefix_v6}"),
        _ => String::new(),
    };
    format!("{service} persistent {}{mask}", whole(timeout_seconds))
}

fn service_name(listener: &ListenerStatus) -> String {
    format!("TCP  {}", listener.address)
}

fn with_word(columns: String, backend: &BackendStatus) -> String {
    let sorry = backend.sorry.then(|| "sorry".to_owned());
    let words: Vec<_> = sorry.into_iter().chain(word(backend)).collect();
    if words.is_empty() {
        return columns;
    }
    format!("{columns} {}", words.join(" "))
}

fn numbers_heading(names: [&str; 5]) -> String {
    let names = names.map(|name| format!(" {name:>8}")).concat();
    format!("{LOCAL:<33}{names}\n{REMOTE}")
}

/// A number in nine columns, as `ipvsadm` shortens it: the unit grows only where the digits no longer fit.
fn number(number: u64, exact: bool) -> String {
    const BILLION: u64 = 1_000_000_000;
    if exact {
        let number = format!(" {number}");
        return format!("{number:>9}");
    }
    match number {
        0..100_000_000 => format!("{number:>9}"),
        100_000_000..BILLION => format!("{:>8}K", number / 1_000),
        BILLION..100_000_000_000 => format!("{:>8}M", number / 1_000_000),
        100_000_000_000..100_000_000_000_000 => format!("{:>8}G", number / BILLION),
        _ => format!("{:>8}T", number / (1_000 * BILLION)),
    }
}

/// What a backend has served.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    sessions: u64,
    to_backend: u64,
    to_client: u64,
}

impl Totals {
    fn of(backend: &BackendStatus) -> Self {
        Self {
            sessions: backend.sessions_total,
            to_backend: backend.to_backend_bytes,
            to_client: backend.to_client_bytes,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            sessions: self.sessions + other.sessions,
            to_backend: self.to_backend + other.to_backend,
            to_client: self.to_client + other.to_client,
        }
    }

    /// The growth since `before`, a second.
    #[expect(clippy::cast_precision_loss, reason = "a rate is no exact number")]
    fn since(self, before: Self, seconds: f64) -> Self {
        let rate = |after: u64, before: u64| {
            whole((after.saturating_sub(before) as f64 / seconds).round())
        };
        Self {
            sessions: rate(self.sessions, before.sessions),
            to_backend: rate(self.to_backend, before.to_backend),
            to_client: rate(self.to_client, before.to_client),
        }
    }
}

/// The backend sees an address of ftplb's and answers to it: masquerading, in the words of ipvs.
const FORWARD: &str = "Masq";

const LOCAL: &str = "Prot LocalAddress:Port";
const REMOTE: &str = "  -> RemoteAddress:Port\n";

/// In seconds. Two looks are never closer; it keeps rates finite.
const SHORTEST: f64 = 0.001;
