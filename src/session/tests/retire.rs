//! Soft drain: the sessions of one backend end at their clients' pauses (O8).

use std::time::Duration;

use super::talk::{BACKEND, CLIENT, LOCAL, Talk, VIP, settings};
use crate::ending::{Cause, Phase, Side};
use crate::limits::Timeouts;
use crate::session::{Action, DataEvent, Input, Order, Settings};

const RETIRED: &str = "421 This server goes out of service, please connect again.";
const STOPPING: &str = "421 Service is shutting down, closing control connection.";

/// The client pauses, and that ends the session.
fn pauses(t: &mut Talk, phase: Phase) {
    t.passes(1);
    t.client_gets(RETIRED);
    t.closes(Side::Balancer, phase, Cause::Drain);
}

#[test]
fn o8_a_retired_session_serves_its_client_until_it_pauses() {
    let mut t = Talk::logged_in();
    t.order(Order::Retire);
    for _ in 0..3 {
        t.exchange("CWD a", "250 ok");
        t.passive();
        t.transfers_well("STOR f");
        t.active();
        t.transfers_well("RETR f");
    }
    pauses(&mut t, Phase::Command);
}

#[test]
fn o8_a_session_that_is_idle_already_is_retired_at_once() {
    let mut t = Talk::logged_in();
    t.passes(60);
    t.order(Order::Retire);
    t.passes(0);
    t.client_gets(RETIRED);
    t.closes(Side::Balancer, Phase::Command, Cause::Drain);

    let timeouts = Timeouts {
        drain_idle: Duration::ZERO,
        ..Timeouts::default()
    };
    let mut t = Talk::logged_in_with(Settings {
        timeouts,
        ..settings()
    });
    t.forwards("PWD");
    t.order(Order::Retire);
    t.passes(60);
    t.relays_reply("257 \"/\"");
    t.passes(0);
    t.client_gets(RETIRED);
    t.closes(Side::Balancer, Phase::Command, Cause::Drain);
}

#[test]
fn o8_what_is_under_way_is_no_pause() {
    // A command that is not answered.
    let mut t = Talk::logged_in();
    t.order(Order::Retire);
    t.forwards("PWD");
    t.passes(299);
    t.relays_reply("257 \"/\"");
    pauses(&mut t, Phase::Command);

    // A transfer, between its data and its reply too.
    let mut t = Talk::logged_in();
    t.passive();
    t.order(Order::Retire);
    t.exchange("STOR f", "150 go");
    t.passes(3_600);
    t.data_ends(0, 9);
    t.passes(60);
    t.relays_reply("226 done");
    t.transfer();
    pauses(&mut t, Phase::Command);

    // The rest of a reply.
    let mut t = Talk::logged_in();
    t.order(Order::Retire);
    t.relays_reply("226-unasked");
    t.passes(60);
    t.relays_reply("226 for");
    pauses(&mut t, Phase::Command);
}

#[test]
fn o8_a_client_that_connects_or_writes_does_not_pause() {
    let mut t = Talk::logged_in();
    t.order(Order::Retire);
    t.asks_passive();
    t.now += Duration::from_millis(900);
    t.data(DataEvent::Accepted);
    t.does(&Action::DialBackend(t.id, 8_000));
    t.data(DataEvent::Dialled);
    t.does(&Action::Relay(t.id));
    t.now += Duration::from_millis(900);
    t.passes(0);
    t.session.note_mid_line(Some(t.now));
    t.passes(20);
    t.exchange("STOR f", "150 go");
    t.data_ends(0, 9);
    t.relays_reply("226 done");
    t.transfer();
    t.session.note_mid_line(None);
    pauses(&mut t, Phase::Command);
}

#[test]
fn o8_a_data_connection_that_serves_nothing_does_not_keep_a_retired_session() {
    let mut t = Talk::logged_in();
    t.passive();
    t.order(Order::Retire);
    t.passes(1);
    t.client_gets(RETIRED);
    t.does(&Action::Release(t.id));
    t.closes(Side::Balancer, Phase::Command, Cause::Drain);
}

#[test]
fn o8_a_login_is_not_cut_by_a_soft_drain() {
    let mut t = Talk::greeted();
    t.order(Order::Retire);
    t.exchange("USER u", "331 p");
    t.now += Duration::from_millis(900);
    t.exchange("PASS p", "230 in");
    t.now += Duration::from_millis(900);
    t.exchange("PWD", "257 \"/\"");

    for (line, reply) in [(None, ""), (Some("USER u"), "331 p")] {
        let mut t = Talk::greeted();
        t.order(Order::Retire);
        if let Some(line) = line {
            t.exchange(line, reply);
        }
        pauses(&mut t, Phase::Login);
    }
}

#[test]
fn o8_a_session_without_a_backend_yet_is_retired_once_it_is_open() {
    let mut t = Talk::connecting(settings(), CLIENT, VIP);
    t.order(Order::Retire);
    t.passes(4);
    t.picked(LOCAL, BACKEND);
    t.passes(9);
    t.greets();
    t.exchange("USER u", "331 p");
    pauses(&mut t, Phase::Login);
}

#[test]
fn o8_a_retired_session_that_ends_by_itself_is_left_to() {
    let mut t = Talk::logged_in();
    t.order(Order::Retire);
    t.forwards("QUIT");
    t.passes(5);
    t.relays_reply("221 bye");
    t.passes(5);
    t.backend_input(Input::Eof);
    t.closes(Side::Client, Phase::Command, Cause::Complete);

    let mut t = Talk::logged_in();
    t.order(Order::Retire);
    t.client_input(Input::Eof);
    t.does(&Action::ShutdownBackend);
    t.passes(5);
    t.backend_input(Input::Eof);
    t.closes(Side::Client, Phase::Command, Cause::Close);

    let mut t = Talk::logged_in();
    t.order(Order::Retire);
    t.relays_reply("421 going down");
    t.passes(5);
    t.backend_input(Input::Eof);
    t.closes(Side::Backend, Phase::Command, Cause::Service);
}

#[test]
fn o8_a_stronger_order_replaces_a_retirement_and_not_the_other_way_round() {
    let mut t = Talk::logged_in();
    t.forwards("PWD");
    t.order(Order::Retire);
    t.order(Order::Drain);
    t.order(Order::Retire);
    t.client("SYST");
    t.backend("257 \"/\"");
    t.client_gets("257 \"/\"");
    t.client_gets(STOPPING);
    t.closes(Side::Balancer, Phase::Command, Cause::Drain);

    let mut t = Talk::logged_in();
    t.forwards("PWD");
    t.order(Order::Retire);
    t.order(Order::Kill);
    t.client_gets(STOPPING);
    t.closes(Side::Balancer, Phase::Command, Cause::Drain);
    t.order(Order::Retire);
}
