//! What is shown can be read back, and is what the documents say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use toml::{Table, Value};

use super::super::check::{Surroundings, check};
use super::super::secret::SecretFile;
use super::super::{Admin, Config, HealthCheck, HttpProbe, Probe, Script, Secret};
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
allow = ["10.0.0.0/8", "2001:db8::/32"]
deny = ["10.1.0.0/16", "10.2.3.4"]
deny_commands = ["SITE CPFR", "dele"]

[[listener]]
address = "192.0.2.1:21"
pool = "a"
data_peer_check = "off"

[[pool]]
name = "a"
health = { probe = "tcp", interval = "1m 1ms", retry_interval = "1s", warmup = "0s", fast_recovery = true, address = ":2121" }
[[pool.backend]]
address = "[2001:db8::1]:21"
health = false

[[pool]]
name = "b \" \\ ü"
algorithm = "mh"
hash_port = true
backend_passive = "epsv"
backend_active = "passive"
source = "10.0.0.1"
affinity = { timeout = "1h", prefix_v4 = 24, prefix_v6 = 56, entries = 7 }
health = [
    { probe = "login", user = "u", password = "p", interval = "7s", timeout = "3s", rise = 1, fall = 9 },
    { probe = "transfer", user = "v", password = "q", via = "listener", file = "a \" b" },
    { probe = "transfer", user = "v", password_file = "/etc/ftplb/\"password", address = "10.0.0.13" },
    { probe = "script", command = """/bin/check 'it is' "\t" \\\"\n # no word""", run_as = "nobody", dynamic_weight = true, address = "[2001:db8::1]" },
    { probe = "http", url = "/a?b", host = "ftp.example", status = "200,204,300-310", digest = "D41D8CD98F00B204E9800998ECF8427E", regex = '^a\s"b"', regex_no_match = true, address = "[2001:db8::1]:80" },
]
alpha = true
quorum = { weight = 4, hysteresis = 1, on_up = "up", on_down = { command = "/bin/down now", run_as = "u:g" } }
sorry = "10.0.0.99:2121"
on_up = ["/bin/up", "", "a b", "\t\n"]
on_down = { command = ["down"], run_as = "u" }
omega = true
slow_start = "30s"
waiting = { time = "3s", sessions = 17 }
ejection = { failures = 4, time = "90s" }
[[pool.backend]]
address = "10.0.0.11:2121"
weight = 0
name = "b0"
max_sessions = 100
resume_sessions = 80
on_up = "up b0"
on_down = "down b0"
[[pool.backend]]
address = "10.0.0.12:21"
weight = 5
health = { probe = "script", command = ["check", "b1"] }
[[pool.discover]]
name = "ftp.example.com"
record = "address"
port = 2121
weight = 3
max_sessions = 9
resume_sessions = 8
min_interval = "1s"
max_interval = "2m"
servers = ["10.0.0.53:53", "[2001:db8::53]:5353"]
[[pool.discover]]
name = "_ftp._tcp.example.com."
record = "srv"

[limits]
sessions = 11
sessions_per_client = 12
sessions_per_network = 17
prefix_v4 = 16
prefix_v6 = 48
sessions_before_login = 18
sessions_before_login_per_client = 19
connection_rate = "20/s burst 100"
passive_rate = "600/m"
command_rate = "1000/h"
reply_rate = "50/s burst 7"
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
backend_drain = "14s"
drain_idle = "0s"
upgrade = "2h"
keepalive = "13s"

[scripts]
run_as = "nobody:nogroup"
timeout = "9s"

[process]
user = "root:0"
privileged_ports = false
sandbox = true
handover = "/run/ftplb/handover.sock"

[admin]
address = "[::1]:9999"
api = "/run/ftplb/api.sock"
page = "off"

[log]
format = "json"
filter = "info,ftplb=debug"
file = "/var/log/ftplb \" log"

[transfer_log]
format = "xferlog"
file = "/var/log/xferlog"
"#;

/// Only what must be written, but that what is off is on for its defaults to show.
const SHORT: &str = r#"
[[listener]]
address = "0.0.0.0:21"
[[pool]]
affinity = true
waiting = true
[[pool.backend]]
address = "192.0.2.11"
[[pool.discover]]
name = "ftp.example.com"
[admin]
"#;

fn config(text: &str) -> Config {
    let here = Surroundings {
        read_secret: |_| {
            Ok(SecretFile {
                bytes: b"from a file\n".to_vec(),
                is_public: false,
            })
        },
        ..Surroundings::default()
    };
    check(text, "x.toml", &here)
        .unwrap_or_else(|found| panic!("{found:#?}"))
        .config
}

/// Every check of every pool and backend.
fn checks(config: &mut Config) -> impl Iterator<Item = &mut HealthCheck> {
    config.pools.iter_mut().flat_map(|pool| {
        let of_backends = pool.backends.iter_mut().filter_map(|b| b.health.as_mut());
        pool.health.iter_mut().chain(of_backends.flatten())
    })
}

#[test]
fn what_is_shown_is_read_back_the_same() {
    for text in [FULL, SHORT, &SHORT.replace("[admin]", "[log]")] {
        let mut expected = config(text);
        let shown = show(&expected);
        for check in checks(&mut expected) {
            if let Probe::Login { password, .. } | Probe::Transfer { password, .. } =
                &mut check.probe
                && password.file().is_none()
            {
                *password = Secret::written("***");
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
    let file = r#"password_file = '/etc/ftplb/"password'"#;
    assert!(shown.contains(file), "{shown}");
    assert!(!shown.contains("from a file"), "{shown}");
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
        words in prop::collection::vec("[^\\x00]{0,12}", 0..4),
        pattern in "[a-z\"'#\\\\\n\t\u{1f}\u{7f}é\u{85}]{0,8}",
        micros in 0..86_400_000_000_u64,
    ) {
        let mut expected = config(SHORT);
        expected.limits.command_line_bytes = sizes[0];
        expected.limits.queued_bytes = sizes[1] * 8;
        expected.limits.reply_bytes = sizes[2] * 8;
        expected.limits.sessions = sessions;
        let [idle, drain, settle] = milliseconds.map(Duration::from_millis);
        expected.timeouts.idle = idle;
        expected.timeouts.drain = drain;
        expected.timeouts.settle = settle;
        expected.timeouts.keepalive = Duration::from_secs(seconds);
        let mut script = Script { words: vec!["x".to_owned()], run_as: None };
        script.words.extend(words);
        let pool = &mut expected.pools[0];
        pool.notify.on_up = Some(script.clone());
        let http = HttpProbe {
            path: "/".to_owned(),
            host: None,
            status: vec![100..=200, 999..=999],
            digest: None,
            regex: Some(regex::escape(&pattern)),
            regex_no_match: false,
        };
        let warmup = Duration::from_micros(micros);
        let check = HealthCheck { warmup, ..pool.health[0].clone() };
        for probe in [Probe::Script { script, dynamic_weight: false }, Probe::Http(http)] {
            pool.health.push(HealthCheck { probe, ..check.clone() });
        }
        expected.pools[0].backends[0].name.clone_from(&name);
        expected.pools[0].name = name;
        expected.listeners[0].passive_ports = ports.0..=ports.0 + ports.1;
        // 9121 is the admin port, which may not be passive.
        expected.admin = Admin::default();
        prop_assert_eq!(config(&show(&expected)), expected);
    }
}

#[test]
fn the_document_has_every_key_with_its_default() {
    let rows = documented();
    let written: BTreeSet<_> = keys(FULL)
        .into_keys()
        .filter(|key| !is_elsewhere(key))
        .collect();
    let documented: BTreeSet<_> = rows.keys().cloned().collect();
    assert_eq!(
        documented, written,
        "docs/configuration.md and the configuration differ"
    );
    let mut shown = keys(&show(&config(SHORT)));
    // What is off by default; SHORT has it on.
    let off = SHORT.replace("affinity = true\nwaiting = true\n", "");
    shown.extend(keys(&show(&config(&off))));
    // Of these the value is that of SHORT, or follows from it or from another key.
    for key in [
        "listener.address",
        "listener.pool",
        "pool.backend.address",
        "pool.backend.name",
        "pool.discover.name",
        "pool.health.retry_interval",
        "pool.health.warmup",
        "pool.quorum",
        "process.sandbox",
        "limits.sessions_per_network",
        "limits.sessions_before_login",
        "limits.sessions_before_login_per_client",
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

/// Whether a key is in a table that is explained once, and not everywhere that it may stand: the health
/// of one backend, a script.
fn is_elsewhere(key: &str) -> bool {
    let is_in_script = |of: &str| key.contains(&format!(".{of}."));
    key.starts_with("pool.backend.health.") || is_in_script("on_up") || is_in_script("on_down")
}

#[test]
fn the_example_is_right_and_shows_every_section() {
    let text = file("deploy/ftplb.example.toml");
    let surroundings = Surroundings {
        ephemeral_ports: Some(32_768..=60_999),
        reserved_ports: Vec::new(),
        descriptors: Some(20_000),
        ..Surroundings::default()
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
        "[scripts]",
        "[process]",
        "[admin]",
        "[log]",
        "[transfer_log]",
    ] {
        assert!(text.contains(section), "{section}");
    }
    // What is commented out is an example as well.
    let all = text.replace("\n# = ", "\n");
    assert_ne!(all, text);
    check(&all, "ftplb.example.toml", &surroundings).unwrap_or_else(|found| panic!("{found:#?}"));
}

#[test]
fn every_example_in_the_document_is_right() {
    let listener = "[[listener]]\naddress = \"192.0.2.1\"\n";
    let backend = "[[pool.backend]]\naddress = \"192.0.2.11\"\nweight = 2\nmax_sessions = 9\n";
    let document = file("docs/configuration.md");
    let blocks = document.split("```toml\n").skip(1);
    let mut count = 0;
    for block in blocks.filter_map(|rest| rest.split("```").next()) {
        let text = if block.contains("[[listener]]") {
            block.to_owned()
        } else if block.contains("[[pool]]") {
            format!("{listener}{block}{backend}")
        } else {
            format!("{listener}[[pool]]\n{backend}{block}")
        };
        let checked = check(&text, "x.toml", &Surroundings::default());
        let checked = checked.unwrap_or_else(|found| panic!("{text}{found:#?}"));
        assert_eq!(checked.warnings, [], "{text}");
        count += 1;
    }
    assert!(count > 3, "the examples are not found");
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
