//! The listings against their literal text: columns that scripts cut by position.

use super::connections::connections;
use super::*;
use crate::cli::fixtures::{backend, listener, pool, status};
use crate::ops::status::{AffinityStatus, SessionList, SessionStatus, TransferStatus};

/// Two listeners of one pool of two backends, one of which has all that can be had.
fn two_listeners() -> Status {
    let busy = BackendStatus {
        weight: 3,
        sessions: 12,
        sessions_total: 1_234,
        max_sessions: 20,
        resume_sessions: 15,
        to_client_bytes: 123_456_789,
        to_backend_bytes: 98_765,
        ..backend("a", "10.0.0.1:21")
    };
    let rule = AffinityRuleStatus {
        timeout_seconds: 360.0,
        prefix_v4: 24,
        prefix_v6: 64,
        entries: 2,
    };
    let files = PoolStatus {
        affinity: Some(rule),
        ..pool("files", vec![busy, backend("b", "10.0.0.2:2121")])
    };
    let listeners = vec![
        listener("192.0.2.1:21", "files"),
        listener("[2001:db8::1]:21", "files"),
    ];
    status(listeners, vec![files])
}

/// Spaces at the ends of lines are part of the form, and editors take them away: here each is a `~`.
fn spelled(text: &str) -> String {
    let line = |line: &str| {
        let end = line.trim_end().len();
        format!("{}{}\n", &line[..end], "~".repeat(line.len() - end))
    };
    text.lines().map(line).collect()
}

#[track_caller]
fn assert_text(text: &str, expected: &str) {
    let text = spelled(text);
    assert!(text == expected, "it is:\n{text}and not:\n{expected}");
}

#[test]
fn each_listener_is_a_service_with_the_backends_of_its_pool() {
    let expected = "\
ftplb 1.2.3 (sessions=7)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  192.0.2.1:21 wlc persistent 360 mask 255.255.255.0
  -> 10.0.0.1:21                  Masq    3      12         0~~~~~~~~~
  -> 10.0.0.2:2121                Masq    1      0          0~~~~~~~~~
TCP  [2001:db8::1]:21 wlc persistent 360 mask 64
  -> 10.0.0.1:21                  Masq    3      12         0~~~~~~~~~
  -> 10.0.0.2:2121                Masq    1      0          0~~~~~~~~~
";
    assert_text(&weights(&two_listeners()), expected);
}

#[test]
fn a_backend_that_is_not_simply_up_has_a_word_behind_its_row() {
    let is = |change: &dyn Fn(&mut BackendStatus)| {
        let mut backend = backend("a", "10.0.0.1:21");
        change(&mut backend);
        backend
    };
    let backends = vec![
        is(&|of| of.state = State::Down),
        is(&|of| {
            of.state = State::Ejected;
            of.ejected_seconds = Some(22.4);
        }),
        is(&|of| of.standing = Standing::Draining),
        is(&|of| of.standing = Standing::Disabled),
        is(&|of| of.standing = Standing::Removed),
        is(&|of| of.full = true),
        is(&|of| of.share_percent = 30),
        is(&|of| of.sorry = true),
        is(&|of| {
            of.sorry = true;
            of.standing = Standing::Draining;
        }),
        is(&|of| {
            of.standing = Standing::Draining;
            of.state = State::Down;
        }),
    ];
    let text = weights(&status(
        vec![listener("192.0.2.1:21", "p")],
        vec![pool("p", backends)],
    ));
    let words: Vec<_> = text.lines().skip(4).map(|line| line[64..].trim()).collect();
    assert_eq!(
        words,
        [
            "down",
            "ejected 23s",
            "draining",
            "disabled",
            "removed",
            "full",
            "ramping 30%",
            "sorry",
            "sorry draining",
            "draining",
        ]
    );
}

#[test]
fn a_pool_without_a_listener_is_shown_as_what_it_is() {
    let gone = PoolStatus {
        removed: true,
        ..pool("files", vec![backend("a", "10.0.0.1:21")])
    };
    let mut status = status(
        vec![listener("192.0.2.1:21", "files")],
        vec![pool("files", Vec::new()), gone],
    );
    status.draining = true;
    status.older_sessions = 3;
    let expected = "\
ftplb 1.2.3 (sessions=7, older=3, draining)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  192.0.2.1:21 wlc
POOL files wlc removed
  -> 10.0.0.1:21                  Masq    1      0          0~~~~~~~~~
";
    assert_text(&weights(&status), expected);
}

#[test]
fn totals_are_sessions_and_bytes() {
    let mut status = two_listeners();
    status.listeners.pop();
    let expected = "\
ftplb 1.2.3 (sessions=7)
Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes
  -> RemoteAddress:Port
TCP  192.0.2.1:21                     1234        0        0    98765  123456K
  -> 10.0.0.1:21                      1234        0        0    98765  123456K
  -> 10.0.0.2:2121                       0        0        0        0        0
";
    assert_text(&stats(&status, false), expected);
    let exact = "\
TCP  192.0.2.1:21                     1234        0        0    98765 123456789
";
    assert_text(
        stats(&status, true).split_inclusive('\n').nth(3).unwrap(),
        exact,
    );
}

#[test]
fn rates_are_what_came_between_two_looks() {
    let mut before = two_listeners();
    before.listeners.pop();
    let mut after = before.clone();
    after.uptime_seconds += 2.0;
    let busy = &mut after.pools[0].backends[0];
    busy.sessions_total += 10;
    busy.to_client_bytes += 2_000_000_000;
    busy.to_backend_bytes += 500;
    // A backend that has come since has begun at zero.
    let mut new = backend("c", "10.0.0.3:21");
    new.sessions_total = 4;
    after.pools[0].backends.push(new);
    let expected = "\
ftplb 1.2.3 (sessions=7)
Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS
  -> RemoteAddress:Port
TCP  192.0.2.1:21                        7        0        0      250    1000M
  -> 10.0.0.1:21                         5        0        0      250    1000M
  -> 10.0.0.2:2121                       0        0        0        0        0
  -> 10.0.0.3:21                         2        0        0        0        0
";
    assert_text(&rates(&before, &after, false), expected);
}

#[test]
fn thresholds_and_clients_that_come_back() {
    let mut status = two_listeners();
    status.listeners.pop();
    let expected = "\
ftplb 1.2.3 (sessions=7)
Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn~
  -> RemoteAddress:Port
TCP  192.0.2.1:21 wlc persistent 360 mask 255.255.255.0
  -> 10.0.0.1:21                  20         15         12         0~~~~~~~~~
  -> 10.0.0.2:2121                0          0          0          0~~~~~~~~~
";
    assert_text(&thresholds(&status), expected);
    let expected = "\
ftplb 1.2.3 (sessions=7)
Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn~
  -> RemoteAddress:Port
TCP  192.0.2.1:21 wlc persistent 360 mask 255.255.255.0
  -> 10.0.0.1:21                  3         2           12         0~~~~~~~~~
  -> 10.0.0.2:2121                1         0           0          0~~~~~~~~~
";
    assert_text(&persistent(&status, &affinity()), expected);
}

fn affinity() -> AffinityList {
    let entry = |pool: &str, network: &str| AffinityStatus {
        pool: pool.into(),
        network: network.into(),
        backend: Some("a".into()),
        backend_address: "10.0.0.1:21".parse().unwrap(),
        seconds_left: 359.9,
    };
    let entries = vec![
        entry("files", "198.51.100.0/24"),
        entry("files", "2001:db8:7::/64"),
        entry("other", "198.51.100.0/24"),
    ];
    AffinityList { total: 3, entries }
}

#[test]
fn sessions_are_connections_and_affinity_is_their_templates() {
    let idle = SessionStatus {
        id: 1,
        client: "198.51.100.7:40001".parse().unwrap(),
        listener: "192.0.2.1:21".into(),
        vip: "192.0.2.1:21".parse().unwrap(),
        pool: "files".into(),
        backend: Some("a".into()),
        backend_address: Some("10.0.0.1:21".parse().unwrap()),
        user: Some("ftp".into()),
        phase: "command".into(),
        age_seconds: 10.0,
        idle_seconds: 5.0,
        idle_left_seconds: Some(595.4),
        transfer: None,
        transfers: 0,
        to_client_bytes: 0,
        to_backend_bytes: 0,
    };
    let transfer = TransferStatus {
        verb: "STOR".into(),
        direction: "to_backend".into(),
        bytes: 1,
        seconds: 2.0,
        file: None,
        size: None,
    };
    let moving = SessionStatus {
        client: "[2001:db8:7::7]:40002".parse().unwrap(),
        vip: "[2001:db8::1]:21".parse().unwrap(),
        idle_left_seconds: None,
        transfer: Some(transfer),
        ..idle.clone()
    };
    let connecting = SessionStatus {
        backend: None,
        backend_address: None,
        ..idle.clone()
    };
    let sessions = SessionList {
        total: 3,
        sessions: vec![idle, moving, connecting],
    };
    let expected = "\
IPVS connection entries
pro expire state       source             virtual            destination
TCP 09:55  ESTABLISHED 198.51.100.7:40001 192.0.2.1:21       10.0.0.1:21
TCP 10:00  ESTABLISHED [2001:db8:7::7]:40002 [2001:db8::1]:21   10.0.0.1:21
TCP 05:59  NONE        198.51.100.0:0     192.0.2.1:0        10.0.0.1:0
TCP 05:59  NONE        [2001:db8:7::]:0   [2001:db8::1]:0    10.0.0.1:0
";
    assert_text(
        &connections(&two_listeners(), &sessions, &affinity()),
        expected,
    );
}

#[test]
fn silence_is_in_seconds() {
    assert_text(
        &timeouts(&two_listeners()),
        "Timeout (tcp tcpfin udp): 600 10 0\n",
    );
}

#[test]
fn a_mask_is_shown_when_not_every_address_counts_for_itself() {
    for (address, prefix_v4, prefix_v6, expected) in [
        ("192.0.2.1:21", 32, 64, ""),
        ("192.0.2.1:21", 31, 64, " mask 255.255.255.254"),
        ("192.0.2.1:21", 0, 64, " mask 0.0.0.0"),
        ("[::1]:21", 24, 128, ""),
        ("[::1]:21", 24, 48, " mask 48"),
    ] {
        let rule = AffinityRuleStatus {
            timeout_seconds: 50.0,
            prefix_v4,
            prefix_v6,
            entries: 0,
        };
        let pool = PoolStatus {
            affinity: Some(rule),
            ..pool("p", Vec::new())
        };
        let expected = format!("TCP  {address} wlc persistent 50{expected}");
        assert_eq!(flags(&listener(address, "p"), &pool), expected);
    }
}

#[test]
fn a_number_keeps_its_columns_as_ipvsadm_shortens_it() {
    for (value, short, exact) in [
        (0, "        0", "        0"),
        (99_999_999, " 99999999", " 99999999"),
        (100_000_000, "  100000K", " 100000000"),
        (999_999_999, "  999999K", " 999999999"),
        (1_000_000_000, "    1000M", " 1000000000"),
        (100_000_000_000, "     100G", " 100000000000"),
        (100_000_000_000_000, "     100T", " 100000000000000"),
    ] {
        assert_eq!(number(value, false), short);
        assert_eq!(number(value, true), exact);
    }
}
