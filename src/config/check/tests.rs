//! Each mistake has its line, key and hint, and none hides another.

use super::{Checked, Surroundings, check};
use crate::config::problem::{Place, Problem};

/// Two addresses, and everything else by default. It ends in the table of the backend.
pub(in crate::config) const GOOD: &str = r#"[[listener]]
address = "192.0.2.1"
[[pool]]
[[pool.backend]]
address = "10.0.0.11"
"#;

/// [`GOOD`] with `text` in its pool, from line 4 on.
pub(in crate::config) fn good_pool_with(text: &str) -> String {
    GOOD.replace("[[pool]]\n", &format!("[[pool]]\n{text}\n"))
}

fn surroundings() -> Surroundings {
    Surroundings {
        ephemeral_ports: Some(32_768..=60_999),
        reserved_ports: Vec::new(),
        descriptors: Some(20_000),
        ..Surroundings::default()
    }
}

pub(in crate::config) fn result(text: &str) -> Result<Checked, Vec<Problem>> {
    check(text, "x.toml", &surroundings())
}

pub(in crate::config) fn problems(text: &str) -> Vec<Problem> {
    result(text).map_or_else(|problems| problems, |checked| checked.warnings)
}

/// `cases` are separated by `---` lines. Each is TOML, which `whole` makes a whole configuration, and
/// then one line for each problem: `=> LINE KEY: MESSAGE | HINT`, of which the end may be left out.
pub(in crate::config) fn assert_cases(cases: &str, whole: impl Fn(&str) -> String) {
    for case in cases.split("---\n") {
        let (text, expected) = case.split_once("=> ").expect("a case expects something");
        let text = whole(text.trim_start());
        let expected: Vec<_> = expected
            .lines()
            .map(|line| line.trim_start_matches("=> "))
            .collect();
        let found: Vec<_> = problems(&text).iter().map(in_one_line).collect();
        let agree = found
            .iter()
            .zip(&expected)
            .all(|(found, start)| found.starts_with(start));
        assert!(
            agree && found.len() == expected.len(),
            "{text}\n{found:#?}\nnot\n{expected:#?}"
        );
    }
}

fn in_one_line(problem: &Problem) -> String {
    let Place::File { line, .. } = problem.place else {
        panic!("{problem}")
    };
    let text = problem.to_string().replacen("\n    hint: ", " | ", 1);
    let (_place, text) = text.split_once(": ").expect("the place comes first");
    format!("{line} {text}")
}

#[test]
fn a_problem_reads_as_file_line_column_key_message_and_hint() {
    let text = GOOD.replace("[[pool]]\n", "[[pool]]\n    algorithm = \"wlcc\"\n");
    assert_eq!(
        problems(&text)[0].to_string(),
        "x.toml:4:17: pool[0].algorithm: \"wlcc\" is no algorithm\n    hint: one of \
         destination_hash (dh), least_connections (lc), locality_least_connections (lblc), \
         locality_least_connections_replicated (lblcr), maglev (mh), never_queue (nq), \
         power_of_two_choices (twos), round_robin (rr), shortest_expected_delay (sed), \
         source_hash (sh), user_hash, weighted_failover (fo), weighted_least_connections (wlc), \
         weighted_overflow (ovf), weighted_round_robin (wrr)"
    );
    assert_eq!(
        problems(&format!("{GOOD}[timeouts]\nidle = \"1m\"\n"))[0].to_string(),
        "x.toml:7:8: warning: timeouts.idle: 1m is less than the 5m of RFC 1123 section 4.1.3.2\n    \
         hint: at least \"5m\": some clients need it"
    );
}

#[test]
fn the_shortest_configuration_has_two_addresses_and_no_warning() {
    let checked = result(GOOD).unwrap();
    assert_eq!(checked.warnings, []);
    assert_eq!(
        checked.config.listeners[0].address.to_string(),
        "192.0.2.1:21"
    );
    assert_eq!(checked.config.pools[0].name, "default");
    assert_eq!(checked.config.pools[0].backends[0].name, "10.0.0.11:21");
}

#[test]
fn every_mistake_is_reported_at_once_in_the_order_of_the_text() {
    let case = r#"
verbose = true
[[listener]]
adress = "0.0.0.0:21"
passive_ports = "20-10"
strict_port20 = "yes"
[[listener]]
address = "nowhere"
pool = "b"
[[pool]]
name = "a"
algorithm = 7
health = { probe = "login", user = "x", rise = 0, fal = 1 }
[[pool.backend]]
address = "10.0.0.1:0"
weight = -1
[[pool.backend]]
address = "10.0.0.2"
[[pool.backend]]
address = "10.0.0.2:21"
[limits]
sessions = "many"
queued_bytes = "1KB"
[timeouts]
idle = 600
connect = "0s"
[log]
filter = "ftplb=loud"
=> 1 verbose: there is no such key | the keys here are pool, listener, limits, timeouts, scripts, process, admin, log
=> 2 listener[0].address: is missing | write address = "0.0.0.0:21"
=> 3 listener[0].adress: there is no such key | did you mean `address`?
=> 4 listener[0].passive_ports: "20-10" ends before it begins | write "10-20"
=> 5 listener[0].strict_port20: "yes" is neither true nor false | write true or false
=> 7 listener[1].address: "nowhere" is no address | names are not looked up: write the IP address
=> 8 listener[1].pool: there is no pool "b" | the pools are: a
=> 11 pool[0].algorithm: 7 is no algorithm | one of destination_hash (dh)
=> 12 pool[0].health.password: is missing | the probes "login" and "transfer" have
=> 12 pool[0].health.rise: 0 is out of range | a whole number from 1 to 1000
=> 12 pool[0].health.fal: there is no such key | did you mean `fall`?
=> 14 pool[0].backend[0].address: nobody can connect to 10.0.0.1:0 | the address and port of one
=> 15 pool[0].backend[0].weight: -1 is out of range | a whole number from 0 to 65535
=> 19 pool[0].backend[2].address: pool[0].backend[1] has this address already | to give a backend
=> 21 limits.sessions: "many" is no whole number | a whole number from 1 to 1000000
=> 22 limits.queued_bytes: "1KB" is no size | a number of bytes, or such as "64KiB", from 4KiB to
=> 24 timeouts.idle: 600 is no duration | a number with its unit, such as "90s"
=> 25 timeouts.connect: "0s" is out of range | a number with its unit, such as "90s" or "5m", from 1ms
=> 27 log.filter: "ftplb=loud" is no filter: error parsing level filter
"#;
    assert_cases(case, str::to_owned);
}

#[test]
fn what_is_absent_is_reported() {
    let cases = r#"
=> 1 listener: there is no listener | one address to listen on at least
=> 1 pool: there is no pool | the FTP servers
---
[[listener]]
address = "0.0.0.0"
[[pool]]
=> 3 pool[0].backend: the pool "default" has no backend | add [[pool.backend]]
---
[[listener]]
address = "0.0.0.0"
[[pool]]
name = "a"
[[pool.backend]]
address = "10.0.0.11"
[[pool]]
name = "b"
[[pool.backend]]
=> 1 listener[0].pool: is missing | write one of the pools: a, b
=> 9 pool[1].backend[0].address: is missing | write address = "192.0.2.11:21"
"#;
    assert_cases(cases, str::to_owned);
}

#[test]
fn syntax_errors_hide_no_mistake_elsewhere_and_make_up_none() {
    let case = r#"
[[listener]]
address = 0.0.0.0:21
[[pool]]
name = files
algorithm = "x"
algorithm = "lc"
=> 2 syntax error: invalid float | text, addresses and durations stand in quotes
=> 4 syntax error: invalid boolean | text, addresses and durations stand in quotes
=> 5 pool[0].algorithm: "x" is no algorithm
=> 6 syntax error: duplicate key | the file is TOML
"#;
    assert_cases(case, str::to_owned);
}

#[test]
fn a_file_of_nothing_but_mistakes_is_judged_line_by_line() {
    // Found by the fuzzer: each problem looked for the lines of all others, and took from the start of the
    // file to find one. This took an hour.
    let text = "[[poll]]\nadress 1\n".repeat(4_000);
    let found = check(&text, "x.toml", &Surroundings::default()).unwrap_err();
    assert!(found.len() >= 4_000, "{}", found.len());
}
