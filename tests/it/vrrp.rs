//! A VRRP pair as in `deploy/keepalived`, with real keepaliveds: what clients see when the virtual IP moves.
//! The times are printed; docs/high-availability.md has them.

use std::fs;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::clients::{Mode, curl, lftp, noise};
use crate::pair::{Keepalived, Pair, VIP};
use crate::process::{Process, SOON, eventually, run};
use crate::proxy::Proxy;
use crate::scripted::Peer;
use crate::servers::{Kind, Server};

/// A pair that serves by its first node, and a server with a small file and one that takes three seconds.
struct Scene {
    pair: Pair,
    server: Server,
    proxies: [Proxy; 2],
    keepalived: [Keepalived; 2],
    content: Vec<u8>,
    directory: tempfile::TempDir,
}

/// Of each node. They differ, for data connections to find the node that waits for them.
const PASSIVE_PORTS: [&str; 2] = ["10000-14999", "15000-19999"];

impl Scene {
    fn new() -> Self {
        Self::with(false)
    }

    /// The same; sessions may be kept when the virtual IP moves.
    fn with(keeps_sessions: bool) -> Self {
        let pair = Pair::new();
        let server = Server::start_at(Kind::Vsftpd, at("10.78.2.11:21"), &pair.backends);
        for port in ["port0", "port1"] {
            pair.backends.slow_down(port, "16mbit");
        }
        let content = noise(6_000_000, 7);
        server.put("big.bin", &content);
        server.put("who.txt", b"served");
        if keeps_sessions {
            for node in [0, 1] {
                pair.keep_sessions(node, PASSIVE_PORTS);
            }
        }
        let proxies = [0, 1].map(|node| start(&pair, node, &server));
        let first = Keepalived::start(&pair, 0, &proxies[0], keeps_sessions);
        eventually("the first node has the virtual IP", || pair.has_vip(0));
        let second = Keepalived::start(&pair, 1, &proxies[1], keeps_sessions);
        let scene = Self {
            pair,
            server,
            proxies,
            keepalived: [first, second],
            content,
            directory: tempfile::tempdir().unwrap(),
        };
        scene.is_stand_by(1);
        scene
    }

    /// Waits until a node whose ftplb was away has its old priority.
    fn is_fit_again(&self, node: usize) {
        let log = || self.keepalived[node].log();
        eventually("it is fit again", || log().contains(" to 100\n"));
    }

    /// Waits until a node that started has heard the other one and leaves the virtual IP to it.
    fn is_stand_by(&self, node: usize) {
        let log = || self.keepalived[node].log();
        eventually("it stands by", || log().contains("Entering BACKUP STATE"));
        assert!(!self.pair.has_vip(node), "{}", log());
    }

    /// A download of the large file that takes three seconds and has begun.
    fn download(&self, options: &[&str]) -> Process {
        let file = self.path().join("big.bin");
        drop(fs::remove_file(&file));
        let mut command = curl(&self.pair.client, options);
        command.arg("-o").arg(&file).arg(url("big.bin"));
        let process = begin(&mut command);
        eventually("the download begins", || size(&file) > 0);
        process
    }

    /// A mirror of many files in one session, each with a data connection of its own.
    fn mirror(&self, mode: Mode) -> Process {
        let name = format!("{mode:?}");
        let file = self.path().join(&name).join("file-0.bin");
        let script = format!("mirror many {}\n", self.path().join(name).display());
        let mut command = lftp(&self.pair.client, at(VIP), mode, &script);
        let process = begin(&mut command);
        eventually("the mirror begins", || size(&file) > 0);
        process
    }

    /// An upload of as much that takes three seconds and has begun.
    fn upload(&self) -> Process {
        let file = self.path().join("up.bin");
        fs::write(&file, &self.content).unwrap();
        let mut command = curl(&self.pair.client, &["--limit-rate", "2M", "-T"]);
        let process = begin(command.arg(&file).arg(url("up.bin")));
        eventually("the upload begins", || self.server.size("up.bin") > 0);
        process
    }

    /// Completes a download that was cut, at the node that serves now.
    fn complete_download(&self) {
        let file = self.path().join("big.bin");
        let mut command = curl(&self.pair.client, &["--retry", "10", "--retry-connrefused"]);
        command
            .args(["-C", "-", "-o"])
            .arg(&file)
            .arg(url("big.bin"));
        run(&mut command, SOON).expect_success("curl -C -");
        assert!(self.has_all(&file), "the file differs");
    }

    fn has_all(&self, file: &Path) -> bool {
        fs::read(file).unwrap_or_default() == self.content
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// What clients saw who came one after the other.
#[derive(Debug, Default)]
struct Visits {
    served: usize,
    /// When the last one was served, and for how long nobody has been at most.
    last: Option<Instant>,
    outage: Duration,
    /// curl's exit codes of those who were not.
    failures: Vec<i32>,
}

impl Visits {
    fn go(&mut self, pair: &Pair) {
        let mut command = curl(&pair.client, &["--max-time", "3"]);
        let done = run(command.arg(url("who.txt")), SOON);
        if done.code() != 0 {
            self.failures.push(done.code());
            return;
        }
        assert_eq!(done.stdout, "served");
        let now = Instant::now();
        if let Some(last) = self.last.replace(now) {
            self.outage = self.outage.max(now - last);
        }
        self.served += 1;
    }
}

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

fn url(name: &str) -> String {
    format!("ftp://{VIP}/pub/{name}")
}

fn size(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |file| file.len())
}

fn begin(command: &mut Command) -> Process {
    Process::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
}

fn start(pair: &Pair, node: usize, server: &Server) -> Proxy {
    let setup = pair.balancer(node, &[server.address]);
    let quick = "interval = \"200ms\", timeout = \"1s\", rise = 1, fall = 2";
    setup
        .listener(&format!("passive_ports = \"{}\"\n", PASSIVE_PORTS[node]))
        .pool(&format!("health = {{ probe = \"greeting\", {quick} }}\n"))
        .tables("[timeouts]\ndrain = \"10s\"\n")
        .start()
}

/// Fetches a small file in one session after the other while `work` is done.
fn while_clients_come<T>(pair: &Pair, work: impl FnOnce() -> T) -> (T, Visits) {
    let mut visits = Visits::default();
    visits.go(pair);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let clients = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                visits.go(pair);
            }
            // The last one is after everything.
            visits.go(pair);
            visits
        });
        let done = catch_unwind(AssertUnwindSafe(work));
        is_over.store(true, Ordering::Relaxed);
        let visits = clients.join().unwrap();
        (done.unwrap_or_else(|panic| resume_unwind(panic)), visits)
    })
}

#[test]
fn planned_handover_lets_transfers_finish_and_then_moves_the_virtual_ip() {
    let mut scene = Scene::new();
    let mut download = scene.download(&[]);
    let began = Instant::now();
    let (drained, visits) = while_clients_come(&scene.pair, || {
        scene.proxies[0].signal(Signal::SIGTERM);
        download
            .finish(SOON)
            .expect_success("the transfer that ran");
        assert_eq!(scene.proxies[0].finish().code(), 0);
        let drained = began.elapsed();
        eventually("the virtual IP has moved", || scene.pair.has_vip(1));
        drained
    });
    assert!(scene.has_all(&scene.path().join("big.bin")));
    let moved = began.elapsed();
    eprintln!("planned: drained after {drained:?}, served again by {moved:?}, {visits:?}");
    // Nobody was cut: who was not served could not connect.
    assert!(visits.failures.iter().all(|code| *code == 7), "{visits:?}");
    assert!(
        visits.outage < drained + Duration::from_secs(5),
        "{visits:?}"
    );

    // The node comes back and stands by. What went there goes back at the next handover only.
    scene.proxies[0] = start(&scene.pair, 0, &scene.server);
    scene.is_fit_again(0);
    assert!(scene.pair.has_vip(1) && !scene.pair.has_vip(0));
}

#[test]
fn killed_balancer_fails_its_transfers_and_the_other_node_serves_their_retries() {
    let mut scene = Scene::new();
    let mut download = scene.download(&[]);
    let began = Instant::now();
    let (cut, visits) = while_clients_come(&scene.pair, || {
        scene.proxies[0].signal(Signal::SIGKILL);
        let done = download.finish(SOON);
        assert_ne!(done.code(), 0, "a short file was taken for whole: {done:?}");
        let cut = began.elapsed();
        eventually("the virtual IP has moved", || scene.pair.has_vip(1));
        cut
    });
    eprintln!("killed: known to the client after {cut:?}, {visits:?}");
    assert!(visits.outage < Duration::from_secs(8), "{visits:?}");
    scene.complete_download();
}

#[test]
fn dead_host_is_replaced_and_its_return_cuts_nobody() {
    let mut scene = Scene::new();
    // A client that receives only has nothing to send, and so does not hear that its session is gone.
    let mut download = scene.download(&["--speed-limit", "1", "--speed-time", "3"]);
    let mut upload = scene.upload();
    let began = Instant::now();
    let (refused, visits) = while_clients_come(&scene.pair, || {
        scene.pair.cut_off(0);
        scene.keepalived[0].kill();
        scene.proxies[0].signal(Signal::SIGKILL);
        eventually("the virtual IP has moved", || scene.pair.has_vip(1));
        let moved = began.elapsed();
        let done = upload.finish(SOON);
        assert_ne!(done.code(), 0, "a cut upload was taken for whole: {done:?}");
        let refused = began.elapsed();
        let done = download.finish(SOON);
        assert_eq!(done.code(), 28, "the client gives up by itself: {done:?}");
        (moved, refused)
    });
    eprintln!("dead host: moved and uploads cut after {refused:?}, {visits:?}");
    assert!(visits.outage < Duration::from_secs(10), "{visits:?}");
    scene.complete_download();
    assert!(scene.server.size("up.bin") < scene.content.len() as u64);

    // It starts again, as after a boot: without the virtual IP.
    let vip = ["address", "del", "10.78.1.100/24", "dev", "front"];
    run(scene.pair.nodes[0].command("ip").args(vip), SOON).expect_success("ip");
    scene.pair.connect_again(0);
    scene.proxies[0] = start(&scene.pair, 0, &scene.server);
    let mut download = scene.download(&[]);
    let ((), visits) = while_clients_come(&scene.pair, || {
        scene.keepalived[0] = Keepalived::start(&scene.pair, 0, &scene.proxies[0], false);
        download.finish(SOON).expect_success("the transfer");
    });
    assert!(visits.failures.is_empty(), "{visits:?}");
    assert!(scene.pair.has_vip(1) && !scene.pair.has_vip(0));
}

#[test]
fn node_without_backends_gives_the_virtual_ip_to_one_that_has_some() {
    let mut scene = Scene::new();
    let ((), visits) = while_clients_come(&scene.pair, || {
        // Its link to the backends fails, no more.
        scene.pair.nodes[0].lose("ip saddr 10.78.2.0/24");
        eventually("the virtual IP has moved", || scene.pair.has_vip(1));
    });
    eprintln!("without backends: {visits:?}");
    assert!(visits.outage < Duration::from_secs(10), "{visits:?}");
    // When neither has any, it stays where it is.
    scene.server.kill();
    scene.proxies[1].wait_for_metric("ftplb_backend_up", &[], 0.0);
    let fails = "VRRP_Script(ftplb_serves) failed";
    eventually("the other node is unfit too", || {
        scene.keepalived[1].log().contains(fails)
    });
    assert!(scene.pair.has_vip(1) && !scene.pair.has_vip(0));
}

#[test]
fn handover_by_order_keeps_every_session_and_turns_nobody_away() {
    let mut scene = Scene::with(true);
    fs::create_dir(scene.server.path("many")).unwrap();
    for index in 0..100 {
        let content = noise(10_000 + index, index as u64);
        scene
            .server
            .put(&format!("many/file-{index}.bin"), &content);
    }
    let mut idle = Peer::log_in(at(VIP), &scene.pair.client);
    let mirrors = [Mode::Pasv, Mode::Epsv, Mode::Port].map(|mode| scene.mirror(mode));
    let work = [scene.download(&[]), scene.upload()];
    let began = Instant::now();
    let (moved, visits) = while_clients_come(&scene.pair, || {
        scene.keepalived[0].hand_over(true);
        eventually("the virtual IP has moved", || {
            scene.pair.has_vip(1) && !scene.pair.has_vip(0)
        });
        let moved = began.elapsed();
        for mut process in mirrors.into_iter().chain(work) {
            process
                .finish(SOON)
                .expect_success("a client that was there before");
        }
        moved
    });
    eprintln!(
        "by order: moved after {moved:?}, all done after {:?}, {visits:?}",
        began.elapsed()
    );
    assert!(visits.failures.is_empty(), "{visits:?}");
    assert!(scene.has_all(&scene.path().join("big.bin")));
    assert!(scene.has_all(&scene.server.path("up.bin")));
    idle.say("NOOP");
    idle.reply(200);
    scene.proxies[0].wait_for_metric("ftplb_sessions_active", &[], 1.0);

    // And back again, with a session of either node.
    let mut newer = Peer::log_in(at(VIP), &scene.pair.client);
    scene.proxies[1].wait_for_metric("ftplb_sessions_active", &[], 1.0);
    scene.keepalived[0].hand_over(false);
    scene.keepalived[1].hand_over(true);
    eventually("the virtual IP has moved back", || {
        scene.pair.has_vip(0) && !scene.pair.has_vip(1)
    });
    for session in [&mut idle, &mut newer] {
        session.say("NOOP");
        session.reply(200);
    }
    // What is left at the other node ends as in every drain.
    scene.proxies[1].signal(Signal::SIGTERM);
    newer.reply(421);
    assert_eq!(scene.proxies[1].finish().code(), 0);
}

#[test]
fn dead_host_whose_sessions_were_to_be_kept_is_known_to_its_clients() {
    let mut scene = Scene::with(true);
    let mut upload = scene.upload();
    let began = Instant::now();
    scene.pair.cut_off(0);
    scene.keepalived[0].kill();
    scene.proxies[0].signal(Signal::SIGKILL);
    let done = upload.finish(SOON);
    eprintln!(
        "dead host, kept sessions: known after {:?}",
        began.elapsed()
    );
    // Neither a success nor a timeout of the client's own.
    assert!(![0, 28].contains(&done.code()), "{done:?}");
}
