//! Every section of the configuration: its keys, their kinds, bounds and defaults.
//!
//! Each function reads one table; the larger ones have files of their own. `docs/configuration.md` has the same order and is tested against it.

mod bounds;
mod health;
mod pool;
mod script;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

pub(super) use self::health::VIA;
pub(super) use self::pool::{BACKEND_ACTIVE, BACKEND_PASSIVE, RECORD};
use super::file::{Node, Value};
use super::problem::Mistake;
use super::reader::Section;
use super::value::{self, count, word};
use super::{
    Access, Admin, Config, Listener, Log, LogFormat, Page, PeerCheck, PortAddress, Process,
    TransferFormat, TransferLog,
};

/// The whole configuration.
pub(super) fn config(s: &mut Section<'_>) -> Config {
    let pools = s.tables("pool", pool::pool);
    let names: Vec<&str> = pools.iter().map(|pool| pool.name.as_str()).collect();
    Config {
        listeners: s.tables("listener", |s| listener(s, &names)),
        limits: s.table("limits", bounds::limits),
        timeouts: s.table("timeouts", bounds::timeouts),
        scripts: s.table("scripts", script::scripts),
        process: s.table("process", process),
        admin: s.switch("admin", false, admin).unwrap_or_default(),
        log: s.table("log", log),
        transfer_log: s.table("transfer_log", transfer_log),
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
        access: Access {
            allow: s.list("allow", value::network).unwrap_or_default(),
            deny: s.list("deny", value::network).unwrap_or_default(),
        },
        deny_commands: { s.list("deny_commands", value::denial) }.unwrap_or_default(),
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

fn admin(s: &mut Section<'_>) -> Admin {
    let default = Admin::USUAL_ADDRESS;
    let address = |node: &Node| match node.value {
        // An API does without metrics.
        Value::Boolean(false) => Ok(None),
        _ => value::listen_address(default.port())(node).map(Some),
    };
    let address = s.or("address", address, Some(default));
    // Who is called whom is for this host's operators, not for everybody in Prometheus' network.
    let page = match address {
        Some(address) if address.ip().is_loopback() => Page::Full,
        Some(_) => Page::Summary,
        None => Page::Off,
    };
    Admin {
        address,
        api: s.optional("api", value::api_address(API_PORT)),
        page: s.or("page", word(&PAGE), page),
    }
}

fn process(s: &mut Section<'_>) -> Process {
    let user = s.optional("user", value::run_as);
    // Who gives up root wants no way back; who runs as somebody else by now may have scripts with sudo.
    let sandbox = user.as_ref().is_some_and(|user| !user.is_root());
    Process {
        user,
        privileged_ports: s.or("privileged_ports", value::boolean, true),
        sandbox: s.or("sandbox", value::boolean, sandbox),
        handover: s.optional("handover", value::socket_path),
    }
}

fn log(s: &mut Section<'_>) -> Log {
    Log {
        format: s.or("format", word(&LOG_FORMAT), LogFormat::Text),
        filter: s.or("filter", filter, "info".to_owned()),
        file: s.optional("file", value::text).map(PathBuf::from),
    }
}

fn transfer_log(s: &mut Section<'_>) -> TransferLog {
    TransferLog {
        format: s.or("format", word(&TRANSFER_FORMAT), TransferFormat::Json),
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

pub(super) const LOG_FORMAT: [(&str, LogFormat); 2] =
    [("text", LogFormat::Text), ("json", LogFormat::Json)];

pub(super) const TRANSFER_FORMAT: [(&str, TransferFormat); 2] = [
    ("json", TransferFormat::Json),
    ("xferlog", TransferFormat::Xferlog),
];

pub(super) const PAGE: [(&str, Page); 3] = [
    ("full", Page::Full),
    ("summary", Page::Summary),
    ("off", Page::Off),
];

pub(super) const PORT_ADDRESS: [(&str, PortAddress); 2] = [
    ("reject", PortAddress::Reject),
    ("use_control_ip", PortAddress::UseControlIp),
];

const PEER_CHECK: [(&str, PeerCheck); 2] = [("strict", PeerCheck::Strict), ("off", PeerCheck::Off)];

/// In place of an address that is missing or wrong. No right address of a backend has port 0, and no
/// two listeners with port 0 are in each other's way.
const STAND_IN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Beside that of metrics and health.
const API_PORT: u16 = 9122;

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests;
