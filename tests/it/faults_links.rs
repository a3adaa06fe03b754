//! Links that are cut, lossy or slow, and hosts behind them that vanish: between three hosts on two networks
//! (netns.rs). What comes through is whole, and what does not has failed at both ends. docs/reliability.md has the table.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::clients::{Mode, Story, Tool, curl, noise};
use crate::faults::transfers_end;
use crate::netns::Networks;
use crate::process::{Process, SOON, eventually};
use crate::proxy::{Proxy, Setup, field};
use crate::scripted::{Door, Peer, parse_227, reply_227};
use crate::servers::{Kind, Server};

const BACKEND: &str = "10.77.2.11:21";
const VIP: &str = "10.77.1.100:21";

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

/// A scripted client and a scripted backend on networks of their own.
struct Scene {
    networks: Networks,
    door: Door,
    proxy: Proxy,
}

/// The four ends of a session in a transfer.
struct Ends {
    client: Peer,
    backend: Peer,
    client_data: Peer,
    backend_data: Peer,
}

impl Scene {
    fn new() -> Self {
        let networks = Networks::new();
        let door = networks.backends.within(|| Door::at(at(BACKEND)));
        let proxy = Setup::new(&[at(BACKEND)])
            .at(at(VIP), &networks.balancer)
            .tables("[timeouts]\nkeepalive = \"1s\"\nsettle = \"1s\"\n")
            .start();
        Self {
            networks,
            door,
            proxy,
        }
    }

    fn greeted(&self) -> (Peer, Peer) {
        let mut client = self.networks.client.within(|| Peer::connect(at(VIP)));
        let mut backend = self.door.accept();
        backend.say("220 Scripted.");
        client.reply(220);
        (client, backend)
    }

    fn transfer(&self, command: &str) -> Ends {
        let (mut client, mut backend) = self.greeted();
        let ip: IpAddr = at(BACKEND).ip();
        let door = { &self.networks.backends }.within(|| Door::at(SocketAddr::new(ip, 0)));
        client.say("PASV");
        backend.hears("PASV");
        backend.say(&reply_227(door.address()));
        let address = parse_227(&client.reply(227));
        let client_data = self.networks.client.within(|| Peer::connect(address));
        let backend_data = door.accept();
        client.say(command);
        backend.hears(command);
        backend.say("150 Here it comes.");
        client.reply(150);
        Ends {
            client,
            backend,
            client_data,
            backend_data,
        }
    }

    /// An idle session, and those of a download and an upload that have begun.
    fn begin(&self) -> ((Peer, Peer), Ends, Ends) {
        let idle = self.greeted();
        let (mut down, mut up) = (self.transfer("RETR f"), self.transfer("STOR f"));
        down.backend_data.send("half");
        assert_eq!(down.client_data.read_exact(4), b"half");
        up.client_data.send("half");
        assert_eq!(up.backend_data.read_exact(4), b"half");
        (idle, down, up)
    }

    /// Three sessions have ended by `side`, and with them both transfers.
    #[track_caller]
    fn ended_by(&self, side: &str) {
        let sessions = self.proxy.wait_for_log("session ended", 3);
        for line in &sessions {
            let is = ["side", "cause"].map(|name| field(line, name));
            assert_eq!(is, [side, "reset"], "{line}");
        }
        transfers_end(&self.proxy, 2, &[("side", side)]);
        self.proxy
            .wait_for_metric("ftplb_transfers_active", &[], 0.0);
        self.proxy
            .wait_for_metric("ftplb_sessions_active", &[], 0.0);
    }
}

/// The clients' ends of sessions whose backend is gone.
#[track_caller]
fn clients_are_told(idle: &mut Peer, transfers: [(&mut Peer, &mut Peer); 2]) {
    idle.reply(421);
    idle.is_closed();
    for (client, data) in transfers {
        data.is_reset();
        client.reply(421);
        client.is_closed();
    }
}

/// Keepalive is at its least: a second, and five probes a second apart; then a second to settle.
const UNTIL_FOUND_OUT: Duration = Duration::from_secs(12);

#[test]
fn backend_that_is_rebooted_is_found_out_by_the_next_packet() {
    let scene = Scene::new();
    let (idle, down, up) = scene.begin();
    // The power goes: nothing of what its sockets would say gets out.
    scene.networks.backends.lose("");
    let mut clients =
        [idle, (down.client, down.backend), (up.client, up.backend)].map(|(client, backend)| {
            backend.reset();
            client
        });
    down.backend_data.reset();
    up.backend_data.reset();
    let [mut client_down, mut client_up] = [down.client_data, up.client_data];
    client_up.send("more");
    scene.networks.backends.lose_nothing();
    let begin = Instant::now();
    let [idle, down, up] = &mut clients;
    clients_are_told(idle, [(down, &mut client_down), (up, &mut client_up)]);
    assert!(begin.elapsed() < UNTIL_FOUND_OUT, "{:?}", begin.elapsed());
    scene.ended_by("backend");
    scene.greeted();
}

#[test]
fn backend_that_is_cut_off_is_found_out_by_keepalive() {
    let scene = Scene::new();
    let (mut idle, mut down, mut up) = scene.begin();
    scene.networks.backends.lose("");
    up.client_data.send("more");
    let begin = Instant::now();
    clients_are_told(
        &mut idle.0,
        [
            (&mut down.client, &mut down.client_data),
            (&mut up.client, &mut up.client_data),
        ],
    );
    assert!(begin.elapsed() < UNTIL_FOUND_OUT, "{:?}", begin.elapsed());
    scene.ended_by("backend");
}

#[test]
fn client_that_is_cut_off_is_found_out_by_keepalive_and_its_upload_is_cut() {
    let scene = Scene::new();
    let (mut idle, mut down, mut up) = scene.begin();
    scene.networks.client.lose("");
    down.backend_data.send("more");
    let begin = Instant::now();
    idle.1.is_gone();
    for ends in [&mut down, &mut up] {
        ends.backend_data.is_reset();
        ends.backend.is_gone();
    }
    assert!(begin.elapsed() < UNTIL_FOUND_OUT, "{:?}", begin.elapsed());
    scene.ended_by("client");
}

/// A vsftpd behind ftplb, on networks of their own.
fn vsftpd_behind(networks: &Networks) -> (Server, Proxy) {
    let server = Server::start_at(Kind::Vsftpd, at(BACKEND), &networks.backends);
    let setup = Setup::new(&[server.address]).at(at(VIP), &networks.balancer);
    (server, setup.start())
}

#[test]
fn transfers_outlive_links_that_are_cut_for_a_moment() {
    let networks = Networks::new();
    let (server, proxy) = vsftpd_behind(&networks);
    let content = noise(4 << 20, 5);
    server.put("down.bin", &content);
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("up.bin"), &content).unwrap();
    let start = |options: &[&str], name: &str| {
        let mut command = curl(&networks.client, &["--limit-rate", "4M"]);
        command.args(options).arg(format!("ftp://{VIP}/pub/{name}"));
        command.current_dir(directory.path());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Process::start(&mut command)
    };
    let down = start(&["-o", "down.bin"], "down.bin");
    let up = start(&["-T", "up.bin"], "up.bin");
    let local = directory.path().join("down.bin");
    eventually("both have begun", || {
        server.size("up.bin") > 0 && fs::metadata(&local).is_ok_and(|file| file.len() > 0)
    });
    for place in [&networks.client, &networks.backends] {
        place.lose("");
        // How long the cut is.
        thread::sleep(Duration::from_millis(250));
        place.lose_nothing();
    }
    for mut client in [down, up] {
        client.finish(SOON).expect_success("curl");
    }
    assert!(fs::read(&local).unwrap() == content, "the download differs");
    let stored = fs::read(server.path("up.bin")).unwrap();
    assert!(stored == content, "the upload differs");
    transfers_end(&proxy, 2, &[("cause", "complete")]);
}

#[test]
fn everything_works_over_links_that_lose_packets() {
    let networks = Networks::new();
    let (server, proxy) = vsftpd_behind(&networks);
    for place in [&networks.client, &networks.backends] {
        place.lose("numgen random mod 100 < 1");
    }
    for mode in [Mode::Epsv, Mode::Port] {
        Story::new(Tool::Curl, mode, proxy.address, &networks.client).run(&server);
    }
}

#[test]
fn everything_works_over_links_that_are_slow_and_late() {
    let networks = Networks::new();
    let (server, proxy) = vsftpd_behind(&networks);
    for (place, device) in [
        (&networks.client, "front"),
        (&networks.balancer, "front"),
        (&networks.balancer, "back"),
        (&networks.backends, "back"),
    ] {
        place.slow_down(device, "50mbit");
    }
    for mode in [Mode::Pasv, Mode::Eprt] {
        Story::new(Tool::Curl, mode, proxy.address, &networks.client).run(&server);
    }
}
