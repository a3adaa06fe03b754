//! Going on with another configuration while sessions run.

use std::fmt::Write as _;
use std::net::SocketAddr;

use nix::sys::signal::Signal;

use crate::process::{eventually, own_address, own_ip};
use crate::proxy::{Proxy, field};
use crate::scripted::{Door, Peer, parse_227, reply_227};
use crate::servers::{PASSWORD, USER};

/// What a configuration file says.
#[derive(Clone)]
struct Written {
    address: SocketAddr,
    admin: SocketAddr,
    listener: String,
    pool: String,
    backends: Vec<(String, SocketAddr, String)>,
    more: String,
}

impl Written {
    /// A listener before these doors, which are called `a`, `b` …
    fn before(doors: &[Door]) -> Self {
        let address = own_address(false, 2121);
        let names = ('a'..='z').map(String::from).zip(doors);
        let backends = names.map(|(name, door)| (name, door.address(), String::new()));
        Self {
            address,
            admin: SocketAddr::new(address.ip(), 9121),
            listener: String::new(),
            pool: "algorithm = \"rr\"".to_owned(),
            backends: backends.collect(),
            more: String::new(),
        }
    }

    fn text(&self) -> String {
        let Self {
            address,
            admin,
            listener,
            pool,
            backends,
            more,
        } = self;
        let mut text = format!(
            "[[listener]]\naddress = \"{address}\"\npool = \"p\"\n{listener}\n\
             [admin]\naddress = \"{admin}\"\n[log]\nformat = \"json\"\nfilter = \"ftplb=debug\"\n\
             [[pool]]\nname = \"p\"\nhealth = false\nejection = false\n{pool}\n"
        );
        for (name, address, lines) in backends {
            let table = "[[pool.backend]]";
            writeln!(
                text,
                "{table}\nname = \"{name}\"\naddress = \"{address}\"\n{lines}"
            )
            .unwrap();
        }
        text + more
    }

    fn start(&self) -> Proxy {
        let proxy = Proxy::with(&self.text(), self.address, self.admin);
        proxy.wait_until_ready();
        proxy
    }

    /// The same with something changed.
    fn but(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut other = self.clone();
        change(&mut other);
        other
    }
}

/// A new session at `door`, greeted.
#[track_caller]
fn session(address: SocketAddr, door: &Door) -> (Peer, Peer) {
    let mut client = Peer::connect(address);
    let mut backend = door.accept();
    backend.say("220 Here.");
    client.hears("220 Here.");
    (client, backend)
}

#[track_caller]
fn exchange((client, backend): &mut (Peer, Peer), line: &str, reply: &str) {
    client.say(line);
    backend.hears(line);
    backend.say(reply);
    client.hears(reply);
}

#[track_caller]
fn log_in(session: &mut (Peer, Peer)) {
    exchange(session, &format!("USER {USER}"), "331 Password?");
    exchange(session, &format!("PASS {PASSWORD}"), "230 Welcome.");
}

/// Passive mode is agreed with the backend at `door`: where the client is to connect, and where the backend
/// listens.
#[track_caller]
fn pasv((client, backend): &mut (Peer, Peer), door: &Door) -> (SocketAddr, Door) {
    let data = Door::at(SocketAddr::new(door.address().ip(), 0));
    client.say("PASV");
    backend.hears("PASV");
    backend.say(&reply_227(data.address()));
    (parse_227(&client.reply(227)), data)
}

#[test]
fn sessions_live_on_while_everything_around_them_changes() {
    let doors = [Door::new(), Door::new()];
    let written = Written::before(&doors);
    let mut proxy = written.start();
    let mut running = session(proxy.address, &doors[0]);
    let mut idle = session(proxy.address, &doors[1]);
    log_in(&mut running);
    log_in(&mut idle);
    let (address, data) = pasv(&mut running, &doors[0]);
    let (promised, its_data) = pasv(&mut idle, &doors[1]);
    let mut client_data = Peer::connect(address);
    let mut backend_data = data.accept();
    exchange(&mut running, "RETR f", "150 Here it comes.");
    backend_data.send("1");
    let changes: [fn(&mut Written); 6] = [
        |written| written.pool = "algorithm = \"wlc\"\nslow_start = \"1s\"".into(),
        |written| written.backends[0].2 = "weight = 7\nmax_sessions = 1".into(),
        |written| written.backends[0].0 = "renamed".into(),
        |written| written.listener = "passive_ports = \"21000-21003\"".into(),
        |written| written.more = "[timeouts]\nidle = \"7m\"\n[limits]\nsessions = 9\n".into(),
        |written| written.backends.reverse(),
    ];
    for change in changes {
        assert!(proxy.reload(&written.but(change).text()));
        backend_data.send(".");
    }
    drop(backend_data);
    assert_eq!(client_data.read_exact(7), b"1......");
    client_data.is_closed();
    drop(client_data);
    running.1.say("226 Done.");
    running.0.hears("226 Done.");
    // A port that was promised before is still the client's, whatever the range is now.
    let mut client_data = Peer::connect(promised);
    its_data.accept().send("late");
    assert_eq!(client_data.read_exact(4), b"late");
    let text = written.but(|written| written.listener = "passive_ports = \"21000-21003\"".into());
    assert!(proxy.reload(&text.text()));
    let mut fresh = session(proxy.address, &doors[0]);
    log_in(&mut fresh);
    for session in [&mut running, &mut fresh] {
        let port = pasv(session, &doors[0]).0.port();
        assert!((21_000..=21_003).contains(&port), "{port}");
    }
    assert!(proxy.log().contains("pool p: backend renamed"));
}

#[test]
fn a_removed_backend_finishes_its_transfer_and_comes_back_by_another_reload() {
    let doors = [Door::new(), Door::new()];
    let written = Written::before(&doors);
    let mut proxy = written.start();
    let mut leaving = session(proxy.address, &doors[0]);
    log_in(&mut leaving);
    let (address, data) = pasv(&mut leaving, &doors[0]);
    let mut client_data = Peer::connect(address);
    let mut backend_data = data.accept();
    exchange(&mut leaving, "RETR f", "150 Here it comes.");
    let without = written.but(|written| drop(written.backends.remove(0)));
    assert!(proxy.reload(&without.text()));
    let removed = ["backend=\"a\"", "standing=\"removed\""];
    proxy.wait_for_metric("ftplb_backend_standing", &removed, 1.0);
    let _others = [0, 1, 2].map(|_| session(proxy.address, &doors[1]));
    backend_data.send("whole");
    drop(backend_data);
    assert_eq!(client_data.read_exact(5), b"whole");
    client_data.is_closed();
    drop(client_data);
    leaving.1.say("226 Done.");
    leaving.0.hears("226 Done.");
    leaving.0.reply(421);
    drop(leaving);
    proxy.wait_for_log("backend removed: its last session has ended", 1);
    eventually("its series are gone", || {
        !proxy.get("/metrics").1.contains("backend=\"a\"")
    });
    assert!(proxy.reload(&written.text()));
    let serving = ["backend=\"a\"", "standing=\"serving\""];
    proxy.wait_for_metric("ftplb_backend_standing", &serving, 1.0);
    eventually("it gets sessions again", || {
        let _client = Peer::connect(proxy.address);
        doors[0].accept_now().is_some()
    });
}

#[test]
fn listeners_come_and_go_and_their_sessions_stay() {
    let doors = [Door::new()];
    let written = Written::before(&doors);
    let mut proxy = written.start();
    let second = SocketAddr::new(own_ip().into(), 2121);
    let both = written.but(|written| {
        written.more = format!("[[listener]]\naddress = \"{second}\"\npool = \"p\"\n");
    });
    for round in 1..=3 {
        assert!(proxy.reload(&both.text()));
        let mut here = session(second, &doors[0]);
        log_in(&mut here);
        assert!(proxy.reload(&written.text()));
        assert!(std::net::TcpStream::connect(second).is_err(), "{round}");
        exchange(&mut here, "NOOP", "200 Still here.");
        let (address, data) = pasv(&mut here, &doors[0]);
        let mut client_data = Peer::connect(address);
        data.accept().send("data");
        assert_eq!(client_data.read_exact(4), b"data");
        let _first = session(proxy.address, &doors[0]);
        drop(here);
        let label = format!("listener=\"{second}\"");
        eventually("its series are gone", || {
            !proxy.get("/metrics").1.contains(&label)
        });
    }
}

#[test]
fn a_removed_pool_drains_and_comes_back_as_it_was() {
    let doors = [Door::new(), Door::new()];
    let mut written = Written::before(&doors);
    let other = written.backends.pop().unwrap().1;
    let second = SocketAddr::new(own_ip().into(), 2121);
    let both = written.but(|written| {
        written.more = format!(
            "[[listener]]\naddress = \"{second}\"\npool = \"q\"\n[[pool]]\nname = \"q\"\n\
             health = false\n[[pool.backend]]\naddress = \"{other}\"\nname = \"q\"\n"
        );
    });
    let mut proxy = both.start();
    let mut here = session(second, &doors[1]);
    log_in(&mut here);
    let (address, data) = pasv(&mut here, &doors[1]);
    let mut client_data = Peer::connect(address);
    let mut backend_data = data.accept();
    exchange(&mut here, "RETR f", "150 Here it comes.");
    assert!(proxy.reload(&written.text()));
    proxy.wait_for_metric(
        "ftplb_backend_standing",
        &["pool=\"q\"", "standing=\"removed\""],
        1.0,
    );
    assert!(proxy.reload(&both.text()));
    proxy.wait_for_metric(
        "ftplb_backend_standing",
        &["pool=\"q\"", "standing=\"serving\""],
        1.0,
    );
    proxy.wait_for_metric("ftplb_sessions_active", &["pool=\"q\""], 1.0);
    // Of a pool that comes back nobody is told to go.
    let mut there = session(second, &doors[1]);
    log_in(&mut there);
    assert!(proxy.reload(&written.text()));
    backend_data.send("all");
    drop(backend_data);
    assert_eq!(client_data.read_exact(3), b"all");
    client_data.is_closed();
    drop(client_data);
    here.1.say("226 Done.");
    here.0.hears("226 Done.");
    for (client, _backend) in [&mut here, &mut there] {
        client.reply(421);
    }
    drop((here, there));
    eventually("its series are gone", || {
        !proxy.get("/metrics").1.contains("pool=\"q\"")
    });
    assert!(proxy.reload(&both.text()));
    let _again = session(second, &doors[1]);
    let _first = session(proxy.address, &doors[0]);
}

#[test]
fn a_bad_file_changes_nothing_and_every_mistake_is_in_the_log() {
    let doors = [Door::new()];
    let written = Written::before(&doors);
    let mut proxy = written.start();
    proxy.wait_for_metric("ftplb_config_last_reload_successful", &[], 1.0);
    let time = "ftplb_config_last_reload_success_timestamp_seconds";
    let since = proxy.metric(time, &[]);
    let bad = written.but(|written| {
        written.pool = "algorithm = \"fastest\"".into();
        written.listener = "passive_ports = \"none\"".into();
        written.backends[0].2 = "wait = 7".into();
    });
    assert!(!proxy.reload(&bad.text()));
    let log = proxy.log();
    let mistakes: Vec<_> = { log.lines() }
        .filter(|line| field(line, "level") == "ERROR" && line.contains("ftplb.toml:"))
        .collect();
    for word in ["none", "fastest", "wait"] {
        let line = bad.text().lines().position(|line| line.contains(word));
        let place = format!("ftplb.toml:{}:", line.unwrap() + 1);
        let is_told = |told: &&str| told.contains(&place) && told.contains(word);
        assert!(
            mistakes.iter().any(is_told),
            "{place} {word}: {mistakes:#?}"
        );
    }
    proxy.wait_for_metric("ftplb_config_last_reload_successful", &[], 0.0);
    proxy.wait_for_metric("ftplb_reloads_total", &["result=\"failed\""], 1.0);
    proxy.wait_for_metric(time, &[], since);
    let _session = session(proxy.address, &doors[0]);
    assert!(proxy.reload(&written.text()));
    assert!(proxy.log().contains("reload: nothing has changed"));
    proxy.wait_for_metric("ftplb_config_last_reload_successful", &[], 1.0);
    proxy.wait_for_metric("ftplb_reloads_total", &["result=\"ok\""], 1.0);
}

#[test]
fn an_address_that_can_not_be_had_changes_nothing() {
    let doors = [Door::new(), Door::new()];
    let written = Written::before(&doors[..1]);
    let mut proxy = written.start();
    let taken = Door::new();
    let free = SocketAddr::new(own_ip().into(), 2121);
    let other = doors[1].address();
    let wanted = written.but(|written| {
        written.backends[0].1 = other;
        written.more = format!(
            "[[listener]]\naddress = \"{free}\"\npool = \"p\"\n\
             [[listener]]\naddress = \"{}\"\npool = \"p\"\n",
            taken.address()
        );
        written.admin = taken.address();
        written.admin.set_port(written.admin.port() + 1);
    });
    assert!(!proxy.reload(&wanted.text()));
    assert!(std::net::TcpStream::connect(free).is_err(), "it is let go");
    assert_eq!(proxy.get("/healthz").0, 200);
    let said = format!("cannot listen on {}", taken.address());
    assert_eq!(proxy.wait_for_log(&said, 1).len(), 1);
    let _session = session(proxy.address, &doors[0]);
    drop(taken);
    assert!(proxy.reload(&wanted.text()));
    let _session = session(free, &doors[1]);
}

#[test]
fn the_admin_address_moves() {
    let doors = [Door::new()];
    let written = Written::before(&doors);
    let mut proxy = written.start();
    let before = proxy.admin;
    let moved = written.but(|written| written.admin.set_port(9122));
    assert!(proxy.reload(&moved.text()));
    proxy.admin = moved.admin;
    assert_eq!(proxy.get("/healthz").0, 200);
    eventually("the old one is closed", || {
        std::net::TcpStream::connect(before).is_err()
    });
    let without = moved
        .text()
        .replace("[admin]\naddress", "[admin]\n# address");
    let off = without.replace("[admin]\n", "[admin]\naddress = false\n");
    assert!(proxy.reload(&off));
    eventually("nobody answers", || {
        std::net::TcpStream::connect(proxy.admin).is_err()
    });
    assert!(proxy.reload(&written.text()));
    proxy.admin = before;
    assert_eq!(proxy.get("/healthz").0, 200);
}

#[test]
fn the_log_filter_changes_and_the_form_of_the_log_waits_for_a_start() {
    let doors = [Door::new()];
    let written = Written::before(&doors);
    let mut proxy = written.start();
    let pinned = "session pinned to backend";
    let _first = session(proxy.address, &doors[0]);
    proxy.wait_for_log(pinned, 1);
    let text = written
        .text()
        .replace("ftplb=debug", "info")
        .replace("\"json\"", "\"text\"");
    assert!(proxy.reload(&text));
    let told = proxy.wait_for_log("log.format json → text", 1);
    assert_eq!(field(&told[0], "level"), "WARN", "{told:?}");
    let second = session(proxy.address, &doors[0]);
    drop(second);
    proxy.wait_for_log("session ended", 1);
    assert_eq!(proxy.wait_for_log(pinned, 1).len(), 1, "not at info");
    // It is said each time, because it is still so.
    assert!(proxy.reload(&text));
    assert_eq!(proxy.wait_for_log("log.format json → text", 2).len(), 2);
}

#[test]
fn a_reload_while_ftplb_stops_is_refused() {
    let doors = [Door::new(), Door::new()];
    let written = Written::before(&doors[..1]);
    let mut proxy = written.start();
    let mut here = session(proxy.address, &doors[0]);
    log_in(&mut here);
    let (address, data) = pasv(&mut here, &doors[0]);
    let mut client_data = Peer::connect(address);
    let mut backend_data = data.accept();
    exchange(&mut here, "RETR f", "150 Here it comes.");
    proxy.signal(Signal::SIGTERM);
    proxy.wait_for_log("stopping: no new sessions", 1);
    proxy.signal(Signal::SIGHUP);
    proxy.wait_for_log("reload refused: ftplb is stopping", 1);
    backend_data.send("rest");
    drop(backend_data);
    assert_eq!(client_data.read_exact(4), b"rest");
    client_data.is_closed();
    drop(client_data);
    here.1.say("226 Done.");
    here.0.hears("226 Done.");
    here.0.reply(421);
    drop(here);
    assert_eq!(proxy.finish().code(), 0);
}

#[test]
fn many_hangups_are_served_one_after_the_other() {
    let doors = [Door::new(), Door::new()];
    let written = Written::before(&doors);
    let mut proxy = written.start();
    let mut here = session(proxy.address, &doors[0]);
    for _ in 0..50 {
        proxy.signal(Signal::SIGHUP);
    }
    let other = written.but(|written| written.backends[0].2 = "weight = 9".into());
    assert!(proxy.reload(&other.text()));
    proxy.wait_for_metric("ftplb_backend_weight", &["backend=\"a\""], 9.0);
    exchange(&mut here, "NOOP", "200 Still here.");
    assert!(proxy.runs());
}
