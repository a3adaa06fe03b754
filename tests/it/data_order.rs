//! A client's data connection, its command and the replies: who sees what first, and what comes together. Nothing of
//! it is new to a backend or a client that has met the other without a balancer.

use std::time::{Duration, Instant};

use crate::scripted::{Door, Peer, parse_227, reply_227};
use crate::table::Table;

#[test]
fn s5_a_client_that_has_connected_is_at_the_backend_before_its_command() {
    let mut table = Table::logged_in();
    for _ in 0..ROUNDS {
        let (address, data) = table.pasv();
        let client = Peer::connect(address);
        table.client.say("RETR f");
        table.backend.hears("RETR f");
        let backend = data.accept_now();
        let backend = backend.expect("pyftpdlib says 125 then, and 150 otherwise");
        is_downloaded(&mut table, client, backend);
    }
}

#[test]
fn s5_a_client_that_connects_and_says_nothing_is_connected_to_the_backend() {
    let mut table = Table::logged_in();
    let (client, backend) = table.passive_data();
    table.client.say("RETR f");
    table.backend.hears("RETR f");
    is_downloaded(&mut table, client, backend);
}

#[test]
fn s5_a_client_that_connects_after_its_command_is_served() {
    let mut table = Table::logged_in();
    let (address, data) = table.pasv();
    table.client.say("RETR f");
    table.backend.hears("RETR f");
    assert!(data.accept_now().is_none(), "nobody has connected");
    let client = Peer::connect(address);
    is_downloaded(&mut table, client, data.accept());
}

#[test]
fn f11_a_client_that_says_all_it_has_to_say_ahead_does_not_wait_for_its_data() {
    let mut table = Table::logged_in();
    let mut waits = Vec::new();
    for _ in 0..ROUNDS {
        table.client.send("PASV\r\nNLST\r\nPASV\r\nNLST\r\n");
        for _ in 0..2 {
            let data = Door::at((table.door.address().ip(), 0).into());
            table.backend.hears("PASV");
            table.backend.say(&reply_227(data.address()));
            let address = parse_227(&table.client.reply(227));
            table.backend.hears("NLST");
            let began = Instant::now();
            let client = Peer::connect(address);
            let backend = data.accept();
            waits.push(began.elapsed());
            is_downloaded(&mut table, client, backend);
        }
    }
    // Any of them may meet a pause of the host's.
    let later = waits.into_iter().skip(1).step_by(2);
    let shortest = later.min().unwrap();
    assert!(shortest < Duration::from_millis(50), "{shortest:?}");
}

#[test]
fn p16_a_backend_that_does_not_answer_a_dial_costs_the_client_its_data_in_time() {
    let mut table = Table::with(|setup| setup.tables("[timeouts]\ndata_dial = \"1s\"\n"));
    table.log_in();
    let door = Door::at((table.door.address().ip(), 0).into());
    door.set_backlog(0);
    let _only = Peer::connect(door.address());
    table.client.say("PASV");
    table.backend.hears("PASV");
    table.backend.say(&reply_227(door.address()));
    let mut client = Peer::connect(parse_227(&table.client.reply(227)));
    let began = Instant::now();
    client.is_reset();
    let lasted = began.elapsed();
    assert!(lasted > Duration::from_millis(500), "{lasted:?}");
    table.works();
}

#[test]
fn r11_lines_that_come_together_go_together() {
    let mut table = Table::logged_in();
    let features = "211-Features:\r\n SIZE\r\n MDTM\r\n REST STREAM\r\n211 End\r\n";
    for _ in 0..ROUNDS {
        table.client.say("STAT");
        table.backend.hears("STAT");
        table.backend.send(features);
        assert_eq!(table.client.hears_at_once(), features);
    }
}

#[test]
fn r13_a_small_file_s_150_and_226_are_one_segment_if_they_were() {
    let mut table = Table::logged_in();
    let mut together = 0;
    for _ in 0..ROUNDS {
        let (mut client, mut backend) = table.passive_data();
        table.client.say("RETR f");
        table.backend.hears("RETR f");
        backend.send("whole");
        backend.finish();
        let replies = "150 Here.\r\n226 Sent.\r\n";
        table.backend.send(replies);
        let heard = table.client.hears_at_once();
        if heard == replies {
            together += 1;
        } else {
            // The host has paused: to ftplb it is a long transfer.
            assert_eq!(heard, "150 Here.\r\n");
            table.client.hears("226 Sent.");
        }
        assert_eq!(client.read_to_end(), b"whole");
    }
    assert!(together + 2 >= ROUNDS, "{together} times together");
}

/// From the 150 on.
#[track_caller]
fn is_downloaded(table: &mut Table, mut client: Peer, mut backend: Peer) {
    table.backend.say("150 Here it comes.");
    table.client.hears("150 Here it comes.");
    backend.send("whole");
    drop(backend);
    assert_eq!(client.read_to_end(), b"whole");
    drop(client);
    table.backend.say("226 Sent.");
    table.client.hears("226 Sent.");
}

/// What one of them shows may be chance.
const ROUNDS: usize = 10;
