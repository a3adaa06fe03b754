//! Sessions whose backend is picked by the name of their user (H5, F10, F11, O2, decision 7).

use super::talk::{BACKEND, LOCAL, Talk, settings};
use crate::ending::{Cause, Phase, Side};
use crate::session::{Action, Input, Order, Picked, Tell};

const NO_BACKEND: &str = "421 No server is available, try again later.";
const STOPPING: &str = "421 Service is shutting down, closing control connection.";

fn unpicked() -> Talk {
    Talk::unpicked(settings())
}

/// USER has come, and its backend is there.
fn picked() -> Talk {
    let mut t = unpicked();
    t.client("USER joe");
    t.picks("joe");
    t.picked(LOCAL, BACKEND);
    t
}

/// The greeting is over, and USER was passed on.
fn pinned() -> Talk {
    let mut t = picked();
    t.backend("220 the backend's");
    t.backend_gets("USER joe");
    t.relays_reply("331 p");
    t
}

#[test]
fn h5_the_users_name_decides_and_the_backends_greeting_is_not_seen() {
    let mut t = unpicked();
    t.client("user Joe@example.org ");
    t.picks("Joe@example.org ");
    t.picked(LOCAL, BACKEND);
    t.backend("120 wait");
    t.backend("220-the backend's");
    t.backend("has many lines");
    assert!(!t.tells.contains(&Tell::Greeted));
    t.backend("220 and an end");
    assert!(t.tells.contains(&Tell::Greeted));
    t.backend_gets("user Joe@example.org ");
    t.relays_reply("331 p");
    t.exchange("PASS p", "230 in");
    t.passive();
    t.transfers_well("RETR f");
}

#[test]
fn h5_f11_what_follows_user_waits_for_the_backend() {
    let mut t = unpicked();
    t.client("USER joe");
    t.picks("joe");
    t.client("PASS p");
    t.picked(LOCAL, BACKEND);
    t.client("SYST");
    t.client("AUTH TLS");
    t.client("QUIT");
    t.client_input(Input::Eof);
    t.backend("220 the backend's");
    for line in ["USER joe", "PASS p", "SYST", "QUIT"] {
        t.backend_gets(line);
    }
    t.does(&Action::ShutdownBackend);
    t.relays_reply("331 p");
    t.relays_reply("230 in");
    t.backend("215 UNIX");
    t.client_gets("215 UNIX");
    t.client_gets("502 TLS is not offered here.");
    t.relays_reply("221 bye");
    t.backend_input(Input::Eof);
    t.closes(Side::Client, Phase::Command, Cause::Complete);
}

#[test]
fn h5_little_is_answered_before_user() {
    let mut t = unpicked();
    for _ in 0..100 {
        t.answers("NOOP", "200 NOOP ok.");
    }
    for (lines, reply) in [
        (&["AUTH TLS", "PBSZ 0"][..], "502 TLS is not offered here."),
        (&["HOST a", "LPSV"], "502 Command not implemented."),
        (
            &["PASV", "REIN", "XYZZY"],
            "530 Please log in with USER and PASS.",
        ),
    ] {
        for line in lines {
            t.answers(line, reply);
        }
    }
    t.client("USER joe");
    t.picks("joe");

    let mut t = unpicked();
    t.answers("USER", "501 Syntax error in parameters.");
    t.answers("USER  ", "501 Syntax error in parameters.");
    t.answers("", "500 Empty command.");
    t.answers("\0", "501 Control characters are not allowed in a command.");
    t.answers(" USER joe", "500 Syntax error, command unrecognized.");
    t.answers("PASS p", "530 Please log in with USER and PASS.");
    t.client_input(Input::TooLong);
    t.client_gets("500 Command line too long.");
    t.client("QUIT");
    t.client_gets("221 Goodbye.");
    t.closes(Side::Client, Phase::Login, Cause::Complete);
}

#[test]
fn h5_o2_mistakes_before_user_count_with_those_after_it() {
    let mut t = unpicked();
    for _ in 0..7 {
        t.answers("FEAT", "530 Please log in with USER and PASS.");
    }
    t.client("USER joe");
    t.picks("joe");
    t.picked(LOCAL, BACKEND);
    t.backend("220 the backend's");
    t.backend_gets("USER joe");
    t.relays_reply("331 p");
    t.exchange("XYZZY", "500 what?");
    t.answers("LPSV", "502 Command not implemented.");
    t.client("LPSV");
    t.client_gets("502 Command not implemented.");
    t.client_gets("421 Too many errors, closing control connection.");
    t.closes(Side::Client, Phase::Login, Cause::Limit);
}

#[test]
fn h5_f10_a_foreign_protocol_is_hung_up_on_behind_the_greeting() {
    for line in [&b"GET / HTTP/1.1"[..], b"EHLO a", &[22, 3, 1]] {
        let mut t = unpicked();
        t.client(line);
        t.closes(Side::Client, Phase::Login, Cause::Protocol);
    }
    let mut t = unpicked();
    t.client_input(Input::Runaway);
    t.client_gets("421 Command line without end, closing control connection.");
    t.closes(Side::Client, Phase::Login, Cause::Protocol);
}

#[test]
fn h5_decision_7_a_backend_that_fails_in_its_greeting_is_replaced_by_another_for_the_same_user() {
    let line = |text: &'static str| Input::Line {
        text: text.into(),
        interrupt: false,
    };
    for input in [
        line("421 too many"),
        line("SSH-2.0"),
        Input::Eof,
        Input::TooLong,
    ] {
        let mut t = picked();
        t.backend_input(input);
        t.picks("joe");
        t.picked(LOCAL, BACKEND);
        t.backend("220 hello");
        t.backend_gets("USER joe");
        t.relays_reply("331 p");
    }
}

#[test]
fn h5_decision_7_half_a_greeting_binds_nobody() {
    let mut t = picked();
    t.backend("220-hello");
    t.passes(10);
    t.picks("joe");
    t.picked(LOCAL, BACKEND);
    t.backend("220-hello");
    t.backend_input(Input::Reset);
    t.picks("joe");
    assert!(!t.tells.contains(&Tell::Greeted));
    t.picked(LOCAL, BACKEND);
    t.backend("220 hello");
    t.backend_gets("USER joe");
    t.relays_reply("331 p");
}

#[test]
fn h5_without_a_backend_the_client_gets_421() {
    let mut t = unpicked();
    t.client("USER joe");
    t.picks("joe");
    t.client("PASS p");
    t.pick(Picked::Failed);
    t.picks("joe");
    t.pick(Picked::None);
    t.client_gets(NO_BACKEND);
    t.closes(Side::Backend, Phase::Connect, Cause::NoBackend);
}

#[test]
fn h5_a_later_user_and_rein_go_to_the_same_backend() {
    let mut t = pinned();
    t.exchange("USER other", "331 p");
    t.exchange("PASS p", "230 in");
    t.exchange("REIN", "220 start over");
    t.exchange("USER third", "331 p");
}

#[test]
fn h5_a_backend_that_needs_no_login_is_logged_in() {
    let mut t = picked();
    t.backend("230 come in");
    t.backend_gets("USER joe");
    t.relays_reply("230 yes");
    t.passes(599);
}

#[test]
fn h5_o2_user_must_come_in_time_and_so_must_its_line() {
    let mut t = unpicked();
    t.passes(50);
    t.answers("NOOP", "200 NOOP ok.");
    t.passes(9);
    t.quiet();
    t.passes(1);
    t.client_gets("421 Login took too long, closing control connection.");
    t.closes(Side::Client, Phase::Login, Cause::Timeout);

    let mut t = unpicked();
    t.session.note_mid_line(Some(t.now));
    t.passes(30);
    t.client_gets("421 Timeout, closing control connection.");
    t.closes(Side::Client, Phase::Login, Cause::Timeout);

    // Once it is there, the time for the whole login counts.
    let mut t = unpicked();
    t.passes(50);
    t.client("USER joe");
    t.picks("joe");
    t.passes(5);
    t.picked(LOCAL, BACKEND);
    t.backend("220 the backend's");
    t.backend_gets("USER joe");
    t.relays_reply("331 p");
    t.passes(299);
    t.exchange("PASS p", "230 in");
}

#[test]
fn h5_a_client_that_leaves_before_user_ends_the_session() {
    for (input, cause) in [(Input::Eof, Cause::Close), (Input::Reset, Cause::Reset)] {
        let mut t = unpicked();
        t.client_input(input);
        t.closes(Side::Client, Phase::Login, cause);
    }
}

#[test]
fn h5_o8_orders_before_user() {
    for order in [Order::Drain, Order::Kill] {
        let mut t = unpicked();
        t.order(order);
        t.client_gets(STOPPING);
        t.closes(Side::Balancer, Phase::Login, Cause::Drain);
    }
    let mut t = unpicked();
    t.client("USER joe");
    t.picks("joe");
    t.order(Order::Drain);
    t.client_gets(STOPPING);
    t.closes(Side::Balancer, Phase::Connect, Cause::Drain);

    // It has no backend that could be retired.
    let mut t = unpicked();
    t.order(Order::Retire);
    t.passes(30);
    t.client("USER joe");
    t.picks("joe");
}

#[test]
fn h5_o5_what_waits_behind_user_is_bounded() {
    let mut t = unpicked();
    t.client("USER joe");
    t.picks("joe");
    for _ in 1..64 {
        assert!(t.session.wants_client());
        t.client("NOOP");
    }
    assert!(!t.session.wants_client());
}
