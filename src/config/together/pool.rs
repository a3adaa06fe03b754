//! The backends of a pool among each other, and the rules by which they are given sessions.

use super::super::key::Key;
use super::super::problem::{Mistake, Problems};
use super::super::{Config, Pool};
use super::{backend_key, pool_key, repeated};
use crate::balance::Algorithm;

pub(super) fn judge_pools(config: &Config, problems: &Problems<'_>) {
    if config.pools.is_empty() {
        let hint = "the FTP servers: [[pool]], and [[pool.backend]] for each";
        problems.error(&Key::of("pool"), Mistake::new("there is no pool", hint));
    }
    let names: Vec<_> = config.pools.iter().map(|pool| &pool.name).collect();
    for (index, first) in repeated(&names) {
        let message = format!("pool[{first}] has this name already");
        let hint = "give each pool its own name";
        problems.error(&pool_key(index).field("name"), Mistake::new(message, hint));
    }
    for (index, pool) in config.pools.iter().enumerate() {
        judge_weights(index, pool, problems);
        judge_backends(index, pool, problems);
        judge_discoveries(index, pool, problems);
        judge_sorry(index, pool, problems);
        judge_source(index, pool, problems);
        judge_room(index, pool, problems);
        judge_algorithm(index, pool, problems);
    }
}

fn judge_weights(index: usize, pool: &Pool, problems: &Problems<'_>) {
    let key = pool_key(index);
    let found = pool.discoveries.iter().map(|found| found.weight);
    let mut weights = pool
        .backends
        .iter()
        .map(|backend| backend.weight)
        .chain(found)
        .peekable();
    if weights.peek().is_none() {
        let hint = "add [[pool.backend]] with address = \"192.0.2.11:21\", or [[pool.discover]] with \
                    name = \"ftp.example.com\"";
        let mistake = Mistake::new(format!("the pool {:?} has no backend", pool.name), hint);
        problems.error(&key.field("backend"), mistake);
    } else if weights.all(|weight| weight == 0) {
        let hint = "give one of them a weight of 1 or more";
        let message = format!(
            "every backend of {:?} has weight 0: nobody is served",
            pool.name
        );
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
            let key = backend_key(index, at).field("address");
            problems.error(&key, Mistake::new(message, hint));
        }
    }
    let names: Vec<_> = pool.backends.iter().map(|backend| &backend.name).collect();
    for (at, first) in repeated(&names) {
        // Of equal addresses it was said already, and their names follow from them.
        if address(at) != address(first) {
            let message = format!("pool[{index}].backend[{first}] has this name already");
            let hint = "give each backend its own name: metrics and logs tell them apart by it";
            let key = backend_key(index, at).field("name");
            problems.error(&key, Mistake::new(message, hint));
        }
    }
}

fn judge_discoveries(index: usize, pool: &Pool, problems: &Problems<'_>) {
    let asked = |name: &str| name.trim_end_matches('.').to_ascii_lowercase();
    let questions = pool.discoveries.iter();
    let questions: Vec<_> = questions
        .map(|of| (asked(&of.name), of.record, of.port))
        .collect();
    for (at, first) in repeated(&questions) {
        // Stand-ins are all alike.
        if questions.get(at).is_some_and(|(name, ..)| !name.is_empty()) {
            let message =
                format!("pool[{index}].discover[{first}] finds the same backends already");
            let hint = "write each name once";
            let key = discovery_key(index, at).field("name");
            problems.error(&key, Mistake::new(message, hint));
        }
    }
    for (at, discovery) in pool.discoveries.iter().enumerate() {
        let (least, most) = (discovery.min_interval, discovery.max_interval);
        if least > most {
            let [least, most] = [least, most].map(humantime::format_duration);
            let message = format!("{most} is less than min_interval, which is {least}");
            let hint = format!("at least \"{least}\", or lower min_interval");
            let key = discovery_key(index, at).field("max_interval");
            problems.error(&key, Mistake::new(message, hint));
        }
    }
}

fn judge_sorry(index: usize, pool: &Pool, problems: &Problems<'_>) {
    let mut addresses = pool.backends.iter().map(|backend| backend.address);
    if let Some(sorry) = pool.sorry
        && let Some(at) = addresses.position(|address| address == sorry)
    {
        let message = format!("{sorry} is pool[{index}].backend[{at}] as well");
        let hint = "write a server that is not among the backends: they are all left out then";
        problems.error(&pool_key(index).field("sorry"), Mistake::new(message, hint));
    }
}

fn judge_source(index: usize, pool: &Pool, problems: &Problems<'_>) {
    let known = pool
        .backends
        .iter()
        .filter(|backend| backend.address.port() != 0);
    let mut families = known.map(|backend| backend.address.is_ipv4()).peekable();
    if let Some(source) = pool.source
        // What is found by name may be of either family.
        && pool.discoveries.is_empty()
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
        problems.error(
            &pool_key(index).field("source"),
            Mistake::new(message, hint),
        );
    }
}

/// How many sessions a backend takes, and what waits for room.
fn judge_room(index: usize, pool: &Pool, problems: &Problems<'_>) {
    let of_backends = pool
        .backends
        .iter()
        .enumerate()
        .map(|(at, of)| (backend_key(index, at), of.max_sessions, of.resume_sessions));
    let of_found = pool.discoveries.iter().enumerate().map(|(at, of)| {
        (
            discovery_key(index, at),
            of.max_sessions,
            of.resume_sessions,
        )
    });
    let mut is_limited = false;
    for (key, most, resume) in of_backends.chain(of_found) {
        is_limited |= most > 0;
        let key = key.field("resume_sessions");
        if most == 0 && resume > 0 {
            let hint = "leave it out, or write max_sessions";
            let mistake = Mistake::new("has no use: max_sessions is not set", hint);
            problems.warning(&key, mistake);
        } else if most > 0 && resume >= most {
            let message = format!("{resume} is not less than max_sessions, which is {most}");
            let hint = format!("at most {}, or 0 for below three quarters", most - 1);
            problems.error(&key, Mistake::new(message, hint));
        }
    }
    if pool.waiting.is_some() && !is_limited {
        let hint = "leave it out, or write max_sessions for a backend";
        let message = "has no use: no backend has max_sessions, so there is always room";
        let key = pool_key(index).field("waiting");
        problems.warning(&key, Mistake::new(message, hint));
    }
}

/// What the algorithm has no use for.
fn judge_algorithm(index: usize, pool: &Pool, problems: &Problems<'_>) {
    let name = pool.algorithm.name();
    let warn = |key, message: String, hint| {
        problems.warning(&pool_key(index).field(key), Mistake::new(message, hint));
    };
    if pool.hash_port && !pool.algorithm.hashes_client() {
        let message = format!("has no use: {name} does not look at the client's address");
        warn(
            "hash_port",
            message,
            "leave it out, or write algorithm = \"mh\" or \"sh\"",
        );
    }
    if !pool.slow_start.is_zero() && !pool.algorithm.heeds_shares() {
        let message = format!("has no effect: {name} gives nobody a greater share by degrees");
        warn(
            "slow_start",
            message,
            "leave it out, or write algorithm = \"wlc\" or \"wrr\"",
        );
    }
    if pool.affinity.is_some() && pool.algorithm == Algorithm::UserHash {
        let message =
            format!("has no effect: with {name} the user decides, wherever the client is");
        warn(
            "affinity",
            message,
            "leave it out, or choose another algorithm",
        );
    }
}

fn discovery_key(pool: usize, index: usize) -> Key {
    pool_key(pool).field("discover").index(index)
}
