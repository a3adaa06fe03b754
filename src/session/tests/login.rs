//! Logging in, starting over, and the limits on who does neither (O2, O5, S12, S17).

use super::talk::{CLIENT, Talk, VIP, settings};
use crate::ending::{Cause, Phase, Side};
use crate::session::{Action, Tell};

#[test]
fn s17_a_second_user_is_the_backends_affair() {
    let mut t = Talk::logged_in();
    // Who is logged in stays so until the backend agrees to another.
    let other = Tell::User(b"other".as_slice().into());
    t.exchange("USER other", "530 no");
    assert!(!t.tells.contains(&other));
    assert!(t.tells.contains(&Tell::LoginFailed));
    t.exchange("USER other", "230 yes");
    assert!(t.tells.contains(&other));
    // Still logged in: only the idle time counts.
    t.passes(599);
    t.exchange("USER", "501 whom?");
}

#[test]
fn o2_r6_each_way_to_log_in_stops_the_login_timer() {
    for talk in [
        &[("USER u", "230 in")][..],
        &[("USER u", "331 p"), ("PASS p", "230-in\n230 now")],
        &[
            ("USER u", "331 p"),
            ("PASS p", "332 a"),
            ("ACCT a", "230 in"),
        ],
        &[("USER u", "331 p"), ("PASS p", "202 no need")],
    ] {
        let mut t = Talk::greeted();
        for (line, reply) in talk {
            t.forwards(line);
            for line in reply.lines() {
                t.relays_reply(line);
            }
        }
        t.passes(500);
    }
    for talk in [
        &[("USER u", "331 p"), ("PASS p", "530 no")][..],
        &[("USER u", "331 p"), ("PASS p", "332 a")],
    ] {
        let mut t = Talk::greeted();
        for (line, reply) in talk {
            t.exchange(line, reply);
        }
        t.passes(299);
        t.quiet();
        t.passes(1);
        t.client_gets("421 Login took too long, closing control connection.");
        t.closes(Side::Client, Phase::Login, Cause::Timeout);
    }
}

#[test]
fn o2_user_must_come_within_a_minute() {
    let mut t = Talk::greeted();
    t.passes(50);
    t.exchange("FEAT", "211 none");
    t.passes(10);
    t.client_gets("421 Login took too long, closing control connection.");
    t.closes(Side::Client, Phase::Login, Cause::Timeout);
}

#[test]
fn o2_ten_mistakes_before_login_are_enough() {
    let mut t = Talk::greeted();
    for _ in 0..5 {
        t.exchange("XYZZY", "500 what?");
    }
    for _ in 0..4 {
        t.answers("\0", "501 Control characters are not allowed in a command.");
    }
    t.client("LPSV");
    t.client_gets("502 Command not implemented.");
    t.client_gets("421 Too many errors, closing control connection.");
    t.closes(Side::Client, Phase::Login, Cause::Limit);

    let mut t = Talk::logged_in();
    for _ in 0..50 {
        t.answers("LPSV", "502 Command not implemented.");
    }
}

#[test]
fn o2_a_line_must_be_completed_in_time_but_only_while_it_is_read() {
    let mut t = Talk::logged_in();
    t.session.note_mid_line(Some(t.now));
    t.passes(20);
    t.session.note_mid_line(Some(t.now));
    t.session.note_mid_line(None);
    t.passes(29);
    t.session.note_mid_line(Some(t.now));
    t.passes(30);
    t.client_gets("421 Timeout, closing control connection.");
    t.closes(Side::Client, Phase::Command, Cause::Timeout);

    let mut t = Talk::connected();
    t.session.note_mid_line(Some(t.now));
    t.passes(9);
    t.greets();

    let mut t = Talk::logged_in();
    for _ in 0..64 {
        t.forwards("STAT");
    }
    t.session.note_mid_line(Some(t.now));
    assert!(!t.session.wants_client(), "O5");
    t.passes(100);
    t.relays_reply("211 ok");
    assert!(t.session.wants_client());
    t.passes(29);
}

#[test]
fn o5_what_waits_is_bounded() {
    let mut t = Talk::connecting(settings(), CLIENT, VIP);
    for _ in 0..64 {
        assert!(t.session.wants_client());
        t.client("NOOP");
    }
    assert!(!t.session.wants_client());

    let mut t = Talk::connecting(settings(), CLIENT, VIP);
    for _ in 0..17 {
        assert!(t.session.wants_client());
        t.client([b'A'; 4_094]);
    }
    assert!(!t.session.wants_client());
}

#[test]
fn s12_rein_goes_back_to_before_the_login() {
    let mut t = Talk::logged_in();
    t.answers("EPSV ALL", "200 EPSV ALL accepted.");
    t.client("EPSV");
    t.leased(50_000);
    t.backend_gets("EPSV");
    t.backend("229 (|||8000|)");
    t.client_gets_alone("229 Entering Extended Passive Mode (|||50000|)");
    t.forwards("REIN");
    t.client("PASV");
    t.backend("230 pyftpdlib's");
    t.client_gets("230 pyftpdlib's");
    t.does(&Action::Release(t.id));
    t.leased(50_001);
    t.backend_gets("PASV");
    t.relays_reply("530 log in");
    t.does(&Action::Release(t.id));
    t.passes(60);
    t.client_gets("421 Login took too long, closing control connection.");
    t.closes(Side::Client, Phase::Login, Cause::Timeout);
}

#[test]
fn s12_a_refused_rein_changes_nothing() {
    let mut t = Talk::logged_in();
    t.asks_passive();
    t.exchange("REIN", "502 no");
    t.data(crate::session::DataEvent::Accepted);
    t.does(&Action::DialBackend(t.id, 8_000));
}

#[test]
fn o2_a_login_that_the_backend_does_not_answer_is_the_backends_fault() {
    for line in ["USER joe", "FEAT"] {
        let mut t = Talk::greeted();
        t.forwards(line);
        t.passes(300);
        t.client_gets("421 Service not available, closing control connection.");
        t.closes(Side::Backend, Phase::Login, Cause::NoReply);
    }
}

#[test]
fn o2_lines_that_each_end_in_time_are_not_late() {
    let mut t = Talk::logged_in();
    for _ in 0..10 {
        t.session.note_mid_line(Some(t.now));
        t.passes(20);
        t.exchange("NOOP", "200 ok");
    }
    t.quiet();
}

#[test]
fn s11_a_quit_that_is_refused_ends_nothing() {
    let mut t = Talk::logged_in();
    t.exchange("QUIT", "500 not now");
    t.exchange("NOOP", "200 ok");
}
