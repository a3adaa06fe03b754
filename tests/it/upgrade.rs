//! Upgrades in place: a newer ftplb takes over from one that runs, and nobody notices.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::User;
use tempfile::TempDir;

use crate::clients::{Mode, curl, lftp, noise};
use crate::netns::Place;
use crate::process::{Finished, Process, SOON, eventually, own_address, run};
use crate::proxy::{PROGRAM, Proxy, field};
use crate::scripted::{Door, Peer, parse_227, reply_227};
use crate::servers::{Kind, PASSWORD, Server, USER};

/// An address that several processes serve one after the other, and what they have in common.
struct Scene {
    address: SocketAddr,
    admin: SocketAddr,
    home: TempDir,
    backends: Vec<SocketAddr>,
    /// Lines of the listener, of `[process]`, and more tables.
    listener: String,
    process: String,
    more: String,
}

impl Scene {
    fn before(backends: &[SocketAddr]) -> Self {
        let address = own_address(false, 2121);
        Self {
            address,
            admin: SocketAddr::new(address.ip(), 9121),
            home: tempfile::tempdir().unwrap(),
            backends: backends.to_vec(),
            listener: String::new(),
            process: String::new(),
            more: String::new(),
        }
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    fn toml(&self) -> String {
        let Self {
            address,
            admin,
            listener,
            process,
            more,
            ..
        } = self;
        let (api, handover) = (self.path("api.sock"), self.path("handover.sock"));
        let tables = self.backends.iter();
        let tables = tables.map(|address| format!("[[pool.backend]]\naddress = \"{address}\"\n"));
        format!(
            "[[listener]]\naddress = \"{address}\"\n{listener}\n\
             [[pool]]\nname = \"p\"\nalgorithm = \"rr\"\nhealth = false\nejection = false\n{}\
             [admin]\naddress = \"{admin}\"\napi = \"{api}\"\n\
             [process]\nhandover = \"{handover}\"\n{process}\n\
             [log]\nformat = \"json\"\n{more}\n",
            tables.collect::<String>()
        )
    }

    /// The first process.
    fn start(&self) -> Proxy {
        let proxy = Proxy::with(&self.toml(), self.address, self.admin);
        proxy.wait_until_ready();
        proxy
    }

    /// One that takes over from the one before.
    fn upgrade(&self) -> Proxy {
        let proxy = Proxy::with(&self.toml(), self.address, self.admin);
        proxy.wait_for_log("taken over", 1);
        proxy
    }

    /// One that is expected to fail, with another configuration.
    fn fails(&self, config: &str) -> Finished {
        let file = self.home.path().join("failing.toml");
        fs::write(&file, config).unwrap();
        run(Command::new(PROGRAM).args(["run", "-c"]).arg(file), SOON)
    }
}

/// A session of a scripted backend that has logged in: the client's end and the backend's.
fn log_in(address: SocketAddr, door: &Door) -> (Peer, Peer) {
    let mut client = Peer::connect(address);
    let mut backend = door.accept();
    backend.say("220 Scripted.");
    client.hears("220 Scripted.");
    for (line, reply) in [(USER, "331 Password?"), (PASSWORD, "230 Welcome.")] {
        let verb = if line == USER { "USER" } else { "PASS" };
        exchange(&mut client, &mut backend, &format!("{verb} {line}"), reply);
    }
    (client, backend)
}

#[track_caller]
fn exchange(client: &mut Peer, backend: &mut Peer, line: &str, reply: &str) {
    client.say(line);
    backend.hears(line);
    backend.say(reply);
    client.hears(reply);
}

/// The client's passive port; the backend's is that of `data`.
#[track_caller]
fn pasv(client: &mut Peer, backend: &mut Peer, data: &Door) -> u16 {
    client.say("PASV");
    backend.hears("PASV");
    backend.say(&reply_227(data.address()));
    parse_227(&client.reply(227)).port()
}

#[test]
fn a_mirror_of_hundreds_of_files_and_a_long_upload_lose_nothing_over_two_upgrades() {
    const FILES: u64 = 200;
    let servers = [(); 2].map(|()| Server::start(Kind::Vsftpd));
    let content = |number: u64| noise(1_024 + usize::try_from(number).unwrap() * 300, number);
    let copies = tempfile::tempdir().unwrap();
    for number in 0..FILES {
        for server in &servers {
            server.put(&format!("file{number:03}"), &content(number));
        }
    }
    let scene = Scene::before(&servers.each_ref().map(|server| server.address));
    let (mut newest, mut older) = (scene.start(), Vec::new());
    let mut mirror = mirror(scene.address, copies.path());
    let (upload, file) = (noise(12 << 20, 7), copies.path().join("upload"));
    fs::write(&file, &upload).unwrap();
    let mut uploading = uploading(scene.address, &file);
    let visits = Visits::begin(scene.address);
    for _ in 0..2 {
        let count = || fs::read_dir(copies.path()).unwrap().count();
        let before = count();
        eventually("files are copied", || count() >= before + 20);
        assert!(mirror.ended().is_none(), "the mirror runs all along");
        assert!(uploading.ended().is_none(), "so does the upload");
        let mut left = std::mem::replace(&mut newest, scene.upgrade());
        left.wait_for_log("handed over", 1);
        // The second has none of them, only those of the visits.
        assert!(
            left.runs() || !older.is_empty(),
            "mirror and upload go on in it"
        );
        older.push(left);
    }
    let limit = Duration::from_secs(60);
    uploading.finish(limit).expect_success("curl");
    mirror.finish(limit).expect_success("lftp");
    visits.end();
    for mut process in older {
        assert_eq!(process.finish().code(), 0);
    }
    newest.wait_for_log("the older process has ended", 1);
    for number in 0..FILES {
        let copy = fs::read(copies.path().join(format!("file{number:03}"))).unwrap_or_default();
        assert!(copy == content(number), "file{number:03} differs");
    }
    let stored = { servers.iter() }.map(|server| fs::read(server.path("uploaded")).ok());
    assert!(stored.flatten().eq([upload]), "the upload is whole");
}

/// lftp without a second try for anything.
fn mirror(address: SocketAddr, copies: &Path) -> Process {
    let script = format!(
        "set net:limit-total-rate 500K\nset net:limit-total-max 16K\nset net:connection-limit 3\n\
         set net:max-retries 1\nmirror --exclude upload --parallel=3 . {}\n",
        copies.display()
    );
    let mut command = lftp(&Place::Host, address, Mode::Pasv, &script);
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Process::start(&mut command)
}

/// A file that takes some twelve seconds.
fn uploading(address: SocketAddr, file: &Path) -> Process {
    let to = format!("ftp://{address}/pub/uploaded");
    let login = format!("{USER}:{PASSWORD}");
    let file = file.display().to_string();
    let options = ["--limit-rate", "1M", "-u", &login, "-T", &file, &to];
    let mut command = curl(&Place::Host, &options);
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Process::start(&mut command)
}

/// Clients that come one after the other, as fast as they can.
struct Visits {
    is_over: std::sync::Arc<AtomicBool>,
    visitor: thread::JoinHandle<usize>,
}

impl Visits {
    fn begin(address: SocketAddr) -> Self {
        let is_over = std::sync::Arc::new(AtomicBool::new(false));
        let stop = std::sync::Arc::clone(&is_over);
        let visitor = thread::spawn(move || {
            let mut visits = 0;
            while !stop.load(Ordering::Relaxed) {
                let mut client = Peer::connect(address);
                client.reply(220);
                client.say("QUIT");
                client.reply(221);
                visits += 1;
            }
            visits
        });
        Self { is_over, visitor }
    }

    /// Nobody was refused, and there were some.
    fn end(self) {
        self.is_over.store(true, Ordering::Relaxed);
        assert!(self.visitor.join().unwrap() > 10);
    }
}

#[test]
fn a_session_goes_on_in_the_older_process_and_is_counted_in_the_newer() {
    let door = Door::new();
    let scene = Scene::before(&[door.address()]);
    let mut older = scene.start();
    let (mut client, mut backend) = log_in(scene.address, &door);
    let newer = scene.upgrade();
    newer.wait_for_metric("ftplb_older_process_sessions", &[], 1.0);
    newer.wait_for_metric("ftplb_sessions_before_login", &[], 0.0);
    let status = ["status", "--api", &scene.path("api.sock")];
    let said = run(Command::new(PROGRAM).args(status), SOON).expect_success("status");
    assert!(said.stdout.contains("(sessions=0, older=1)"), "{said:?}");
    exchange(&mut client, &mut backend, "NOOP", "200 Zzz.");
    let (mut other, mut other_backend) = log_in(scene.address, &door);
    exchange(&mut other, &mut other_backend, "NOOP", "200 Zzz.");
    exchange(&mut client, &mut backend, "QUIT", "221 Bye.");
    client.is_closed();
    drop(backend);
    assert_eq!(older.finish().code(), 0);
    newer.wait_for_metric("ftplb_older_process_sessions", &[], 0.0);
    for socket in ["api.sock", "handover.sock"] {
        assert!(Path::new(&scene.path(socket)).exists(), "{socket}");
    }
    exchange(&mut other, &mut other_backend, "NOOP", "200 Zzz.");
}

#[test]
fn a_newer_process_that_fails_leaves_the_older_one_as_it_was() {
    let door = Door::new();
    let scene = Scene::before(&[door.address()]);
    let older = scene.start();
    let (mut client, mut backend) = log_in(scene.address, &door);

    let done = scene.fails("[[listener]]\naddress = \"nowhere\"\n");
    assert_eq!(done.code(), 78, "{done:?}");
    let taken = Door::new();
    let more = format!("[[listener]]\naddress = \"{}\"\n", taken.address());
    let done = scene.fails(&format!("{more}{}", scene.toml()));
    assert_eq!(done.code(), 71, "{done:?}");
    assert!(done.stderr.contains("cannot listen on"), "{done:?}");
    older.wait_for_log("did not come to serve: going on as before", 1);

    let path = scene.path("handover.sock");
    let ask = |line: &str| {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        // What is not understood may be cut off with an error.
        drop(stream.read_to_string(&mut answer));
        answer
    };
    assert_eq!(ask("GET / HTTP/1.1\r\n\r\n"), "");
    let who = "\"who\":{\"version\":\"9.9.9\",\"pid\":1}";
    let refusal = ask(&format!("{{\"ask\":{{\"protocol\":99,{who}}}}}\n"));
    assert!(refusal.contains("and was asked by 99"), "{refusal}");
    older.wait_for_metric("ftplb_handovers_failed_total", &[], 2.0);

    exchange(&mut client, &mut backend, "NOOP", "200 Zzz.");
    log_in(scene.address, &door);
    let newer = scene.upgrade();
    newer.wait_for_metric("ftplb_older_process_sessions", &[], 1.0);
}

#[test]
fn the_older_process_ends_at_its_deadline() {
    let door = Door::new();
    let mut scene = Scene::before(&[door.address()]);
    scene.more = "[timeouts]\nupgrade = \"2s\"\ndrain = \"300ms\"\ndrain_idle = \"7d\"\n".into();
    let mut older = scene.start();
    let (mut idle, mut idle_backend) = log_in(scene.address, &door);
    let (mut client, mut backend) = log_in(scene.address, &door);
    let data = Door::at(SocketAddr::new(door.address().ip(), 0));
    let port = pasv(&mut client, &mut backend, &data);
    let mut leg = Peer::connect(SocketAddr::new(scene.address.ip(), port));
    let mut backend_leg = data.accept();
    exchange(&mut client, &mut backend, "STOR f", "150 Go on.");
    leg.send("half");
    assert_eq!(backend_leg.read_exact(4), b"half");
    let newer = scene.upgrade();
    idle.reply(421);
    idle.is_closed();
    idle_backend.is_gone();
    backend_leg.is_reset();
    client.reply(421);
    assert_eq!(older.finish().code(), 0);
    newer.wait_for_log("the older process has ended", 1);
}

#[test]
fn a_second_order_ends_the_older_process_before_its_deadline() {
    let door = Door::new();
    let scene = Scene::before(&[door.address()]);
    let mut older = scene.start();
    let (mut client, _backend) = log_in(scene.address, &door);
    let _newer = scene.upgrade();
    older.wait_for_log("handed over", 1);
    older.signal(Signal::SIGTERM);
    client.reply(421);
    client.is_closed();
    assert_eq!(older.finish().code(), 0);
    log_in(scene.address, &door);
}

#[test]
fn p6_p11_two_processes_do_not_lease_the_same_port_to_a_client() {
    let door = Door::new();
    let mut scene = Scene::before(&[door.address()]);
    scene.listener = "passive_ports = \"10000-10002\"".into();
    let _older = scene.start();
    let data = Door::at(SocketAddr::new(door.address().ip(), 0));
    let (mut client, mut backend) = log_in(scene.address, &door);
    let given_up = pasv(&mut client, &mut backend, &data);
    exchange(&mut client, &mut backend, "QUIT", "221 Bye.");
    client.is_closed();
    drop(backend);
    let (mut client, mut backend) = log_in(scene.address, &door);
    let held = pasv(&mut client, &mut backend, &data);
    let newer = scene.upgrade();
    newer.wait_for_metric("ftplb_older_process_sessions", &[], 1.0);
    let (mut other, mut other_backend) = log_in(scene.address, &door);
    let free = pasv(&mut other, &mut other_backend, &data);
    assert!(
        ![given_up, held].contains(&free),
        "{given_up} {held} {free}"
    );
    let (mut third, _third_backend) = log_in(scene.address, &door);
    third.say("PASV");
    third.reply(425);
    // Both processes keep their promise.
    for port in [held, free] {
        Peer::connect(SocketAddr::new(scene.address.ip(), port));
        data.accept();
    }
}

#[test]
fn an_older_process_in_its_sandbox_hands_port_21_to_a_newer_one() {
    let user = User::from_name("daemon").unwrap().expect("the user exists");
    let door = Door::new();
    let mut scene = Scene::before(&[door.address()]);
    scene.address.set_port(21);
    scene.process = "user = \"daemon\"\nprivileged_ports = false".into();
    let owner = (Some(user.uid.as_raw()), Some(user.gid.as_raw()));
    chown(scene.home.path(), owner.0, owner.1).unwrap();
    let mut older = scene.start();
    let newer = scene.upgrade();
    assert_eq!(older.finish().code(), 0);
    let line = newer.wait_for_log("privileges given up", 1).remove(0);
    assert_eq!(field(&line, "user"), "daemon");
    log_in(scene.address, &door);
    let newest = scene.upgrade();
    drop(newer);
    log_in(scene.address, &door);
    drop(newest);
}

#[test]
fn a_process_of_another_user_gets_nothing() {
    let door = Door::new();
    let scene = Scene::before(&[door.address()]);
    let older = scene.start();
    fs::write(scene.home.path().join("c.toml"), scene.toml()).unwrap();
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", "daemon", "--regid", "daemon", "--clear-groups"])
        .args([PROGRAM, "run", "-c", &scene.path("c.toml")]);
    // The directory may be looked into, so that it is the socket that refuses.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(scene.home.path(), open).unwrap();
    let done = run(&mut command, SOON);
    assert_eq!(done.code(), 71, "{done:?}");
    assert!(
        done.stderr.contains("a process of another user answers"),
        "{done:?}"
    );
    assert!(!older.log().contains("handed over"));
    drop(TcpStream::connect(scene.address).unwrap());
}
