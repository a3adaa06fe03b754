//! The reply that ends a transfer waits for its data (R13), and what is believed of an upload's end.

use super::talk::Talk;
use crate::ending::{Cause, Phase, Side};
use crate::ftp::command::Direction;
use crate::session::{Action, DataEvent, Input};

fn downloading() -> Talk {
    let mut t = Talk::logged_in();
    t.passive();
    t.exchange("RETR f", "150 here");
    t
}

fn uploading() -> Talk {
    let mut t = Talk::logged_in();
    t.passive();
    t.exchange("STOR f", "150 go");
    t
}

#[test]
fn r13_the_226_waits_for_the_last_byte() {
    for end in [
        DataEvent::Finished(Direction::ToClient),
        DataEvent::Ended(crate::session::Moved::default()),
    ] {
        let mut t = downloading();
        t.backend("226 done");
        assert!(!t.session.wants_backend());
        t.data(DataEvent::Finished(Direction::ToBackend));
        t.quiet();
        t.data(end);
        t.client_gets("226 done");
        assert!(t.session.wants_backend());
    }
}

#[test]
fn r13_a_multi_line_226_waits_as_a_whole() {
    let mut t = downloading();
    t.backend("226-done");
    t.data(DataEvent::Finished(Direction::ToClient));
    t.client_gets("226-done");
    t.client("AUTH TLS");
    t.relays_reply("5 MB/s");
    t.backend("226 really");
    t.client_gets("226 really");
    t.client_gets("502 TLS is not offered here.");
}

#[test]
fn r13_a_cut_ends_the_wait() {
    let mut t = downloading();
    t.backend("426 cut");
    t.data_is_cut(Side::Backend);
    t.client_gets("426 cut");
    assert_eq!(t.transfer().ending.cause, Cause::Reset);
}

#[test]
fn r13_data_that_has_arrived_needs_no_wait() {
    let mut t = downloading();
    t.data(DataEvent::Finished(Direction::ToClient));
    t.relays_reply("226 done");
    t.data_ends(1, 0);
    t.transfer();
}

#[test]
fn r13_the_wait_goes_on_while_data_moves_and_ten_seconds_when_not() {
    let mut t = downloading();
    t.backend("226 done");
    for _ in 0..30 {
        t.moved += 1;
        t.passes(10);
    }
    t.quiet();
    t.passes(9);
    t.quiet();
    t.passes(1);
    t.client_gets("226 done");
    assert_eq!(t.transfers(), []);
    t.data_ends(5, 0);
    assert_eq!(t.transfer().moved.to_client, 5);
}

#[test]
fn r13_the_wait_covers_every_stage_in_which_bytes_may_be_owed() {
    // The backend is being dialled.
    let mut t = Talk::logged_in();
    t.asks_passive();
    t.exchange("LIST", "150 here");
    t.data(DataEvent::Accepted);
    t.does(&Action::DialBackend(t.id, 8_000));
    t.backend("226 done");
    t.data(DataEvent::DialFailed);
    t.does(&Action::Release(t.id));
    t.client_gets("226 done");
    assert_eq!(t.transfer().ending.cause, Cause::Dial);
    // The backend has connected by its own word, not yet by ours.
    let mut t = Talk::logged_in();
    t.asks_active();
    t.exchange("LIST", "150 here");
    t.backend("226 done");
    t.data(DataEvent::Accepted);
    let target = super::talk::v4([192, 0, 2, 7], 5_000);
    t.does(&Action::DialClient(t.id, target));
    t.data(DataEvent::Dialled);
    t.does(&Action::Relay(t.id));
    t.data_ends(3, 0);
    t.client_gets("226 done");
    // Nobody has connected to the lease: there is nothing to wait for.
    let mut t = Talk::logged_in();
    t.asks_passive();
    t.exchange("LIST", "226 nothing");
}

#[test]
fn r13_d10_bad_input_88_a_refusal_before_the_transfer_began_is_relayed_at_once() {
    let mut t = Talk::logged_in();
    t.passive();
    t.exchange("RETR none", "550 no");
}

#[test]
fn r13_the_failure_of_an_upload_does_not_wait_for_its_end() {
    let mut t = uploading();
    t.relays_reply("552 full");
    t.data_is_cut(Side::Backend);
    assert_eq!(
        t.transfer().code.map(crate::ftp::reply::Code::value),
        Some(552)
    );
}

#[test]
fn r13_t7_what_answers_an_abor_does_not_wait() {
    let mut t = downloading();
    t.forwards("ABOR");
    t.relays_reply("426 cut");
    t.relays_reply("226 aborted");
    t.data_is_cut(Side::Client);
    t.transfer();

    let mut t = downloading();
    t.backend("226 done");
    t.client("ABOR");
    t.client_gets("226 done");
    t.backend_gets("ABOR");
    t.relays_reply("225 nothing to abort");
}

#[test]
fn r13_what_comes_behind_a_held_reply_keeps_its_place() {
    let mut t = downloading();
    t.forwards("NOOP");
    t.client("AUTH TLS");
    t.backend("226 done");
    t.data(DataEvent::Finished(Direction::ToClient));
    t.client_gets("226 done");
    t.backend("200 noop");
    t.client_gets("200 noop");
    t.client_gets("502 TLS is not offered here.");
}

#[test]
fn r13_s15_a_backend_that_fails_during_the_wait_takes_no_reply_with_it() {
    let mut t = downloading();
    t.backend("226 done");
    t.backend_input(Input::Reset);
    t.quiet();
    t.data_ends(2, 0);
    t.client_gets("226 done");
    t.client_gets("421 Service not available, closing control connection.");
    t.closes(Side::Backend, Phase::Transfer, Cause::Reset);
    assert!(t.transfer().ending.is_complete());
}

#[test]
fn r13_s15_a_held_reply_is_said_even_if_nobody_comes_for_its_data() {
    let mut t = Talk::logged_in();
    t.asks_active();
    t.exchange("LIST", "150 here");
    t.backend("226 done");
    t.backend_input(Input::Reset);
    t.client_gets("226 done");
    t.client_gets("421 Service not available, closing control connection.");
    t.does(&Action::Release(t.id));
    t.closes(Side::Backend, Phase::Transfer, Cause::Reset);
    t.transfer();
}

#[test]
fn decision_5_the_end_of_an_upload_whose_client_has_left_is_distrusted_once() {
    let mut t = uploading();
    t.client_input(Input::Eof);
    t.does(&Action::ShutdownBackend);
    t.does(&Action::DistrustEnd(t.id));
    t.passes(5);
    t.data_is_cut(Side::Client);
    t.relays_reply("426 cut");
    assert_eq!(t.transfer().ending.cause, Cause::Reset);
}

#[test]
fn decision_5_the_end_of_an_upload_that_begins_afterwards_is_distrusted() {
    let mut t = Talk::logged_in();
    t.client("PASV");
    t.leased(50_000);
    t.backend_gets("PASV");
    t.client("STOR f");
    t.client_input(Input::Eof);
    t.backend("227 (10,0,0,1,31,64)");
    t.client_gets_alone("227 Entering Passive Mode (203,0,113,1,195,80)");
    t.backend_gets("STOR f");
    t.does(&Action::ShutdownBackend);
    t.data(DataEvent::Accepted);
    t.does(&Action::DialBackend(t.id, 8_000));
    t.data(DataEvent::Dialled);
    t.does(&Action::Relay(t.id));
    t.does(&Action::DistrustEnd(t.id));
}

#[test]
fn decision_5_other_ends_are_trusted() {
    // Uploaded already.
    let mut t = uploading();
    t.data(DataEvent::Finished(Direction::ToBackend));
    t.client_input(Input::Eof);
    t.does(&Action::ShutdownBackend);
    // A download.
    let mut t = downloading();
    t.client_input(Input::Eof);
    t.does(&Action::ShutdownBackend);
    // After QUIT.
    let mut t = uploading();
    t.forwards("QUIT");
    t.client_input(Input::Eof);
    t.does(&Action::ShutdownBackend);
    // No transfer at all.
    let mut t = Talk::logged_in();
    t.passive();
    t.client_input(Input::Eof);
    t.does(&Action::ShutdownBackend);
}
