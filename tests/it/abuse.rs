//! Limits against abuse, as clients, backends and operators see them (O1, O2, O5, O7, P19, F13).

use std::fs;
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::process::{SOON, eventually, own_ip};
use crate::proxy::{Proxy, Setup, field};
use crate::scripted::{Door, Peer};
use crate::table::Table;

const REFUSED: &str = "ftplb_sessions_refused_total";

/// A balancer with these lines in `[limits]`, before a scripted backend.
fn limited(limits: &str) -> (Proxy, Door) {
    let door = Door::new();
    let setup = Setup::new(&[door.address()]);
    let proxy = setup.tables(&format!("[limits]\n{limits}\n")).start();
    (proxy, door)
}

/// A session from `source`, greeted.
#[track_caller]
fn enter(proxy: &Proxy, door: &Door, source: IpAddr) -> (Peer, Peer) {
    let mut client = Peer::connect_from(source, proxy.address);
    let mut backend = door.accept();
    backend.say("220 Scripted.");
    client.hears("220 Scripted.");
    (client, backend)
}

/// A client from `source` gets 421 and FIN, and no backend hears of it.
#[track_caller]
fn is_refused(proxy: &Proxy, door: &Door, source: IpAddr) {
    let mut client = Peer::connect_from(source, proxy.address);
    client.hears("421 Too many connections, try again later.");
    client.is_closed();
    assert!(door.accept_now().is_none(), "a backend heard of {source}");
}

/// Addresses of loopback that are nobody else's: two of one network of 24 bits, and one of another.
fn sources() -> [IpAddr; 3] {
    let [_, process, high, low] = own_ip().octets();
    let network = 128 | high.wrapping_mul(31).wrapping_add(low) & 63;
    [(network, 1), (network, 2), (network ^ 64, 1)]
        .map(|(network, host)| [127, process, network, host].into())
}

#[test]
fn o1_a_network_has_so_many_sessions_whichever_addresses_it_uses() {
    let (proxy, door) = limited("sessions_per_network = 2");
    let [one, two, other] = sources();
    let first = enter(&proxy, &door, one);
    let _second = enter(&proxy, &door, two);
    is_refused(&proxy, &door, one);
    is_refused(&proxy, &door, two);
    let _third = enter(&proxy, &door, other);
    proxy.wait_for_metric(REFUSED, &["reason=\"network_limit\""], 2.0);
    proxy.wait_for_metric("ftplb_sessions_before_login", &[], 3.0);
    drop(first);
    proxy.wait_for_metric("ftplb_sessions_before_login", &[], 2.0);
    let _next = enter(&proxy, &door, two);
}

#[test]
fn o1_a_login_leaves_its_place_to_the_next_and_rein_takes_one_again() {
    for (limit, reason) in [
        ("sessions_before_login", "before_login_limit"),
        (
            "sessions_before_login_per_client",
            "client_before_login_limit",
        ),
    ] {
        let (proxy, door) = limited(&format!("{limit} = 1"));
        let source = own_ip().into();
        let (client, backend) = enter(&proxy, &door, source);
        is_refused(&proxy, &door, source);
        proxy.wait_for_metric(REFUSED, &[&format!("reason=\"{reason}\"")], 1.0);
        let mut table = Table {
            proxy,
            door,
            client,
            backend,
        };
        table.log_in();
        let second = enter(&table.proxy, &table.door, source);
        is_refused(&table.proxy, &table.door, source);
        drop(second);
        table
            .proxy
            .wait_for_metric("ftplb_sessions_before_login", &[], 0.0);
        table.exchange("REIN", "220 Again.");
        is_refused(&table.proxy, &table.door, source);
        table.log_in();
        let _third = enter(&table.proxy, &table.door, source);
    }
}

#[test]
fn a_client_that_connects_too_often_is_refused_and_others_are_not() {
    let (proxy, door) = limited("connection_rate = \"1/h burst 3\"");
    let [busy, other, _] = sources();
    for _ in 0..3 {
        // What becomes of the connection does not matter.
        drop(enter(&proxy, &door, busy));
    }
    for _ in 0..50 {
        is_refused(&proxy, &door, busy);
    }
    let _session = enter(&proxy, &door, other);
    proxy.wait_for_metric(REFUSED, &["reason=\"client_rate\""], 50.0);
    let lines = proxy.wait_for_log("session refused with 421", 1);
    assert_eq!(lines.len(), 1, "once a minute: {lines:?}");
    assert!(field(&lines[0], "client").starts_with(&busy.to_string()));
    assert_eq!(field(&lines[0], "key"), "limits.connection_rate");
}

#[test]
fn whom_a_listener_is_not_for_is_reset_before_a_backend_hears_of_it() {
    let [one, two, other] = sources();
    let door = Door::new();
    let network = ipnet::IpNet::new(one, 24).unwrap().trunc();
    let rules = format!("allow = [\"{network}\"]\ndeny = [\"{two}\"]\n");
    let mut proxy = Setup::new(&[door.address()]).listener(&rules).start();
    let before = enter(&proxy, &door, one);
    for source in [two, other] {
        for _ in 0..10 {
            Peer::is_reset_from(source, proxy.address);
        }
    }
    assert!(door.accept_now().is_none());
    proxy.wait_for_metric(REFUSED, &["reason=\"denied\""], 20.0);
    let lines = proxy.wait_for_log("client reset: the listener is not for it", 2);
    assert_eq!(lines.len(), 2, "once a minute and client: {lines:?}");

    // Another list holds for whoever comes from then on.
    let text = fs::read_to_string(proxy.config()).unwrap();
    let changed = text.replace(&rules, &format!("deny = [\"{one}\"]\n"));
    assert!(proxy.reload(&changed));
    Peer::is_reset_from(one, proxy.address);
    let _session = enter(&proxy, &door, two);
    let (mut client, mut backend) = before;
    client.say("NOOP");
    backend.hears("NOOP");
}

#[test]
fn a_limit_that_is_changed_holds_at_once() {
    let (mut proxy, door) = limited("sessions_per_client = 1");
    let source = own_ip().into();
    let _first = enter(&proxy, &door, source);
    is_refused(&proxy, &door, source);
    let text = fs::read_to_string(proxy.config()).unwrap();
    let but = |limits: &str| text.replace("sessions_per_client = 1", limits);
    assert!(proxy.reload(&but("sessions_per_client = 2")));
    let _second = enter(&proxy, &door, source);
    is_refused(&proxy, &door, source);
    assert!(proxy.reload(&but("connection_rate = \"1/h burst 1\"")));
    let _third = enter(&proxy, &door, source);
    is_refused(&proxy, &door, source);
    proxy.wait_for_metric(REFUSED, &["reason=\"client_rate\""], 1.0);
}

#[test]
fn p19_a_client_that_asks_for_ports_too_often_gets_425() {
    let mut table = Table::with(|setup| setup.tables("[limits]\npassive_rate = \"1/h burst 2\"\n"));
    table.log_in();
    for _ in 0..2 {
        drop(table.pasv());
    }
    for _ in 0..10 {
        table.refuses("PASV\r\n", 425);
        table.refuses("EPSV\r\n", 425);
    }
    let refused = "ftplb_leases_refused_total";
    table
        .proxy
        .wait_for_metric(refused, &["reason=\"client_rate\""], 20.0);
    let lines = table.proxy.wait_for_log("PASV or EPSV refused with 425", 1);
    assert_eq!(lines.len(), 1, "once a minute: {lines:?}");
    // Another limit holds for sessions that are there.
    let text = fs::read_to_string(table.proxy.config()).unwrap();
    let changed = text.replace("passive_rate = \"1/h burst 2\"", "passive_rate = false");
    assert!(table.proxy.reload(&changed));
    drop(table.pasv());
}

#[test]
fn o5_a_flood_of_commands_is_read_at_its_rate_and_none_is_lost() {
    let mut table =
        Table::with(|setup| setup.tables("[limits]\ncommand_rate = \"50/s burst 10\"\n"));
    table.log_in();
    let begin = Instant::now();
    table.client.send("NOOP\r\n".repeat(60));
    for _ in 0..60 {
        table.backend.hears("NOOP");
        table.backend.say("200 Zzz.");
        table.client.hears("200 Zzz.");
    }
    // 60 commands with 8 tokens to begin with: 52 of them have to come back.
    let least = Duration::from_millis(1_000);
    assert!(begin.elapsed() >= least, "{:?}", begin.elapsed());
    let pauses = || {
        let side = ["side=\"client\""];
        table.proxy.metric("ftplb_rate_pauses_total", &side)
    };
    eventually("pauses are counted", || pauses() > 10.0);
    table.works();
}

#[test]
fn o5_a_flood_of_replies_is_read_at_its_rate_and_none_is_lost() {
    let mut table = Table::with(|setup| setup.tables("[limits]\nreply_rate = \"50/s burst 10\"\n"));
    table.log_in();
    let begin = Instant::now();
    table.client.send("NOOP\r\n".repeat(60));
    for _ in 0..60 {
        table.backend.hears("NOOP");
    }
    table.backend.send("200 Zzz.\r\n".repeat(60));
    for _ in 0..60 {
        table.client.hears("200 Zzz.");
    }
    let least = Duration::from_millis(1_000);
    assert!(begin.elapsed() >= least, "{:?}", begin.elapsed());
    let pauses = || {
        let side = ["side=\"backend\""];
        table.proxy.metric("ftplb_rate_pauses_total", &side)
    };
    eventually("pauses are counted", || pauses() > 10.0);
    table.works();
}

#[test]
fn f13_denied_commands_are_refused_and_counted() {
    let mut table = Table::with(|setup| {
        setup.listener("deny_commands = [\"SITE CPFR\", \"SITE CPTO\", \"PORT\"]")
    });
    table.log_in();
    for line in [
        "SITE CPFR /etc/passwd",
        "site \"cpto\" /x",
        "PORT 127,0,0,1,200,10",
    ] {
        table.refuses(format!("{line}\r\n"), 502);
    }
    table.exchange("SITE HELP", "214 Help.");
    let denied = "ftplb_commands_denied_total";
    table.proxy.wait_for_metric(denied, &[], 3.0);
}

#[test]
fn o7_refused_logins_are_named_once_a_minute_for_each_client() {
    let mut table = Table::greeted();
    for _ in 0..5 {
        table.exchange("USER eve", "331 Password?");
        table.exchange("PASS guess", "530 No.");
    }
    let failures = "ftplb_login_failures_total";
    table.proxy.wait_for_metric(failures, &[], 5.0);
    let lines = table.proxy.wait_for_log("login refused", 1);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let client = table.client.own();
    assert_eq!(field(&lines[0], "client"), client.to_string());
}

#[test]
fn o5_a_client_that_does_not_read_its_replies_is_let_go() {
    let mut table = Table::with(|setup| setup.tables("[timeouts]\nkeepalive = \"1s\"\n"));
    table.log_in();
    let begin = Instant::now();
    table.client.send("STAT\r\n".repeat(500));
    let line = format!("211 {}\r\n", "x".repeat(8_000));
    // Nobody reads these: they wait with the kernel, and with ftplb up to its limit.
    let sent = table
        .backend
        .flood(line.as_bytes(), 64 << 20, Duration::from_secs(2));
    assert!(sent < 64 << 20, "{sent} bytes were taken");
    let ended = table.proxy.wait_for_log("session ended", 1);
    assert_eq!(field(&ended[0], "side"), "client", "{ended:?}");
    assert_eq!(field(&ended[0], "cause"), "reset", "{ended:?}");
    table.backend.is_gone();
    assert!(begin.elapsed() < SOON);
}

#[test]
fn s11_a_client_that_floods_behind_its_quit_neither_keeps_it_from_the_backend_nor_stays() {
    let Table {
        proxy,
        mut client,
        mut backend,
        ..
    } = Table::logged_in();
    let flood = thread::spawn(move || {
        client.send("QUIT\r\n");
        let (begin, lines, limit) = (Instant::now(), b"\r\n".repeat(1 << 15), 16 << 20);
        while begin.elapsed() < SOON {
            if client.flood(&lines, limit, SOON) < limit {
                return true;
            }
        }
        false
    });
    backend.hears("QUIT");
    backend.say("221 Bye.");
    drop(backend);
    let ended = proxy.wait_for_log("session ended", 1);
    assert_eq!(field(&ended[0], "cause"), "complete", "{ended:?}");
    assert!(flood.join().unwrap(), "its connection was closed");
}
