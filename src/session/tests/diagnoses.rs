//! What sessions show to be wrong with their backend (P2, P4, P15, R4, R9, X12, decision 7).
//!
//! The words of the servers are in the tests of `diagnosis`.

use std::net::SocketAddr;

use super::talk::{BACKEND, BACKEND_6, CLIENT, LOCAL, LOCAL_6, Talk, VIP, settings};
use crate::diagnosis::Diagnosis;
use crate::ending::{Cause, Phase, Side};
use crate::session::{Action, DataEvent, Input, Tell};

const UNAVAILABLE: &str = "421 Service not available, closing control connection.";
const BAD_IP: &str = "425 Security: Bad IP connecting.";

/// What was told of the backend since the last time.
fn diagnoses(t: &mut Talk) -> Vec<Diagnosis> {
    let told = std::mem::take(&mut t.tells);
    let diagnosis = |tell| match tell {
        Tell::Diagnosis(diagnosis) => Some(diagnosis),
        _ => None,
    };
    told.into_iter().filter_map(diagnosis).collect()
}

/// A PASV that the backend answers with `reply`, up to the dialling of its port, and what that shows.
fn shown_by_227(t: &mut Talk, reply: &[&str]) -> Vec<Diagnosis> {
    t.client("PASV");
    t.leased(50_000);
    t.backend_gets("PASV");
    for line in reply {
        t.backend(line);
    }
    t.client_gets_alone("227 Entering Passive Mode (203,0,113,1,195,80)");
    t.data(DataEvent::Accepted);
    t.does(&Action::DialBackend(t.id, 8_000));
    t.data(DataEvent::DialFailed);
    t.does(&Action::Release(t.id));
    diagnoses(t)
}

#[test]
fn p2_a_foreign_address_in_227_is_noted_once_and_its_port_used() {
    for reply in [
        &["227 Entering Passive Mode (192,168,1,5,31,64)."][..],
        &["227 =127,0,0,1,31,64"],
        &["227 (0,0,0,0,31,64)"],
        &["227-wait", "227 (172,17,0,2,31,64)"],
    ] {
        let mut t = Talk::logged_in();
        assert_eq!(shown_by_227(&mut t, reply), [Diagnosis::ForeignAddress]);
        assert_eq!(shown_by_227(&mut t, reply), []);
    }
}

#[test]
fn p2_only_a_227_names_an_address() {
    for reply in [
        &["227 Entering Passive Mode (10,0,0,1,31,64)."][..],
        &["227-(10,0,0,1,31,64)", "227 not (9,9,9,9,31,65)"],
        &["229 (|1|9.9.9.9|8000|)"],
        &["228 (9,9,9,9,31,64)"],
    ] {
        let mut t = Talk::logged_in();
        assert_eq!(shown_by_227(&mut t, reply), [], "{reply:?}");
    }
    // A backend over IPv6 has no address that it could name.
    let mut t = Talk::connecting(settings(), CLIENT, VIP);
    t.picked(LOCAL_6.ip(), BACKEND_6);
    t.greets();
    t.logs_in();
    t.client("EPSV");
    t.leased(50_000);
    t.backend_gets("EPSV");
    t.backend("227 (0,0,0,0,31,64)");
    t.client_gets_alone("229 Entering Extended Passive Mode (|||50000|)");
    assert_eq!(diagnoses(&mut t), []);
}

#[test]
fn p4_no_data_port_is_noted() {
    let mut t = Talk::logged_in();
    for told in [&[Diagnosis::NoDataPort][..], &[]] {
        t.client("PASV");
        t.leased(50_000);
        t.backend_gets("PASV");
        t.backend("227 Entering Passive Mode (10,0,0,1,0,80)");
        t.does(&Action::Release(t.id));
        t.client_gets("425 Can't open data connection.");
        assert_eq!(diagnoses(&mut t), told);
    }
}

#[test]
fn p15_a_refused_data_address_is_noted_once_and_relayed_always() {
    let mut t = Talk::logged_in();
    for told in [&[Diagnosis::DataAddressRefused][..], &[]] {
        t.passive();
        t.exchange("RETR f", BAD_IP);
        assert_eq!(diagnoses(&mut t), told);
        t.data_is_cut(Side::Backend);
    }

    // pyftpdlib says it when the connection comes, whether or not it was asked for data.
    let foreign = "425 Rejected data connection from foreign address 10.0.0.9:5000.";
    let mut t = Talk::logged_in();
    t.passive();
    t.relays_reply(foreign);
    assert_eq!(diagnoses(&mut t), [Diagnosis::DataAddressRefused]);

    // IIS says it in an inner line.
    let mut t = Talk::logged_in();
    t.passive();
    t.exchange("LIST", "425-Cannot open data connection.");
    t.relays_reply(" Error details: Client IP on the control channel didn't match");
    assert_eq!(diagnoses(&mut t), [Diagnosis::DataAddressRefused]);
    t.relays_reply("425 End");
    assert_eq!(t.transfers().len(), 1);
}

#[test]
fn a5_a_refused_port_is_noted() {
    for (line, sent, reply) in [
        (
            "PORT 192,0,2,7,19,136",
            "PORT 10,0,0,9,23,112",
            "500 Illegal PORT command.",
        ),
        (
            "EPRT |1|192.0.2.7|5000|",
            "EPRT |1|10.0.0.9|6000|",
            "501 Rejected data connection to foreign address 10.0.0.9:6000.",
        ),
    ] {
        let mut t = Talk::logged_in();
        t.client(line);
        t.listens(SocketAddr::new(LOCAL, 6_000));
        t.backend_gets_alone(sent);
        t.relays_reply(reply);
        t.does(&Action::Release(t.id));
        assert_eq!(diagnoses(&mut t), [Diagnosis::DataAddressRefused]);
    }
}

#[test]
fn x12_a_server_that_wants_tls_sessions_resumed_is_noted() {
    for reply in [
        "522 SSL connection failed; session reuse required: see require_ssl_reuse option",
        "425 Unable to build data connection: TLS session of data connection not resumed.",
    ] {
        let mut t = Talk::logged_in();
        t.passive();
        t.exchange("LIST", "150 here");
        t.data_is_cut(Side::Backend);
        t.relays_reply(reply);
        assert_eq!(diagnoses(&mut t), [Diagnosis::TlsReuseRequired]);
    }
}

#[test]
fn words_that_answer_something_else_show_nothing() {
    let mut t = Talk::logged_in();
    for (line, reply) in [
        ("CWD 425 Security: Bad IP connecting", BAD_IP),
        ("STAT", BAD_IP),
        ("RETR Bad IP", "550 Security: Bad IP connecting."),
        ("PASS x", BAD_IP),
    ] {
        t.exchange(line, reply);
    }
    assert_eq!(diagnoses(&mut t), []);
}

#[test]
fn a_backend_at_its_own_limit_is_noted() {
    for greeting in [
        "421 There are too many connected users, please try later.",
        "421-Sorry",
        "530 Sorry, the maximum number of connections (4) for your host are already connected.",
    ] {
        let mut t = Talk::connected();
        t.backend(greeting);
        t.picks("");
        assert_eq!(diagnoses(&mut t), [Diagnosis::SessionLimit], "{greeting}");
    }

    let mut t = Talk::connected();
    t.backend("120-Service ready");
    t.backend("120 in 5 minutes");
    assert_eq!(diagnoses(&mut t), [Diagnosis::SessionLimit]);
    t.greets();

    let mut t = Talk::connected();
    t.backend("530 You are not welcome.");
    t.picks("");
    assert_eq!(diagnoses(&mut t), []);

    let full = "530 Sorry, the maximum number of allowed clients (9) are already connected.";
    let mut t = Talk::greeted();
    t.exchange("USER u", "331 p");
    t.exchange("PASS p", full);
    assert_eq!(diagnoses(&mut t), [Diagnosis::SessionLimit]);

    let mut t = Talk::greeted();
    t.exchange("USER u", "421 Maximum login limit has been reached.");
    assert_eq!(diagnoses(&mut t), [Diagnosis::SessionLimit]);
}

#[test]
fn decision_7_each_backend_that_greets_too_late_is_noted() {
    let mut t = Talk::connected();
    for _ in 0..2 {
        t.passes(10);
        t.picks("");
        let tells = std::mem::take(&mut t.tells);
        let [
            Tell::Diagnosis(Diagnosis::SlowGreeting),
            Tell::BackendFailed(_),
        ] = tells[..]
        else {
            panic!("{tells:?}");
        };
        t.picked(LOCAL, BACKEND);
    }
    t.backend("220-hello");
    t.client_gets("220-hello");
    t.passes(10);
    t.client_gets(UNAVAILABLE);
    t.closes(Side::Backend, Phase::Greeting, Cause::Timeout);
    assert_eq!(diagnoses(&mut t), [Diagnosis::SlowGreeting]);
}

#[test]
fn r4_r9_what_can_not_be_relayed_is_noted() {
    let line = |text: &'static str| Input::Line {
        text: text.into(),
        interrupt: false,
    };
    for (input, diagnosis) in [
        (line("no code"), Diagnosis::NotFtp),
        (Input::TooLong, Diagnosis::ReplyTooLong),
        (Input::Runaway, Diagnosis::ReplyTooLong),
        (line("227 (9,9,9,9,31,64)"), Diagnosis::UnaskedDataPort),
    ] {
        let mut t = Talk::logged_in();
        t.backend_input(input);
        t.client_gets(UNAVAILABLE);
        t.closes(Side::Backend, Phase::Command, Cause::Protocol);
        assert_eq!(diagnoses(&mut t), [diagnosis]);
    }
    for input in [line("SSH-2.0-x"), Input::TooLong, Input::Runaway] {
        let mut t = Talk::connected();
        t.backend_input(input);
        t.picks("");
        assert_eq!(diagnoses(&mut t), [Diagnosis::NotFtp]);
    }
    let mut t = Talk::logged_in();
    t.relays_reply("211-long");
    for _ in 1..10_000 {
        t.relays_reply("line");
    }
    t.backend("one too many");
    t.client_gets(UNAVAILABLE);
    t.closes(Side::Backend, Phase::Command, Cause::Protocol);
    assert_eq!(diagnoses(&mut t), [Diagnosis::ReplyTooLong]);
}
