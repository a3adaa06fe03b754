//! What the host of ftplb runs out of: descriptors, ports, memory, room for the log. Sessions that stand go on, new ones
//! get a clear answer or wait, and no backend is blamed. docs/reliability.md has the table.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::health::quick;
use crate::netns::{Networks, Place};
use crate::process::{SOON, eventually, run};
use crate::proxy::{Proxy, Setup, field};
use crate::scripted::{Door, Peer};
use crate::servers::{Kind, Server};
use crate::table::Table;

/// No backend was blamed for what ftplb was short of.
#[track_caller]
fn nobody_is_blamed(proxy: &Proxy, backends: f64) {
    proxy.wait_for_metric("ftplb_backend_up", &[], backends);
    let failed = ["result=\"failed\""];
    for (name, labels) in [
        ("ftplb_backend_checks_total", &failed[..]),
        ("ftplb_backend_ejections_total", &[]),
    ] {
        let count = proxy.metric(name, labels);
        assert!(count < 0.5, "{name} is {count}");
    }
}

#[test]
fn without_descriptors_sessions_go_on_and_new_clients_wait() {
    let server = Server::start(Kind::Pyftpdlib);
    let pace = quick("probe = \"greeting\"");
    let proxy = Setup::new(&[server.address])
        .pool(&format!("ejection = false\nhealth = {pace}\n"))
        .after("ulimit -n 40")
        .start();
    let mut client = Peer::log_in(proxy.address, &Place::Host);
    // Connections to the admin address are descriptors too, and they stay without a word.
    let idle: Vec<Peer> = (0..40).map(|_| Peer::connect(proxy.admin)).collect();
    proxy.wait_for_log("a health check could not be made", 1);
    let mut waiting = Peer::connect(proxy.address);
    let lines = proxy.wait_for_log("cannot accept clients, they wait", 1);
    assert_eq!(field(&lines[0], "level"), "ERROR");
    waiting.is_silent(Duration::from_millis(300));
    client.say("PASV");
    client.reply(425);
    client.say("NOOP");
    client.reply(200);
    drop(idle);
    waiting.reply(220);
    let mut data = Peer::connect(client.pasv());
    client.say("LIST");
    client.reply_of(&[125, 150]);
    data.read_to_end();
    client.reply(226);
    nobody_is_blamed(&proxy, 1.0);
    for message in ["cannot accept clients", "a health check could not be made"] {
        let lines = proxy.wait_for_log(message, 1);
        assert!(lines.len() <= 2, "a flood: {lines:#?}");
    }
}

#[test]
fn without_ports_towards_a_backend_the_client_gets_421_and_nobody_is_ejected() {
    let networks = Networks::new();
    let mut narrow = networks.balancer.command("sysctl");
    narrow.args(["-q", "-w", "net.ipv4.ip_local_port_range=40000 40003"]);
    run(&mut narrow, SOON).expect_success("sysctl");
    let addresses = ["10.77.2.11:21", "10.77.2.12:21"].map(|at| at.parse().unwrap());
    let doors = addresses.map(|address| networks.backends.within(|| Door::at(address)));
    let vip: SocketAddr = "10.77.1.100:21".parse().unwrap();
    let proxy = Setup::new(&addresses)
        .at(vip, &networks.balancer)
        .pool("algorithm = \"rr\"\nhealth = false\nejection = { failures = 1 }\n")
        .start();
    let connect = || networks.client.within(|| Peer::connect(vip));
    let greeted = |door: &Door| {
        let mut client = connect();
        let mut backend = door.accept();
        backend.say("220 Scripted.");
        client.reply(220);
        (client, backend)
    };
    // Four ports towards each of the two, which take turns.
    let mut sessions: Vec<_> = (0..8).map(|index| greeted(&doors[index % 2])).collect();
    let mut refused = connect();
    refused.reply(421);
    refused.is_closed();
    let said = proxy.wait_for_log("cannot connect to any backend", 1);
    assert!(said[0].contains("ip_local_port_range"), "{said:#?}");
    let ended = proxy.wait_for_log("session ended", 1);
    assert_eq!(field(&ended[0], "cause"), "no_backend");
    nobody_is_blamed(&proxy, 2.0);
    for (client, backend) in &mut sessions {
        client.say("NOOP");
        backend.hears("NOOP");
        backend.say("200 Zzz.");
        client.reply(200);
    }
    // Whoever closes first keeps the port for a minute: here a backend, and on its own side.
    let (mut client, backend) = sessions.remove(0);
    drop(backend);
    client.reply(421);
    greeted(&doors[0]);
}

#[test]
fn many_sessions_that_flood_stay_within_a_memory_limit() {
    // KiB of private memory, stacks and all. Beyond it the kernel or the allocator would end ftplb.
    let mut table = Table::with(|setup| setup.after("ulimit -d 98304"));
    let sessions: Vec<_> = (0..40).map(|_| table.another()).collect();
    let patience = Duration::from_millis(200);
    thread::scope(|scope| {
        for (mut client, mut backend) in sessions {
            // Neither reads what the other says.
            scope.spawn(move || {
                client.flood(&b"NOOP\r\n".repeat(1_000), 2_000_000, patience);
                backend.flood(&b"200 Zzz.\r\n".repeat(1_000), 2_000_000, patience);
                let long = [vec![b'x'; 4_000], b"\r\n".to_vec()].concat();
                client.flood(&long, 2_000_000, patience);
                (client, backend)
            });
        }
    });
    table.log_in();
    let (mut client_data, mut backend_data) = table.passive_data();
    table.transfer("RETR f");
    backend_data.send(vec![b'x'; 100_000]);
    drop(backend_data);
    assert_eq!(client_data.read_to_end().len(), 100_000);
    assert!(table.proxy.runs());
}

#[test]
fn ftplb_killed_in_a_download_is_a_reset_at_both_ends() {
    // So it is when memory runs out: the kernel kills by the same signal, and the allocator aborts.
    for signal in [Signal::SIGKILL, Signal::SIGABRT] {
        let mut table = Table::with(|setup| setup.after("ulimit -c 0"));
        table.log_in();
        let (mut client_data, mut backend_data) = table.passive_data();
        table.transfer("RETR f");
        backend_data.send("half");
        assert_eq!(client_data.read_exact(4), b"half");
        table.proxy.signal(signal);
        client_data.is_reset();
        backend_data.is_reset();
        table.client.is_gone();
        table.backend.is_gone();
    }
}

/// A disk of 64 KiB, unmounted when dropped.
struct Disk(TempDir);

impl Disk {
    fn new() -> Self {
        let disk = Self(tempfile::tempdir().unwrap());
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64k", "none"]);
        run(mount.arg(disk.path()), SOON).expect_success("mount (needs root)");
        disk
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let mut unmount = Command::new("umount");
        drop(unmount.arg("--lazy").arg(self.path()).status());
    }
}

/// The library tells ftplb another time of day, by the file that is given; the monotonic clock stays.
#[test]
fn clock_that_steps_by_years_ends_nothing() {
    let library = fs::read_dir("/usr/lib").unwrap().flatten();
    let library = library.map(|of| of.path().join("faketime/libfaketimeMT.so.1"));
    let library = { library }.find(|path| path.exists()).expect("faketime");
    let home = tempfile::tempdir().unwrap();
    let clock = home.path().join("clock");
    fs::write(&clock, "+0d\n").unwrap();
    let wears = format!(
        "export LD_PRELOAD={} FAKETIME_TIMESTAMP_FILE={} FAKETIME_NO_CACHE=1 DONT_FAKE_MONOTONIC=1",
        library.display(),
        clock.display()
    );
    let mut table = Table::with(|setup| setup.after(&wears));
    table.log_in();
    for step in ["+400d", "+0d", "-30d", "-3000d"] {
        let (mut client_data, mut backend_data) = table.passive_data();
        table.transfer("RETR f");
        backend_data.send("before, ");
        fs::write(&clock, format!("{step}\n")).unwrap();
        backend_data.send("after");
        drop(backend_data);
        assert_eq!(client_data.read_to_end(), b"before, after");
        drop(client_data);
        table.backend.say("226 Done.");
        table.client.hears("226 Done.");
        table.works();
    }
    let lines = table.proxy.wait_for_log("transfer ended", 4);
    let of_each = |name| lines.iter().map(move |line| field(line, name));
    assert!(
        of_each("cause").all(|cause| cause == "complete"),
        "{lines:?}"
    );
    let times: Vec<_> = of_each("timestamp").collect();
    assert!(
        times.is_sorted_by(|one, next| one > next),
        "the clock has stepped back: {times:?}"
    );
}

#[test]
fn full_disk_under_the_log_stops_nothing_and_lost_lines_are_counted() {
    let disk = Disk::new();
    let (log, ballast) = (disk.path().join("log"), disk.path().join("ballast"));
    let mut filler = File::create(&ballast).unwrap();
    filler.write_all(&vec![0; 48 << 10]).unwrap();
    let door = Door::new();
    let to = OpenOptions::new().create(true).append(true).open(&log);
    let mut proxy = Setup::new(&[door.address()]).start_logging_to(to.unwrap());
    let session = || {
        let mut client = Peer::connect(proxy.address);
        let mut backend = door.accept();
        backend.say("220 Scripted.");
        client.hears("220 Scripted.");
    };
    let lost = || proxy.metric("ftplb_log_lines_dropped_total", &[]);
    eventually("the disk is full", || {
        session();
        lost() > 10.0
    });
    assert_eq!(proxy.get("/healthz").0, 200);
    fs::remove_file(&ballast).unwrap();
    drop(filler);
    let before = fs::metadata(&log).unwrap().len();
    eventually("the log goes on", || {
        session();
        fs::metadata(&log).unwrap().len() > before + 1_000
    });
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.finish().code(), 0);
    let log = fs::read_to_string(&log).unwrap();
    let torn: Vec<&str> = { log.lines() }
        .filter(|line| !(line.starts_with('{') && line.ends_with('}')))
        .collect();
    assert!(torn.len() <= 1, "{torn:#?}");
}

#[test]
fn log_whose_reader_is_gone_stops_nothing() {
    let (reader, log) = io::pipe().unwrap();
    let door = Door::new();
    let mut proxy = Setup::new(&[door.address()]).start_logging_to(log);
    drop(reader);
    for _ in 0..3 {
        let mut client = Peer::connect(proxy.address);
        let mut backend = door.accept();
        backend.say("220 Scripted.");
        client.hears("220 Scripted.");
    }
    eventually("the lines are counted", || {
        proxy.metric("ftplb_log_lines_dropped_total", &[]) > 2.0
    });
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.finish().code(), 0);
}
