//! Each key that is wrong by itself is reported with its line and a hint.

use super::super::check::tests::{GOOD, assert_cases, good_pool_with, problems, result};
use super::super::{HealthCheck, Probe};

#[test]
fn each_key_that_is_not_known_is_named_with_those_that_are() {
    let behind_line_5 = r#"
[limit]
=> 6 limit: there is no such key | did you mean `limits`?
---
[limits]
session = 1
=> 7 limits.session: there is no such key | did you mean `sessions`?
---
[admin]
port = 1
=> 7 admin.port: there is no such key | the keys here are address, api, page
---
"a b" = 1
=> 6 pool[0].backend[0]."a b": there is no such key | the keys here are address,
"#;
    assert_cases(behind_line_5, |text| format!("{GOOD}{text}"));
}

#[test]
fn each_value_that_is_wrong_by_itself_is_reported() {
    let behind_line_5 = r#"
weight = 1.5
=> 6 pool[0].backend[0].weight: a float is no whole number | a whole number from 0 to 65535
---
name = ""
=> 6 pool[0].backend[0].name: is empty | write some text, or leave the key out
---
name = "a\nb"
=> 6 pool[0].backend[0].name: "a\nb" contains a control character | take line breaks
---
name = 5
=> 6 pool[0].backend[0].name: 5 is no text | write it in quotes
---
[limits]
tries = 0
=> 7 limits.tries: 0 is out of range | a whole number from 1 to 100
---
[limits]
tries = 99999999999999999999
=> 7 limits.tries: 99999999999999999999 is out of range
---
[limits]
command_line_bytes = 63
=> 7 limits.command_line_bytes: 63 is out of range | a number of bytes, or such as "64KiB", from 64 to
---
[limits]
command_line_bytes = "65KiB"
=> 7 limits.command_line_bytes: "65KiB" is out of range
---
[timeouts]
line = "30"
=> 7 timeouts.line: "30" is no duration
---
[timeouts]
keepalive = "10h"
=> 7 timeouts.keepalive: "10h" is out of range | a number with its unit, such as "90s" or "5m", from 1s to 9h
---
[admin]
address = "ff02::1"
=> 7 admin.address: "ff02::1" is no address | an IPv6 address stands in brackets, such as
---
[admin]
address = "[ff02::1]"
=> 7 admin.address: nobody can connect to [ff02::1]:9121 | an address of this host
---
[log]
format = "xml"
=> 7 log.format: "xml" is not known here | one of "text", "json"
---
[[log]]
format = "json"
=> 6 log: a list is no table | write keys and their values
"#;
    assert_cases(behind_line_5, |text| format!("{GOOD}{text}"));
}

#[test]
fn each_mistake_in_what_serves_operators_is_reported() {
    let behind_line_5 = r#"
[admin]
address = true
=> 7 admin.address: true is no address | an IP address and port, in quotes
---
[admin]
api = "0.0.0.0:9122"
=> 7 admin.api: 0.0.0.0:9122 is not only this host's own | the absolute path of a Unix socket, or a
---
[scripts]
run_as = "a b"
timeout = "0s"
=> 7 scripts.run_as: "a b" is no user | a user, "nobody", or a user and a group, "nobody:nogroup"
=> 8 scripts.timeout: "0s" is out of range
---
[process]
user = ":x"
privileged_ports = 20
sandbox = "on"
handover = "handover.sock"
=> 7 process.user: ":x" is no user | a user, "nobody", or a user and a group, "nobody:nogroup"
=> 8 process.privileged_ports: 20 is neither true nor false
=> 9 process.sandbox: "on" is neither true nor false
=> 10 process.handover: "handover.sock" is no absolute path | the absolute path of a Unix socket
---
[transfer_log]
format = "clf"
file = ""
=> 7 transfer_log.format: "clf" is not known here | one of "json", "xferlog"
=> 8 transfer_log.file: is empty
---
[log]
file = "/x"
[transfer_log]
file = "/x"
=> 9 transfer_log.file: is log.file too | name another file for the transfers
---
[timeouts]
backend_drain = "0s"
=> 7 timeouts.backend_drain: "0s" is out of range
---
[timeouts]
upgrade = "999ms"
=> 7 timeouts.upgrade: "999ms" is out of range
"#;
    assert_cases(behind_line_5, |text| format!("{GOOD}{text}"));
}

#[test]
fn each_mistake_in_a_listener_is_reported() {
    let in_listener = r#"
allow = []
deny = "10.0.0.0/8"
=> 3 listener[0].allow: is an empty list | write something into it, or leave the key out
=> 4 listener[0].deny: "10.0.0.0/8" is no list | write it in brackets: [...]
---
deny = ["10.0.0.0/33", "10.1.2.3/8", 5, "ftp.example.com", "192.0.2.1:21"]
=> 3 listener[0].deny[0]: "10.0.0.0/33" is no network | an address and how many of its bits count, such as
=> 3 listener[0].deny[1]: "10.1.2.3/8" has bits beyond its prefix | write "10.0.0.0/8" for the network, or
=> 3 listener[0].deny[2]: 5 is no network
=> 3 listener[0].deny[3]: "ftp.example.com" is no network
=> 3 listener[0].deny[4]: "192.0.2.1:21" is no network
---
deny_commands = ["SITE CPFR x", "user", "LONGERTHAN8", 7]
=> 3 listener[0].deny_commands[0]: "SITE CPFR x" is no command | a verb, "DELE", or a verb and the word
=> 3 listener[0].deny_commands[1]: without USER there is no session | take it out
=> 3 listener[0].deny_commands[2]: "LONGERTHAN8" is no command
=> 3 listener[0].deny_commands[3]: 7 is no command
---
passive_ports = "1000-2000"
=> 3 listener[0].passive_ports: "1000-2000" begins below 1024 | ports below 1024
---
passive_ports = "2000-70000"
=> 3 listener[0].passive_ports: "2000-70000" is no range of ports | the first and the last port
---
passive_ports = [1, 2]
=> 3 listener[0].passive_ports: a list is no range of ports
---
advertise = "2001:db8::1"
=> 3 listener[0].advertise: 2001:db8::1 is an IPv6 address | the public IPv4 address
---
advertise = "0.0.0.0"
=> 3 listener[0].advertise: "0.0.0.0" is no address of a host
---
data_peer_check = "on"
=> 3 listener[0].data_peer_check: "on" is not known here | one of "strict", "off", { prefix_v4
---
data_peer_check = { prefix_v4 = 33 }
=> 3 listener[0].data_peer_check.prefix_v4: 33 is out of range | a whole number from 0 to 32
---
port_address = true
=> 3 listener[0].port_address: true is not known here | one of "reject", "use_control_ip"
"#;
    assert_cases(in_listener, |text| {
        GOOD.replace("[[pool]]", &format!("{text}[[pool]]"))
    });
    let single = GOOD.replace("[[listener]]", "[listener]");
    let expected = "=> 1 listener: a table is no list | there may be several: write the header in\n\
                    => 1 listener: there is no listener";
    assert_cases(expected, |_| single.clone());
}

#[test]
fn each_mistake_in_a_pool_is_reported() {
    let in_pool = r#"
source = "2001:db8::1"
=> 4 pool[0].source: 2001:db8::1 is IPv6, and every backend of the pool is IPv4 | write an IPv4
---
source = "10.0.0.1:20"
=> 4 pool[0].source: "10.0.0.1:20" is no address of a host | the IP address of one host
---
affinity = 5
=> 4 pool[0].affinity: 5 is no table
---
affinity = { prefix_v6 = 129, timeout = "0s" }
=> 4 pool[0].affinity.prefix_v6: 129 is out of range
=> 4 pool[0].affinity.timeout: "0s" is out of range
---
ejection = { failures = 0 }
=> 4 pool[0].ejection.failures: 0 is out of range
---
health = { user = "x" }
=> 4 pool[0].health.user: has no use: the probe does not log in | the probes "login" and
---
health = { password = "x" }
=> 4 pool[0].health.password: has no use: the probe does not log in
---
health = { password_file = "/x" }
=> 4 pool[0].health.password_file: has no use: the probe does not log in
---
health = { probe = "login", user = "x", password_file = "x" }
=> 4 pool[0].health.password_file: "x" is a relative path | the absolute path of a file, such as
---
health = { probe = "login", password = "x" }
=> 4 pool[0].health.user: is missing
---
hash_port = 1
=> 4 pool[0].hash_port: 1 is neither true nor false
---
sorry = "10.0.0.9:0"
=> 4 pool[0].sorry: nobody can connect to 10.0.0.9:0 | the address and port of one FTP server
---
slow_start = "2days"
=> 4 pool[0].slow_start: "2days" is out of range | a number with its unit, such as "90s" or "5m", from 0s
---
quorum = true
=> 4 pool[0].quorum: true is no table
---
quorum = { weight = 0, on_lost = "x" }
=> 4 pool[0].quorum.weight: 0 is out of range
=> 4 pool[0].quorum.on_lost: there is no such key | the keys here are weight, hysteresis, on_up, on_down
---
waiting = { time = "0s", sessions = 0 }
=> 4 warning: pool[0].waiting: has no use
=> 4 pool[0].waiting.time: "0s" is out of range
=> 4 pool[0].waiting.sessions: 0 is out of range | a whole number from 1 to 1000000
"#;
    assert_cases(in_pool, good_pool_with);
}

#[test]
fn each_mistake_in_a_check_is_reported() {
    let in_pool = r#"
health = []
=> 4 pool[0].health: is an empty list | write false for no checks
---
health = ["tcp"]
=> 4 pool[0].health[0]: "tcp" is no table
---
health = [
    { probe = "tcp" },
    { probe = "ping", interval = "0s" },
]
=> 6 pool[0].health[1].probe: "ping" is not known here | one of "greeting", "http", "login", "script", "tcp", "transfer"
=> 6 pool[0].health[1].interval: "0s" is out of range
---
health = { retry_interval = "0s", warmup = "2days", fast_recovery = "yes", address = ":0" }
=> 4 pool[0].health.retry_interval: "0s" is out of range | a number with its unit, such as "90s" or "5m", from 1ms
=> 4 pool[0].health.warmup: "2days" is out of range | a number with its unit, such as "90s" or "5m", from 0s
=> 4 pool[0].health.fast_recovery: "yes" is neither true nor false
=> 4 pool[0].health.address: ":0" is no address to check | an IP address, "192.0.2.1", a port, ":2121", or both
---
health = { probe = "transfer" }
=> 4 pool[0].health.user: is missing | the probes "login" and "transfer" have both a user and a password
=> 4 pool[0].health.password: is missing
---
health = { file = "x", via = "listener", command = "x", run_as = "x", dynamic_weight = true }
=> 4 pool[0].health.file: has no use: the probe does not transfer anything | leave it out, or write probe = "transfer"
=> 4 pool[0].health.via: has no use: the probe does not transfer anything
=> 4 pool[0].health.command: has no use: the probe does not run a script | leave it out, or write probe = "script"
=> 4 pool[0].health.run_as: has no use: the probe does not run a script
=> 4 pool[0].health.dynamic_weight: has no use: the probe does not run a script
---
health = { probe = "login", user = "x", password = "x", url = "/", host = "x", status = "200", digest = "d41d8cd98f00b204e9800998ecf8427e", regex = "x", regex_no_match = true }
=> 4 pool[0].health.url: has no use: the probe does not speak HTTP | leave it out, or write probe = "http"
=> 4 pool[0].health.host: has no use: the probe does not speak HTTP
=> 4 pool[0].health.status: has no use: the probe does not speak HTTP
=> 4 pool[0].health.digest: has no use: the probe does not speak HTTP
=> 4 pool[0].health.regex: has no use: the probe does not speak HTTP
=> 4 pool[0].health.regex_no_match: has no use: the probe does not speak HTTP
---
health = { probe = "script" }
=> 4 pool[0].health.command: is missing | write command = "/usr/local/bin/check --fast"
---
health = { probe = "script", command = "it's", run_as = ":g" }
=> 4 pool[0].health.command: "it's" has a quote or a backslash that nothing follows | close every quote
=> 4 pool[0].health.run_as: ":g" is no user
---
health = { probe = "http", address = ":80", url = "status", host = "a b", status = "2xx", digest = "md5", regex = "(" }
=> 4 pool[0].health.url: "status" is no path | such as "/status?full=1"
=> 4 pool[0].health.host: "a b" is no host | the name of a host
=> 4 pool[0].health.status: "2xx" are no status codes | codes from 100 to 999: "200-299" or
=> 4 pool[0].health.digest: "md5" is no MD5 digest | 32 hexadecimal digits, as md5sum prints them
=> 4 pool[0].health.regex: "(" is no regular expression: unclosed group | the syntax is that of
---
health = { probe = "http", address = ":80", regex_no_match = true }
=> 4 pool[0].health.regex_no_match: has no use: there is no regex | write the regex that must not match
"#;
    assert_cases(in_pool, good_pool_with);
}

#[test]
fn each_mistake_in_a_script_is_reported() {
    let in_pool = r#"
on_up = ""
=> 4 pool[0].on_up: has no program | a program and its arguments: "/usr/local/bin/check --fast"
---
on_up = "  # nothing"
=> 4 pool[0].on_up: has no program
---
on_up = 5
=> 4 pool[0].on_up: 5 is no command
---
on_down = []
=> 4 pool[0].on_down: is an empty list | write something into it, or leave the key out
---
on_down = ["", "x"]
=> 4 pool[0].on_down: has no program
---
on_down = [
    "x",
    5,
    "\u0000",
]
=> 6 pool[0].on_down[1]: 5 is no word of a command | write each word in quotes
=> 7 pool[0].on_down[2]: contains a NUL character
---
on_down = "./notify down"
=> 4 pool[0].on_down: "./notify" is a relative path | the absolute path of the program, or a name to be
---
on_down = ["bin/notify"]
=> 4 pool[0].on_down: "bin/notify" is a relative path
---
on_up = { run_as = "nobody" }
=> 4 pool[0].on_up.command: is missing | write command =
---
on_up = { command = "x", user = "nobody" }
=> 4 pool[0].on_up.user: there is no such key | the keys here are command, run_as
---
quorum = { on_down = { command = "x\u0000", run_as = 5 } }
=> 4 pool[0].quorum.on_down.command: contains a NUL character
=> 4 pool[0].quorum.on_down.run_as: 5 is no user
"#;
    assert_cases(in_pool, good_pool_with);
}

#[test]
fn each_mistake_in_a_backend_or_what_finds_them_is_reported() {
    let behind_line_5 = r#"
max_sessions = -1
resume_sessions = "x"
=> 6 pool[0].backend[0].max_sessions: -1 is out of range | a whole number from 0 to 4294967295
=> 7 pool[0].backend[0].resume_sessions: "x" is no whole number
---
health = { probe = "tcp", user = "x" }
on_up = ["./x"]
=> 6 pool[0].backend[0].health.user: has no use: the probe does not log in
=> 7 pool[0].backend[0].on_up: "./x" is a relative path
---
[[pool.discover]]
port = 0
weight = 65536
record = "a"
=> 6 pool[0].discover[0].name: is missing | write name = "ftp.example.com"
=> 7 pool[0].discover[0].port: 0 is out of range | a whole number from 1 to 65535
=> 8 pool[0].discover[0].weight: 65536 is out of range | a whole number from 0 to 65535
=> 9 pool[0].discover[0].record: "a" is not known here | one of "address", "srv"
---
[[pool.discover]]
name = "10.0.0.11"
min_interval = "0s"
max_interval = "2days"
=> 7 pool[0].discover[0].name: "10.0.0.11" is an address, not a name | write [[pool.backend]] with it
=> 8 pool[0].discover[0].min_interval: "0s" is out of range
=> 9 pool[0].discover[0].max_interval: "2days" is out of range
---
[[pool.discover]]
name = "_ftp._tcp.example.com"
record = "srv"
port = 21
weight = 2
=> 9 pool[0].discover[0].port: has no use: each SRV record has a port | leave it out, or write record
=> 10 pool[0].discover[0].weight: has no use: each SRV record has a weight
---
[[pool.discover]]
name = "ftp.example.com"
servers = "10.0.0.53"
=> 8 pool[0].discover[0].servers: "10.0.0.53" is no list | write it in brackets: [...]
---
[[pool.discover]]
name = "ftp.example.com"
servers = []
=> 8 pool[0].discover[0].servers: is an empty list
---
[[pool.discover]]
name = "ftp.example.com"
servers = [
    "10.0.0.53",
    "dns.example",
    "0.0.0.0",
]
=> 10 pool[0].discover[0].servers[1]: "dns.example" is no address | names are not looked up
=> 11 pool[0].discover[0].servers[2]: nobody can connect to 0.0.0.0:53 | the address of one name server
"#;
    assert_cases(behind_line_5, |text| format!("{GOOD}{text}"));
}

#[test]
fn a_check_is_one_table_or_several_and_a_backend_may_have_its_own() {
    let of = |pool: &str, backend: &str| {
        let text = format!("{}{backend}", good_pool_with(pool));
        let config = result(&text).unwrap().config;
        let pool = &config.pools[0];
        let probes = |checks: &[HealthCheck]| -> Vec<Probe> {
            checks.iter().map(|check| check.probe.clone()).collect()
        };
        let own = pool.backends[0].health.as_deref().map(probes);
        (probes(&pool.health), own)
    };
    let (tcp, greeting) = (Probe::Tcp, Probe::Greeting);
    let is_tcp = "health = { probe = \"tcp\" }";
    assert_eq!(of("", ""), (vec![greeting.clone()], None));
    assert_eq!(of(is_tcp, ""), (vec![tcp.clone()], None));
    assert_eq!(
        of("health = [{ probe = \"tcp\" }, {}]", "health = false"),
        (vec![tcp.clone(), greeting.clone()], Some(Vec::new()))
    );
    assert_eq!(
        of("health = false", "health = true"),
        (Vec::new(), Some(vec![greeting.clone()]))
    );
    assert_eq!(of("", is_tcp), (vec![greeting], Some(vec![tcp])));
}

#[test]
fn the_times_of_a_check_follow_from_its_interval_unless_they_are_written() {
    let of = |health: &str| {
        let config = result(&good_pool_with(&format!("health = {{ {health} }}"))).unwrap();
        let check = &config.config.pools[0].health[0];
        [check.interval, check.retry_interval, check.warmup].map(|time| time.as_millis())
    };
    assert_eq!(of(""), [5_000, 5_000, 1_250]);
    assert_eq!(of("interval = \"2s\""), [2_000, 2_000, 500]);
    assert_eq!(
        of("interval = \"2s\", retry_interval = \"1s\", warmup = \"0s\""),
        [2_000, 1_000, 0]
    );
}

#[test]
fn a_script_is_text_that_is_split_words_as_they_are_or_a_table() {
    for (written, words, run_as) in [
        ("\"up\"", &["up"][..], None),
        (
            r#"'/bin/up  "a b" c\ d ""'"#,
            &["/bin/up", "a b", "c d", ""],
            None,
        ),
        (
            "\"up 'it is' $HOME | *\"",
            &["up", "it is", "$HOME", "|", "*"],
            None,
        ),
        (
            "[\"up\", \"a b\", \"it's\", \"# no\"]",
            &["up", "a b", "it's", "# no"],
            None,
        ),
        ("{ command = \"up now\" }", &["up", "now"], None),
        (
            "{ command = [\"up\"], run_as = \"u:g\" }",
            &["up"],
            Some(("u", Some("g"))),
        ),
        (
            "{ command = \"up\", run_as = \"u\" }",
            &["up"],
            Some(("u", None)),
        ),
    ] {
        let config = result(&good_pool_with(&format!("on_up = {written}")))
            .unwrap()
            .config;
        let script = config.pools[0].notify.on_up.as_ref().expect("a script");
        assert_eq!(script.words, words, "{written}");
        let found = script.run_as.as_ref();
        let found = found.map(|of| (of.user.as_str(), of.group.as_deref()));
        assert_eq!(found, run_as, "{written}");
    }
}

#[test]
fn o6_a_password_is_in_no_message() {
    for password in ["1234567", "\"1234567\\n\"", "{ a = 1234567 }"] {
        let health =
            format!("health = {{ probe = \"login\", user = \"x\", password = {password} }}");
        let found = problems(&GOOD.replace("[[pool]]\n", &format!("[[pool]]\n{health}\n")));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(!found[0].to_string().contains("1234567"), "{}", found[0]);
    }
}

#[test]
fn true_and_false_switch_a_table_on_and_off() {
    let of = |text: &str| {
        let text = GOOD.replace("[[pool]]", &format!("[[pool]]\n{text}"));
        let config = result(&format!("admin = {}\n{text}", text.contains("true")))
            .unwrap()
            .config;
        let pool = &config.pools[0];
        [
            pool.affinity.is_some(),
            !pool.health.is_empty(),
            pool.ejection.is_some(),
            config.admin.address.is_some(),
        ]
    };
    assert_eq!(of(""), [false, true, true, false]);
    assert_eq!(
        of("affinity = true\nhealth = true\nejection = true"),
        [true; 4]
    );
    assert_eq!(
        of("affinity = false\nhealth = false\nejection = false"),
        [false; 4]
    );
    assert_eq!(
        of("affinity = {}\nhealth = {}\nejection = {}"),
        [true, true, true, false]
    );
}

#[test]
fn limits_of_sessions_follow_from_each_other_unless_they_are_written() {
    let of = |limits: &str| {
        let limits = result(&format!("{GOOD}\n[limits]\n{limits}")).unwrap();
        let limits = limits.config.limits;
        [
            limits.sessions,
            limits.sessions_per_client,
            limits.sessions_per_network,
            limits.sessions_before_login,
            limits.sessions_before_login_per_client,
        ]
    };
    assert_eq!(of(""), [2_000, 200, 1_000, 2_000, 200]);
    assert_eq!(of("sessions = 500"), [500, 200, 250, 500, 200]);
    // Everything comes from one address of NAT.
    assert_eq!(
        of("sessions_per_client = 2000"),
        [2_000, 2_000, 2_000, 2_000, 2_000]
    );
    assert_eq!(
        of(
            "sessions_per_network = 7\nsessions_before_login = 8\nsessions_before_login_per_client = 9"
        ),
        [2_000, 200, 7, 8, 9]
    );
}

#[test]
fn each_mistake_in_a_rate_is_reported() {
    let behind_line_5 = r#"
[limits]
connection_rate = "20"
passive_rate = 20
command_rate = "20/s burst 0"
reply_rate = true
prefix_v4 = 33
=> 7 limits.connection_rate: "20" is no rate | so many a second, minute or hour
=> 8 limits.passive_rate: 20 is no rate
=> 9 limits.command_rate: "20/s burst 0" is no rate
=> 10 limits.reply_rate: true is no rate
=> 11 limits.prefix_v4: 33 is out of range
"#;
    assert_cases(behind_line_5, |text| format!("{GOOD}{text}"));
}
