//! Checks by transfer: they see what a greeting hides, at the backend itself and on the way that clients
//! take.

use std::net::SocketAddr;
use std::thread;

use socket2::{Domain, Socket, Type};

use crate::health::{checked_by, wait_until};
use crate::netns::{Networks, Place};
use crate::process::eventually;
use crate::proxy::{Proxy, Setup, field};
use crate::scripted::{Door, Peer, reply_227};
use crate::servers::{Kind, PASSWORD, Server, USER};

fn transfer(more: &str) -> String {
    format!("probe = \"transfer\", user = \"{USER}\", password = \"{PASSWORD}\"{more}")
}

const DIAGNOSES: &str = "ftplb_backend_diagnoses_total";

const VIA: &str = ", via = \"listener\"";

/// What becomes of the data connections of a server that greets and logs in like any other.
#[derive(Clone, Copy)]
enum Data {
    /// Nobody listens at the port.
    Refused,
    /// What is sent to the port is dropped, as by a firewall.
    Dropped,
    /// The reply names another host, and the data come nevertheless.
    ForeignHost,
    /// The server wants another address to connect.
    BadIp,
}

fn server_with(data: Data) -> SocketAddr {
    let door = Door::new();
    let address = door.address();
    thread::spawn(move || {
        loop {
            let peer = door.accept();
            thread::spawn(move || serve(peer, address, data));
        }
    });
    address
}

fn serve(mut peer: Peer, own: SocketAddr, way: Data) {
    let door = Door::at(SocketAddr::new(own.ip(), 0));
    let address = door.address();
    let mut filled = Vec::new();
    let mut door = Some(door);
    peer.say("220 Hello.");
    while let Some(line) = peer.next_line() {
        let line = String::from_utf8(line).unwrap();
        match (line.split(' ').next().unwrap(), way) {
            ("USER", _) => peer.say("331 Password?"),
            ("PASS", _) => peer.say("230 Welcome."),
            ("TYPE", _) => peer.say("200 Fine."),
            ("PASV", Data::ForeignHost) => {
                let [high, low] = address.port().to_be_bytes();
                peer.say(&format!(
                    "227 Entering Passive Mode (192,0,2,9,{high},{low})."
                ));
            }
            ("PASV", Data::Refused) => {
                door = None;
                peer.say(&reply_227(address));
            }
            ("PASV", Data::Dropped) => {
                let (deaf, connections) = deaf_port(own);
                filled.push(connections);
                peer.say(&reply_227(deaf));
            }
            ("PASV", Data::BadIp) => peer.say(&reply_227(address)),
            ("NLST", Data::ForeignHost) => {
                peer.say("150 Here it comes.");
                drop(door.as_ref().unwrap().accept());
                peer.say("226 That was all.");
            }
            ("NLST", _) => peer.say("425 Security: Bad IP connecting."),
            ("QUIT", _) => peer.say("221 Bye."),
            _ => peer.say("500 What?"),
        }
    }
}

/// A port whose queue of connections is full: to whoever connects, it is silent.
fn deaf_port(own: SocketAddr) -> (SocketAddr, Vec<Socket>) {
    let bound = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    bound.bind(&SocketAddr::new(own.ip(), 0).into()).unwrap();
    bound.listen(0).unwrap();
    let address = bound.local_addr().unwrap().as_socket().unwrap();
    let mut sockets = vec![bound];
    for _ in 0..4 {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        drop(socket.connect(&address.into()));
        sockets.push(socket);
    }
    (address, sockets)
}

#[test]
fn transfer_check_passes_with_every_server() {
    for kind in [Kind::Vsftpd, Kind::Proftpd, Kind::Pyftpdlib] {
        let server = Server::start(kind);
        server.put("probe.txt", b"all is well");
        for more in ["", ", file = \"/pub/probe.txt\""] {
            for via in ["", VIA] {
                let alpha = format!(
                    "alpha = true\n{}",
                    checked_by(&transfer(&format!("{more}{via}")))
                );
                let proxy = Setup::new(&[server.address]).pool(&alpha).start();
                wait_until(&proxy, "b0", true);
                assert!(!proxy.log().contains(PASSWORD), "{}", proxy.log());
            }
        }
    }
}

#[test]
fn transfer_check_passes_over_ipv6() {
    let server = Server::start_v6(Kind::Vsftpd);
    for via in ["", VIA] {
        let alpha = format!("alpha = true\n{}", checked_by(&transfer(via)));
        Setup::new_v6(&[server.address]).pool(&alpha).start();
    }
}

#[test]
fn transfer_check_finds_what_a_greeting_hides() {
    for (data, why) in [
        (Data::Refused, "can not be connected"),
        (
            Data::Dropped,
            "did not answer the connection attempt within 1s",
        ),
        (Data::BadIp, "425 Security: Bad IP connecting."),
    ] {
        let server = server_with(data);
        let pool = |probe: &str| Setup::new(&[server]).pool(&checked_by(probe));
        let greeted = pool("probe = \"greeting\"").start();
        greeted.wait_for_metric("ftplb_backend_checks_total", &["result=\"failed\""], 0.0);
        let proxy = pool(&transfer("")).start_unready();
        wait_until(&proxy, "b0", false);
        proxy.wait_for_log(why, 1);
        let refused = proxy.metric(DIAGNOSES, &["data_address_refused"]);
        assert_eq!(refused > 0.5, matches!(data, Data::BadIp));
        wait_until(&greeted, "b0", true);
    }
}

#[test]
fn transfer_check_goes_to_the_control_address_whatever_the_server_names() {
    let server = server_with(Data::ForeignHost);
    let alpha = format!("alpha = true\n{}", checked_by(&transfer("")));
    let proxy = Setup::new(&[server]).pool(&alpha).start();
    let told = "the backend names an address in 227 that is not its own";
    let diagnoses = || proxy.metric(DIAGNOSES, &["foreign_address"]);
    eventually("several checks find it", || diagnoses() > 3.0);
    assert_eq!(proxy.wait_for_log(told, 1).len(), 1, "it is told once");
}

#[test]
fn transfer_check_of_a_missing_file_fails() {
    let server = Server::start(Kind::Pyftpdlib);
    let probe = transfer(", file = \"/pub/missing\"");
    let proxy = Setup::new(&[server.address])
        .pool(&checked_by(&probe))
        .start_unready();
    wait_until(&proxy, "b0", false);
    proxy.wait_for_log("answered RETR with \\\"550 ", 1);
}

#[test]
fn check_through_the_listener_goes_to_its_own_backend() {
    let good = Server::start(Kind::Vsftpd);
    let bad = server_with(Data::Refused);
    // By the name of the user, ftplb greets before it knows the backend.
    for algorithm in ["rr", "user_hash"] {
        let pool = checked_by(&transfer(VIA)).replace("\"rr\"", &format!("\"{algorithm}\""));
        let proxy = Setup::new(&[good.address, bad]).pool(&pool).start_unready();
        each_is_checked_by_itself(&proxy);
    }
}

/// The first backend is good and the second is not.
fn each_is_checked_by_itself(proxy: &Proxy) {
    wait_until(proxy, "b0", true);
    wait_until(proxy, "b1", false);
    let runs = |backend: &str, result: &str| {
        let labels = [backend, result].map(String::from);
        proxy.metric("ftplb_backend_checks_total", &[&labels[0], &labels[1]])
    };
    eventually("several checks of both", || {
        runs("backend=\"b0\"", "ok") > 4.0 && runs("backend=\"b1\"", "failed") > 4.0
    });
    // Not one of them was taken for the other's.
    assert!(runs("backend=\"b0\"", "failed") < 0.1);
    assert!(runs("backend=\"b1\"", "ok") < 0.1);
    // They are sessions like any other, transfers of which are counted.
    let transfers = |backend: &str| proxy.metric("ftplb_transfers_total", &[backend, "passive"]);
    assert!(transfers("backend=\"b0\"") > 4.0);
    let relayed = proxy.wait_for_log("session pinned to backend", 4);
    assert!(
        relayed
            .iter()
            .any(|line| line.contains("\"backend\":\"b1\""))
    );
}

#[test]
fn clients_are_shared_out_as_ever_beside_checks_through_the_listener() {
    let servers = [Server::start(Kind::Vsftpd), Server::start(Kind::Vsftpd)];
    let pool = checked_by(&transfer(VIA)).replace("\"rr\"", "\"mh\"");
    let proxy = Setup::new(&servers.each_ref().map(|server| server.address))
        .pool(&pool)
        .start();
    let picked = |proxy: &Proxy| {
        let mut client = Peer::connect_from([127, 0, 0, 7].into(), proxy.address);
        client.reply(220);
        let id = client_of(proxy, "127.0.0.7:");
        drop(client);
        id
    };
    let first = picked(&proxy);
    for _ in 0..5 {
        assert_eq!(picked(&proxy), first);
    }
}

/// The backend of the last session from this address.
fn client_of(proxy: &Proxy, client: &str) -> String {
    let pinned = |line: &&str| line.contains("session pinned to backend") && line.contains(client);
    let mut found = None;
    eventually("the session is in the log", || {
        let log = proxy.log();
        let line = log.lines().rfind(pinned);
        found = line.map(|line| field(line, "backend").to_owned());
        found.is_some()
    });
    found.unwrap()
}

#[test]
fn full_balancer_does_not_find_its_backends_down() {
    let server = Server::start(Kind::Pyftpdlib);
    let pool = format!("alpha = true\n{}", checked_by(&transfer(VIA)));
    let proxy = Setup::new(&[server.address])
        .pool(&pool)
        .tables("[limits]\nsessions = 1\nleases_per_client = 1\n")
        .start();
    let mut client = None;
    eventually("a place between two checks", || {
        let mut peer = Peer::connect(proxy.address);
        let is_in = peer.reply_of(&[220, 421]) == 220;
        client = is_in.then_some(peer);
        is_in
    });
    let mut client = client.unwrap();
    for (line, code) in [
        (format!("USER {USER}"), 331),
        (format!("PASS {PASSWORD}"), 230),
    ] {
        client.say(&line);
        client.reply(code);
    }
    client.pasv();
    let ok = || proxy.metric("ftplb_backend_checks_total", &["result=\"ok\""]);
    let before = ok();
    eventually("checks pass", || ok() > before + 3.0);
    assert!(proxy.metric("ftplb_backend_checks_total", &["result=\"failed\""]) < 0.1);
    Peer::connect(proxy.address).reply(421);
    client.say("NOOP");
    client.reply(200);
}

#[test]
fn wildcard_listener_is_checked_through_the_loopback() {
    let networks = Networks::new();
    let backend = "10.77.2.11:21".parse().unwrap();
    let server = Server::start_at(Kind::Vsftpd, backend, &networks.backends);
    let pool = format!("alpha = true\n{}", checked_by(&transfer(VIA)));
    let proxy = Setup::new(&[server.address])
        .at("0.0.0.0:21".parse().unwrap(), &networks.balancer)
        .pool(&pool)
        .start();
    let lines = proxy.wait_for_log("session ended", 1);
    assert!(
        lines[0].contains("\"vip\":\"127.0.0.1:21\""),
        "{}",
        lines[0]
    );
    Peer::log_in("10.77.1.100:21".parse().unwrap(), &networks.client);
}

#[test]
fn stopping_takes_no_backend_out() {
    let server = Server::start(Kind::Pyftpdlib);
    let home = tempfile::tempdir().unwrap();
    let told = home.path().join("told");
    let pool = format!(
        "alpha = true\non_down = \"touch {}\"\n{}",
        told.display(),
        checked_by(&transfer(VIA))
    );
    let mut proxy = Setup::new(&[server.address])
        .pool(&pool)
        .tables("[timeouts]\ndrain = \"2s\"\n")
        .start();
    let mut client = Peer::log_in(proxy.address, &Place::Host);
    // A transfer that is under way keeps ftplb for the whole drain.
    server.put_sparse("large", 1 << 30);
    let mut data = Peer::connect(client.pasv());
    client.say("RETR large");
    client.reply_of(&[125, 150]);
    data.read_exact(1_000);
    proxy.signal(nix::sys::signal::Signal::SIGTERM);
    proxy.wait_for_log("ending the sessions that are left", 1);
    drop((client, data));
    assert_eq!(proxy.finish().code(), 0);
    assert!(!told.exists());
    assert!(!proxy.log().contains("health check failed"));
}
