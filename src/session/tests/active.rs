//! Active data connections (A, V1, V5).

use std::net::SocketAddr;

use super::talk::{BACKEND, BACKEND_6, CLIENT, LOCAL, LOCAL_6, Talk, VIP, settings, v4};
use crate::config::{BackendActive, PortAddress};
use crate::ending::{Cause, Side};
use crate::ftp::command::Direction;
use crate::session::{Action, DataEvent, Settings};

const TARGET: SocketAddr = v4([192, 0, 2, 7], 5_000);

#[test]
fn a1_a2_a3_bad_input_19_to_40_endpoints_that_are_refused() {
    let syntax = "501 Syntax error in parameters.";
    let foreign = "501 The address is not yours: foreign address refused.";
    let family = "522 Network protocol not supported, use (1)";
    let privileged = "504 Privileged port refused: the port must be 1024 or above.";
    let cases = [
        ("PORT 10,0,0,1,200,10", foreign),
        ("PORT 192,0,2,7,0,80", privileged),
        ("PORT 192,0,2,7,0,0", syntax),
        ("PORT 256,0,0,1,1,1", syntax),
        ("PORT 4294967423,0,0,1,200,10", syntax),
        ("PORT a,b,c,d,e,f", syntax),
        ("PORT 192,0,2,7,200", syntax),
        ("PORT 192,0,2,7,200,10,1", syntax),
        ("PORT 192,0,2,7,200,10x", syntax),
        ("PORT +192,0,2,7,200,10", syntax),
        ("PORT 192, 0, 2, 7, 200, 10", syntax),
        ("PORT", syntax),
        ("EPRT |1|192.0.2.7|99999|", syntax),
        ("EPRT |3|x|1|", family),
        ("EPRT |2|::1|5000|", family),
        ("EPRT |1|192.0.2.7|5000", syntax),
        ("EPRT |1|192.0.2.7|5000|x", syntax),
        ("EPRT 11192.0.2.71500001", syntax),
        ("EPRT |2|fe80::1%eth0|5000|", syntax),
        ("EPRT |1|::ffff:1.2.3.4|5000|", syntax),
        ("EPRT |2|::ffff:192.0.2.7|5000|", family),
        ("EPRT |1|10.0.0.1|5000|", foreign),
        ("EPRT |1|192.0.2.7|80|", privileged),
        ("EPRT", syntax),
    ];
    let mut t = Talk::logged_in();
    for (line, reply) in cases {
        t.answers(line, reply);
    }
}

#[test]
fn a1_a4_a5_a7_the_backend_is_given_our_own_port() {
    let mut t = Talk::logged_in();
    t.active();
    t.transfers_well("LIST");
}

#[test]
fn a2_bad_input_34_eprt_is_written_anew() {
    let mut t = Talk::logged_in();
    t.client("EPRT !1!192.0.2.7!5000!");
    t.listens(SocketAddr::new(LOCAL, 6_000));
    t.backend_gets_alone("EPRT |1|10.0.0.9|6000|");
    t.relays_reply("200 ok");
}

#[test]
fn v1_active_endpoints_are_translated_between_families() {
    let mut t = Talk::connecting(settings(), CLIENT, VIP);
    t.picked(LOCAL_6.ip(), BACKEND_6);
    t.greets();
    t.client("PORT 192,0,2,7,19,136");
    t.listens(SocketAddr::new(LOCAL_6.ip(), 6_000));
    t.backend_gets_alone("EPRT |2|2001:db8::9|6000|");

    let mut t = Talk::logged_in_6(settings(), LOCAL, BACKEND);
    t.client("EPRT |2|2001:db8::7|5000|");
    t.listens(SocketAddr::new(LOCAL, 6_000));
    t.backend_gets_alone("PORT 10,0,0,9,23,112");
    t.relays_reply("200 ok");
    t.answers(
        "EPRT |1|192.0.2.7|5000|",
        "522 Network protocol not supported, use (2)",
    );
}

#[test]
fn a3_behind_a_nat_the_control_address_can_be_used() {
    let mut t = Talk::logged_in_with(Settings {
        port_address: PortAddress::UseControlIp,
        ..settings()
    });
    t.client("PORT 10,9,8,7,19,136");
    t.listens(SocketAddr::new(LOCAL, 6_000));
    t.backend_gets_alone("PORT 10,0,0,9,23,112");
    t.relays_reply("200 ok");
    t.data(DataEvent::Accepted);
    t.does(&Action::DialClient(t.id, TARGET));
}

#[test]
fn a4_bad_input_90_a_backend_that_connects_ahead_of_its_200_is_served_after_it() {
    let mut t = Talk::logged_in();
    t.client("PORT 192,0,2,7,19,136");
    t.listens(SocketAddr::new(LOCAL, 6_000));
    t.backend_gets_alone("PORT 10,0,0,9,23,112");
    t.data(DataEvent::Accepted);
    t.quiet();
    t.relays_reply("200 pyftpdlib's");
    t.does(&Action::DialClient(t.id, TARGET));
    t.data(DataEvent::Dialled);
    t.does(&Action::Relay(t.id));
    t.transfers_well("LIST");
}

#[test]
fn a4_a_backend_that_connects_and_leaves_ahead_of_its_200_leaves_nothing() {
    let mut t = Talk::logged_in();
    t.client("PORT 192,0,2,7,19,136");
    t.listens(SocketAddr::new(LOCAL, 6_000));
    t.backend_gets_alone("PORT 10,0,0,9,23,112");
    t.data(DataEvent::Accepted);
    t.data_is_cut(Side::Backend);
    t.relays_reply("200 ok");
    t.exchange("LIST", "425 no");
    t.passes(100);
    t.active();
}

#[test]
fn a5_no_port_to_listen_on_is_a_425() {
    let mut t = Talk::logged_in();
    t.client("PORT 192,0,2,7,19,136");
    t.does(&Action::Listen(crate::session::DataId(1)));
    t.id = crate::session::DataId(1);
    t.data(DataEvent::Unavailable);
    t.client_gets("425 All data ports are in use, try again later.");
    t.forwards("NOOP");
}

#[test]
fn s3_a_refused_port_leaves_the_older_association() {
    let mut t = Talk::logged_in();
    t.asks_active();
    let older = t.id;
    t.client("EPRT |1|192.0.2.7|5001|");
    t.listens(SocketAddr::new(LOCAL, 6_001));
    t.backend_gets_alone("EPRT |1|10.0.0.9|6001|");
    t.relays_reply("500 no");
    t.does(&Action::Release(t.id));
    t.data_of(older, DataEvent::Accepted);
    t.does(&Action::DialClient(older, TARGET));
}

#[test]
fn s2_passive_and_active_replace_each_other() {
    let mut t = Talk::logged_in();
    t.asks_active();
    let older = t.id;
    t.asks_passive();
    t.does(&Action::Release(older));
    let older = t.id;
    t.asks_active();
    t.does(&Action::Release(older));
}

#[test]
fn a9_a_client_that_can_not_be_reached() {
    let mut t = Talk::logged_in();
    t.asks_active();
    t.exchange("RETR f", "150 here");
    t.data(DataEvent::Accepted);
    t.does(&Action::DialClient(t.id, TARGET));
    t.data(DataEvent::DialFailed);
    t.does(&Action::Release(t.id));
    t.relays_reply("426 cut");
    let ending = t.transfer().ending;
    assert_eq!((ending.side, ending.cause), (Side::Client, Cause::Dial));
}

#[test]
fn a9_a_transfer_that_never_reached_its_client_is_not_reported_as_done() {
    // A small file is with ftplb before the backend hears that nobody is there to take it.
    for is_answered_first in [false, true] {
        let mut t = Talk::logged_in();
        t.asks_active();
        t.exchange("RETR f", "150 here");
        t.data(DataEvent::Accepted);
        t.does(&Action::DialClient(t.id, TARGET));
        if is_answered_first {
            t.backend("226-all of it");
            t.data(DataEvent::DialFailed);
            t.does(&Action::Release(t.id));
            t.backend("226 is sent");
        } else {
            t.data(DataEvent::DialFailed);
            t.does(&Action::Release(t.id));
            t.backend("226-all of it");
            t.backend("226 is sent");
        }
        t.client_gets("425 Can't open data connection.");
        let end = t.transfer();
        assert_eq!(
            (end.ending.side, end.ending.cause),
            (Side::Client, Cause::Dial)
        );
        assert_eq!(end.code.map(|code| code.is(226)), Some(true));
        t.exchange("NOOP", "200 on with it");
    }
}

#[test]
fn a9_a_reply_waits_for_the_dial_whatever_is_left_of_its_own_time() {
    let mut t = Talk::logged_in();
    t.asks_active();
    t.exchange("RETR f", "150 here");
    t.data(DataEvent::Accepted);
    t.does(&Action::DialClient(t.id, TARGET));
    t.backend("226 done");
    t.passes(25);
    t.quiet();
    t.data(DataEvent::DialFailed);
    t.does(&Action::Release(t.id));
    t.client_gets("425 Can't open data connection.");
}

fn served_by_passive() -> Talk {
    let mut t = Talk::logged_in_with(Settings {
        backend_active: BackendActive::Passive,
        ..settings()
    });
    t.client("PORT 192,0,2,7,19,136");
    t.backend_gets("PASV");
    t.id.0 += 1;
    t.backend("227 (10,0,0,1,31,64)");
    t.client_gets("200 PORT command successful.");
    t
}

#[test]
fn a12_an_active_client_is_served_by_a_passive_backend() {
    let mut t = served_by_passive();
    // Nobody is dialled before there is a transfer, nor the client before it begins.
    t.exchange("TYPE I", "200 I");
    t.client("RETR f");
    t.does(&Action::DialBackend(t.id, 8_000));
    t.backend_gets("RETR f");
    t.data(DataEvent::Dialled);
    t.relays_reply("150 here");
    t.does(&Action::DialClient(t.id, TARGET));
    t.backend("226 done");
    t.data(DataEvent::Dialled);
    t.does(&Action::Relay(t.id));
    t.data(DataEvent::Finished(Direction::ToClient));
    t.client_gets("226 done");
    t.data_ends(4, 0);
    assert_eq!(t.transfer().moved.to_client, 4);
}

#[test]
fn a12_replies_that_come_ahead_of_the_dialled_leg() {
    let mut t = served_by_passive();
    t.client("LIST");
    t.does(&Action::DialBackend(t.id, 8_000));
    t.backend_gets("LIST");
    t.relays_reply("125 pyftpdlib's");
    t.backend("226 done");
    assert!(!t.session.wants_backend(), "R13");
    t.data(DataEvent::Dialled);
    t.does(&Action::DialClient(t.id, TARGET));
    t.data(DataEvent::Dialled);
    t.does(&Action::Relay(t.id));
    t.data_ends(4, 0);
    t.client_gets("226 done");
    assert_eq!(t.transfer().moved.to_client, 4);
}

#[test]
fn a12_a_transfer_that_is_refused_does_not_dial_the_client() {
    let mut t = served_by_passive();
    t.client("RETR none");
    t.does(&Action::DialBackend(t.id, 8_000));
    t.backend_gets("RETR none");
    t.data(DataEvent::Dialled);
    t.relays_reply("550 no");
    assert_eq!(t.transfer().ending.cause, Cause::Refused);
    // The leg that stands keeps no session alive (O3).
    t.passes(600);
    t.client_gets("421 Timeout, closing control connection.");
    t.does(&Action::Release(t.id));
    t.closes(Side::Client, crate::ending::Phase::Command, Cause::Idle);
}

#[test]
fn a12_a_passive_that_is_refused_is_a_425() {
    for reply in ["500 no", "425 no", "227 (10,0,0,1,0,80)"] {
        let mut t = Talk::logged_in_with(Settings {
            backend_active: BackendActive::Passive,
            ..settings()
        });
        t.client("EPRT |1|192.0.2.7|5000|");
        t.backend_gets("PASV");
        t.id.0 += 1;
        t.client("NOOP");
        t.backend(reply);
        t.does(&Action::Release(t.id));
        t.client_gets("425 Can't open data connection.");
        t.backend_gets("NOOP");
    }
}
