//! Network namespaces: client, balancer and backends as three hosts on two networks. Loopback alone
//! hides which address a connection comes from, and that clients cannot reach backends.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use crate::process::{SOON, eventually, run};

/// Where a program runs or a socket lives.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// The network of the test itself.
    Host,
    /// A network namespace of this name.
    Namespace(String),
}

/// Client and balancer share one network, balancer and backends another. Nobody forwards packets.
///
/// ```text
/// client 10.77.1.2, .3 ── 10.77.1.1, VIP 10.77.1.100  balancer  10.77.2.1 ── 10.77.2.11, .12 backends
///        fd77:1::2     ── fd77:1::1, VIP fd77:1::100             fd77:2::1 ── fd77:2::11, ::12
/// ```
pub(crate) struct Networks {
    pub(crate) client: Place,
    pub(crate) balancer: Place,
    pub(crate) backends: Place,
    names: [String; 3],
}

impl Place {
    /// A command that runs `program` here.
    pub(crate) fn command(&self, program: &str) -> Command {
        match self {
            Self::Host => Command::new(program),
            Self::Namespace(name) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", name, program]);
                command
            }
        }
    }

    /// Does `work` here. The sockets that it opens stay here.
    pub(crate) fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let Self::Namespace(name) = self else {
            return work();
        };
        let enter_and_work = || {
            let namespace = File::open(format!("/run/netns/{name}")).unwrap();
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        };
        thread::scope(|scope| {
            // A thread of its own: the namespace is the thread's, and ends with it.
            let done = scope.spawn(enter_and_work).join();
            done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Loses the packets of this place's network for which this condition of nft holds: `""` for all of
    /// them, as a cut cable does.
    pub(crate) fn lose(&self, condition: &str) {
        let drop = |hook| {
            format!(
                "add chain inet loss {hook} {{ type filter hook {hook} priority 0; }}; \
                 add rule inet loss {hook} {condition} drop"
            )
        };
        let rules = ["input", "output"].map(drop).join("; ");
        self.nft(&format!("add table inet loss; {rules}"));
    }

    /// Loses none any more.
    pub(crate) fn lose_nothing(&self) {
        self.nft("delete table inet loss");
    }

    fn nft(&self, words: &str) {
        run(self.command("nft").arg(words), SOON).expect_success(words);
    }

    /// Sends no faster than this through a device, and queues what comes faster for up to 100 ms.
    pub(crate) fn slow_down(&self, device: &str, rate: &str) {
        let mut command = self.command("tc");
        command.args(["qdisc", "add", "dev", device, "root", "tbf"]);
        command.args(["rate", rate, "burst", "16kb", "latency", "100ms"]);
        run(&mut command, SOON).expect_success("tc");
    }

    /// Waits until something accepts connections at `address`; calls `check` before every try.
    pub(crate) fn wait_for_port(&self, address: SocketAddr, mut check: impl FnMut() + Send) {
        self.within(|| {
            eventually(&format!("a connection to {address}"), || {
                check();
                TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
            });
        });
    }
}

/// Names of namespaces that nobody else has, one for each role.
pub(crate) fn own_names<const COUNT: usize>(roles: [&str; COUNT]) -> [String; COUNT] {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    roles.map(|role| format!("ftplb-{role}-{process}-{number}"))
}

impl Networks {
    /// Makes the namespaces and joins them.
    pub(crate) fn new() -> Self {
        let names = own_names(["c", "l", "b"]);
        let [client, balancer, backends] = names.clone().map(Place::Namespace);
        let networks = Self {
            client,
            balancer,
            backends,
            names,
        };
        let [client, balancer, backends] = &networks.names;
        for name in &networks.names {
            isolate(name);
        }
        join(client, "front", balancer, "front");
        join(backends, "back", balancer, "back");
        for (name, device, addresses) in [
            (
                client,
                "front",
                &["10.77.1.2/24", "10.77.1.3/24", "fd77:1::2/64"][..],
            ),
            (
                balancer,
                "front",
                &["10.77.1.1/24", "10.77.1.100/24", "fd77:1::100/64"],
            ),
            (balancer, "back", &["10.77.2.1/24", "fd77:2::1/64"]),
            (backends, "back", &["10.77.2.11/24", "10.77.2.12/24"]),
            (backends, "back", &["fd77:2::11/64", "fd77:2::12/64"]),
        ] {
            for address in addresses {
                // Duplicate detection would keep an IPv6 address unusable for a second.
                let mut words = vec!["-n", name, "address", "add", address, "dev", device];
                words.extend(address.contains(':').then_some("nodad"));
                ip(&words);
            }
            ip(&["-n", name, "link", "set", device, "up"]);
        }
        networks
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        for name in &self.names {
            drop(Command::new("ip").args(["netns", "del", name]).status());
        }
    }
}

/// A namespace of this name, with nothing but its loopback.
pub(crate) fn isolate(name: &str) {
    ip(&["netns", "add", name]);
    ip(&["-n", name, "link", "set", "lo", "up"]);
    // bbr, where it is the default, paces and halves the speed of such short links.
    let reno = "net.ipv4.tcp_congestion_control=reno";
    sh(&["ip", "netns", "exec", name, "sysctl", "-q", "-w", reno]);
}

/// A cable between two namespaces.
pub(crate) fn join(left: &str, left_device: &str, right: &str, right_device: &str) {
    let right_end = ["type", "veth", "peer", "name", right_device, "netns", right];
    ip(&[&["link", "add", left_device, "netns", left], &right_end[..]].concat());
}

/// `ip` with these words.
pub(crate) fn ip(words: &[&str]) {
    sh(&[&["ip"], words].concat());
}

fn sh(words: &[&str]) {
    let done = run(Command::new(words[0]).args(&words[1..]), SOON);
    done.expect_success(&format!(
        "`{}` (needs root and network namespaces)",
        words.join(" ")
    ));
}
