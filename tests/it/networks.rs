//! Three hosts on two networks (netns.rs): which addresses and ports are used and shown.

use std::net::{IpAddr, SocketAddr};

use crate::clients::{Mode, Story, Tool, curl};
use crate::netns::{Networks, Place};
use crate::process::{SOON, run};
use crate::proxy::{Proxy, Setup};
use crate::scripted::{Door, Peer, six};
use crate::servers::{Kind, Server};

const BACKEND: &str = "10.77.2.11:21";
const VIP: &str = "10.77.1.100:21";

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}

/// A vsftpd among the backends, and ftplb before it on `listen`.
fn vsftpd_behind(networks: &Networks, listen: &str, listener: &str) -> (Server, Proxy) {
    let server = Server::start_at(Kind::Vsftpd, at(BACKEND), &networks.backends);
    let setup = Setup::new(&[server.address]).at(at(listen), &networks.balancer);
    (server, setup.listener(listener).start())
}

fn log_in(networks: &Networks) -> Peer {
    Peer::log_in(at(VIP), &networks.client)
}

#[test]
fn clients_that_cannot_reach_the_backends_use_the_vip_in_every_mode() {
    let networks = Networks::new();
    let (server, proxy) = vsftpd_behind(&networks, VIP, "");
    let direct = format!("ftp://{BACKEND}/");
    let mut command = curl(&networks.client, &["--connect-timeout", "1"]);
    assert_ne!(
        run(command.arg(direct), SOON).code(),
        0,
        "the networks are apart"
    );
    for tool in [Tool::Curl, Tool::Lftp, Tool::Tnftp] {
        for &mode in tool.modes(proxy.address.ip()) {
            Story::new(tool, mode, proxy.address, &networks.client).run(&server);
        }
    }
}

#[test]
fn p7_227_names_the_vip_behind_a_wildcard_listener_too() {
    for listen in [VIP, "0.0.0.0:21"] {
        let networks = Networks::new();
        let (_server, _proxy) = vsftpd_behind(&networks, listen, "");
        assert_eq!(log_in(&networks).pasv().ip(), ip("10.77.1.100"));
    }
}

#[test]
fn stand_by_listens_on_a_virtual_ip_that_comes_later() {
    let networks = Networks::new();
    let vip = at("10.77.1.101:21");
    let server = Server::start_at(Kind::Vsftpd, at(BACKEND), &networks.backends);
    server.put("who.txt", b"served");
    let proxy = Setup::new(&[server.address])
        .at(vip, &networks.balancer)
        .admin(at("10.77.1.1:9121"))
        .start();
    proxy.wait_for_log(
        "this host does not have the address (yet): clients come when it has",
        1,
    );
    let mut add = networks.balancer.command("ip");
    add.args(["address", "add", "10.77.1.101/24", "dev", "front"]);
    run(&mut add, SOON).expect_success("ip");
    let mut command = curl(&networks.client, &[]);
    command.arg(format!("ftp://{vip}/pub/who.txt"));
    assert_eq!(
        run(&mut command, SOON).expect_success("curl").stdout,
        "served"
    );
}

#[test]
fn p7_advertised_address_is_named_in_place_of_the_vip() {
    let networks = Networks::new();
    let advertise = "advertise = \"192.0.2.7\"\n";
    let (_server, _proxy) = vsftpd_behind(&networks, VIP, advertise);
    let mut client = log_in(&networks);
    let named = client.pasv();
    assert_eq!(named.ip(), ip("192.0.2.7"));
    let data = SocketAddr::new(ip("10.77.1.100"), named.port());
    let mut data = networks.client.within(|| Peer::connect(data));
    client.say("LIST");
    client.reply(150);
    data.is_closed();
    client.reply(226);
}

#[test]
fn ipv6_clients_reach_an_ipv4_backend() {
    let networks = Networks::new();
    let (server, proxy) = vsftpd_behind(&networks, "[fd77:1::100]:21", "");
    for mode in [Mode::Epsv, Mode::Eprt] {
        Story::new(Tool::Curl, mode, proxy.address, &networks.client).run(&server);
    }
}

#[test]
fn a7_active_data_comes_from_port_20_of_the_vip() {
    let networks = Networks::new();
    let (_server, proxy) = vsftpd_behind(&networks, VIP, "");
    let mut client = log_in(&networks);
    for _ in 0..2 {
        let door = networks.client.within(|| Door::at(at("10.77.1.2:0")));
        client.say(&format!("PORT {}", six(door.address())));
        client.reply(200);
        client.say("LIST");
        client.reply(150);
        let mut data = door.accept();
        assert_eq!(data.peer(), at("10.77.1.100:20"), "{}", proxy.log());
        data.is_closed();
        client.reply(226);
    }
}

#[test]
fn passive_ports_stay_in_their_range_and_are_shared_by_client_addresses() {
    let networks = Networks::new();
    let range = "passive_ports = \"12000-12004\"\n";
    let (_server, proxy) = vsftpd_behind(&networks, VIP, range);
    let mut clients: Vec<Peer> = (0..6).map(|_| log_in(&networks)).collect();
    let mut ports: Vec<u16> = clients[..5]
        .iter_mut()
        .map(|client| client.pasv().port())
        .collect();
    ports.sort_unstable();
    assert_eq!(ports, [12_000, 12_001, 12_002, 12_003, 12_004]);
    clients[5].say("PASV");
    clients[5].reply(425);
    clients[5].say("NOOP");
    clients[5].reply(200);
    // Another address has the whole range to itself.
    let other = ip("10.77.1.3");
    let mut other = networks
        .client
        .within(|| Peer::connect_from(other, proxy.address));
    other.reply(220);
    for (line, code) in [("USER ftp", 331), ("PASS x", 230)] {
        other.say(line);
        other.reply(code);
    }
    let port = other.pasv().port();
    assert!((12_000..=12_004).contains(&port), "{port}");
    proxy.wait_for_metric("ftplb_leases_in_use", &[], 6.0);
    drop((clients, other));
    proxy.wait_for_metric("ftplb_leases_in_use", &[], 0.0);
}

#[test]
fn p12_foreign_data_peer_is_refused_across_the_network() {
    let networks = Networks::new();
    let (server, proxy) = vsftpd_behind(&networks, VIP, "");
    server.put("secret.txt", b"for one client only");
    let mut client = log_in(&networks);
    let address = client.pasv();
    let thief = ip("10.77.1.3");
    networks
        .client
        .within(|| Peer::is_reset_from(thief, address));
    let mut data = networks.client.within(|| Peer::connect(address));
    client.say("RETR secret.txt");
    client.reply(150);
    assert_eq!(data.read_to_end(), b"for one client only");
    client.reply(226);
    proxy.wait_for_metric("ftplb_peer_check_refusals_total", &[], 1.0);
}

#[test]
fn backend_sees_one_source_address_for_control_and_data() {
    let networks = Networks::new();
    let door = networks.backends.within(|| Door::at(at(BACKEND)));
    let setup = Setup::new(&[at(BACKEND)]).at(at(VIP), &networks.balancer);
    let _proxy = setup
        .pool("health = false\nejection = false\nsource = \"10.77.2.1\"\n")
        .start();
    let mut client = networks.client.within(|| Peer::connect(at(VIP)));
    let mut backend = door.accept();
    backend.say("220 Scripted.");
    client.reply(220);
    let source = backend.peer().ip();
    assert_eq!(source, ip("10.77.2.1"));

    let data = networks.backends.within(|| Door::at(at("10.77.2.11:0")));
    client.say("PASV");
    backend.hears("PASV");
    backend.say(&crate::scripted::reply_227(data.address()));
    let address = crate::scripted::parse_227(&client.reply(227));
    let _client_data = networks.client.within(|| Peer::connect(address));
    assert_eq!(data.accept().peer().ip(), source, "P15");

    client.say("PORT 10,77,1,2,200,10");
    let heard = String::from_utf8(backend.line()).unwrap();
    assert!(heard.starts_with("PORT 10,77,2,1,"), "A5: {heard}");
}

#[test]
fn two_backends_of_one_network_share_the_sessions() {
    let networks = Networks::new();
    let servers = [BACKEND, "10.77.2.12:21"]
        .map(|address| Server::start_at(Kind::Vsftpd, at(address), &networks.backends));
    servers[0].put("who.txt", b"first");
    servers[1].put("who.txt", b"second");
    let addresses = servers.each_ref().map(|server| server.address);
    let proxy = Setup::new(&addresses)
        .at(at(VIP), &networks.balancer)
        .start();
    let fetch = |place: &Place| {
        let mut command = curl(place, &[]);
        command.arg(format!("ftp://{}/pub/who.txt", proxy.address));
        run(&mut command, SOON).expect_success("curl").stdout
    };
    let mut said = [fetch(&networks.client), fetch(&networks.client)];
    said.sort();
    assert_eq!(said, ["first", "second"]);
}
