//! Backends that are found by name: the pool follows what a name server says.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::dns::{Data, NameServer};
use crate::process::{eventually, own_address, own_ip};
use crate::proxy::Proxy;
use crate::scripted::{Door, Peer, parse_227, reply_227};
use crate::servers::{PASSWORD, USER};

const NAME: &str = "ftp.test";

/// A balancer whose backends `server` knows. Each answer is good for no time at all.
fn balancer(server: &NameServer, discover: &str) -> Proxy {
    let address = own_address(false, 2121);
    let admin = SocketAddr::new(address.ip(), 9121);
    Proxy::with(&config(server, discover, address, admin), address, admin)
}

fn config(server: &NameServer, discover: &str, address: SocketAddr, admin: SocketAddr) -> String {
    let mut text = format!(
        "[[listener]]\naddress = \"{address}\"\n[[pool]]\nname = \"p\"\nalgorithm = \"rr\"\n\
         health = false\nejection = false\n[admin]\naddress = \"{admin}\"\n\
         [log]\nformat = \"json\"\nfilter = \"ftplb=debug\"\n"
    );
    let servers = server.address;
    write!(
        text,
        "[[pool.discover]]\nservers = [\"{servers}\"]\nmin_interval = \"20ms\"\n{discover}\n"
    )
    .unwrap();
    text
}

fn by_address() -> String {
    format!("name = \"{NAME}\"\nport = 2021\n")
}

fn ips<const N: usize>(doors: [&Door; N]) -> [IpAddr; N] {
    doors.map(|door| door.address().ip())
}

fn wait_for_backends(proxy: &Proxy, count: f64) {
    proxy.wait_for_metric("ftplb_discovery_backends", &["pool=\"p\""], count);
}

/// Waits for `more` looks that ended like this.
fn wait_for_looks(proxy: &Proxy, result: &str, more: f64) {
    let label = format!("result=\"{result}\"");
    let looks = || proxy.metric("ftplb_discovery_lookups_total", &[&label]);
    let before = looks();
    eventually("DNS is asked", || looks() >= before + more);
}

/// A new session at `door`, greeted.
#[track_caller]
fn session(proxy: &Proxy, door: &Door) -> (Peer, Peer) {
    let mut client = Peer::connect(proxy.address);
    let mut backend = door.accept();
    backend.say("220 Found.");
    client.hears("220 Found.");
    (client, backend)
}

#[test]
fn a_pool_follows_the_addresses_of_a_name() {
    let server = NameServer::start();
    let [first, second] = [Door::new(), Door::new()];
    let proxy = balancer(&server, &by_address());
    proxy.wait_for_log("DNS has no backend by this name", 1);
    let (status, said) = proxy.get("/readyz");
    assert_eq!(status, 503, "{said}");
    Peer::connect(proxy.address).reply(421);
    server.set_addresses(NAME, &ips([&first]));
    proxy.wait_until_ready();
    let _here = session(&proxy, &first);
    server.set_addresses(NAME, &ips([&first, &second]));
    wait_for_backends(&proxy, 2.0);
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let mut clients = [Peer::connect(proxy.address), Peer::connect(proxy.address)];
        for door in [&first, &second] {
            let mut backend = door.accept();
            backend.say("220 Found.");
            sessions.push(backend);
        }
        for client in &mut clients {
            client.hears("220 Found.");
        }
    }
    let second_name = format!("backend=\"{}\"", second.address());
    proxy.wait_for_metric("ftplb_backend_up", &[&second_name], 1.0);
    assert_eq!(proxy.wait_for_log("backend found by name", 2).len(), 2);
}

#[test]
fn a_backend_that_vanishes_finishes_its_transfer_and_is_forgotten() {
    let server = NameServer::start();
    let [first, second] = [Door::new(), Door::new()];
    server.set_addresses(NAME, &ips([&first]));
    let proxy = balancer(&server, &by_address());
    proxy.wait_until_ready();
    let (mut client, mut backend) = session(&proxy, &first);
    for (line, reply) in [
        (format!("USER {USER}"), "331 Password?"),
        (format!("PASS {PASSWORD}"), "230 Welcome."),
    ] {
        client.say(&line);
        backend.hears(&line);
        backend.say(reply);
        client.hears(reply);
    }
    let data = Door::at(SocketAddr::new(first.address().ip(), 0));
    client.say("PASV");
    backend.hears("PASV");
    backend.say(&reply_227(data.address()));
    let mut client_data = Peer::connect(parse_227(&client.reply(227)));
    let mut backend_data = data.accept();
    client.say("RETR f");
    backend.hears("RETR f");
    backend.say("150 Here it comes.");
    client.hears("150 Here it comes.");
    backend_data.send("first half, ");
    server.set_addresses(NAME, &ips([&second]));
    proxy.wait_for_log("backend is found by name no longer", 1);
    let _new = [session(&proxy, &second), session(&proxy, &second)];
    backend_data.send("second half");
    drop(backend_data);
    assert_eq!(client_data.read_exact(23), b"first half, second half");
    client_data.is_closed();
    drop(client_data);
    backend.say("226 Done.");
    client.hears("226 Done.");
    client.reply(421);
    drop(client);
    proxy.wait_for_log("backend removed: its last session has ended", 1);
    let series = format!("backend=\"{}\"", first.address());
    eventually("its series are gone", || {
        !proxy.get("/metrics").1.contains(&series)
    });
}

#[test]
fn services_bring_their_ports_and_the_spare_ones_wait() {
    let server = NameServer::start();
    let ip = own_ip();
    let [wanted, spare] = [2100, 2200].map(|port| Door::at(SocketAddr::new(ip.into(), port)));
    let service = |priority, port, target| Data::Srv {
        priority,
        weight: 0,
        port,
        target,
    };
    let name = "_ftp._tcp.ftp.test";
    let services = [
        (name, service(20, 2200, "b.ftp.test")),
        (name, service(10, 2100, "a.ftp.test")),
    ];
    let hosts = [("a.ftp.test", Data::A(ip)), ("b.ftp.test", Data::A(ip))];
    server.set(&[&services[..], &hosts].concat());
    let proxy = balancer(&server, &format!("name = \"{name}\"\nrecord = \"srv\"\n"));
    proxy.wait_until_ready();
    let _sessions = [session(&proxy, &wanted), session(&proxy, &wanted)];
    wait_for_backends(&proxy, 1.0);
    // Nobody knows an address of the wanted one any more.
    server.set(&[&services[..], &hosts[1..]].concat());
    proxy.wait_for_log("backend is found by name no longer", 1);
    let _session = session(&proxy, &spare);
    server.set(&[&services[..], &hosts].concat());
    proxy.wait_for_log("backend is found by name no longer", 2);
    let _session = session(&proxy, &wanted);
}

#[test]
fn a_name_server_that_fails_takes_no_backend_away() {
    let server = NameServer::start();
    let door = Door::new();
    server.set_addresses(NAME, &ips([&door]));
    let proxy = balancer(&server, &by_address());
    proxy.wait_until_ready();
    server.fail(true);
    wait_for_looks(&proxy, "failed", 5.0);
    let _session = session(&proxy, &door);
    wait_for_backends(&proxy, 1.0);
    server.fail(false);
    wait_for_looks(&proxy, "ok", 5.0);
    let said = |text: &str| proxy.wait_for_log(text, 1).len();
    assert_eq!(said("backends can not be looked up"), 1, "once");
    assert_eq!(said("backends can be looked up again"), 1, "once");
    assert!(!proxy.log().contains("found by name no longer"));
    let address = server.address;
    drop(server);
    wait_for_looks(&proxy, "failed", 1.0);
    let _session = session(&proxy, &door);
    assert!(
        proxy.wait_for_log("can not be looked up", 2)[1].contains(NAME),
        "{address}"
    );
}

#[test]
fn an_answer_that_is_too_long_for_udp_is_taken_by_tcp() {
    let server = NameServer::start();
    let many: Vec<IpAddr> = { 1..=120 }
        .map(|last| Ipv4Addr::new(127, 254, 254, last).into())
        .collect();
    server.set_addresses(NAME, &many);
    let proxy = balancer(&server, &by_address());
    wait_for_backends(&proxy, 120.0);
    server.set_addresses(NAME, &many[..3]);
    wait_for_backends(&proxy, 3.0);
}

#[test]
fn ipv6_and_ipv4_addresses_of_a_name_are_backends_both() {
    let server = NameServer::start();
    let door = Door::new();
    server.set(&[
        (NAME, Data::Aaaa([0, 0, 0, 0, 0, 0, 0, 1].into())),
        (
            NAME,
            Data::A(match door.address().ip() {
                IpAddr::V4(ip) => ip,
                IpAddr::V6(ip) => panic!("{ip}"),
            }),
        ),
    ]);
    let proxy = balancer(&server, &by_address());
    wait_for_backends(&proxy, 2.0);
    proxy.wait_for_metric("ftplb_backend_up", &["backend=\"[::1]:2021\""], 1.0);
}

#[test]
fn a_reload_begins_and_ends_a_discovery() {
    let server = NameServer::start();
    let [found, written] = [Door::new(), Door::new()];
    server.set_addresses(NAME, &ips([&found]));
    let address = own_address(false, 2121);
    let admin = SocketAddr::new(address.ip(), 9121);
    let discovering = config(&server, &by_address(), address, admin);
    let (before, _) = discovering.split_once("[[pool.discover]]").unwrap();
    let fixed = format!(
        "{before}[[pool.backend]]\naddress = \"{}\"\n",
        written.address()
    );
    let mut proxy = Proxy::with(&fixed, address, admin);
    let _session = session(&proxy, &written);
    assert!(
        !proxy
            .get("/metrics")
            .1
            .contains("ftplb_discovery_backends{")
    );
    assert!(proxy.reload(&discovering));
    wait_for_backends(&proxy, 1.0);
    let _session = session(&proxy, &found);
    // A shorter pause is one of the same question: what is known stays.
    assert!(proxy.reload(&discovering.replace("20ms", "10ms")));
    let _session = session(&proxy, &found);
    assert!(proxy.reload(&fixed));
    let _session = session(&proxy, &written);
    eventually("nothing is looked up any more", || {
        !proxy.get("/metrics").1.contains("ftplb_discovery_")
    });
}
