//! How sessions begin and end (decision 7, S11, S13 to S15, R8, O3, O8).

use super::talk::{BACKEND, CLIENT, LOCAL, Talk, VIP, settings};
use crate::ending::{Cause, Phase, Side};
use crate::session::{Action, Input, Order, Picked, Tell};

const UNAVAILABLE: &str = "421 Service not available, closing control connection.";
const STOPPING: &str = "421 Service is shutting down, closing control connection.";

#[test]
fn decision_7_a_backend_that_fails_before_its_greeting_is_replaced() {
    let line = |text: &'static str| Input::Line {
        text: text.into(),
        interrupt: false,
    };
    for input in [
        line("421 too many"),
        line("530 no"),
        line("554-no"),
        line("SSH-2.0"),
        Input::Eof,
        Input::Reset,
        Input::TooLong,
        Input::Runaway,
    ] {
        let mut t = Talk::connected();
        t.client("USER u");
        t.backend_input(input);
        t.picks("");
        let failed = |tell: &Tell| matches!(tell, Tell::BackendFailed(_));
        assert!(t.tells.iter().any(failed));
        t.picked(LOCAL, BACKEND);
        t.backend("220 hello");
        t.client_gets("220 hello");
        t.backend_gets("USER u");
        t.relays_reply("331 p");
    }
}

#[test]
fn decision_7_a_silent_backend_is_replaced_and_three_tries_are_all() {
    let mut t = Talk::connected();
    t.session.note_mid_line(Some(t.now));
    t.passes(10);
    t.picks("");
    t.pick(Picked::Failed);
    t.picks("");
    t.picked(LOCAL, BACKEND);
    t.backend("120-busy");
    t.backend("120 still");
    t.backend("421 no");
    t.client_gets("421 No server is available, try again later.");
    t.closes(Side::Backend, Phase::Connect, Cause::NoBackend);
}

#[test]
fn decision_7_no_backend_at_all() {
    let mut t = Talk::connecting(settings(), CLIENT, VIP);
    t.client("USER u");
    t.pick(Picked::None);
    t.client_gets("421 No server is available, try again later.");
    t.closes(Side::Backend, Phase::Connect, Cause::NoBackend);
}

#[test]
fn r6_bad_input_85_a_120_is_followed_by_a_220() {
    let mut t = Talk::connected();
    t.backend("120 in 5 minutes");
    t.greets();
    t.logs_in();
}

#[test]
fn s16_after_the_greeting_has_begun_there_is_no_other_backend() {
    let mut t = Talk::connected();
    t.backend("220-hello");
    t.client_gets("220-hello");
    t.passes(10);
    t.client_gets(UNAVAILABLE);
    t.closes(Side::Backend, Phase::Greeting, Cause::Timeout);

    let mut t = Talk::connected();
    t.backend("220-hello");
    t.client_gets("220-hello");
    t.backend_input(Input::Reset);
    t.client_gets(UNAVAILABLE);
    t.closes(Side::Backend, Phase::Greeting, Cause::Reset);
}

#[test]
fn s13_the_clients_fin_is_passed_on_behind_its_commands() {
    let mut t = Talk::connected();
    t.client("USER u");
    t.client("QUIT");
    t.client_input(Input::Eof);
    t.backend("220 hello");
    t.client_gets("220 hello");
    t.backend_gets("USER u");
    t.backend_gets("QUIT");
    t.does(&Action::ShutdownBackend);
    t.relays_reply("331 p");
    t.relays_reply("221 bye");
    t.backend_input(Input::Eof);
    t.closes(Side::Client, Phase::Login, Cause::Complete);
}

#[test]
fn s13_a_client_that_leaves_before_the_greeting_ends_the_session() {
    for (mut t, phase) in [
        (Talk::connecting(settings(), CLIENT, VIP), Phase::Connect),
        (Talk::connected(), Phase::Greeting),
    ] {
        t.client_input(Input::Eof);
        t.closes(Side::Client, phase, Cause::Close);
    }
}

#[test]
fn s13_vsftpd_finishes_an_upload_and_answers() {
    let mut t = Talk::logged_in();
    t.passive();
    t.exchange("STOR f", "150 go");
    t.data_ends(0, 9);
    t.client_input(Input::Eof);
    t.does(&Action::ShutdownBackend);
    assert!(!t.session.wants_client());
    t.relays_reply("226 done");
    assert!(t.transfer().ending.is_complete());
    t.backend_input(Input::Eof);
    t.closes(Side::Client, Phase::Command, Cause::Close);
}

#[test]
fn s13_a_backend_that_does_not_close_is_not_waited_for() {
    for login in [false, true] {
        let mut t = Talk::greeted();
        if login {
            t.logs_in();
        }
        t.client_input(Input::Eof);
        t.does(&Action::ShutdownBackend);
        t.passes(10);
        let phase = if login { Phase::Command } else { Phase::Login };
        t.closes(Side::Client, phase, Cause::Close);
    }
}

#[test]
fn s13_pyftpdlib_just_closes() {
    let mut t = Talk::logged_in();
    t.forwards("PWD");
    t.client_input(Input::Eof);
    t.does(&Action::ShutdownBackend);
    t.backend_input(Input::Eof);
    t.client_gets(UNAVAILABLE);
    t.closes(Side::Client, Phase::Command, Cause::Close);
}

#[test]
fn s14_bad_input_53_a_client_that_resets_takes_its_data_with_it() {
    let mut t = Talk::logged_in();
    t.passive();
    t.exchange("STOR f", "150 go");
    t.client_input(Input::Reset);
    t.does(&Action::Release(t.id));
    t.closes(Side::Client, Phase::Transfer, Cause::Reset);
    let told = t.transfer();
    assert_eq!(told.data, Some(t.id), "the driver knows what has crossed");
    assert_eq!(told.ending.cause, Cause::SessionEnd);
    assert_eq!(told.ending.side, Side::Client);
}

#[test]
fn s14_data_that_has_ended_is_not_asked_for_again() {
    let mut t = Talk::logged_in();
    t.passive();
    t.exchange("STOR f", "150 go");
    t.data_ends(0, 9);
    t.client_input(Input::Reset);
    t.closes(Side::Client, Phase::Transfer, Cause::Reset);
    let told = t.transfer();
    assert_eq!((told.data, told.moved.to_backend), (None, 9));
}

#[test]
fn s15_bad_input_86_data_arrives_before_the_client_hears_of_a_dead_backend() {
    let mut t = Talk::logged_in();
    t.passive();
    t.exchange("RETR f", "150 here");
    t.backend_input(Input::Eof);
    assert!(!t.session.wants_backend());
    assert!(!t.session.wants_client());
    for _ in 0..10 {
        t.moved += 1;
        t.passes(10);
    }
    t.quiet();
    t.data_ends(5, 0);
    t.client_gets(UNAVAILABLE);
    t.closes(Side::Backend, Phase::Transfer, Cause::Close);
    assert_eq!(t.transfer().moved.to_client, 5);
}

#[test]
fn s15_data_that_stands_still_is_not_waited_for() {
    let mut t = Talk::logged_in();
    t.passive();
    t.exchange("RETR f", "150 here");
    t.moved = 7;
    t.backend_input(Input::Reset);
    t.passes(20);
    t.client_gets(UNAVAILABLE);
    t.does(&Action::Release(t.id));
    t.closes(Side::Backend, Phase::Transfer, Cause::Reset);
    t.transfer();
}

#[test]
fn r8_bad_input_84_a_421_is_relayed_and_nothing_follows_it() {
    let mut t = Talk::logged_in();
    t.passive();
    t.exchange("RETR f", "150 here");
    t.relays_reply("421 going down");
    t.client("NOOP");
    t.client_input(Input::TooLong);
    t.data_ends(5, 0);
    t.backend_input(Input::Eof);
    t.closes(Side::Backend, Phase::Transfer, Cause::Service);
    assert_eq!(t.transfers().len(), 1);
}

#[test]
fn r8_a_backend_that_says_421_and_stays_is_left() {
    for mut t in [Talk::greeted(), Talk::logged_in()] {
        let phase = t.session.ending_phase();
        t.relays_reply("421 timeout");
        t.passes(10);
        t.closes(Side::Backend, phase, Cause::Service);
    }
    let mut t = Talk::logged_in();
    t.forwards("PWD");
    t.relays_reply("421 timeout");
    t.passes(10);
    t.client_gets(UNAVAILABLE);
    t.closes(Side::Backend, Phase::Command, Cause::NoReply);
}

#[test]
fn s11_what_was_asked_before_quit_has_its_own_time() {
    let mut t = Talk::logged_in();
    t.passive();
    t.exchange("STOR f", "150 here");
    t.data_ends(0, 9);
    t.forwards("QUIT");
    // It looks for viruses, say.
    t.passes(60);
    t.quiet();
    t.relays_reply("226 whole");
    t.transfer();
    t.passes(10);
    t.client_gets(UNAVAILABLE);
    t.closes(Side::Backend, Phase::Command, Cause::NoReply);
}

#[test]
fn s11_a_backend_that_does_not_close_after_221_is_left() {
    let mut t = Talk::logged_in();
    t.exchange("QUIT", "221 bye");
    t.passes(10);
    t.closes(Side::Client, Phase::Command, Cause::Complete);
}

#[test]
fn s11_a_data_connection_that_served_nothing_is_not_waited_for() {
    // curl asks for the size of a file that is not there after it has opened its data connection.
    let mut t = Talk::logged_in();
    t.passive();
    t.exchange("SIZE f", "550 no such file");
    t.exchange("QUIT", "221 bye");
    t.backend_input(Input::Eof);
    t.does(&Action::Release(t.id));
    t.closes(Side::Client, Phase::Command, Cause::Complete);
}

#[test]
fn o3_the_idle_time_stands_still_while_data_moves() {
    let mut t = Talk::logged_in();
    t.passive();
    t.exchange("RETR f", "150 here");
    t.passes(7_200);
    t.data_ends(5, 0);
    t.relays_reply("226 done");
    t.passes(599);
    t.quiet();
    t.passes(1);
    t.client_gets("421 Timeout, closing control connection.");
    t.closes(Side::Client, Phase::Command, Cause::Idle);
}

#[test]
fn a_command_must_be_answered_in_time() {
    let mut t = Talk::logged_in();
    t.forwards("PWD");
    t.passes(299);
    t.quiet();
    t.passes(1);
    t.client_gets(UNAVAILABLE);
    t.closes(Side::Backend, Phase::Command, Cause::NoReply);
}

#[test]
fn o8_a_drained_session_ends_when_nothing_is_under_way() {
    let mut t = Talk::connecting(settings(), CLIENT, VIP);
    t.order(Order::Drain);
    t.client_gets(STOPPING);
    t.closes(Side::Balancer, Phase::Connect, Cause::Drain);

    let mut t = Talk::logged_in();
    t.order(Order::Drain);
    t.client_gets(STOPPING);
    t.closes(Side::Balancer, Phase::Command, Cause::Drain);

    // A data connection that no transfer uses is nothing to wait for.
    let mut t = Talk::logged_in();
    t.passive();
    t.order(Order::Drain);
    t.client_gets(STOPPING);
    t.does(&Action::Release(t.id));
    t.closes(Side::Balancer, Phase::Command, Cause::Drain);
}

#[test]
fn o8_a_transfer_is_finished_and_nothing_new_begins() {
    let mut t = Talk::logged_in();
    t.passive();
    t.exchange("RETR f", "150 here");
    t.order(Order::Drain);
    t.client("PASV");
    t.client("LIST");
    t.forwards("NOOP");
    t.relays_reply("200 n");
    t.data_ends(5, 0);
    t.backend("226 done");
    t.client_gets("226 done");
    t.client_gets(STOPPING);
    t.closes(Side::Balancer, Phase::Command, Cause::Drain);
    assert!(t.transfer().ending.is_complete());
}

#[test]
fn o8_a_session_that_ends_by_itself_is_left_to() {
    let mut t = Talk::logged_in();
    t.forwards("QUIT");
    t.order(Order::Drain);
    t.relays_reply("221 bye");
    t.backend_input(Input::Eof);
    t.closes(Side::Client, Phase::Command, Cause::Complete);
}

#[test]
fn o8_a_kill_does_not_wait() {
    let mut t = Talk::logged_in();
    t.passive();
    t.exchange("STOR f", "150 go");
    t.order(Order::Kill);
    t.client_gets(STOPPING);
    t.does(&Action::Release(t.id));
    t.closes(Side::Balancer, Phase::Transfer, Cause::Drain);
    t.transfer();
    t.order(Order::Kill);
    t.order(Order::Drain);
}
