//! Orders to one backend or one session, by the command line: drain, disable, resume, weight, kill.

use std::time::Duration;

use crate::console::Console;
use crate::netns::Place;
use crate::process::{SOON, eventually};
use crate::proxy::{Setup, field};
use crate::scripted::{Door, Peer};
use crate::servers::{Kind, Server};

/// Sessions of a draining backend end when they were idle for so long.
const DRAIN_IDLE: &str = "[timeouts]\ndrain_idle = \"200ms\"\n";

/// A file whose every part tells where it belongs, larger than what the sockets on the way hold.
fn big_file() -> Vec<u8> {
    (0..8_u32 << 20).flat_map(u32::to_be_bytes).collect()
}

#[test]
fn a_drained_backend_finishes_its_transfer_and_gets_no_new_session() {
    let servers = [Server::start(Kind::Vsftpd), Server::start(Kind::Vsftpd)];
    let content = big_file();
    servers[0].put("big", &content);
    let addresses = servers.each_ref().map(|server| server.address);
    let console = Console::start(Setup::new(&addresses).tables(DRAIN_IDLE));
    // In turn: the first and the third session are on the first server.
    let log_in = || Peer::log_in(console.proxy.address, &Place::Host);
    let (mut busy, _other, mut idle) = (log_in(), log_in(), log_in());
    let mut data = Peer::connect(busy.pasv());
    busy.say("RETR big");
    busy.reply(150);
    let mut received = data.read_exact(1 << 20);
    assert_eq!(console.row(addresses[0]), "Masq 1 2 0");

    let said = console.ok("backend drain b0");
    assert_eq!(
        said,
        "backend p/b0: draining, weight 1, 2 sessions, 1 transfer\n"
    );
    idle.reply(421);
    drop(idle);
    console.wait_for_row(addresses[0], "Masq 1 1 0 draining");
    let more: Vec<_> = (0..4).map(|_| log_in()).collect();
    console.wait_for_row(addresses[1], "Masq 1 5 0");
    assert_eq!(console.row(addresses[0]), "Masq 1 1 0 draining");
    let late = console.run("backend drain b0 --wait --timeout 300ms");
    assert_eq!(late.code(), 75, "{late:?}");
    assert!(
        late.stderr.contains("still has 1 session, 1 transfer"),
        "{late:?}"
    );
    let mut waiting = console.begin("backend drain p/b0 --wait");

    received.extend(data.read_to_end());
    assert!(
        received == content,
        "the file is whole: {} bytes",
        received.len()
    );
    busy.reply(226);
    busy.reply(421);
    busy.is_closed();
    drop(busy);
    let done = waiting.finish(SOON).expect_success("drain --wait");
    assert!(
        done.stdout
            .ends_with("backend p/b0 has no session any more\n"),
        "{done:?}"
    );
    assert_eq!(console.row(addresses[0]), "Masq 1 0 0 draining");

    drop(more);
    assert!(
        console
            .ok("backend resume b0")
            .starts_with("backend p/b0: up, ")
    );
    let _both = (log_in(), log_in());
    console.wait_for("b0", "sessions", 1);
    let orders = console.orders();
    let said: Vec<_> = orders.iter().map(|line| field(line, "order")).collect();
    assert_eq!(said, ["drain", "drain", "drain", "resume"]);
    let user = format!("uid {}, pid ", nix::unistd::getuid());
    assert!(field(&orders[0], "by").starts_with(&user), "{orders:?}");
}

#[test]
fn a_client_between_two_commands_is_not_cut_by_a_drain() {
    let door = Door::new();
    let tables = "[timeouts]\ndrain_idle = \"2s\"\n";
    let console = Console::start(Setup::new(&[door.address()]).tables(tables));
    let (mut client, mut backend) = greeted(&console, &door);
    console.ok("backend drain b0");
    for _ in 0..3 {
        client.say("NOOP");
        backend.hears("NOOP");
        backend.say("200 Zzz.");
        client.reply(200);
        console.wait_for("b0", "standing", "draining");
    }
    client.reply(421);
    client.is_closed();
    let other = Peer::connect(console.proxy.address);
    { other }.reply(421);
}

/// A session with a scripted backend.
fn greeted(console: &Console, door: &Door) -> (Peer, Peer) {
    let mut client = Peer::connect(console.proxy.address);
    let mut backend = door.accept();
    backend.say("220 Hello.");
    client.reply(220);
    (client, backend)
}

#[test]
fn a_resumed_backend_keeps_the_sessions_that_it_still_has() {
    let door = Door::new();
    let console = Console::start(Setup::new(&[door.address()]).tables(DRAIN_IDLE));
    let (mut client, mut backend) = greeted(&console, &door);
    // Under way: the drain waits for the reply.
    client.say("STAT");
    backend.hears("STAT");
    console.ok("backend drain b0");
    console.ok("backend resume b0");
    backend.say("211 Fine.");
    client.reply(211);
    client.is_silent(Duration::from_millis(600));
    client.say("NOOP");
    backend.hears("NOOP");
    assert_eq!(console.row(door.address()), "Masq 1 1 0");
}

#[test]
fn a_disabled_backend_loses_its_sessions_at_once() {
    let doors = [Door::new(), Door::new()];
    let console = Console::start(Setup::new(&doors.each_ref().map(Door::address)));
    let (mut client, _backend) = greeted(&console, &doors[0]);
    let (mut other, mut other_backend) = greeted(&console, &doors[1]);
    client.say("RETR f");
    let done = console.ok("backend disable b0 --wait");
    assert!(done.ends_with("has no session any more\n"), "{done}");
    client.reply(421);
    client.is_closed();
    console.wait_for_row(doors[0].address(), "Masq 1 0 0 disabled");
    other.say("NOOP");
    other_backend.hears("NOOP");
    let _another = greeted(&console, &doors[1]);
    console.ok("backend resume b0");
    let _first_again = greeted(&console, &doors[0]);
}

#[test]
fn clients_of_a_drained_backend_go_elsewhere_and_stay_there() {
    let doors = [Door::new(), Door::new()];
    let pool =
        "algorithm = \"rr\"\nhealth = false\nejection = false\naffinity = { timeout = \"1m\" }\n";
    let setup = Setup::new(&doors.each_ref().map(Door::address)).pool(pool);
    let console = Console::start(setup);
    drop(greeted(&console, &doors[0]));
    drop(greeted(&console, &doors[0]));
    console.ok("backend drain b0");
    drop(greeted(&console, &doors[1]));
    console.ok("backend resume b0");
    drop(greeted(&console, &doors[1]));
    let affinity = console.get("/v1/affinity");
    assert_eq!(affinity["total"], 1);
    assert_eq!(affinity["entries"][0]["backend"], "b1");
    let left = affinity["entries"][0]["seconds_left"].as_f64().unwrap();
    assert!((50.0..=60.0).contains(&left), "{affinity}");
}

#[test]
fn weight_0_keeps_the_sessions_and_takes_no_new_one() {
    let doors = [Door::new(), Door::new()];
    let addresses = doors.each_ref().map(Door::address);
    let console = Console::start(Setup::new(&addresses));
    let (mut client, mut backend) = greeted(&console, &doors[0]);
    console.ok("backend weight b0 0");
    assert_eq!(console.row(addresses[0]), "Masq 0 1 0");
    let _others = [greeted(&console, &doors[1]), greeted(&console, &doors[1])];
    client.say("NOOP");
    backend.hears("NOOP");
    backend.say("200 Zzz.");
    client.reply(200);
    assert_eq!(console.backend("b0")["configured_weight"], 1);
    console.ok(&format!("backend weight {} default", addresses[0]));
    assert_eq!(console.row(addresses[0]), "Masq 1 1 0");
    let _first_again = greeted(&console, &doors[0]);
}

#[test]
fn a_session_is_killed_by_its_number_and_no_other() {
    let door = Door::new();
    let console = Console::start(Setup::new(&[door.address()]));
    let (mut killed, _killed_backend) = greeted(&console, &door);
    let (mut other, mut other_backend) = greeted(&console, &door);
    let id = console.sessions("")[0]["id"].as_u64().unwrap();
    let said = console.ok(&format!("session kill {id}"));
    assert!(said.starts_with(&format!("session {id} of 127.")), "{said}");
    killed.reply(421);
    killed.is_closed();
    other.say("NOOP");
    other_backend.hears("NOOP");
    eventually("one is left", || console.sessions("").len() == 1);
    let gone = console.run(&format!("session kill {id}"));
    assert_eq!(
        (gone.code(), gone.stderr),
        (65, format!("no session {id} is alive\n"))
    );
    let line = &console.orders()[0];
    assert_eq!(
        (field(line, "session"), field(line, "order")),
        (&*id.to_string(), "kill")
    );
}

#[test]
fn a_session_is_let_go_at_its_next_idle_moment() {
    let door = Door::new();
    let console = Console::start(Setup::new(&[door.address()]));
    let (mut client, mut backend) = greeted(&console, &door);
    client.say("NOOP");
    backend.hears("NOOP");
    let id = console.sessions("")[0]["id"].as_u64().unwrap();
    console.ok(&format!("session kill --drain {id}"));
    client.is_silent(Duration::from_millis(200));
    backend.say("200 Zzz.");
    client.reply(200);
    client.reply(421);
    client.is_closed();
}

#[test]
fn a_backend_that_is_not_there_is_answered_by_those_that_are() {
    let console = Console::start(Setup::new(&[Door::new().address(), Door::new().address()]));
    let done = console.run("backend drain b9");
    assert_eq!(done.code(), 65);
    assert_eq!(
        done.stderr,
        "there is no backend b9; there are p/b0, p/b1\n"
    );
    let list = console.ok("backend list");
    let states: Vec<_> = list
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().nth(3))
        .collect();
    assert_eq!(states, [Some("up"), Some("up")], "{list}");
}
