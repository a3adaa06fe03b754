//! Two balancers side by side, as two hosts between clients and backends: a VRRP pair, with real keepaliveds, or
//! replicas behind a router.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::netns::{Place, ip, isolate, join, own_names};
use crate::process::{Process, SOON, run};
use crate::proxy::{Proxy, Setup};

/// Clients and both nodes share one network, both nodes and the backends another. Nobody forwards packets.
///
/// ```text
///                    10.78.1.11 ── node 0 ── 10.78.2.1
/// client 10.78.1.2 ─┤                        ├─ 10.78.2.11, .12 backends
///                    10.78.1.12 ── node 1 ── 10.78.2.2
///                    10.78.1.100 is the virtual IP of one of them
/// ```
pub(crate) struct Pair {
    pub(crate) client: Place,
    pub(crate) nodes: [Place; 2],
    pub(crate) backends: Place,
    names: [String; 4],
}

/// The keepalived of one node, from the configuration of `deploy/keepalived`.
pub(crate) struct Keepalived {
    process: Process,
    home: TempDir,
}

/// Where clients connect.
pub(crate) const VIP: &str = "10.78.1.100:21";

/// Each node's own address among the clients.
pub(crate) const NODES: [&str; 2] = ["10.78.1.11", "10.78.1.12"];

impl Pair {
    /// Makes the namespaces and joins them.
    pub(crate) fn new() -> Self {
        let names = own_names(["pc", "p0", "p1", "pb"]);
        let [client, first, second, backends] = names.clone().map(Place::Namespace);
        let pair = Self {
            client,
            nodes: [first, second],
            backends,
            names,
        };
        let [client, first, second, backends] = &pair.names;
        for name in &pair.names {
            isolate(name);
        }
        for (name, bridge, device, addresses) in [
            (client, "front", "front", &["10.78.1.2/24"][..]),
            (
                backends,
                "back",
                "back",
                &["10.78.2.11/24", "10.78.2.12/24"],
            ),
        ] {
            ip(&["-n", name, "link", "add", bridge, "type", "bridge"]);
            for address in addresses {
                ip(&["-n", name, "address", "add", address, "dev", bridge]);
            }
            ip(&["-n", name, "link", "set", bridge, "up"]);
            for (index, node) in [first, second].into_iter().enumerate() {
                let port = format!("port{index}");
                join(name, &port, node, device);
                ip(&["-n", name, "link", "set", &port, "master", bridge, "up"]);
            }
        }
        for (index, node) in [first, second].into_iter().enumerate() {
            let (front, back) = (
                format!("{}/24", NODES[index]),
                format!("10.78.2.{}/24", index + 1),
            );
            for (device, address) in [("front", front), ("back", back)] {
                ip(&["-n", node, "address", "add", &address, "dev", device]);
                ip(&["-n", node, "link", "set", device, "up"]);
            }
        }
        pair
    }

    /// An ftplb on a node, listening on the virtual IP whether or not the node has it.
    pub(crate) fn balancer(&self, node: usize, backends: &[SocketAddr]) -> Setup {
        let admin = SocketAddr::new(NODES[node].parse().unwrap(), 9121);
        Setup::new(backends)
            .at(VIP.parse().unwrap(), &self.nodes[node])
            .admin(admin)
    }

    /// Whether a node has the virtual IP.
    pub(crate) fn has_vip(&self, node: usize) -> bool {
        let mut command = self.nodes[node].command("ip");
        command.args(["-4", "-brief", "address", "show", "dev", "front"]);
        run(&mut command, SOON).stdout.contains("10.78.1.100/")
    }

    /// What `deploy/keepalived/keep-sessions` needs of a node, from the files there.
    pub(crate) fn keep_sessions(&self, node: usize, passive_ports: [&str; 2]) {
        let other = 1 - node;
        let node = &self.nodes[node];
        let sysctl = deploy("keep-sessions.sysctl");
        run(node.command("sysctl").args(["-q", "-p", &sysctl]), SOON).expect_success("sysctl");
        let on_lo = ["address", "add", "10.78.1.100/32", "dev", "lo"];
        run(node.command("ip").args(on_lo), SOON).expect_success("ip");
        let rules = adapted(
            "keep-sessions.nft",
            &[
                ("192.0.2.10", "10.78.1.100"),
                ("192.0.2.12", NODES[other]),
                ("\"eth0\"", "\"front\""),
                ("15000-19999", passive_ports[other]),
            ],
        );
        run(node.command("nft").arg(rules), SOON).expect_success("nft");
    }

    /// The node is cut off from both networks, as when its power fails.
    pub(crate) fn cut_off(&self, node: usize) {
        self.nodes[node].lose("");
    }

    /// The end of that.
    pub(crate) fn connect_again(&self, node: usize) {
        self.nodes[node].lose_nothing();
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for name in &self.names {
            drop(Command::new("ip").args(["netns", "del", name]).status());
        }
    }
}

impl Keepalived {
    /// Starts keepalived on a node, which asks `proxy` there how it is. Everything is as in
    /// `deploy/keepalived`, but for addresses and paths, and quicker.
    pub(crate) fn start(pair: &Pair, node: usize, proxy: &Proxy, keeps_sessions: bool) -> Self {
        let home = tempfile::tempdir().unwrap();
        let away = home.path().join("away").display().to_string();
        let text = adapted(
            "keepalived.conf",
            &[
                ("192.0.2.10", "10.78.1.100"),
                ("192.0.2.12", NODES[1 - node]),
                ("interface eth0", "interface front"),
                ("/usr/local/lib/ftplb/check-ftplb", &deploy("check-ftplb")),
                (
                    "/usr/local/lib/ftplb/keep-sessions",
                    &deploy("keep-sessions"),
                ),
                ("127.0.0.1:9121", &proxy.admin.to_string()),
                ("/run/vip-away", &away),
                ("advert_int 1\n", "advert_int 0.3\n"),
                // The directories above a clone may be anybody's.
                ("    enable_script_security\n", ""),
            ],
        );
        let text = if keeps_sessions {
            text.replace("# notify_", "notify_")
        } else {
            text
        };
        let path = |name: &str| home.path().join(name);
        fs::write(path("keepalived.conf"), text).unwrap();
        let log = fs::File::create(path("log")).unwrap();
        let mut command = pair.nodes[node].command("/usr/sbin/keepalived");
        command.args(["--vrrp", "--dont-fork", "--log-console", "--log-detail"]);
        command.arg("--use-file").arg(path("keepalived.conf"));
        command.arg("--pid").arg(path("pid"));
        command.arg("--vrrp_pid").arg(path("vrrp.pid"));
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let process = Process::start(&mut command);
        Self { process, home }
    }

    /// Orders the node to give the virtual IP away, or takes that back.
    pub(crate) fn hand_over(&self, away: bool) {
        let priority = if away { "50\n" } else { "0\n" };
        fs::write(self.home.path().join("away"), priority).unwrap();
    }

    /// All that it has said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    /// Ends without a word to the other node.
    pub(crate) fn kill(&mut self) {
        self.process.signal(Signal::SIGKILL);
        self.process.kill();
    }
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- keepalived said:\n{}---", self.log());
        }
    }
}

/// The path of a file of `deploy/keepalived`.
fn deploy(name: &str) -> String {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest
        .join("deploy/keepalived")
        .join(name)
        .display()
        .to_string()
}

/// What such a file says, with other words in place of its own.
fn adapted(name: &str, words: &[(&str, &str)]) -> String {
    let mut text = fs::read_to_string(deploy(name)).unwrap();
    for (of_deploy, of_test) in words {
        assert!(text.contains(of_deploy), "no {of_deploy} in {name}");
        text = text.replace(of_deploy, of_test);
    }
    text
}
