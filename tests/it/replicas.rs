//! Several ftplbs that serve at the same time and do not talk to each other: they agree on backends, and behind a
//! router with equal-cost paths each has the data connections of its sessions. docs/high-availability.md.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use crate::clients::{Mode, Story, Tool, curl, lftp, noise};
use crate::netns::{Place, ip, isolate, join};
use crate::pair::{NODES, Pair};
use crate::process::{SOON, own_address, run};
use crate::proxy::Proxy;
use crate::servers::{Kind, Server};

/// Where clients connect, at whichever replica.
const ANYCAST: &str = "10.78.9.9:21";

/// How the router spreads connections: by addresses only, or by addresses and ports.
#[derive(Clone, Copy, Debug)]
enum Hash {
    Addresses,
    Ports,
}

/// Clients behind a router, which has two paths of the same cost to one address that both replicas have.
///
/// ```text
/// clients 10.78.3.2 … .17 ── 10.78.3.1 router 10.78.1.2 ─┬─ 10.78.1.11 ┐
///                                                        └─ 10.78.1.12 ┴ both 10.78.9.9 ── backends
/// ```
struct Anycast {
    clients: Place,
    _pair: Pair,
    server: Server,
    proxies: Vec<Proxy>,
    name: String,
}

impl Anycast {
    /// Each replica with these lines of `[[listener]]`, in which `OWN` is its own address.
    fn new(hash: Hash, listener: &str) -> Self {
        let pair = Pair::new();
        let (Place::Namespace(router), Place::Namespace(backends)) = (&pair.client, &pair.backends)
        else {
            unreachable!("a pair is of namespaces")
        };
        let name = backends.replace("-pb-", "-pa-");
        isolate(&name);
        join(&name, "front", router, "clients");
        for (name, device, addresses) in [(&name, "front", 2..=17), (router, "clients", 1..=1)] {
            for last in addresses {
                let address = format!("10.78.3.{last}/24");
                ip(&["-n", name, "address", "add", &address, "dev", device]);
            }
            ip(&["-n", name, "link", "set", device, "up"]);
        }
        ip(&["-n", &name, "route", "add", "default", "via", "10.78.3.1"]);
        let [first, second] = NODES;
        let paths = ["nexthop", "via", first, "nexthop", "via", second];
        ip(&[&["-n", router, "route", "add", "10.78.9.9/32"], &paths[..]].concat());
        let policy = match hash {
            Hash::Addresses => "net.ipv4.fib_multipath_hash_policy=0",
            Hash::Ports => "net.ipv4.fib_multipath_hash_policy=1",
        };
        let mut sysctl = pair.client.command("sysctl");
        sysctl.args(["-q", "-w", "net.ipv4.ip_forward=1", policy]);
        run(&mut sysctl, SOON).expect_success("sysctl");
        for node in &pair.nodes {
            for words in [
                &["address", "add", "10.78.9.9/32", "dev", "lo"][..],
                &["route", "add", "default", "via", "10.78.1.2"],
            ] {
                run(node.command("ip").args(words), SOON).expect_success("ip");
            }
        }
        let server = Server::start_at(Kind::Vsftpd, at("10.78.2.11:21"), &pair.backends);
        server.put("who.txt", b"served");
        let replica = |node: usize| {
            let setup = pair.balancer(node, &[server.address]);
            let listener = listener.replace("OWN", NODES[node]);
            setup
                .at(at(ANYCAST), &pair.nodes[node])
                .listener(&listener)
                .start()
        };
        let proxies = [0, 1].map(replica).into();
        Self {
            clients: Place::Namespace(name.clone()),
            _pair: pair,
            server,
            proxies,
            name,
        }
    }

    /// Whether sixteen clients, each with an address of its own, are served by curl with these options.
    fn serves_all(&self, options: &[&str]) -> bool {
        (2..18).all(|last| {
            let source = format!("10.78.3.{last}");
            let mut command = curl(&self.clients, &["--interface", &source, "--max-time", "5"]);
            command
                .args(options)
                .arg(format!("ftp://{ANYCAST}/pub/who.txt"));
            run(&mut command, SOON).stdout == "served"
        })
    }

    /// Whether one is not, sooner or later. A hash of ports takes three of four to the right replica, by one try or
    /// another: sixteen without a miss were met, 128 will not be.
    fn misses_one(&self, options: &[&str]) -> bool {
        !(0..8).all(|_| self.serves_all(options))
    }

    /// lftp fetches forty files in one session.
    fn mirror(&self, mode: Mode) -> bool {
        drop(fs::create_dir(self.server.path("many")));
        for index in 0..40 {
            self.server
                .put(&format!("many/{index}.bin"), &noise(1_000, index));
        }
        let home = tempfile::tempdir().unwrap();
        let script = format!("mirror many {}\n", home.path().join("many").display());
        run(&mut lftp(&self.clients, at(ANYCAST), mode, &script), SOON).code() == 0
    }
}

impl Drop for Anycast {
    fn drop(&mut self) {
        drop(
            Command::new("ip")
                .args(["netns", "del", &self.name])
                .status(),
        );
    }
}

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

#[test]
fn behind_a_router_that_hashes_addresses_everything_works_at_every_replica() {
    // lftp follows 227 to the replica's own address, the others do not.
    let scene = Anycast::new(Hash::Addresses, "advertise = \"OWN\"\n");
    for options in [
        &[][..],
        &["--disable-epsv"],
        &["-P", "-"],
        &["-P", "-", "--disable-eprt"],
    ] {
        assert!(scene.serves_all(options), "{options:?}");
    }
    for (tool, mode) in [
        (Tool::Lftp, Mode::Pasv),
        (Tool::Lftp, Mode::Epsv),
        (Tool::Tnftp, Mode::Port),
        (Tool::Ftplib, Mode::Pasv),
    ] {
        Story::new(tool, mode, at(ANYCAST), &scene.clients).run(&scene.server);
    }
    for proxy in &scene.proxies {
        assert!(
            proxy.metric("ftplb_sessions_total", &[]) > 0.0,
            "both serve"
        );
    }
}

#[test]
fn behind_a_router_that_hashes_ports_only_pasv_to_an_address_of_ones_own_works() {
    let own = "advertise = \"OWN\"\ndeny_commands = [\"EPSV\", \"EPRT\", \"PORT\"]\n";
    let scene = Anycast::new(Hash::Ports, own);
    assert!(scene.mirror(Mode::Pasv), "lftp goes where 227 says");
    assert!(scene.serves_all(&["--no-ftp-skip-pasv-ip"]));
    // curl does not go where 227 says, unless told to; nor do tnftp and Python's ftplib.
    assert!(scene.misses_one(&[]), "curl by the address of control");
}

#[test]
fn behind_a_router_that_hashes_ports_extended_and_active_modes_meet_the_wrong_replica() {
    let scene = Anycast::new(Hash::Ports, "advertise = \"OWN\"\n");
    for (what, options) in [
        // curl tries PASV when EPSV has led nowhere, and does not go where 227 says unless told to.
        ("passive mode", &[][..]),
        // The answer to a replica's SYN goes to the other.
        ("active mode", &["-P", "-", "--max-time", "2"]),
    ] {
        assert!(scene.misses_one(options), "{what}");
    }
    assert!(scene.serves_all(&["--no-ftp-skip-pasv-ip"]));
}

#[test]
fn data_comes_to_an_advertised_address_of_the_host_itself() {
    let pair = Pair::new();
    let server = Server::start_at(Kind::Vsftpd, at("10.78.2.11:21"), &pair.backends);
    let [listen, own] = ["10.78.1.100", "10.78.1.11"];
    ip(&[
        "-n",
        name(&pair.nodes[0]),
        "address",
        "add",
        &format!("{listen}/24"),
        "dev",
        "front",
    ]);
    let setup = pair.balancer(0, &[server.address]);
    let proxy = setup.listener(&format!("advertise = \"{own}\"\n")).start();
    for mode in [Mode::Pasv, Mode::Epsv] {
        Story::new(Tool::Lftp, mode, proxy.address, &pair.client).run(&server);
    }
}

fn name(place: &Place) -> &str {
    match place {
        Place::Namespace(name) => name,
        Place::Host => unreachable!("a pair is of namespaces"),
    }
}

#[test]
fn replicas_send_a_client_to_the_same_backend_also_when_one_is_down() {
    let mut servers = [0, 1, 2].map(|_| Server::start(Kind::Pyftpdlib));
    for (index, server) in servers.iter().enumerate() {
        server.put("who.txt", index.to_string().as_bytes());
    }
    let addresses = servers.each_ref().map(|server| server.address);
    let replicas = ["mh", "sh"].map(|algorithm| [0, 1].map(|_| replica(algorithm, &addresses)));
    let met = |proxy: &Proxy| -> Vec<String> {
        let from = |client: u8| {
            let source = Ipv4Addr::new(127, 77, 0, client).to_string();
            let mut command = curl(&Place::Host, &["--interface", &source]);
            command.arg(format!("ftp://{}/pub/who.txt", proxy.address));
            run(&mut command, SOON).expect_success("curl").stdout
        };
        (1..13).map(from).collect()
    };
    let before: Vec<_> = replicas
        .iter()
        .map(|[one, other]| {
            let met = [met(one), met(other)];
            assert_eq!(met[0], met[1]);
            assert!(
                met[0].iter().any(|backend| *backend != met[0][0]),
                "{met:?}"
            );
            met[0].clone()
        })
        .collect();
    servers[0].kill();
    for ((proxies, before), is_maglev) in replicas.iter().zip(before).zip([true, false]) {
        for proxy in proxies {
            proxy.wait_for_metric("ftplb_backend_up", &["backend=\"b0\""], 0.0);
        }
        let [one, other] = proxies.each_ref().map(met);
        assert_eq!(one, other);
        assert!(!one.contains(&"0".to_owned()));
        if is_maglev {
            // Whoever had another backend keeps it.
            for (now, before) in one.iter().zip(&before) {
                assert!(before == "0" || now == before, "{before} {now}");
            }
        }
    }
}

/// A balancer before backends `b0`, `b1` and so on, which weigh 1, 2 and so on.
fn replica(algorithm: &str, backends: &[SocketAddr]) -> Proxy {
    let address = own_address(false, 2121);
    let admin = SocketAddr::new(address.ip(), 9121);
    let each = backends.iter().enumerate().map(|(index, backend)| {
        format!(
            "{{ name = \"b{index}\", address = \"{backend}\", weight = {} }}",
            index + 1
        )
    });
    let backends = each.collect::<Vec<_>>().join(", ");
    let config = format!(
        "[[listener]]\naddress = \"{address}\"\n[admin]\naddress = \"{admin}\"\n\
         [log]\nformat = \"json\"\n[[pool]]\nname = \"p\"\nalgorithm = \"{algorithm}\"\n\
         ejection = false\nhealth = {{ interval = \"200ms\", rise = 1, fall = 2 }}\n\
         backend = [{backends}]\n"
    );
    let proxy = Proxy::with(&config, address, admin);
    proxy.wait_until_ready();
    proxy
}
