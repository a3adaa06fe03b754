//! Health checks against servers that are killed, frozen, or not what they should be: when backends are
//! taken out, and what that does to a pool and its sessions. docs/health.md.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::netns::Place;
use crate::process::{eventually, own_ip};
use crate::proxy::{Proxy, Setup};
use crate::scripted::{Door, Peer};
use crate::servers::{Kind, Server};

/// A table `health` that is quick: up and down after one result.
pub(crate) fn quick(probe: &str) -> String {
    let pace = "interval = \"100ms\", timeout = \"1s\", warmup = \"0s\", rise = 1, fall = 1";
    format!("{{ {probe}, {pace} }}")
}

/// The lines of a pool with this check and nothing else that takes backends out.
pub(crate) fn checked_by(probe: &str) -> String {
    let health = quick(probe);
    format!("algorithm = \"rr\"\nejection = false\nhealth = {health}\n")
}

const UP: &str = "ftplb_backend_up";
const GREETING: &str = "probe = \"greeting\"";

/// A server that greets every connection in this way, and says nothing more.
pub(crate) fn greeter(greeting: &'static str) -> SocketAddr {
    let (address, _) = counting_greeter(greeting);
    address
}

/// The same, and how many connections it had.
fn counting_greeter(greeting: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let (door, count) = (Door::new(), Arc::<AtomicUsize>::default());
    let (address, counted) = (door.address(), Arc::clone(&count));
    thread::spawn(move || {
        let mut peers = Vec::new();
        loop {
            let mut peer = door.accept();
            counted.fetch_add(1, Ordering::Relaxed);
            peer.say(greeting);
            peers.push(peer);
        }
    });
    (address, count)
}

#[test]
fn frozen_backend_is_taken_out_and_comes_back() {
    for kind in [Kind::Pyftpdlib, Kind::Vsftpd, Kind::Proftpd] {
        let mut server = Server::start(kind);
        let proxy = Setup::new(&[server.address])
            .pool(&checked_by(GREETING))
            .start();
        server.signal(Signal::SIGSTOP);
        proxy.wait_for_metric(UP, &[], 0.0);
        let why = "did not answer the connection within 1s";
        proxy.wait_for_log(why, 1);
        Peer::connect(proxy.address).reply(421);
        server.signal(Signal::SIGCONT);
        proxy.wait_for_metric(UP, &[], 1.0);
        Peer::log_in(proxy.address, &Place::Host);
    }
}

#[test]
fn backend_that_greets_with_421_is_down_for_a_greeting_and_up_for_tcp() {
    let full = greeter("421 There are too many connected users.");
    for (probe, up) in [(GREETING, 0.0), ("probe = \"tcp\"", 1.0)] {
        let proxy = Setup::new(&[full]).pool(&checked_by(probe)).start_unready();
        eventually("a check has ended", || {
            proxy.metric("ftplb_backend_checks_total", &[]) >= 1.0
        });
        proxy.wait_for_metric(UP, &[], up);
    }
}

#[test]
fn every_check_of_a_backend_must_pass() {
    let good = greeter("220 Good.");
    let checks = format!(
        "ejection = false\nhealth = [{}, {}]\n",
        quick("probe = \"tcp\""),
        quick("probe = \"script\", command = [\"sh\", \"-c\", \"exit $(cat $0)\", \"WORD\"]")
    );
    let home = tempfile::tempdir().unwrap();
    let word = home.path().join("word");
    fs::write(&word, "0").unwrap();
    let proxy = Setup::new(&[good])
        .pool(&checks.replace("WORD", word.to_str().unwrap()))
        .start();
    fs::write(&word, "1").unwrap();
    proxy.wait_for_metric(UP, &[], 0.0);
    fs::write(&word, "0").unwrap();
    proxy.wait_for_metric(UP, &[], 1.0);
}

#[test]
fn one_check_serves_two_pools() {
    let (server, connections) = counting_greeter("220 Good.");
    let health = quick("probe = \"tcp\"");
    let second = format!(
        "[[pool]]\nname = \"q\"\nhealth = {health}\n\
         [[pool.backend]]\nname = \"b0\"\naddress = \"{server}\"\n"
    );
    let proxy = Setup::new(&[server])
        .listener("pool = \"p\"\n")
        .pool(&checked_by("probe = \"tcp\""))
        .tables(&second)
        .start();
    let checks = |pool: &str| proxy.metric("ftplb_backend_checks_total", &[pool]);
    eventually("several checks", || checks("pool=\"q\"") >= 5.0);
    // Those of one pool are looked at after the connections, and a check may be under way.
    let connected = connections.load(Ordering::Relaxed);
    let counted = checks("pool=\"p\"") + checks("pool=\"q\"");
    #[expect(clippy::cast_precision_loss, reason = "a few dozen")]
    let expected = 2.0 * connected as f64;
    assert!(
        counted >= expected - 2.0 && counted <= expected + 4.0,
        "{counted} results of {connected} connections"
    );
}

#[test]
fn alpha_keeps_a_backend_out_until_its_check_has_passed() {
    let door = Door::new();
    let pool = format!("alpha = true\n{}", checked_by(GREETING)).replace("\"1s\"", "\"10s\"");
    let proxy = Setup::new(&[door.address()]).pool(&pool).start_unready();
    let mut check = door.accept();
    assert_eq!(proxy.get("/readyz").0, 503);
    proxy.wait_for_metric(UP, &[], 0.0);
    Peer::connect(proxy.address).reply(421);
    check.say("220 Ready.");
    proxy.wait_until_ready();
    proxy.wait_for_metric(UP, &[], 1.0);
}

#[test]
fn sessions_of_a_backend_that_is_taken_out_live_on() {
    let door = Door::new();
    let http = Http::start();
    let probe = format!("probe = \"http\", address = \":{}\"", http.port);
    // The HTTP server is at another address than the backend.
    let probe = probe.replace("\":", &format!("\"{}:", http.ip));
    let proxy = Setup::new(&[door.address()])
        .pool(&checked_by(&probe))
        .start();
    let mut client = Peer::connect(proxy.address);
    let mut backend = door.accept();
    backend.say("220 Hello.");
    client.reply(220);
    http.answer(503, "");
    proxy.wait_for_metric(UP, &[], 0.0);
    Peer::connect(proxy.address).reply(421);
    client.say("NOOP");
    backend.hears("NOOP");
    backend.say("200 Still here.");
    client.hears("200 Still here.");
    http.answer(200, "");
    proxy.wait_for_metric(UP, &[], 1.0);
}

#[test]
fn http_check_judges_code_and_body() {
    let backend = greeter("220 Good.");
    let http = Http::start();
    http.answer(200, "all is well");
    let probe = format!(
        "probe = \"http\", address = \"{}:{}\", url = \"/health\", regex = \"well$\"",
        http.ip, http.port
    );
    let proxy = Setup::new(&[backend]).pool(&checked_by(&probe)).start();
    for (code, body, up, why) in [
        (200, "all is lost", 0.0, "a body that does not match"),
        (200, "it is well", 1.0, "backend state changed"),
        (500, "it is well", 0.0, "with 500, not with 200-299"),
        (299, "very well", 1.0, "backend state changed"),
    ] {
        http.answer(code, body);
        proxy.wait_for_metric(UP, &[], up);
        proxy.wait_for_log(why, 1);
    }
}

#[test]
fn quorum_lost_is_served_by_the_sorry_server_until_it_is_regained() {
    let mut servers = [
        Server::start(Kind::Pyftpdlib),
        Server::start(Kind::Pyftpdlib),
    ];
    let sorry = greeter("220 Sorry.");
    let pool = format!(
        "quorum = {{ weight = 2 }}\nsorry = \"{sorry}\"\n{}",
        checked_by(GREETING)
    );
    let proxy = Setup::new(&servers.each_ref().map(|server| server.address))
        .pool(&pool)
        .start();
    let greeted = |text: &str| Peer::connect(proxy.address).reply(220).contains(text);
    proxy.wait_for_metric("ftplb_pool_quorum", &[], 1.0);
    assert!(greeted("pyftpdlib of the tests"));
    servers[0].kill();
    proxy.wait_for_metric("ftplb_pool_quorum", &[], 0.0);
    for _ in 0..3 {
        assert!(greeted("Sorry"), "although one backend is up");
    }
    let _revived = Server::start_at(Kind::Pyftpdlib, servers[0].address, &Place::Host);
    proxy.wait_for_metric("ftplb_pool_quorum", &[], 1.0);
    for _ in 0..3 {
        assert!(greeted("pyftpdlib of the tests"));
    }
}

#[test]
fn failure_is_retried_sooner_than_the_next_check_is_due() {
    let door = Door::new();
    let health = "algorithm = \"rr\"\nejection = false\n\
                  health = { probe = \"greeting\", interval = \"3s\", retry_interval = \"10ms\", \
                  warmup = \"0s\", fall = 3 }\n";
    let proxy = Setup::new(&[door.address()]).pool(health).start();
    door.accept().say("220 Up.");
    door.accept().say("421 Not now.");
    let failed = Instant::now();
    for _ in 0..2 {
        proxy.wait_for_metric(UP, &[], 1.0);
        door.accept().say("421 Not now.");
    }
    proxy.wait_for_metric(UP, &[], 0.0);
    let time = failed.elapsed();
    assert!(time < Duration::from_secs(3), "{time:?}");
}

/// An HTTP server whose answer the test changes.
pub(crate) struct Http {
    pub(crate) ip: std::net::Ipv4Addr,
    pub(crate) port: u16,
    code: Arc<AtomicU16>,
    body: Arc<std::sync::Mutex<String>>,
}

impl Http {
    pub(crate) fn start() -> Self {
        let ip = own_ip();
        let listener = TcpListener::bind((ip, 8080)).unwrap();
        let http = Self {
            ip,
            port: 8080,
            code: Arc::new(200.into()),
            body: Arc::default(),
        };
        let (code, body) = (Arc::clone(&http.code), Arc::clone(&http.body));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let mut line = String::new();
                // A check that ftplb breaks off when it stops is nobody's failure.
                while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
                    line.clear();
                }
                let (code, body) = (code.load(Ordering::Relaxed), body.lock().unwrap().clone());
                let length = body.len();
                drop(write!(
                    stream.get_mut(),
                    "HTTP/1.1 {code} Word\r\nContent-Length: {length}\r\n\r\n{body}"
                ));
            }
        });
        http
    }

    pub(crate) fn answer(&self, code: u16, body: &str) {
        body.clone_into(&mut self.body.lock().unwrap());
        self.code.store(code, Ordering::Relaxed);
    }
}

/// Whether ftplb has taken the backend out, or has it in.
pub(crate) fn wait_until(proxy: &Proxy, backend: &str, up: bool) {
    proxy.wait_for_metric(
        UP,
        &[&format!("backend=\"{backend}\"")],
        f64::from(u8::from(up)),
    );
}
