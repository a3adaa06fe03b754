//! What is right by itself and wrong together is reported with its line and a hint.

use super::super::check::tests::{GOOD, assert_cases, good_pool_with, problems, result};
use super::super::check::{Surroundings, check};
use super::super::problem::Problem;
use super::super::secret::SecretFile;

#[test]
fn names_and_addresses_that_are_taken_are_reported() {
    let behind_line_5 = r#"
[[pool]]
name = "default"
[[pool.backend]]
address = "10.0.0.11"
=> 1 listener[0].pool: is missing
=> 7 pool[1].name: pool[0] has this name already | give each pool its own name
---
name = "b"
[[pool.backend]]
address = "10.0.0.12"
name = "b"
=> 9 pool[0].backend[1].name: pool[0].backend[0] has this name already | give each backend
---
[[pool.backend]]
address = "[::ffff:10.0.0.11]:21"
=> 7 pool[0].backend[1].address: pool[0].backend[0] has this address already
---
[[listener]]
address = "0.0.0.0:21"
=> 7 listener[1].address: 0.0.0.0:21 is already taken by listener[0].address | give each its own
---
[admin]
address = "192.0.2.1:21"
=> 7 admin.address: 192.0.2.1:21 is already taken by listener[0].address
---
[admin]
address = "0.0.0.0:10500"
=> 1 listener[0].passive_ports: port 10500 of "10000-20000" is that of admin.address | choose a
---
[[listener]]
address = "192.0.2.1:5000"
passive_ports = "4000-6000"
=> 8 listener[1].passive_ports: port 5000 of "4000-6000" is that of listener[1].address
---
[[listener]]
address = "0.0.0.0:2121"
[[pool.backend]]
address = "127.0.0.1:2121"
=> 9 pool[0].backend[1].address: ftplb itself listens on 127.0.0.1:2121: listener[1].address | write
---
[[pool.backend]]
address = "192.0.2.1"
=> 7 pool[0].backend[1].address: ftplb itself listens on 192.0.2.1:21: listener[0].address
"#;
    assert_cases(behind_line_5, |text| format!("{GOOD}{text}"));
}

#[test]
fn an_api_and_names_that_are_taken_are_reported() {
    let behind_line_5 = r#"
[admin]
address = "127.0.0.1:9122"
api = "127.0.0.1"
=> 8 admin.api: 127.0.0.1:9122 is already taken by admin.address | give each its own
---
[admin]
api = "127.0.0.1:9000"
[[pool.backend]]
address = "127.0.0.1:9000"
=> 9 pool[0].backend[1].address: ftplb itself listens on 127.0.0.1:9000: admin.api
---
[[listener]]
address = "127.0.0.1:2121"
[admin]
api = "127.0.0.1:10500"
=> 6 listener[1].passive_ports: port 10500 of "10000-20000" is that of admin.api
---
[[pool.discover]]
name = "ftp.example.com"
[[pool.discover]]
name = "FTP.example.com."
port = 21
[[pool.discover]]
name = "ftp.example.com"
port = 2121
=> 9 pool[0].discover[1].name: pool[0].discover[0] finds the same backends already | write each name
"#;
    assert_cases(behind_line_5, |text| format!("{GOOD}{text}"));
}

#[test]
fn values_that_do_not_fit_together_are_reported() {
    let behind_line_5 = r#"
[[listener]]
address = "[2001:db8::1]:21"
advertise = "203.0.113.1"
=> 8 listener[1].advertise: has no use: 2001:db8::1 serves IPv6 only | leave it out
---
[limits]
queued_bytes = 4096
=> 7 limits.queued_bytes: 4KiB is less than reply_line_bytes, which is 8KiB | at least 8KiB
---
[limits]
reply_bytes = 4096
=> 7 limits.reply_bytes: 4KiB is less than reply_line_bytes, which is 8KiB
"#;
    assert_cases(behind_line_5, |text| format!("{GOOD}{text}"));
}

#[test]
fn rules_of_a_pool_that_do_not_fit_together_are_reported() {
    let in_pool = r#"
sorry = "10.0.0.11:21"
=> 4 pool[0].sorry: 10.0.0.11:21 is pool[0].backend[0] as well | write a server that is not among the
---
sorry = "192.0.2.1"
=> 4 pool[0].sorry: ftplb itself listens on 192.0.2.1:21: listener[0].address | write the address of an
---
quorum = { hysteresis = 1 }
=> 4 pool[0].quorum.hysteresis: 1 is not less than weight, which is 1 | at most 0
---
quorum = { weight = 2, hysteresis = 2 }
[[pool.backend]]
address = "10.0.0.12"
weight = 2
=> 4 pool[0].quorum.hysteresis: 2 is not less than weight, which is 2 | at most 1
---
quorum = { weight = 3 }
=> 4 warning: pool[0].quorum.weight: 3 is more than all the backends weigh together: 1 is taken in its
---
quorum = { weight = 9, hysteresis = 2 }
[[pool.backend]]
address = "10.0.0.12"
weight = 4
=> 4 warning: pool[0].quorum.weight: 9 is more than all the backends weigh together: 5 is taken in its
=> 4 warning: pool[0].quorum.hysteresis: the quorum is gained at a weight of 7, and all the backends together weigh 5: it is never gained | at most 0
---
waiting = true
=> 4 warning: pool[0].waiting: has no use: no backend has max_sessions, so there is always room | leave
---
alpha = true
health = false
=> 4 warning: pool[0].alpha: has no use: no backend has a health check | leave it out
---
omega = true
on_up = "x"
=> 4 warning: pool[0].omega: has no use: there is no on_down | leave it out
---
hash_port = true
=> 4 warning: pool[0].hash_port: has no use: weighted_least_connections does not look at the client's
---
slow_start = "10s"
algorithm = "rr"
=> 4 warning: pool[0].slow_start: has no effect: round_robin gives nobody a greater share by degrees
---
slow_start = "10s"
algorithm = "mh"
=> 4 warning: pool[0].slow_start: has no effect: maglev gives nobody a greater share by degrees
---
affinity = true
algorithm = "user_hash"
=> 4 warning: pool[0].affinity: has no effect: with user_hash the user decides
"#;
    assert_cases(in_pool, good_pool_with);
}

#[test]
fn checks_that_do_not_fit_together_are_reported() {
    let in_pool = r#"
health = { probe = "http", url = "/" }
=> 4 warning: pool[0].health.address: asks the control port of FTP by HTTP | write the port of the HTTP
---
health = { probe = "transfer", user = "u", password = "p", via = "listener", address = ":21" }
=> 4 pool[0].health.address: has no use: the check goes through the listener | leave it out
---
health = [
    { probe = "transfer", user = "u", password = "***" },
    { probe = "script", command = "x", dynamic_weight = true },
    { probe = "script", command = "y", dynamic_weight = true },
]
=> 5 warning: pool[0].health[0].password: is what show-config prints in place of a password
=> 7 warning: pool[0].health[2].dynamic_weight: another check sets the weight of the backend as well
---
health = false
[[pool.backend]]
address = "10.0.0.12"
[[pool.backend.health]]
probe = "http"
[[pool]]
name = "b"
health = { probe = "transfer", user = "u", password = "p", via = "listener" }
=> 1 listener[0].pool: is missing
=> 7 warning: pool[0].backend[0].health[0].address: asks the control port of FTP by HTTP
=> 11 pool[1].health.via: no listener has this pool | write via = "backend", or give the pool a
"#;
    assert_cases(in_pool, good_pool_with);
}

#[test]
fn room_and_times_that_do_not_fit_together_are_reported() {
    let behind_line_5 = r#"
max_sessions = 10
resume_sessions = 10
=> 7 pool[0].backend[0].resume_sessions: 10 is not less than max_sessions, which is 10 | at most 9, or 0
---
resume_sessions = 10
=> 6 warning: pool[0].backend[0].resume_sessions: has no use: max_sessions is not set | leave it out
---
[[pool.discover]]
name = "ftp.example.com"
max_sessions = 1
resume_sessions = 2
min_interval = "2m"
=> 6 pool[0].discover[0].max_interval: 1m is less than min_interval, which is 2m | at least "2m", or
=> 9 pool[0].discover[0].resume_sessions: 2 is not less than max_sessions, which is 1 | at most 0
"#;
    assert_cases(behind_line_5, |text| format!("{GOOD}{text}"));
}

#[test]
fn a_quorum_that_can_not_be_had_is_lowered_to_what_can() {
    let of = |text: &str| {
        let config = result(&format!("{GOOD}{text}")).unwrap().config;
        let quorum = &config.pools[0].quorum;
        (quorum.weight, quorum.hysteresis)
    };
    let second = "weight = 2\n[[pool.backend]]\naddress = \"10.0.0.12\"\n";
    for (more, quorum, expected) in [
        ("", "weight = 3, hysteresis = 2", (3, 2)),
        ("", "weight = 4, hysteresis = 1", (3, 1)),
        ("", "weight = 9, hysteresis = 8", (3, 2)),
        // What is found by name may weigh anything.
        (
            "[[pool.discover]]\nname = \"ftp.example.com\"\n",
            "weight = 9, hysteresis = 8",
            (9, 8),
        ),
    ] {
        let quorum = format!(
            "{second}{more}[pool.quorum]\n{}",
            quorum.replace(", ", "\n")
        );
        assert_eq!(of(&quorum), expected, "{quorum}");
    }
    assert_eq!(of("weight = 0\n[pool.quorum]\nweight = 5"), (5, 0));
}

#[test]
fn what_is_doubtful_is_a_warning() {
    let behind_line_5 = r#"
[timeouts]
idle = "299s"
data_open = "29s"
=> 7 warning: timeouts.idle: 4m 59s is less than the 5m of RFC 1123 section 4.1.3.2 | at least "5m"
=> 8 warning: timeouts.data_open: 29s is less than the 30s of RFC 6384 section 12 | at least "30s"
---
weight = 0
=> 3 warning: pool[0]: every backend of "default" has weight 0: nobody is served | give one of them
---
[limits]
sessions = 3000
=> 7 warning: limits.sessions: 3000 sessions, each with up to 7 descriptors, and 192 others need 21192; this process may open 20000 | raise the limit (LimitNOFILE=21192, ulimit -n 21192), or lower sessions to 2829
---
[[listener]]
address = "192.0.2.2"
passive_ports = "30000-40000"
=> 8 warning: listener[1].passive_ports: "30000-40000" overlaps 32768-60999, from which the kernel gives ports to outgoing connections; those can not be leased then (K1) | choose ports outside it, or sysctl -w net.ipv4.ip_local_reserved_ports=30000-40000
"#;
    let whole = |text: &str| {
        let text = format!("{GOOD}{text}");
        assert!(result(&text).is_ok(), "{text}");
        text
    };
    assert_cases(behind_line_5, whole);
}

#[test]
fn what_is_not_known_of_the_host_is_not_judged() {
    let text = GOOD.replace("[[pool]]", "passive_ports = \"30000-40000\"\n[[pool]]");
    let checked = check(&text, "x.toml", &Surroundings::default()).unwrap();
    assert_eq!(checked.warnings, []);
}

#[test]
fn what_only_looks_like_a_mistake_is_accepted() {
    for (text, reason) in [
        (
            "[[listener]]\naddress = \"[::]:21\"\n[[listener]]\naddress = \"192.0.2.2\"",
            "families do not share ports, nor do different addresses",
        ),
        (
            "[[listener]]\naddress = \"192.0.2.1:0\"\n[[listener]]\naddress = \"192.0.2.1:0\"",
            "the kernel chooses two ports",
        ),
        (
            "[[listener]]\naddress = \"[::]:2121\"\nadvertise = \"203.0.113.1\"",
            "[::] may serve clients on IPv4 (V2)",
        ),
        (
            "[admin]\naddress = \"127.0.0.1:10500\"",
            "this is no address of the listener",
        ),
        (
            "[[pool.backend]]\naddress = \"10.0.0.12\"\nweight = 0",
            "the other one has a weight",
        ),
    ] {
        assert_eq!(problems(&format!("{GOOD}{text}\n")), [], "{reason}");
    }
    let mixed = GOOD.replace("[[pool]]", "[[pool]]\nsource = \"2001:db8::1\"");
    let mixed = format!("{mixed}[[pool.backend]]\naddress = \"[2001:db8::2]\"\n");
    assert_eq!(
        problems(&mixed),
        [],
        "one backend has the family of the source"
    );
}

#[test]
fn the_mask_that_show_config_prints_is_doubted_as_a_password() {
    let login = "health = { probe = \"login\", user = \"u\", password = \"***\" }";
    let text = GOOD.replace("[[pool]]\n", &format!("[[pool]]\n{login}\n"));
    let found = problems(&text);
    assert_eq!(found.len(), 1, "{found:?}");
    let found = found[0].to_string();
    assert!(
        found.contains("warning: pool[0].health.password"),
        "{found}"
    );
}

#[test]
fn what_fits_a_backend_or_an_api_is_accepted() {
    for (text, reason) in [
        (
            "weight = 0\n[[pool.discover]]\nname = \"ftp.example.com\"",
            "what is found by name has a weight",
        ),
        (
            "max_sessions = 2\nresume_sessions = 1\n[pool.waiting]",
            "one backend may be full",
        ),
        (
            "[[pool.discover]]\nname = \"a.example\"\nmax_sessions = 1\n[pool.waiting]",
            "what is found by name may be full",
        ),
        (
            "[pool.quorum]\nweight = 9\n[[pool.discover]]\nname = \"a.example\"",
            "what is found by name may weigh enough",
        ),
        (
            "[[pool.discover]]\nname = \"a.example\"\n[[pool.discover]]\nname = \"a.example\"\nport = 22",
            "two servers of each host",
        ),
        (
            "[admin]\naddress = \"127.0.0.1:9122\"\napi = \"/run/api.sock\"",
            "a path is no port",
        ),
        (
            "[admin]\naddress = false\napi = \"127.0.0.1:9121\"",
            "there are no metrics",
        ),
        (
            "on_down = \"x\"\n[pool.health]\ntimeout = \"1m\"\ninterval = \"1s\"",
            "a slow check may overlap the next",
        ),
    ] {
        assert_eq!(problems(&format!("{GOOD}{text}\n")), [], "{reason}");
    }
}

#[test]
fn what_fits_a_pool_is_accepted() {
    for (text, reason) in [
        (
            "algorithm = \"mh\"\nhash_port = true",
            "the hash takes the port",
        ),
        ("slow_start = \"10s\"", "wlc weighs"),
        ("algorithm = \"wrr\"\nslow_start = \"10s\"", "wrr weighs"),
        (
            "algorithm = \"mh\"\naffinity = true",
            "both look at the address",
        ),
        ("alpha = true", "there is the default check"),
        (
            "omega = true\nquorum = { on_down = \"x\" }",
            "the quorum's is run",
        ),
        (
            "sorry = \"10.0.0.11:22\"",
            "another server of the same host",
        ),
        (
            "health = { probe = \"transfer\", user = \"u\", password = \"p\", via = \"listener\" }",
            "the pool has a listener",
        ),
        (
            "health = { probe = \"http\", address = \"10.0.0.1:80\" }",
            "the HTTP server has a port of its own",
        ),
        (
            "source = \"2001:db8::1\"\n[[pool.discover]]\nname = \"a.example\"",
            "what is found may be of the family of the source",
        ),
    ] {
        assert_eq!(problems(&good_pool_with(text)), [], "{reason}");
    }
    let name =
        "[[listener]]\naddress = \"0.0.0.0\"\n[[pool]]\n[[pool.discover]]\nname = \"a.example\"";
    assert_eq!(problems(name), [], "no backend need be written");
}

#[test]
fn the_handover_has_a_socket_of_its_own() {
    let behind_line_5 = r#"
[process]
handover = "/run/x.sock"
[admin]
api = "/run/x.sock"
=> 7 process.handover: orders are taken there already: admin.api | write another path
"#;
    assert_cases(behind_line_5, |text| format!("{GOOD}{text}"));
}

#[test]
fn what_a_user_that_is_not_root_can_not_do_is_reported() {
    let behind_line_5 = r#"
[process]
privileged_ports = false
=> 7 warning: process.privileged_ports: has no use: nothing is given up | leave it out, or name
---
[scripts]
run_as = "nobody"
[process]
user = "ftplb"
=> 7 scripts.run_as: nobody is somebody else than process.user, ftplb, and only root can run scripts so
---
[[pool]]
name = "b"
on_up = { command = "x", run_as = "ftplb" }
on_down = { command = "x", run_as = "ftplb:adm" }
quorum = { on_up = { command = "x", run_as = "root" } }
health = { probe = "script", command = "x", run_as = "a" }
[[pool.backend]]
address = "10.0.0.12"
on_down = { command = "x", run_as = "b" }
health = [
    { probe = "tcp" },
    { probe = "script", command = "x", run_as = "c" },
]
[[listener]]
address = "192.0.2.2:21"
pool = "b"
[process]
user = "ftplb"
=> 1 listener[0].pool: is missing
=> 9 pool[1].on_down.run_as: ftplb:adm is somebody else
=> 10 pool[1].quorum.on_up.run_as: root is somebody else
=> 11 pool[1].health.run_as: a is somebody else
=> 14 pool[1].backend[0].on_down.run_as: b is somebody else
=> 17 pool[1].backend[0].health[1].run_as: c is somebody else
"#;
    assert_cases(behind_line_5, |text| format!("{GOOD}{text}"));
    let strict = |lines: &str| {
        let listener = format!("strict_port20 = true\n[process]\n{lines}\n[[pool]]");
        problems(&GOOD.replace("[[pool]]", &listener))
    };
    for lines in [
        "user = \"ftplb\"",
        "sandbox = true",
        "user = \"root\"\nsandbox = false\nprivileged_ports = true",
    ] {
        assert_eq!(strict(lines), [], "{lines}");
    }
    for lines in ["user = \"ftplb\"", "sandbox = true"] {
        let found = strict(&format!("{lines}\nprivileged_ports = false"));
        let said = found[0].to_string();
        assert!(
            said.contains(
                "listener[0].strict_port20: active data connections are to come from port 20, and"
            ),
            "{said}"
        );
    }
}

#[test]
fn a_password_file_that_can_not_be_used_is_reported_by_its_name() {
    let health = "health = { probe = \"login\", user = \"x\", password_file = \"/etc/x\" }";
    let read = |read_secret| -> Vec<String> {
        let here = Surroundings {
            read_secret,
            ..Surroundings::default()
        };
        let found = match check(&good_pool_with(health), "x.toml", &here) {
            Ok(checked) => checked.warnings,
            Err(mistakes) => mistakes,
        };
        found.iter().map(Problem::to_string).collect()
    };
    assert_eq!(
        read(|_| Ok(file(b"hunter2\n", false))),
        Vec::<String>::new()
    );
    for (found, said) in [
        (
            read(|_| Err(std::io::ErrorKind::PermissionDenied.into())),
            "x.toml:4:57: pool[0].health.password_file: /etc/x cannot be read: permission denied",
        ),
        (
            read(|_| Ok(file(b"hunter2\nmore\n", false))),
            "x.toml:4:57: pool[0].health.password_file: /etc/x holds no password",
        ),
        (
            read(|_| Ok(file(b"hunter2", true))),
            "x.toml:4:57: warning: pool[0].health.password_file: every user of this host may read or write /etc/x",
        ),
    ] {
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(said), "{found:?}");
        assert!(!found[0].contains("hunter2"), "{found:?}");
    }
}

fn file(bytes: &[u8], is_public: bool) -> SecretFile {
    SecretFile {
        bytes: bytes.to_vec(),
        is_public,
    }
}
