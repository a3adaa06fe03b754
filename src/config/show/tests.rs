//! What is shown can be read back, and is what the documents say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use toml::{Table, Value};

use super::super::check::{Surroundings, check};
use super::super::{Config, Probe, Secret};
use super::show;

/// Every key that there is, no value a default.
const FULL: &str = r#"
[[listener]]
address = "[::]:2121"
pool = "b \" \\ ü"
passive_ports = "30000-30001"
advertise = "203.0.113.10"
data_peer_check = { prefix_v4 = 24, prefix_v6 = 64 }
port_address = "use_control_ip"
strict_port20 = true

[[listener]]
address = "192.0.2.1:21"
pool = "a"
data_peer_check = "off"

[[pool]]
name = "a"
health = { probe = "tcp", interval = "1m 1ms" }
[[pool.backend]]
address = "[2001:db8::1]:21"

[[pool]]
name = "b \" \\ ü"
algorithm = "mh"
backend_passive = "epsv"
backend_active = "passive"
source = "10.0.0.1"
affinity = { timeout = "1h", prefix_v4 = 24, prefix_v6 = 56, entries = 7 }
health = { probe = "login", user = "u", password = "p", interval = "7s", timeout = "3s", rise = 1, fall = 9 }
ejection = { failures = 4, time = "90s" }
[[pool.backend]]
address = "10.0.0.11:2121"
weight = 0
name = "b0"
[[pool.backend]]
address = "10.0.0.12:21"
weight = 5

[limits]
sessions = 11
sessions_per_client = 12
command_line_bytes = 4097
reply_line_bytes = "1KiB"
reply_lines = 99
reply_bytes = "2MiB"
pending_commands = 13
queued_bytes = 5000
leases_per_client = 14
errors_before_login = 15
tries = 16

[timeouts]
connect = "1001ms"
greeting = "2s"
user = "3s"
login = "4s"
line = "5s"
idle = "6h"
reply = "7s"
data_open = "8m"
data_dial = "9s"
data_idle = "10s"
settle = "11s"
upload_end = "3ms"
drain = "1day 12s"
keepalive = "13s"

[admin]
address = "[::1]:9999"

[log]
format = "json"
filter = "info,ftplb=debug"
file = "/var/log/ftplb \" log"
"#;

/// Only what must be written, but that affinity and the admin port are on for their defaults to show.
const SHORT: &str = r#"
[[listener]]
address = "0.0.0.0:21"
[[pool]]
affinity = true
[[pool.backend]]
address = "192.0.2.11"
[admin]
"#;

fn config(text: &str) -> Config {
    check(text, "x.toml", &Surroundings::default())
        .unwrap_or_else(|found| panic!("{found:#?}"))
        .config
}

#[test]
fn what_is_shown_is_read_back_the_same() {
    for text in [FULL, SHORT, &SHORT.replace("[admin]", "[log]")] {
        let mut expected = config(text);
        let shown = show(&expected);
        for health in expected
            .pools
            .iter_mut()
            .filter_map(|pool| pool.health.as_mut())
        {
            if let Probe::Login { password, .. } = &mut health.probe {
                *password = Secret("***".to_owned());
            }
        }
        assert_eq!(config(&shown), expected, "{shown}");
        assert_eq!(show(&config(&shown)), shown);
    }
}

#[test]
fn o6_a_password_is_not_shown() {
    let shown = show(&config(
        &FULL.replace("password = \"p\"", "password = \"tops3cret\""),
    ));
    assert!(
        shown.contains("user = \"u\", password = \"***\""),
        "{shown}"
    );
    assert!(!shown.contains("tops3cret"), "{shown}");
}

proptest! {
    #[test]
    fn any_number_duration_and_text_is_read_back_the_same(
        sizes in prop::array::uniform3(8_192..65_536_usize),
        sessions in 1..1_000_000_usize,
        milliseconds in prop::array::uniform3(1..604_800_000_u64),
        seconds in 1..32_400_u64,
        name in "[^\\p{Cc}]{1,12}",
        ports in (1_024..40_000_u16, 0..20_000_u16),
    ) {
        let mut expected = config(SHORT);
        expected.limits.command_line_bytes = sizes[0];
        expected.limits.queued_bytes = sizes[1] * 8;
        expected.limits.reply_bytes = sizes[2] * 8;
        expected.limits.sessions = sessions;
        let [idle, drain, settle] = milliseconds.map(std::time::Duration::from_millis);
        expected.timeouts.idle = idle;
        expected.timeouts.drain = drain;
        expected.timeouts.settle = settle;
        expected.timeouts.keepalive = std::time::Duration::from_secs(seconds);
        expected.pools[0].backends[0].name.clone_from(&name);
        expected.pools[0].name = name;
        expected.listeners[0].passive_ports = ports.0..=ports.0 + ports.1;
        // 9121 is the admin port, which may not be passive.
        expected.admin = None;
        prop_assert_eq!(config(&show(&expected)), expected);
    }
}

#[test]
fn the_document_has_every_key_with_its_default() {
    let rows = documented();
    let written: BTreeSet<_> = keys(FULL).into_keys().collect();
    let documented: BTreeSet<_> = rows.keys().cloned().collect();
    assert_eq!(
        documented, written,
        "docs/configuration.md and the configuration differ"
    );
    let mut shown = keys(&show(&config(SHORT)));
    // Whether affinity is off by default; SHORT has it on.
    shown.extend(keys(&show(&config(&SHORT.replace("affinity = true", "")))));
    // Of these the value is that of SHORT, or follows from it.
    for key in [
        "listener.address",
        "listener.pool",
        "pool.backend.address",
        "pool.backend.name",
    ] {
        assert!(shown.remove(key).is_some(), "{key}");
    }
    for (key, default) in &rows {
        match shown.get(key) {
            Some(value) => assert_eq!(*default, format!("`{value}`"), "{key}"),
            None => assert!(!default.contains('`'), "{key} has no default but {default}"),
        }
    }
}

#[test]
fn the_example_is_right_and_shows_every_section() {
    let text = file("deploy/ftplb.example.toml");
    let surroundings = Surroundings {
        ephemeral_ports: Some(32_768..=60_999),
        reserved_ports: Vec::new(),
        descriptors: Some(20_000),
    };
    let checked = check(&text, "ftplb.example.toml", &surroundings)
        .unwrap_or_else(|found| panic!("{found:#?}"));
    assert_eq!(checked.warnings, []);
    for section in [
        "[[listener]]",
        "[[pool]]",
        "[[pool.backend]]",
        "[limits]",
        "[timeouts]",
        "[admin]",
        "[log]",
    ] {
        assert!(text.contains(section), "{section}");
    }
    // What is commented out is an example as well.
    let all = text.replace("\n# = ", "\n");
    assert_ne!(all, text);
    check(&all, "ftplb.example.toml", &surroundings).unwrap_or_else(|found| panic!("{found:#?}"));
}

/// The keys of the tables of docs/configuration.md with their defaults. A heading such as
/// ``## `[limits]` `` names the table, the first two cells of a row key and default.
fn documented() -> BTreeMap<String, String> {
    let text = file("docs/configuration.md");
    let mut rows = BTreeMap::new();
    let mut table = String::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            table = heading
                .split('`')
                .nth(1)
                .unwrap_or("")
                .replace(['[', ']'], "");
        }
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        if let ["", key, default, ..] = cells.as_slice()
            && let Some(key) = key.strip_prefix('`').and_then(|key| key.strip_suffix('`'))
        {
            let key = format!("{table}.{key}");
            assert_eq!(
                rows.insert(key.clone(), (*default).to_owned()),
                None,
                "{key} stands twice"
            );
        }
    }
    rows
}

/// Every key of a TOML text, without the indexes, and its value; of a table in a table it is `true`.
fn keys(text: &str) -> BTreeMap<String, String> {
    fn walk(key: &str, value: &Value, keys: &mut BTreeMap<String, String>) {
        match value {
            Value::Table(table) => table.iter().for_each(|(name, value)| {
                let key = if key.is_empty() {
                    name.clone()
                } else {
                    format!("{key}.{name}")
                };
                if value.is_table() && key.contains('.') {
                    keys.insert(key.clone(), "true".to_owned());
                }
                walk(&key, value, keys);
            }),
            Value::Array(values) => values.iter().for_each(|value| walk(key, value, keys)),
            value => {
                keys.insert(key.to_owned(), value.to_string());
            }
        }
    }
    let mut keys = BTreeMap::new();
    walk("", &Value::Table(text.parse::<Table>().unwrap()), &mut keys);
    keys
}

fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
