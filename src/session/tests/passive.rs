//! Passive data connections (P, S2 to S8).

use std::net::Ipv4Addr;

use super::talk::{BACKEND, BACKEND_6, CLIENT, LOCAL, LOCAL_6, Talk, VIP, settings};
use crate::config::BackendPassive;
use crate::diagnosis::Diagnosis;
use crate::ending::{Cause, Phase, Side};
use crate::ftp::command::Verb;
use crate::session::{Action, DataEvent, Mode, Settings, Tell};

const OK_227: &str = "227 Entering Passive Mode (203,0,113,1,195,80)";
const OK_229: &str = "229 Entering Extended Passive Mode (|||50000|)";

#[test]
fn p5_p6_nothing_is_asked_of_the_backend_before_a_port_is_leased() {
    let mut t = Talk::logged_in();
    t.client("PASV");
    t.lease_is(DataEvent::Unavailable);
    t.client_gets("425 All data ports are in use, try again later.");
    // The client may try again at once.
    t.passive();
    t.transfers_well("RETR f");
}

#[test]
fn p1_r5_bad_input_74_to_78_any_227_or_229_becomes_the_canonical_one() {
    for (asked, replies, answer) in [
        ("PASV", &["227 ok 12 (127,0,0,1,31,64)"][..], OK_227),
        ("PASV", &["227 =1,2,3,4,31,64"], OK_227),
        ("P@SW", &["227 1,2,3,4,31,64"], OK_227),
        ("PaSv ", &["227-x", "227 (1,2,3,4,31,64)"], OK_227),
        ("PASV", &["227-(1,2,3,4,31,64)", "227 x"], OK_227),
        ("PASV", &["227 (169,254,169,254,31,64)"], OK_227),
        ("PASV", &["229 (|||8000|)"], OK_227),
        ("EPSV", &["229 (!!!8000!)"], OK_229),
        ("EPSV", &["229 (|||8000|)."], OK_229),
        ("EPSV", &["229 |||8000|"], OK_229),
        ("EPSV", &["227 (1,2,3,4,31,64)"], OK_229),
        ("EPSV", &["229-x", "229 (|1|9.9.9.9|8000|)"], OK_229),
    ] {
        let mut t = Talk::logged_in();
        t.client(asked);
        t.leased(50_000);
        t.backend_gets(if asked == "EPSV" { "EPSV" } else { "PASV" });
        for line in replies {
            t.backend(line);
        }
        t.client_gets_alone(answer);
        t.data(DataEvent::Accepted);
        t.does(&Action::DialBackend(t.id, 8_000));
    }
}

#[test]
fn p4_bad_input_73_76_77_a_reply_without_a_usable_port_is_a_425() {
    for reply in [
        "227 Entering (256,1,1,1,1,1)",
        "227 (1,2,3)",
        "227 (0,0,0,0,0,0)",
        "227 (10,0,0,1,0,80)",
        "227 (10,0,0,1,3,255)",
        "229 (|||0|)",
        "229 (|||65536|)",
        "229 (||6446|)",
        "228 x",
        "200 yes",
    ] {
        let mut t = Talk::logged_in();
        t.client("PASV");
        t.leased(50_000);
        t.backend_gets("PASV");
        t.client("NOOP");
        t.backend(reply);
        t.does(&Action::Release(t.id));
        t.client_gets("425 Can't open data connection.");
        t.backend_gets("NOOP");
        let shown = Tell::Diagnosis(Diagnosis::NoDataPort);
        assert!(t.tells.contains(&shown), "{reply}");
    }
}

#[test]
fn bad_input_15_pasv_takes_no_argument() {
    let mut t = Talk::logged_in();
    t.answers("PASV foo", "501 Syntax error in parameters.");
}

#[test]
fn p7_the_advertised_address_is_named_in_227() {
    let advertise = Some(Ipv4Addr::new(198, 51, 100, 4));
    let mut t = Talk::logged_in_with(Settings {
        advertise,
        ..settings()
    });
    t.client("PASV");
    t.leased(50_000);
    t.backend_gets("PASV");
    t.backend("227 (10,0,0,1,31,64)");
    t.client_gets_alone("227 Entering Passive Mode (198,51,100,4,195,80)");
}

#[test]
fn p8_v1_the_verb_that_the_backend_is_asked_by() {
    let cases = [
        (BackendPassive::Same, BACKEND, "PASV", "PASV"),
        (BackendPassive::Same, BACKEND, "EPSV", "EPSV"),
        (BackendPassive::Pasv, BACKEND, "EPSV", "PASV"),
        (BackendPassive::Epsv, BACKEND, "PASV", "EPSV"),
        (BackendPassive::Same, BACKEND_6, "PASV", "EPSV"),
        (BackendPassive::Pasv, BACKEND_6, "PASV", "EPSV"),
    ];
    for (backend_passive, backend, asked, sent) in cases {
        let settings = Settings {
            backend_passive,
            ..settings()
        };
        let mut t = Talk::connecting(settings, CLIENT, VIP);
        t.picked(LOCAL, backend);
        t.greets();
        t.client(asked);
        t.leased(50_000);
        t.backend_gets(sent);
    }
    // IPv6 in front, IPv4 behind.
    let mut t = Talk::logged_in_6(settings(), LOCAL, BACKEND);
    t.client("EPSV 2");
    t.leased(50_000);
    t.backend_gets("PASV");
    t.backend("227 (10,0,0,1,31,64)");
    t.client_gets_alone(OK_229);
    t.answers("EPSV 1", "522 Network protocol not supported, use (2)");
}

#[test]
fn p8_an_epsv_that_nobody_asked_for_is_asked_again_as_pasv_and_that_is_remembered() {
    let mut t = Talk::logged_in_with(Settings {
        backend_passive: BackendPassive::Epsv,
        ..settings()
    });
    t.client("PASV");
    t.leased(50_000);
    t.backend_gets("EPSV");
    t.client("NLST");
    t.backend("500-EPSV?");
    t.backend("500 no");
    t.backend_gets("PASV");
    t.backend("227 (10,0,0,1,31,64)");
    t.client_gets_alone(OK_227);
    t.backend_gets("NLST");
    t.relays_reply("425 no");
    t.client("PASV");
    t.leased(50_001);
    t.backend_gets("PASV");
}

#[test]
fn p8_the_refusal_of_a_second_ask_is_relayed() {
    let mut t = Talk::logged_in_with(Settings {
        backend_passive: BackendPassive::Epsv,
        ..settings()
    });
    t.client("PASV");
    t.leased(50_000);
    t.backend_gets("EPSV");
    t.backend("502 no");
    t.backend_gets("PASV");
    t.relays_reply("502 neither");
    t.does(&Action::Release(t.id));
}

#[test]
fn p8_nothing_overtakes_an_epsv_that_may_be_asked_again() {
    let mut t = Talk::logged_in_with(Settings {
        backend_passive: BackendPassive::Epsv,
        ..settings()
    });
    t.forwards("RETR f");
    t.client("PASV");
    t.leased(50_000);
    t.backend_gets("EPSV");
    t.client("ABOR");
    t.relays_reply("425 no");
    t.backend("500 no");
    t.backend_gets("PASV");
    t.backend("227 (10,0,0,1,31,64)");
    t.client_gets_alone(OK_227);
    t.backend_gets("ABOR");
    t.relays_reply("225 a");
}

#[test]
fn p10_there_is_no_pasv_on_ipv6() {
    let mut t = Talk::logged_in_6(settings(), LOCAL_6.ip(), BACKEND_6);
    t.answers(
        "PASV",
        "425 You cannot use PASV on IPv6 connections. Use EPSV instead.",
    );
    t.client("EPSV");
    t.leased(50_000);
    t.backend_gets("EPSV");
    t.backend("229 (|||8000|)");
    t.client_gets_alone(OK_229);
}

#[test]
fn p13_only_the_first_that_connects_counts() {
    let mut t = Talk::logged_in();
    t.passive();
    t.data(DataEvent::Accepted);
    t.quiet();
}

#[test]
fn p14_bad_input_49_a_lease_that_nobody_comes_to_is_released() {
    let mut t = Talk::logged_in();
    t.asks_passive();
    t.forwards("RETR f");
    t.passes(60);
    t.does(&Action::Release(t.id));
    t.data(DataEvent::Accepted);
    t.relays_reply("425 vsftpd's own");
    let told = t.transfer();
    assert_eq!(told.ending.cause, Cause::Timeout);
    assert_eq!(told.ending.side, Side::Client);
    assert_eq!(
        (told.verb, told.mode),
        (Some(Verb::Retr), Some(Mode::Passive))
    );
    t.passes(100);
}

#[test]
fn p15_p16_bad_input_50_a_leg_that_can_not_be_made_resets_the_other() {
    let mut t = Talk::logged_in();
    t.asks_passive();
    t.data(DataEvent::Accepted);
    t.does(&Action::DialBackend(t.id, 8_000));
    t.forwards("STOR f");
    t.data(DataEvent::DialFailed);
    t.does(&Action::Release(t.id));
    t.relays_reply("425 no");
    let ending = t.transfer().ending;
    assert_eq!((ending.side, ending.cause), (Side::Backend, Cause::Dial));
}

#[test]
fn s2_bad_input_46_a_newer_pasv_replaces_the_older() {
    let mut t = Talk::logged_in();
    for _ in 0..1_000 {
        let older = t.id;
        t.client("PASV");
        t.leased(50_000);
        t.backend_gets("PASV");
        t.backend("227 (10,0,0,1,31,64)");
        t.client_gets_alone(OK_227);
        if older.0 > 0 {
            t.does(&Action::Release(older));
        }
    }
    t.client_input(crate::session::Input::Reset);
    t.does(&Action::Release(t.id));
    t.closes(Side::Client, Phase::Command, Cause::Reset);
}

#[test]
fn s3_a_refused_pasv_leaves_the_older_association() {
    let mut t = Talk::logged_in();
    t.asks_passive();
    let older = t.id;
    t.client("EPSV");
    t.leased(50_001);
    t.backend_gets("EPSV");
    t.relays_reply("500 no");
    t.does(&Action::Release(t.id));
    t.data_of(older, DataEvent::Accepted);
    t.does(&Action::DialBackend(older, 8_000));
}

#[test]
fn s5_who_connects_before_the_227_is_served_after_it() {
    let mut t = Talk::logged_in();
    t.client("PASV");
    t.leased(50_000);
    t.backend_gets("PASV");
    t.data(DataEvent::Accepted);
    t.quiet();
    t.backend("227 (10,0,0,1,31,64)");
    t.client_gets_alone(OK_227);
    t.does(&Action::DialBackend(t.id, 8_000));
}

#[test]
fn s5_a_lease_that_was_used_up_before_the_227_is_a_425() {
    let mut t = Talk::logged_in();
    t.client("PASV");
    t.leased(50_000);
    t.backend_gets("PASV");
    t.data(DataEvent::Accepted);
    t.data_is_cut(Side::Client);
    t.backend("227 (10,0,0,1,31,64)");
    t.client_gets("425 Can't open data connection.");
    t.passive();
}
