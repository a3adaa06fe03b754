//! Every section of the configuration: its keys, their kinds, bounds and defaults.
//!
//! Each function reads one table. `docs/configuration.md` has the same order and is tested against it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::file::Node;
use super::problem::Mistake;
use super::reader::Section;
use super::value::{self, count, duration, size, word};
use super::{
    Affinity, Backend, BackendActive, BackendPassive, Config, Ejection, HealthCheck, Listener, Log,
    LogFormat, PeerCheck, Pool, PortAddress, Probe, Secret,
};
use crate::balance::Algorithm;
use crate::health::Thresholds;
use crate::limits::{Limits, Timeouts};

/// The whole configuration.
pub(super) fn config(s: &mut Section<'_>) -> Config {
    let pools = s.tables("pool", pool);
    let names: Vec<&str> = pools.iter().map(|pool| pool.name.as_str()).collect();
    Config {
        listeners: s.tables("listener", |s| listener(s, &names)),
        limits: s.table("limits", limits),
        timeouts: s.table("timeouts", timeouts),
        admin: s.switch("admin", false, admin),
        log: s.table("log", log),
        pools,
    }
}

fn listener(s: &mut Section<'_>, pools: &[&str]) -> Listener {
    Listener {
        address: s.required(
            "address",
            value::listen_address(value::FTP_PORT),
            "\"0.0.0.0:21\"",
            STAND_IN,
        ),
        pool: pool_of_listener(s, pools),
        passive_ports: s.or("passive_ports", value::passive_ports, 10_000..=20_000),
        advertise: s.optional("advertise", value::host_v4),
        data_peer_check: peer_check(s),
        port_address: s.or("port_address", word(&PORT_ADDRESS), PortAddress::Reject),
        strict_port20: s.or("strict_port20", value::boolean, false),
    }
}

/// The index of the listener's pool, whose name may be left out while there is only one.
fn pool_of_listener(s: &mut Section<'_>, pools: &[&str]) -> usize {
    let all = pools.join(", ");
    let find = |node: &Node| {
        let name = value::text(node)?;
        pools.iter().position(|pool| *pool == name).ok_or_else(|| {
            let hint = format!("the pools are: {all}");
            Mistake::new(format!("there is no pool {name:?}"), hint)
        })
    };
    let index = s.optional("pool", find);
    if !s.has("pool") && pools.len() > 1 {
        let mistake = Mistake::new("is missing", format!("write one of the pools: {all}"));
        s.missing("pool", mistake);
    }
    index.unwrap_or(0)
}

fn peer_check(s: &mut Section<'_>) -> PeerCheck {
    if s.is_table("data_peer_check") {
        return s.table("data_peer_check", |s| PeerCheck::Prefix {
            v4: s.or("prefix_v4", count(0..=32), 32),
            v6: s.or("prefix_v6", count(0..=128), 128),
        });
    }
    let or_table = |node: &Node| {
        word(&PEER_CHECK)(node).map_err(|Mistake { message, hint }| {
            Mistake::new(
                message,
                format!("{hint}, {{ prefix_v4 = 24, prefix_v6 = 64 }}"),
            )
        })
    };
    s.or("data_peer_check", or_table, PeerCheck::Strict)
}

fn pool(s: &mut Section<'_>) -> Pool {
    Pool {
        name: s.or("name", value::text, "default".to_owned()),
        algorithm: s.or("algorithm", value::algorithm, Algorithm::default()),
        backend_passive: s.or(
            "backend_passive",
            word(&BACKEND_PASSIVE),
            BackendPassive::Same,
        ),
        backend_active: s.or(
            "backend_active",
            word(&BACKEND_ACTIVE),
            BackendActive::Active,
        ),
        source: s.optional("source", value::host),
        affinity: s.switch("affinity", false, affinity),
        health: s.switch("health", true, health),
        ejection: s.switch("ejection", true, ejection),
        backends: s.tables("backend", backend),
    }
}

fn affinity(s: &mut Section<'_>) -> Affinity {
    Affinity {
        timeout: s.or("timeout", duration(MILLISECOND..=7 * DAY), 6 * MINUTE),
        prefix_v4: s.or("prefix_v4", count(0..=32), 32),
        prefix_v6: s.or("prefix_v6", count(0..=128), 128),
        entries: s.or("entries", count(1..=10_000_000), 1_000_000),
    }
}

fn health(s: &mut Section<'_>) -> HealthCheck {
    let kind = s.or("probe", word(&PROBE), ProbeKind::Greeting);
    let user = s.optional("user", value::text);
    let password = s.optional("password", value::secret);
    for name in ["user", "password"] {
        let hint = "the probe \"login\" has both a user and a password";
        if kind == ProbeKind::Login && !s.has(name) {
            s.missing(name, Mistake::new("is missing", hint));
        }
        if kind != ProbeKind::Login && s.has(name) {
            s.error(
                name,
                Mistake::new("has no use: the probe does not log in", hint),
            );
        }
    }
    HealthCheck {
        probe: match kind {
            ProbeKind::Greeting => Probe::Greeting,
            ProbeKind::Login => Probe::Login {
                user: user.unwrap_or_default(),
                password: Secret(password.unwrap_or_default()),
            },
            ProbeKind::Tcp => Probe::Tcp,
        },
        interval: s.or("interval", duration(MILLISECOND..=DAY), 5 * SECOND),
        timeout: s.or("timeout", duration(MILLISECOND..=DAY), 5 * SECOND),
        thresholds: Thresholds {
            rise: s.or("rise", count(1..=1_000), Thresholds::default().rise),
            fall: s.or("fall", count(1..=1_000), Thresholds::default().fall),
        },
    }
}

fn ejection(s: &mut Section<'_>) -> Ejection {
    Ejection {
        failures: s.or("failures", count(1..=1_000), 3),
        time: s.or("time", duration(MILLISECOND..=DAY), 30 * SECOND),
    }
}

fn backend(s: &mut Section<'_>) -> Backend {
    let example = "\"192.0.2.11:21\"";
    let address = s.required("address", value::backend_address, example, STAND_IN);
    Backend {
        address,
        weight: s.or("weight", count(0..=65_535), 1),
        name: s.or("name", value::text, address.to_string()),
    }
}

fn limits(s: &mut Section<'_>) -> Limits {
    let default = Limits::default();
    let million = 1_000_000;
    Limits {
        sessions: s.or("sessions", count(1..=million), default.sessions),
        sessions_per_client: s.or(
            "sessions_per_client",
            count(1..=million),
            default.sessions_per_client,
        ),
        command_line_bytes: s.or(
            "command_line_bytes",
            size(64..=64 * KIB),
            default.command_line_bytes,
        ),
        reply_line_bytes: s.or(
            "reply_line_bytes",
            size(512..=KIB * KIB),
            default.reply_line_bytes,
        ),
        reply_lines: s.or("reply_lines", count(64..=million), default.reply_lines),
        reply_bytes: s.or(
            "reply_bytes",
            size(4 * KIB..=64 * KIB * KIB),
            default.reply_bytes,
        ),
        pending_commands: s.or(
            "pending_commands",
            count(1..=65_536),
            default.pending_commands,
        ),
        queued_bytes: s.or(
            "queued_bytes",
            size(4 * KIB..=16 * KIB * KIB),
            default.queued_bytes,
        ),
        leases_per_client: s.or(
            "leases_per_client",
            count(1..=50_000),
            default.leases_per_client,
        ),
        errors_before_login: s.or(
            "errors_before_login",
            count(1..=10_000),
            default.errors_before_login,
        ),
        tries: s.or("tries", count(1..=100), default.tries),
    }
}

fn timeouts(s: &mut Section<'_>) -> Timeouts {
    let default = Timeouts::default();
    let mut wait = |name, default| s.or(name, duration(MILLISECOND..=7 * DAY), default);
    Timeouts {
        connect: wait("connect", default.connect),
        greeting: wait("greeting", default.greeting),
        user: wait("user", default.user),
        login: wait("login", default.login),
        line: wait("line", default.line),
        idle: wait("idle", default.idle),
        reply: wait("reply", default.reply),
        data_open: wait("data_open", default.data_open),
        data_dial: wait("data_dial", default.data_dial),
        data_idle: wait("data_idle", default.data_idle),
        settle: wait("settle", default.settle),
        drain: wait("drain", default.drain),
        upload_end: s.or(
            "upload_end",
            duration(Duration::ZERO..=SECOND),
            default.upload_end,
        ),
        // The kernel counts whole seconds, and takes no more than 32767.
        keepalive: s.or("keepalive", duration(SECOND..=9 * HOUR), default.keepalive),
    }
}

fn admin(s: &mut Section<'_>) -> SocketAddr {
    let default = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), ADMIN_PORT);
    s.or("address", value::listen_address(ADMIN_PORT), default)
}

fn log(s: &mut Section<'_>) -> Log {
    Log {
        format: s.or("format", word(&LOG_FORMAT), LogFormat::Text),
        filter: s.or("filter", filter, "info".to_owned()),
        file: s.optional("file", value::text).map(PathBuf::from),
    }
}

fn filter(node: &Node) -> Result<String, Mistake> {
    let filter = value::text(node)?;
    match EnvFilter::try_new(&filter) {
        Ok(_) => Ok(filter),
        Err(error) => Err(Mistake::new(
            format!("{filter:?} is no filter: {error}"),
            "a level (error, warn, info, debug, trace), or levels of parts: \"info,ftplb=debug\"",
        )),
    }
}

/// [`Probe`] without what a login needs.
#[derive(Clone, Copy, Eq, PartialEq)]
enum ProbeKind {
    Greeting,
    Login,
    Tcp,
}

pub(super) const BACKEND_ACTIVE: [(&str, BackendActive); 2] = [
    ("active", BackendActive::Active),
    ("passive", BackendActive::Passive),
];

pub(super) const BACKEND_PASSIVE: [(&str, BackendPassive); 3] = [
    ("same", BackendPassive::Same),
    ("pasv", BackendPassive::Pasv),
    ("epsv", BackendPassive::Epsv),
];

pub(super) const LOG_FORMAT: [(&str, LogFormat); 2] =
    [("text", LogFormat::Text), ("json", LogFormat::Json)];

pub(super) const PORT_ADDRESS: [(&str, PortAddress); 2] = [
    ("reject", PortAddress::Reject),
    ("use_control_ip", PortAddress::UseControlIp),
];

const PEER_CHECK: [(&str, PeerCheck); 2] = [("strict", PeerCheck::Strict), ("off", PeerCheck::Off)];

const PROBE: [(&str, ProbeKind); 3] = [
    ("greeting", ProbeKind::Greeting),
    ("login", ProbeKind::Login),
    ("tcp", ProbeKind::Tcp),
];

/// In place of an address that is missing or wrong. No right address of a backend has port 0, and no
/// two listeners with port 0 are in each other's way.
const STAND_IN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Beside the ports that exporters of Prometheus commonly use.
const ADMIN_PORT: u16 = 9121;

const KIB: usize = 1 << 10;
const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests;
