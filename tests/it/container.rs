//! The container image, run by podman and runc: on the host's network and on a bridge, before vsftpd in
//! containers of its own. The image is built by `deploy/container/build.sh`, of a program that Cargo builds
//! as `dev`, to be quicker.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use nix::unistd::Pid;

use crate::clients::{Mode, curl, lftp, noise};
use crate::engine::{Container, Engine};
use crate::process::{Process, SOON, eventually, run};
use crate::proxy::PROGRAM;
use crate::scripted::{Door, Peer, six};
use crate::servers::{PASSWORD, USER};

/// The whole image, as an archive.
static IMAGE: LazyLock<PathBuf> = LazyLock::new(|| {
    let archive = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ftplb-image.tar");
    let engine = Engine::new();
    let mut command = Command::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/deploy/container/build.sh"
    ));
    command
        .arg("ftplb")
        .env("PROFILE", "dev")
        .env("BUILDER", engine.words());
    // Of all tests the one that builds.
    let built = run(&mut command, Duration::from_mins(15));
    let said = built.expect_success("deploy/container/build.sh").stdout;
    assert!(said.contains("ftplb: "), "the size is told: {said}");
    drop(fs::remove_file(&archive));
    engine.ok(&["save", "-q", "-o", &archive.display().to_string(), "ftplb"]);
    archive
});

/// An engine that has the image and two FTP servers.
struct Pool {
    engine: Engine,
    servers: [Container; 2],
}

impl Pool {
    fn start() -> Self {
        let engine = Engine::new();
        engine.ok(&["load", "-q", "-i", &IMAGE.display().to_string()]);
        engine.build_vsftpd();
        let servers = ["a", "b"].map(|name| {
            let files = engine.home().join(name);
            let public = files.join("pub");
            fs::create_dir_all(&public).unwrap();
            fs::set_permissions(&public, fs::Permissions::from_mode(0o777)).unwrap();
            fs::write(public.join("who.txt"), name).unwrap();
            let mount = format!("{}:/srv", files.display());
            engine.start(name, &["-v", &mount, "vsftpd"])
        });
        for server in &servers {
            let address = SocketAddr::new(server.ip.into(), 21);
            engine.host.wait_for_port(address, || {});
        }
        Self { engine, servers }
    }

    /// What `FTPLB_BACKENDS` is to be.
    fn backends(&self) -> String {
        let [a, b] = &self.servers;
        format!("{} {}", a.ip, b.ip)
    }

    /// A file of one of the servers, wherever it is.
    fn file(&self, name: &str) -> Option<Vec<u8>> {
        let paths = ["a", "b"].map(|server| self.engine.home().join(server).join("pub").join(name));
        paths.iter().find_map(|path| fs::read(path).ok())
    }

    fn put(&self, name: &str, content: &[u8]) {
        for server in ["a", "b"] {
            fs::write(
                self.engine.home().join(server).join("pub").join(name),
                content,
            )
            .unwrap();
        }
    }

    /// Stores a file and fetches it again in one session of curl; both are whole.
    fn there_and_back(&self, at: SocketAddr, options: &[&str]) {
        let directory = tempfile::tempdir().unwrap();
        let content = noise(1_000_003, 7);
        fs::write(directory.path().join("up.bin"), &content).unwrap();
        let name = format!("{}.bin", options.concat().replace('-', "x"));
        let url = format!("ftp://{at}/pub/{name}");
        let mut command = curl(&self.engine.host, options);
        // The same login keeps the session, and with it the server.
        let login = format!("{USER}:{PASSWORD}");
        command.args(["-T", "up.bin", &url, "--next", "-v", "-sS", "-u", &login]);
        command.args(options).args(["-o", "down.bin", &url]);
        let done = run(command.current_dir(directory.path()), SOON);
        let done = done.expect_success(&format!("curl {options:?}"));
        assert!(
            self.file(&name).as_ref() == Some(&content),
            "stored: {done:?}"
        );
        let down = fs::read(directory.path().join("down.bin")).unwrap();
        assert!(down == content, "fetched: {done:?}");
    }
}

#[test]
fn on_the_host_network_nobody_serves_port_21_and_sends_from_port_20() {
    let pool = Pool::start();
    let at = SocketAddr::new(OUTSIDE.into(), 21);
    let config = format!(
        "[[listener]]\naddress = \"{at}\"\n[[pool]]\nalgorithm = \"rr\"\n{}[admin]\naddress = \"{OUTSIDE}:9121\"\n\
         api = \"/run/ftplb/api.sock\"\n[process]\nsandbox = true\n",
        { pool.servers.iter() }
            .map(|server| format!("[[pool.backend]]\naddress = \"{}\"\n", server.ip))
            .collect::<String>()
    );
    let file = pool.engine.home().join("ftplb.toml");
    fs::write(&file, config).unwrap();
    let mount = format!("{}:/etc/ftplb/ftplb.toml:ro", file.display());
    // What Kubernetes calls restricted, but for the one capability.
    let lines =
        "--network host --cap-drop all --cap-add NET_BIND_SERVICE --security-opt no-new-privileges";
    let words: Vec<&str> = lines.split(' ').chain(["-v", &mount, "ftplb"]).collect();
    let balancer = pool.engine.start("balancer", &words);
    balancer.wait_until_ready();
    for (name, expected) in [
        ("Uid", "65532 65532 65532 65532"),
        ("Gid", "65532 65532 65532 65532"),
        ("CapEff", BIND),
        ("CapPrm", BIND),
        ("CapInh", NONE),
        ("CapAmb", NONE),
        ("NoNewPrivs", "1"),
    ] {
        assert_eq!(of_status(balancer.pid(), name), expected, "{name}");
    }
    for options in [&["--disable-epsv"][..], &[], &["-P", "-"]] {
        pool.there_and_back(at, options);
    }
    let host = &pool.engine.host;
    let mut client = Peer::log_in(at, host);
    let own = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
    let door = host.within(|| Door::at(own));
    client.say(&format!("PORT {}", six(door.address())));
    client.reply(200);
    client.say("LIST");
    client.reply(150);
    assert_eq!(door.accept().peer(), SocketAddr::new(OUTSIDE.into(), 20));
    let status = balancer.exec(&["status"]).expect_success("ftplb status");
    assert!(status.stdout.contains(&format!("{at}")), "{status:?}");
}

#[test]
fn on_a_bridge_a_short_range_of_published_ports_serves_parallel_clients() {
    let pool = Pool::start();
    let balancer = pool.start_on_bridge();
    balancer.wait_until_ready();
    let at = SocketAddr::new(OUTSIDE.into(), 21);
    for options in [&["--disable-epsv"][..], &[]] {
        pool.there_and_back(at, options);
    }
    // This one believes the address in a 227.
    let directory = tempfile::tempdir().unwrap();
    let script = "get who.txt\n";
    let mut command = lftp(&pool.engine.host, at, Mode::Pasv, script);
    run(command.current_dir(directory.path()), SOON).expect_success("lftp");
    // All of them come from the bridge's own address, as behind any NAT: a port for each is enough.
    pool.put("many.bin", &noise(100_003, 3));
    let clients = (0..PUBLISHED).map(|_| {
        let mut command = curl(&pool.engine.host, &[]);
        for _ in 0..5 {
            let url = format!("ftp://{at}/pub/many.bin");
            command.args(["-o", "/dev/null", &url]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Process::start(command.stderr(Stdio::piped()))
    });
    for (number, mut client) in clients.collect::<Vec<_>>().into_iter().enumerate() {
        let done = client.finish(SOON);
        assert!(done.status.success(), "client {number}: {done:?}");
    }
    // Straight to the container there is no NAT, and a way for active mode.
    pool.there_and_back(SocketAddr::new(balancer.ip.into(), 21), &["-P", "-"]);
    assert_eq!(of_status(balancer.pid(), "CapEff"), BIND);
    assert_eq!(of_status(balancer.pid(), "Uid"), "65532 65532 65532 65532");
}

#[test]
fn a_container_that_is_stopped_lets_a_transfer_finish_and_exits_with_0() {
    let pool = Pool::start();
    let balancer = pool.start_on_bridge();
    balancer.wait_until_ready();
    assert_eq!(balancer.run(&["healthcheck", "run"]).code(), 0);
    let content = noise(8_000_000, 5);
    pool.put("long.bin", &content);
    let directory = tempfile::tempdir().unwrap();
    let down = directory.path().join("down.bin");
    let url = format!("ftp://{OUTSIDE}:21/pub/long.bin");
    let mut command = curl(&pool.engine.host, &["--limit-rate", "4M"]);
    command.arg("-o").arg(&down).arg(url).stderr(Stdio::piped());
    let mut client = Process::start(&mut command);
    let size = || fs::metadata(&down).map_or(0, |metadata| metadata.len());
    eventually("the transfer has begun", || size() > 500_000);
    let stopped = balancer.run(&["stop", "-t", "40"]).expect_success("stop");
    assert!(!stopped.stderr.contains("SIGKILL"), "{stopped:?}");
    client.finish(SOON).expect_success("the transfer");
    assert!(fs::read(&down).unwrap() == content, "it is whole");
    let code = balancer.run(&["inspect", "-f", "{{.State.ExitCode}}"]);
    assert_eq!(code.stdout.trim(), "0", "{code:?}");
    let said = balancer.log();
    for line in ["stopping: no new sessions", "stopped"] {
        assert!(said.contains(line), "{said}");
    }
}

#[test]
fn without_a_configuration_or_the_right_to_ports_the_container_says_what_to_do() {
    let engine = Engine::new();
    engine.ok(&["load", "-q", "-i", &IMAGE.display().to_string()]);
    let ends = |words: &[&str]| {
        let name = engine.name("once");
        let mut command = engine.command(&["run", "--rm", "--network", "none", "--name", &name]);
        run(command.args(words), SOON)
    };
    let done = ends(&["ftplb"]);
    assert_eq!(done.code(), 78, "{done:?}");
    for way in ["/etc/ftplb/ftplb.toml", "FTPLB_LISTEN and FTPLB_BACKENDS"] {
        assert!(done.stderr.contains(way), "{done:?}");
    }
    let listens = "FTPLB_LISTEN=127.0.0.1:21";
    let backend = "FTPLB_BACKENDS=127.0.0.1:2021";
    let done = ends(&["--cap-drop", "all", "-e", listens, "-e", backend, "ftplb"]);
    assert_eq!(
        done.code(),
        71,
        "it starts, and is told by itself: {done:?}"
    );
    let said = "ports below 1024 need root or CAP_NET_BIND_SERVICE";
    assert!(done.stderr.contains(said), "{done:?}");
    // Nothing in the image could be run but ftplb.
    let done = ends(&["--entrypoint", "/bin/sh", "ftplb"]);
    assert_eq!(done.code(), 127, "{done:?}");
}

#[test]
fn what_compose_mounts_is_there_and_what_it_publishes_is_configured() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy"));
    let text = fs::read_to_string(folder.join("compose.yaml")).unwrap();
    let words = text.split([' ', '"', '\n', ':']);
    let paths: Vec<&str> = words.filter(|word| word.starts_with("./")).collect();
    assert!(paths.len() >= 5, "{paths:?}");
    for path in paths {
        assert!(folder.join(path).exists(), "deploy/compose.yaml: {path}");
    }
    let config = folder.join("compose/ftplb.toml");
    let done = run(
        Command::new(PROGRAM)
            .args(["show-config", "-c"])
            .arg(config),
        SOON,
    );
    let shown = done.expect_success("show-config").stdout;
    let ports = shown.split("passive_ports = \"").nth(1).unwrap();
    let ports = ports.split('"').next().unwrap();
    let published = format!("\"127.0.0.1:{ports}:{ports}\"");
    assert!(text.contains(&published), "{published}");
}

impl Pool {
    /// The balancer on the bridge, with ports of [`OUTSIDE`] that lead to it, configured by its environment.
    fn start_on_bridge(&self) -> Container {
        let last = FIRST + PUBLISHED - 1;
        let control = format!("{OUTSIDE}:21:21");
        let data = format!("{OUTSIDE}:{FIRST}-{last}:{FIRST}-{last}");
        let variables = [
            "FTPLB_LISTEN=0.0.0.0:21".to_owned(),
            format!("FTPLB_BACKENDS={}", self.backends()),
            format!("FTPLB_ADVERTISE={OUTSIDE}"),
            format!("FTPLB_PASSIVE_PORTS={FIRST}-{last}"),
            "FTPLB_ADMIN=127.0.0.1:9121".to_owned(),
            "FTPLB_ALGORITHM=rr".to_owned(),
        ];
        let mut words = vec!["-p", control.as_str(), "-p", &data, "--read-only"];
        words.extend(variables.iter().flat_map(|variable| ["-e", variable]));
        words.push("ftplb");
        self.engine.start("balancer", &words)
    }
}

/// A line of `/proc/PID/status`, of this host's process.
fn of_status(pid: Pid, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = { status.lines() }.find(|line| line.split(':').next() == Some(name));
    let words = line.unwrap().split_whitespace().skip(1);
    words.collect::<Vec<_>>().join(" ")
}

/// Where clients connect: an address of the host.
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Ports that are published for passive data connections.
const PUBLISHED: u16 = 10;
const FIRST: u16 = 30_000;

/// `CAP_NET_BIND_SERVICE`.
const BIND: &str = "0000000000000400";
const NONE: &str = "0000000000000000";
