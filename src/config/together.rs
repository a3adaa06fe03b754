//! What the values of a configuration mean to each other and to the host.
//!
//! Each function finds the mistakes of one kind. The values themselves have been read before, and those
//! that could not be read have a stand-in with port 0, which is in nobody's way.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::check::Surroundings;
use super::key::Key;
use super::problem::{Mistake, Problems};
use super::value::size_text;
use super::{Config, Pool, Probe, Secret};

/// Reports what does not fit together.
pub(super) fn judge(config: &Config, surroundings: &Surroundings, problems: &Problems<'_>) {
    judge_listeners(config, problems);
    judge_bound_addresses(config, problems);
    judge_passive_ports(config, surroundings, problems);
    judge_pools(config, problems);
    judge_buffers(config, problems);
    judge_timeouts(config, problems);
    judge_descriptors(config, surroundings, problems);
}

fn judge_listeners(config: &Config, problems: &Problems<'_>) {
    if config.listeners.is_empty() {
        let hint = "one address to listen on at least: [[listener]] with address = \"0.0.0.0:21\"";
        problems.error(
            &Key::of("listener"),
            Mistake::new("there is no listener", hint),
        );
    }
    for (index, listener) in config.listeners.iter().enumerate() {
        // [::] may take IPv4 clients too (V2), and P7 names the address to them.
        let ip = listener.address.ip();
        if listener.advertise.is_some() && ip.is_ipv6() && !ip.is_unspecified() {
            let hint = "leave it out: clients on IPv6 use EPSV, which names no address";
            let mistake = Mistake::new(format!("has no use: {ip} serves IPv6 only"), hint);
            problems.error(&listener_key(index, "advertise"), mistake);
        }
    }
}

/// No two addresses that ftplb listens on may be in each other's way, nor may a backend be one of them.
fn judge_bound_addresses(config: &Config, problems: &Problems<'_>) {
    let bound = bound_addresses(config);
    for (place, (key, address)) in bound.iter().enumerate() {
        let earlier = bound.iter().take(place);
        if let Some((other, _)) = earlier
            .into_iter()
            .find(|(_, other)| clash(*other, *address))
        {
            let hint = "give each its own IP address or port; a wildcard takes every address (K2)";
            let mistake = Mistake::new(format!("{address} is already taken by {other}"), hint);
            problems.error(key, mistake);
        }
    }
    for (pool_index, pool) in config.pools.iter().enumerate() {
        for (index, backend) in pool.backends.iter().enumerate() {
            let address = backend.address;
            // A wildcard takes every address of this host; of those only the loopback is known here.
            let own = |bound: SocketAddr| {
                clash(bound, address) && (bound == address || address.ip().is_loopback())
            };
            if let Some((listener, _)) = bound.iter().find(|(_, bound)| own(*bound)) {
                let hint = "write the address of an FTP server, not ftplb's own";
                let message = format!("ftplb itself listens on {address}: {listener}");
                let key = backend_key(pool_index, index, "address");
                problems.error(&key, Mistake::new(message, hint));
            }
        }
    }
}

fn judge_passive_ports(config: &Config, surroundings: &Surroundings, problems: &Problems<'_>) {
    let bound = bound_addresses(config);
    for (index, listener) in config.listeners.iter().enumerate() {
        let key = listener_key(index, "passive_ports");
        let (first, last) = listener.passive_ports.clone().into_inner();
        for (taken_by, address) in &bound {
            let here = SocketAddr::new(listener.address.ip(), address.port());
            if listener.passive_ports.contains(&address.port()) && clash(here, *address) {
                let port = address.port();
                let message = format!("port {port} of \"{first}-{last}\" is that of {taken_by}");
                let hint = "choose a range without the ports that ftplb listens on";
                problems.error(&key, Mistake::new(message, hint));
            }
        }
        if let Some(ephemeral) = &surroundings.ephemeral_ports
            && (first.max(*ephemeral.start())..=last.min(*ephemeral.end())).any(|port| {
                !surroundings
                    .reserved_ports
                    .iter()
                    .any(|r| r.contains(&port))
            })
        {
            let (low, high) = (ephemeral.start(), ephemeral.end());
            let message = format!(
                "\"{first}-{last}\" overlaps {low}-{high}, from which the kernel gives ports to \
                 outgoing connections; those can not be leased then (K1)"
            );
            let hint = format!(
                "choose ports outside it, or sysctl -w \
                 net.ipv4.ip_local_reserved_ports={first}-{last}"
            );
            problems.warning(&key, Mistake::new(message, hint));
        }
    }
}

fn judge_pools(config: &Config, problems: &Problems<'_>) {
    if config.pools.is_empty() {
        let hint = "the FTP servers: [[pool]], and [[pool.backend]] for each";
        problems.error(&Key::of("pool"), Mistake::new("there is no pool", hint));
    }
    let names: Vec<_> = config.pools.iter().map(|pool| &pool.name).collect();
    for (index, first) in repeated(&names) {
        let message = format!("pool[{first}] has this name already");
        let hint = "give each pool its own name";
        problems.error(
            &Key::of("pool").index(index).field("name"),
            Mistake::new(message, hint),
        );
    }
    for (index, pool) in config.pools.iter().enumerate() {
        judge_weights(index, pool, problems);
        judge_password(index, pool, problems);
        judge_backends(index, pool, problems);
        judge_source(index, pool, problems);
    }
}

fn judge_weights(index: usize, pool: &Pool, problems: &Problems<'_>) {
    let key = Key::of("pool").index(index);
    if pool.backends.is_empty() {
        let hint = "add [[pool.backend]] with address = \"192.0.2.11:21\"";
        let mistake = Mistake::new(format!("the pool {:?} has no backend", pool.name), hint);
        problems.error(&key.field("backend"), mistake);
    } else if pool.backends.iter().all(|backend| backend.weight == 0) {
        let hint = "give one of them a weight of 1 or more";
        let message = format!(
            "every backend of {:?} has weight 0: nobody is served",
            pool.name
        );
        problems.warning(&key, Mistake::new(message, hint));
    }
}

/// What `show-config` prints is no password: a file made of that would fail every login.
fn judge_password(index: usize, pool: &Pool, problems: &Problems<'_>) {
    let probe = pool.health.as_ref().map(|health| &health.probe);
    if let Some(Probe::Login { password, .. }) = probe
        && password.0 == Secret::MASK
    {
        let key = Key::of("pool")
            .index(index)
            .field("health")
            .field("password");
        let message = "is what show-config prints in place of a password";
        let hint = "write the password of the user that the check logs in as";
        problems.warning(&key, Mistake::new(message, hint));
    }
}

fn judge_backends(index: usize, pool: &Pool, problems: &Problems<'_>) {
    let address = |at: usize| pool.backends.get(at).map(|backend| backend.address);
    let addresses: Vec<_> = pool
        .backends
        .iter()
        .map(|backend| backend.address)
        .collect();
    for (at, first) in repeated(&addresses) {
        // Stand-ins are all alike.
        if address(at).is_some_and(|address| address.port() != 0) {
            let message = format!("pool[{index}].backend[{first}] has this address already");
            let hint = "to give a backend a greater share, raise its weight";
            problems.error(
                &backend_key(index, at, "address"),
                Mistake::new(message, hint),
            );
        }
    }
    let names: Vec<_> = pool.backends.iter().map(|backend| &backend.name).collect();
    for (at, first) in repeated(&names) {
        // Of equal addresses it was said already, and their names follow from them.
        if address(at) != address(first) {
            let message = format!("pool[{index}].backend[{first}] has this name already");
            let hint = "give each backend its own name: metrics and logs tell them apart by it";
            problems.error(&backend_key(index, at, "name"), Mistake::new(message, hint));
        }
    }
}

fn judge_source(index: usize, pool: &Pool, problems: &Problems<'_>) {
    let known = pool
        .backends
        .iter()
        .filter(|backend| backend.address.port() != 0);
    let mut families = known.map(|backend| backend.address.is_ipv4()).peekable();
    if let Some(source) = pool.source
        && families.peek().is_some()
        && families.all(|is_ipv4| is_ipv4 != source.is_ipv4())
    {
        let [own, other] = if source.is_ipv4() {
            ["IPv4", "IPv6"]
        } else {
            ["IPv6", "IPv4"]
        };
        let message = format!("{source} is {own}, and every backend of the pool is {other}");
        let hint = format!("write an {other} address of this host, or leave it out");
        let key = Key::of("pool").index(index).field("source");
        problems.error(&key, Mistake::new(message, hint));
    }
}

/// Every buffer takes at least one of what it buffers.
fn judge_buffers(config: &Config, problems: &Problems<'_>) {
    let limits = &config.limits;
    for (name, bytes, part_name, part) in [
        (
            "reply_bytes",
            limits.reply_bytes,
            "reply_line_bytes",
            limits.reply_line_bytes,
        ),
        (
            "queued_bytes",
            limits.queued_bytes,
            "reply_line_bytes",
            limits.reply_line_bytes,
        ),
        (
            "queued_bytes",
            limits.queued_bytes,
            "command_line_bytes",
            limits.command_line_bytes,
        ),
    ] {
        if bytes < part {
            let [bytes, part] = [bytes, part].map(size_text);
            let message = format!("{bytes} is less than {part_name}, which is {part}");
            let hint = format!("at least {part}");
            problems.error(&Key::of("limits").field(name), Mistake::new(message, hint));
        }
    }
}

fn judge_timeouts(config: &Config, problems: &Problems<'_>) {
    let timeouts = &config.timeouts;
    for (name, value, least, reason) in [
        ("idle", timeouts.idle, MIN_IDLE, "RFC 1123 section 4.1.3.2"),
        (
            "data_open",
            timeouts.data_open,
            MIN_DATA_OPEN,
            "RFC 6384 section 12",
        ),
    ] {
        if value < least {
            let [value, least] = [value, least].map(humantime::format_duration);
            let message = format!("{value} is less than the {least} of {reason}");
            let hint = format!("at least \"{least}\": some clients need it");
            problems.warning(
                &Key::of("timeouts").field(name),
                Mistake::new(message, hint),
            );
        }
    }
}

/// O1: a limit that is higher than what the process can serve does not protect it.
fn judge_descriptors(config: &Config, surroundings: &Surroundings, problems: &Problems<'_>) {
    let Some(available) = surroundings.descriptors else {
        return;
    };
    let sessions = u64::try_from(config.limits.sessions).unwrap_or(u64::MAX);
    let needed = sessions
        .saturating_mul(SESSION_DESCRIPTORS)
        .saturating_add(OTHER_DESCRIPTORS);
    if needed > available {
        let message = format!(
            "{sessions} sessions, each with up to {SESSION_DESCRIPTORS} descriptors, and \
             {OTHER_DESCRIPTORS} others need {needed}; this process may open {available}"
        );
        let fitting = available.saturating_sub(OTHER_DESCRIPTORS) / SESSION_DESCRIPTORS;
        let hint = format!(
            "raise the limit (LimitNOFILE={needed}, ulimit -n {needed}), or lower sessions to \
             {fitting}"
        );
        problems.warning(
            &Key::of("limits").field("sessions"),
            Mistake::new(message, hint),
        );
    }
}

/// Every address that ftplb will listen on from its start, with its key.
fn bound_addresses(config: &Config) -> Vec<(Key, SocketAddr)> {
    let listeners = config.listeners.iter().enumerate();
    listeners
        .map(|(index, listener)| (listener_key(index, "address"), listener.address))
        .chain(
            config
                .admin
                .map(|address| (Key::of("admin").field("address"), address)),
        )
        .collect()
}

/// Whether two sockets can not listen on both addresses. With port 0 the kernel finds a free port.
fn clash(a: SocketAddr, b: SocketAddr) -> bool {
    let same_family = a.is_ipv4() == b.is_ipv4();
    let wildcard = |ip: IpAddr| ip.is_unspecified();
    a.port() != 0
        && a.port() == b.port()
        && (a.ip() == b.ip() || (same_family && (wildcard(a.ip()) || wildcard(b.ip()))))
}

/// The places of the values that stand earlier as well, each with the first place.
fn repeated<T: PartialEq>(values: &[T]) -> Vec<(usize, usize)> {
    let first = |value: &T| values.iter().position(|other| other == value);
    let places = values.iter().enumerate();
    places
        .filter_map(|(place, value)| Some((place, first(value)?)))
        .filter(|(place, first)| first < place)
        .collect()
}

fn listener_key(index: usize, name: &str) -> Key {
    Key::of("listener").index(index).field(name)
}

fn backend_key(pool: usize, index: usize, name: &str) -> Key {
    Key::of("pool")
        .index(pool)
        .field("backend")
        .index(index)
        .field(name)
}

/// RFC 1123 §4.1.3.2 (O3).
const MIN_IDLE: Duration = Duration::from_mins(5);

/// RFC 6384 §12 (P14).
const MIN_DATA_OPEN: Duration = Duration::from_secs(30);

/// Of one session in a transfer: two control connections, two legs, the data listener, and a pipe.
const SESSION_DESCRIPTORS: u64 = 7;

/// Standard streams, listeners, the runtime, the admin port, the log, probes.
const OTHER_DESCRIPTORS: u64 = 64;

#[cfg(test)]
mod tests;
