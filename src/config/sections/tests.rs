//! Each key that is wrong by itself is reported with its line and a hint.

use super::super::check::tests::{GOOD, assert_cases, problems, result};

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
=> 7 admin.port: there is no such key | the keys here are address
---
"a b" = 1
=> 6 pool[0].backend[0]."a b": there is no such key | the keys here are address, weight, name
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
fn each_mistake_in_a_listener_is_reported() {
    let in_listener = r#"
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
=> 4 pool[0].health.user: has no use: the probe does not log in | the probe "login" has both
---
health = { password = "x" }
=> 4 pool[0].health.password: has no use: the probe does not log in
---
health = { probe = "login", password = "x" }
=> 4 pool[0].health.user: is missing
"#;
    assert_cases(in_pool, |text| {
        GOOD.replace("[[pool]]\n", &format!("[[pool]]\n{text}"))
    });
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
            pool.health.is_some(),
            pool.ejection.is_some(),
            config.admin.is_some(),
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
