//! The set-up of the guides to FTP behind LVS, taken over as docs/migration-from-lvs.md says: keepalived moves the
//! virtual IP and ftplb serves it, both from the same file, before servers that are still configured for LVS.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::clients::{Mode, Story, Tool, curl};
use crate::netns::Networks;
use crate::process::{Process, SOON, eventually, run};
use crate::proxy::{PROGRAM, Proxy};
use crate::scripted::{Door, Peer, six};
use crate::servers::{Kind, Server};

const VIP: &str = "10.77.1.100:21";
const TRIAL: &str = "10.77.1.120:21";

/// What vsftpd is told behind LVS.
const PASV: &str = "pasv_min_port=10000\npasv_max_port=20000\npasv_address=10.77.1.100\n";

/// A router of LVS that stands by, and the real servers. Its keepalived does not run, the virtual IP is elsewhere.
struct Guide {
    networks: Networks,
    servers: [Server; 2],
    home: TempDir,
}

impl Guide {
    fn new() -> Self {
        let networks = Networks::new();
        let servers = ["10.77.2.11:21", "10.77.2.12:21"]
            .map(|address| Server::start_with(Kind::Vsftpd, at(address), &networks.backends, PASV));
        let home = tempfile::tempdir().unwrap();
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import");
        let mut text = fs::read_to_string(tests.join("lvs-guide-fwmark.conf")).unwrap();
        for (of_guide, of_test) in [
            ("192.0.2.10", "10.77.1.100"),
            ("eth0", "front"),
            ("192.168.1.101", "10.77.2.11"),
            ("192.168.1.102", "10.77.2.12"),
            // The guide's checks come after ten seconds.
            ("delay_loop 10", "delay_loop 1"),
        ] {
            assert!(text.contains(of_guide), "no {of_guide} in the guide's file");
            text = text.replace(of_guide, of_test);
        }
        fs::write(home.path().join("keepalived.conf"), text).unwrap();
        let guide = Self {
            networks,
            servers,
            home,
        };
        guide.ip(&["address", "del", "10.77.1.100/24", "dev", "front"]);
        guide
    }

    /// ftplb on the router, from the file of keepalived, with the mark standing for `address`.
    fn ftplb(&self, address: &str) -> Proxy {
        let admin = "10.77.1.1:9121";
        let mut command = self.networks.balancer.command(PROGRAM);
        command
            .args(["run", "--keepalived"])
            .arg(self.home.path().join("keepalived.conf"));
        command.args(["--fwmark", &format!("21={address}"), "--admin", admin]);
        command.args(["--log-format", "json"]);
        let home = tempfile::tempdir().unwrap();
        let balancer = &self.networks.balancer;
        let proxy = Proxy::start(command, at(address), at(admin), balancer, home);
        proxy.wait_until_ready();
        proxy
    }

    /// keepalived on the router, from the same file.
    fn keepalived(&self) -> Process {
        let path = |name: &str| self.home.path().join(name);
        let log = fs::File::create(path("keepalived.log")).unwrap();
        let mut command = self.networks.balancer.command("/usr/sbin/keepalived");
        command.args(["--vrrp", "--dont-fork", "--log-console", "--use-file"]);
        command.arg(path("keepalived.conf"));
        command.arg("--pid").arg(path("pid"));
        command.arg("--vrrp_pid").arg(path("vrrp.pid"));
        command.stdout(log.try_clone().unwrap()).stderr(log);
        Process::start(&mut command)
    }

    fn ip(&self, words: &[&str]) -> String {
        let mut command = self.networks.balancer.command("ip");
        run(command.args(words), SOON).expect_success("ip").stdout
    }

    /// The rules that iptables had from the guide, or others.
    fn rules(&self, rules: &str) {
        let mut command: Command = self.networks.balancer.command("nft");
        run(command.arg(rules), SOON).expect_success("nft");
    }

    /// Every mode of every client, each at the server that the client meets.
    fn works(&self, address: &str) {
        let mut command = curl(&self.networks.client, &[]);
        command.arg(format!("ftp://{address}/pub/who.txt"));
        let met = run(&mut command, SOON).expect_success("curl").stdout;
        let server = &self.servers[met.parse::<usize>().unwrap()];
        for (tool, mode) in [
            (Tool::Lftp, Mode::Pasv),
            (Tool::Lftp, Mode::Port),
            (Tool::Curl, Mode::Epsv),
            (Tool::Tnftp, Mode::Eprt),
        ] {
            // Persistence keeps the client at its server.
            Story::new(tool, mode, at(address), &self.networks.client).run(server);
        }
    }

    fn name_servers(&self) {
        for (index, server) in self.servers.iter().enumerate() {
            server.put("who.txt", index.to_string().as_bytes());
        }
    }
}

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

/// The two mangle rules of the guide, and that of nat with the network of the real servers.
const MARKS: &str = "add table ip mangle; \
    add chain ip mangle PREROUTING { type filter hook prerouting priority mangle; }; \
    add rule ip mangle PREROUTING ip daddr 10.77.1.100 tcp dport 21 meta mark set 21; \
    add rule ip mangle PREROUTING ip daddr 10.77.1.100 tcp dport 10000-20000 meta mark set 21; \
    add table ip nat; \
    add chain ip nat POSTROUTING { type nat hook postrouting priority srcnat; }; \
    add rule ip nat POSTROUTING ip saddr 10.77.2.0/24 tcp sport 20 masquerade";

#[test]
fn lvs_guide_is_tried_beside_cut_over_and_served_from_its_own_file() {
    let guide = Guide::new();
    guide.name_servers();
    guide.rules(MARKS);
    // Beside LVS, on another address.
    guide.ip(&["address", "add", "10.77.1.120/24", "dev", "front"]);
    let trial = guide.ftplb(TRIAL);
    guide.works(TRIAL);
    drop(trial);
    guide.ip(&["address", "del", "10.77.1.120/24", "dev", "front"]);

    // ftplb listens ahead of the virtual IP, which keepalived then brings.
    let proxy = guide.ftplb(VIP);
    let ahead = "this host does not have the address (yet): clients come when it has";
    proxy.wait_for_log(ahead, 1);
    let _keepalived = guide.keepalived();
    eventually("the virtual IP has come", || {
        guide
            .ip(&["address", "show", "dev", "front"])
            .contains("10.77.1.100/")
    });
    guide.name_servers();
    guide.works(VIP);
    let complete = ["cause=\"complete\""];
    assert!(proxy.metric("ftplb_transfers_total", &complete) > 20.0);
}

#[test]
fn masquerading_of_port_20_from_everywhere_takes_the_virtual_ip_from_active_data() {
    let guide = Guide::new();
    guide.ip(&["address", "add", "10.77.1.100/24", "dev", "front"]);
    let _proxy = guide.ftplb(VIP);
    let data_comes_from = || {
        let client_place = &guide.networks.client;
        let mut client = Peer::log_in(at(VIP), client_place);
        let door = client_place.within(|| Door::at(at("10.77.1.2:0")));
        client.say(&format!("PORT {}", six(door.address())));
        client.reply(200);
        client.say("LIST");
        client.reply(150);
        door.accept().peer()
    };
    assert_eq!(data_comes_from(), at("10.77.1.100:20"));
    guide.rules(MARKS);
    assert_eq!(data_comes_from(), at("10.77.1.100:20"));
    // As the guide has it where nobody names the real servers' network.
    guide.rules("add rule ip nat POSTROUTING tcp sport 20 masquerade");
    assert_eq!(data_comes_from().ip(), at("10.77.1.1:20").ip());
}
