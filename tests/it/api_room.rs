//! Backends that are full, down, or slowly coming back, as clients feel it and the listings show it.

use std::time::{Duration, Instant};

use crate::console::Console;
use crate::process::eventually;
use crate::proxy::Setup;
use crate::scripted::{Door, Peer};
use crate::servers::{Kind, Server};

/// One backend that takes one session, before which others wait.
fn crowded(waiting: &str) -> (Console, Door) {
    let door = Door::new();
    let pool = format!("health = false\nejection = false\nwaiting = {waiting}\n");
    let setup = Setup::new(&[door.address()]).pool(&pool);
    (
        Console::start(setup.each_backend("max_sessions = 1\n")),
        door,
    )
}

#[test]
fn a_session_waits_for_room_and_one_more_is_refused() {
    let (console, door) = crowded("{ time = \"20s\", sessions = 1 }");
    let mut first = Peer::connect(console.proxy.address);
    let mut backend = door.accept();
    backend.say("220 First.");
    first.reply(220);
    assert_eq!(console.row(door.address()), "Masq 1 1 0 full");
    let mut second = Peer::connect(console.proxy.address);
    eventually("it waits", || {
        console.get("/v1/status")["pools"][0]["waiting"] == 1
    });
    assert_eq!(console.sessions("")[1]["phase"], "waiting");
    let mut third = Peer::connect(console.proxy.address);
    third.reply(421);
    third.is_closed();
    let message = "every backend that is up has its max_sessions: the client got 421";
    console.proxy.wait_for_log(message, 1);
    let thresholds = console.ok("status --thresholds");
    let row: Vec<_> = thresholds
        .lines()
        .nth(4)
        .unwrap()
        .split_whitespace()
        .skip(2)
        .collect();
    assert_eq!(row, ["1", "0", "1", "0", "full"]);
    drop(first);
    backend.is_closed();
    drop(backend);
    let mut backend = door.accept();
    backend.say("220 Second.");
    second.hears("220 Second.");
    assert_eq!(console.get("/v1/status")["pools"][0]["waiting"], 0);
}

#[test]
fn a_session_waits_no_longer_than_it_may() {
    let (console, door) = crowded("{ time = \"300ms\", sessions = 5 }");
    let mut first = Peer::connect(console.proxy.address);
    let mut backend = door.accept();
    backend.say("220 First.");
    first.reply(220);
    let begin = Instant::now();
    let mut second = Peer::connect(console.proxy.address);
    second.reply(421);
    assert!(begin.elapsed() >= Duration::from_millis(300));
    second.is_closed();
}

#[test]
fn a_backend_that_comes_back_gets_its_share_little_by_little() {
    let doors = [Door::new(), Door::new()];
    let pool = "algorithm = \"wrr\"\nhealth = false\nejection = false\nslow_start = \"3s\"\n";
    let setup = Setup::new(&doors.each_ref().map(Door::address)).pool(pool);
    let console = Console::start(setup);
    console.ok("backend disable b0");
    console.ok("backend resume b0");
    let percent = || console.backend("b0")["share_percent"].as_u64().unwrap();
    let first = percent();
    assert!(first < 100, "{first}");
    assert!(console.row(doors[0].address()).contains(" ramping "));
    let mut seen = vec![first];
    eventually("it has all of its share", || {
        let now = percent();
        assert!(now >= seen[seen.len() - 1], "{now} after {seen:?}");
        seen.push(now);
        now == 100
    });
    seen.dedup();
    assert!(seen.len() > 3, "in steps: {seen:?}");
    assert_eq!(console.row(doors[0].address()), "Masq 1 0 0");
}

#[test]
fn the_list_says_which_check_has_failed_and_the_listing_which_backend_is_down() {
    let mut server = Server::start(Kind::Pyftpdlib);
    let pool = "health = { probe = \"greeting\", interval = \"200ms\", timeout = \"2s\", \
                rise = 1, fall = 1 }\nejection = false\n";
    let sorry = Door::new();
    let setup =
        Setup::new(&[server.address]).pool(&format!("{pool}sorry = \"{}\"\n", sorry.address()));
    let console = Console::start(setup);
    console.wait_for("b0", "state", "up");
    eventually("a check has passed", || {
        console.backend("b0")["checks"][0]["error"].is_null()
            && console.backend("b0")["checks"][0]["took_seconds"].is_f64()
    });
    assert_eq!(console.row(sorry.address()), "Masq 1 0 0 sorry");
    server.kill();
    console.wait_for_row(server.address, "Masq 1 0 0 down");
    let status = console.get("/v1/status");
    assert_eq!(status["pools"][0]["quorum"], false);
    assert_eq!(status["pools"][0]["sorry_in_use"], true);
    let check = console.backend("b0")["checks"][0].clone();
    assert!(
        check["error"].as_str().unwrap().contains("refused"),
        "{check}"
    );
    assert!(check["seconds_ago"].as_f64().unwrap() < 10.0, "{check}");
    let list = console.ok("backend list");
    assert!(list.contains("refused"), "{list}");
    assert!(console.backend("b0")["since_seconds"].as_f64().unwrap() < 20.0);
}

#[test]
fn an_ejected_backend_is_shown_with_the_time_that_is_left() {
    let dead = Door::new().address();
    let good = Door::new();
    let pool = "algorithm = \"rr\"\nhealth = false\nejection = { failures = 1, time = \"10m\" }\n";
    let console = Console::start(Setup::new(&[dead, good.address()]).pool(pool));
    let mut client = Peer::connect(console.proxy.address);
    let mut backend = good.accept();
    backend.say("220 Good.");
    client.reply(220);
    let row = console.row(dead);
    let left = row
        .strip_prefix("Masq 1 0 0 ejected ")
        .and_then(|rest| rest.strip_suffix('s'));
    let left: u64 = left.unwrap_or_else(|| panic!("{row}")).parse().unwrap();
    assert!((500..=600).contains(&left), "{row}");
    assert_eq!(console.backend("b0")["state"], "ejected");
}
