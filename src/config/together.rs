//! What the values of a configuration mean to each other and to the host.
//!
//! Each function finds the mistakes of one kind. The values themselves have been read before, and those
//! that could not be read have a stand-in with port 0, which is in nobody's way.

mod addresses;
mod health;
mod pool;
mod process;
mod quorum;
mod secrets;

use std::time::Duration;

use self::addresses::{judge_bound_addresses, judge_passive_ports};
use self::health::judge_checks;
use self::pool::judge_pools;
use self::process::judge_process;
use self::quorum::settle_quorums;
use self::secrets::read_secrets;
use super::Config;
use super::check::Surroundings;
use super::key::Key;
use super::problem::{Mistake, Problems};
use super::value::size_text;

/// Reports what does not fit together. A quorum that can not be had is lowered, passwords are read.
pub(super) fn judge(config: &mut Config, surroundings: &Surroundings, problems: &Problems<'_>) {
    settle_quorums(&mut config.pools, problems);
    read_secrets(config, surroundings, problems);
    judge_listeners(config, problems);
    judge_bound_addresses(config, problems);
    judge_passive_ports(config, surroundings, problems);
    judge_pools(config, problems);
    judge_checks(config, problems);
    judge_process(config, problems);
    judge_logs(config, problems);
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

/// Lines of two forms in one file are of no use to anybody.
fn judge_logs(config: &Config, problems: &Problems<'_>) {
    let transfers = &config.transfer_log.file;
    if transfers.is_some() && *transfers == config.log.file {
        let mistake = Mistake::new("is log.file too", "name another file for the transfers");
        let key = Key::of("transfer_log").field("file");
        problems.error(&key, mistake);
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

fn pool_key(pool: usize) -> Key {
    Key::of("pool").index(pool)
}

fn backend_key(pool: usize, index: usize) -> Key {
    pool_key(pool).field("backend").index(index)
}

/// RFC 1123 §4.1.3.2 (O3).
const MIN_IDLE: Duration = Duration::from_mins(5);

/// RFC 6384 §12 (P14).
const MIN_DATA_OPEN: Duration = Duration::from_secs(30);

/// Of one session at its busiest: two control connections, two legs, a pipe, and the listener of the next
/// transfer.
const SESSION_DESCRIPTORS: u64 = 7;

/// Standard streams, listeners, the runtime, the admin port, the log, probes: 64. Idle pipes: 128.
const OTHER_DESCRIPTORS: u64 = 192;

#[cfg(test)]
mod tests;
