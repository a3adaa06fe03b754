//! What is right by itself and wrong together is reported with its line and a hint.

use super::super::check::tests::{GOOD, assert_cases, problems, result};
use super::super::check::{Surroundings, check};

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
=> 7 warning: limits.sessions: 3000 sessions, each with up to 7 descriptors, and 64 others need 21064; this process may open 20000 | raise the limit (LimitNOFILE=21064, ulimit -n 21064), or lower sessions to 2848
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
