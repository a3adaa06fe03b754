//! Transfers: how they find their data connection, and that each is told of once (S4 to S8).

use std::net::SocketAddr;

use super::talk::{LOCAL, Talk, v4};
use crate::ending::{Cause, Side};
use crate::ftp::command::{Direction, Verb};
use crate::session::{Action, DataEvent, DataId, Moved};

#[test]
fn s4_a_refused_transfer_leaves_its_connection_to_the_next() {
    let mut t = Talk::logged_in();
    t.passive();
    t.exchange("RETR none", "550 no");
    let told = t.transfer();
    assert_eq!(told.ending.cause, Cause::Refused);
    assert_eq!(told.data, None);
    t.transfers_well("RETR f");
}

#[test]
fn s2_s4_a_connection_whose_transfer_was_refused_is_unused_again() {
    let mut t = Talk::logged_in();
    t.passive();
    t.exchange("RETR none", "550 no");
    let older = t.id;
    t.asks_passive();
    t.does(&Action::Release(older));
}

#[test]
fn s5_data_may_connect_at_any_time() {
    // After 1yz.
    let mut t = Talk::logged_in();
    t.asks_passive();
    t.exchange("RETR f", "150 pyftpdlib's");
    t.data(DataEvent::Accepted);
    t.does(&Action::DialBackend(t.id, 8_000));
    t.data(DataEvent::Dialled);
    t.does(&Action::Relay(t.id));
    t.data_ends(5, 0);
    t.relays_reply("226 done");
    assert_eq!(t.transfer().moved.to_client, 5);
}

#[test]
fn s6_curls_order_of_commands_works() {
    let mut t = Talk::logged_in();
    t.asks_passive();
    t.exchange("TYPE I", "200 I");
    t.exchange("SIZE f", "213 5");
    t.data(DataEvent::Accepted);
    t.does(&Action::DialBackend(t.id, 8_000));
    t.data(DataEvent::Dialled);
    t.does(&Action::Relay(t.id));
    t.transfers_well("RETR f");
}

#[test]
fn s7_an_upload_of_nothing_may_end_before_its_command() {
    let mut t = Talk::logged_in();
    t.passive();
    t.data(DataEvent::Finished(Direction::ToBackend));
    t.exchange("STOR f", "150 go");
    t.data_ends(0, 0);
    t.relays_reply("226 done");
    let told = t.transfer();
    assert!(told.ending.is_complete());
    assert_eq!(told.ending.side, Side::Client);
}

#[test]
fn s8_a_transfer_without_a_data_connection_passes() {
    let mut t = Talk::logged_in();
    t.exchange("LIST", "425 no");
    let told = t.transfer();
    assert_eq!((told.mode, told.data), (None, None));
}

#[test]
fn data_that_moves_without_a_command_is_told_of() {
    let mut t = Talk::logged_in();
    t.passive();
    t.data_ends(3, 0);
    let told = t.transfer();
    assert_eq!((told.verb, told.moved.to_client), (None, 3));
    t.passive();
    t.data_ends(0, 0);
    assert_eq!(t.transfers(), []);
}

#[test]
fn a_transfer_that_was_answered_ahead_of_its_data_is_told_of_at_its_end() {
    let mut t = Talk::logged_in();
    t.passive();
    t.exchange("STOR f", "150 go");
    t.backend("226 already");
    t.data(DataEvent::Finished(Direction::ToClient));
    t.client_gets("226 already");
    assert_eq!(t.transfers(), []);
    let first = t.id;
    // The next has its own data connection, and none is not the older's.
    t.exchange("STOR g", "425 use PASV");
    assert_eq!(t.transfer().data, None);
    t.passive();
    assert_ne!(t.id, first);
    t.transfers_well("STOR h");
    t.data_of(
        first,
        DataEvent::Ended(Moved {
            to_client: 0,
            to_backend: 9,
        }),
    );
    let told = t.transfer();
    assert_eq!((told.verb, told.moved.to_backend), (Some(Verb::Stor), 9));
}

#[test]
fn a_transfer_answered_after_its_association_was_replaced_keeps_its_bytes() {
    let mut t = Talk::logged_in();
    t.passive();
    t.exchange("RETR f", "150 here");
    t.data_ends(7, 0);
    let first = t.id;
    t.client("PORT 192,0,2,7,19,136");
    t.listens(SocketAddr::new(LOCAL, 6_000));
    t.backend_gets_alone("PORT 10,0,0,9,23,112");
    t.relays_reply("200 ahead of the 226");
    assert_ne!(t.id, first);
    t.relays_reply("226 done");
    assert_eq!(t.transfer().moved.to_client, 7);
    t.data(DataEvent::Accepted);
    t.does(&Action::DialClient(t.id, v4([192, 0, 2, 7], 5_000)));
}

#[test]
fn s2_at_most_four_answered_transfers_finish_beside_the_current_one() {
    let mut t = Talk::logged_in();
    for _ in 0..6 {
        t.client("PASV");
        t.leased(50_000);
        t.backend_gets("PASV");
        t.backend("227 (10,0,0,1,31,64)");
        t.client_gets_alone("227 Entering Passive Mode (203,0,113,1,195,80)");
        if t.id.0 == 6 {
            t.does(&Action::Release(DataId(5)));
            break;
        }
        t.data(DataEvent::Accepted);
        t.does(&Action::DialBackend(t.id, 8_000));
        t.data(DataEvent::Dialled);
        t.does(&Action::Relay(t.id));
        t.data(DataEvent::Finished(Direction::ToClient));
        t.exchange("STOR f", "226 ahead of the data");
    }
    let told = t.transfer();
    assert_eq!(
        (told.data, told.ending.cause),
        (Some(DataId(5)), Cause::Replaced)
    );
    for id in 1..5 {
        t.data_of(DataId(id), DataEvent::Ended(Moved::default()));
    }
    assert_eq!(t.transfers().len(), 4);
}

#[test]
fn a_transfer_whose_data_connection_had_failed_before_has_failed_by_that() {
    let mut t = Talk::logged_in();
    t.passive();
    t.data_is_cut(Side::Backend);
    t.exchange("RETR f", "425 no data connection");
    assert_eq!(t.transfer().ending.side, Side::Backend);
    // Once: the next has none.
    t.exchange("RETR f", "425 no data connection");
    assert_eq!(t.transfer().ending.cause, Cause::Refused);
}

#[test]
fn a_transfer_that_had_begun_fails_and_is_not_refused() {
    let mut t = Talk::logged_in();
    t.passive();
    t.exchange("STOR f", "150 go on");
    t.data_ends(0, 7);
    t.relays_reply("452 disk full");
    assert_eq!(t.transfer().ending.cause, Cause::Failed);
}
