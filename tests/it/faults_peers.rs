//! Backends and clients that are killed, freeze, or reset in mid-transfer: what either end sees, how soon, and what
//! the log says of it. docs/reliability.md has the table.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::clients::curl;
use crate::faults::transfers_end;
use crate::netns::Place;
use crate::process::{Process, SOON, eventually};
use crate::proxy::{Proxy, Setup, field};
use crate::scripted::{Door, Peer};
use crate::servers::{Kind, Server};
use crate::table::Table;

/// The one session that has ended did so by these.
#[track_caller]
fn session_ends(proxy: &Proxy, side: &str, cause: &str) {
    let line = &proxy.wait_for_log("session ended", 1)[0];
    let is = ["side", "cause"].map(|name| field(line, name));
    assert_eq!(is, [side, cause], "{line}");
}

/// A curl in `directory` that moves a file of 300 MiB, slowly.
fn slow_curl(proxy: &Proxy, directory: &Path, options: &[&str]) -> Process {
    let mut command = curl(&Place::Host, &["--limit-rate", "5M"]);
    let url = format!("ftp://{}/pub/big.bin", proxy.address);
    command.args(options).arg(url).current_dir(directory);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Process::start(&mut command)
}

fn sparse_file(path: &Path) {
    fs::File::create(path).unwrap().set_len(300 << 20).unwrap();
}

#[test]
fn backend_killed_in_an_upload_is_a_failure_at_the_client() {
    let mut server = Server::start(Kind::Vsftpd);
    let proxy = Proxy::before(&[server.address]);
    let directory = tempfile::tempdir().unwrap();
    sparse_file(&directory.path().join("big.bin"));
    let mut client = slow_curl(&proxy, directory.path(), &["-T", "big.bin"]);
    eventually("the upload begins", || server.size("big.bin") > 0);
    server.kill();
    assert_ne!(client.finish(SOON).code(), 0);
    transfers_end(&proxy, 1, &[("side", "backend"), ("verb", "STOR")]);
}

#[test]
fn client_killed_in_a_download_is_a_failure_at_the_backend() {
    let server = Server::start(Kind::Vsftpd);
    server.put_sparse("big.bin", 300 << 20);
    let proxy = Proxy::before(&[server.address]);
    let directory = tempfile::tempdir().unwrap();
    let local = directory.path().join("big.bin");
    let mut client = slow_curl(&proxy, directory.path(), &["-o", "big.bin"]);
    eventually("the download begins", || {
        fs::metadata(&local).is_ok_and(|file| file.len() > 0)
    });
    client.kill();
    transfers_end(&proxy, 1, &[("side", "client"), ("verb", "RETR")]);
    eventually("vsftpd has ended it", || server.log().contains("DOWNLOAD:"));
    let log = server.log();
    assert!(log.contains("FAIL DOWNLOAD:"), "{log}");
}

#[test]
fn backend_that_freezes_between_commands_is_left_in_time() {
    let mut table = Table::with(|setup| setup.tables("[timeouts]\nreply = \"1s\"\n"));
    table.log_in();
    table.client.say("SIZE f");
    table.backend.hears("SIZE f");
    let begin = Instant::now();
    table.client.reply(421);
    table.client.is_closed();
    assert!(begin.elapsed() >= Duration::from_millis(900));
    table.backend.is_gone();
    session_ends(&table.proxy, "backend", "no_reply");
}

#[test]
fn backend_that_freezes_in_a_download_is_cut_at_both_ends() {
    let mut server = Server::start(Kind::Pyftpdlib);
    server.put_sparse("big.bin", 300 << 20);
    let proxy = Setup::new(&[server.address])
        .tables("[timeouts]\ndata_idle = \"1s\"\nreply = \"1s\"\n")
        .start();
    let mut client = Peer::log_in(proxy.address, &Place::Host);
    let mut data = Peer::connect(client.pasv());
    client.say("RETR big.bin");
    client.reply_of(&[125, 150]);
    data.read_exact(1 << 20);
    server.signal(Signal::SIGSTOP);
    data.is_reset();
    client.reply(421);
    client.is_closed();
    let expected = [
        ("side", "backend"),
        ("phase", "transfer"),
        ("cause", "idle"),
    ];
    transfers_end(&proxy, 1, &expected);
    session_ends(&proxy, "backend", "no_reply");
    server.signal(Signal::SIGCONT);
    Peer::log_in(proxy.address, &Place::Host);
}

#[test]
fn client_that_freezes_in_a_download_is_cut_at_both_ends() {
    let mut table = Table::with(|setup| setup.tables("[timeouts]\ndata_idle = \"1s\"\n"));
    table.log_in();
    let (mut client_data, mut backend_data) = table.passive_data();
    table.transfer("RETR f");
    // More than all buffers on the way take.
    let patience = Duration::from_millis(100);
    let sent = backend_data.flood(&[b'x'; 1 << 14], 1 << 30, patience);
    assert!(sent < 1 << 30, "the client must not have read");
    backend_data.is_reset();
    client_data.is_reset();
    let expected = [("side", "client"), ("phase", "transfer"), ("cause", "idle")];
    table.backend.say("426 Cut.");
    table.client.reply(426);
    transfers_end(&table.proxy, 1, &expected);
    table.works();
}

#[test]
fn client_that_freezes_in_an_upload_is_cut_at_both_ends() {
    let mut table = Table::with(|setup| setup.tables("[timeouts]\ndata_idle = \"1s\"\n"));
    table.log_in();
    let (mut client_data, mut backend_data) = table.passive_data();
    table.transfer("STOR f");
    client_data.send("half");
    assert_eq!(backend_data.read_exact(4), b"half");
    backend_data.is_reset();
    client_data.is_reset();
    table.backend.say("426 Cut.");
    table.client.reply(426);
    let expected = [("side", "client"), ("phase", "transfer"), ("cause", "idle")];
    transfers_end(&table.proxy, 1, &expected);
}

#[test]
fn backend_that_freezes_in_an_upload_is_cut_at_both_ends() {
    let mut table = Table::with(|setup| setup.tables("[timeouts]\ndata_idle = \"1s\"\n"));
    table.log_in();
    let (mut client_data, mut backend_data) = table.passive_data();
    table.transfer("STOR f");
    let patience = Duration::from_millis(100);
    let sent = client_data.flood(&[b'x'; 1 << 14], 1 << 30, patience);
    assert!(sent < 1 << 30, "the backend must not have read");
    client_data.is_reset();
    backend_data.is_reset();
    table.backend.say("426 Cut.");
    table.client.reply(426);
    let expected = [
        ("side", "backend"),
        ("phase", "transfer"),
        ("cause", "idle"),
    ];
    transfers_end(&table.proxy, 1, &expected);
}

#[test]
fn backend_that_resets_an_upload_is_a_reset_at_the_client() {
    let mut table = Table::logged_in();
    let (mut client_data, mut backend_data) = table.passive_data();
    table.transfer("STOR f");
    client_data.send("half");
    assert_eq!(backend_data.read_exact(4), b"half");
    backend_data.reset();
    client_data.is_reset();
    table.backend.say("426 Cut.");
    table.client.hears("426 Cut.");
    let expected = [
        ("side", "backend"),
        ("phase", "transfer"),
        ("cause", "reset"),
        ("reply", "426"),
    ];
    transfers_end(&table.proxy, 1, &expected);
    table.works();
}

#[test]
fn backend_whose_process_dies_resets_control_and_data() {
    let mut table = Table::logged_in();
    let (mut client_data, mut backend_data) = table.passive_data();
    table.transfer("RETR f");
    backend_data.send("half");
    assert_eq!(client_data.read_exact(4), b"half");
    backend_data.reset();
    table.backend.reset();
    client_data.is_reset();
    table.client.reply(421);
    table.client.is_closed();
    session_ends(&table.proxy, "backend", "reset");
    transfers_end(&table.proxy, 1, &[("side", "backend"), ("cause", "reset")]);
}

#[test]
fn backend_that_greets_slowly_is_waited_for() {
    let table = Table::with(|setup| setup.tables("[timeouts]\ngreeting = \"3s\"\n"));
    let mut client = Peer::connect(table.proxy.address);
    let mut backend = table.door.accept();
    client.is_silent(Duration::from_millis(500));
    backend.send("220-Slow");
    client.is_silent(Duration::from_millis(500));
    backend.send("ly.\r\n220 At last.\r\n");
    client.hears("220-Slowly.");
    client.hears("220 At last.");
}

#[test]
fn backend_that_stops_in_mid_greeting_is_left_in_time() {
    let table = Table::with(|setup| setup.tables("[timeouts]\ngreeting = \"1s\"\n"));
    let mut client = Peer::connect(table.proxy.address);
    let mut backend = table.door.accept();
    backend.say("220-Welcome");
    client.hears("220-Welcome");
    client.reply(421);
    client.is_closed();
    backend.is_gone();
    session_ends(&table.proxy, "backend", "timeout");
}

#[test]
fn clients_that_freeze_do_not_slow_down_the_others() {
    let mut table = Table::logged_in();
    let frozen: Vec<_> = (0..20).map(|_| table.another()).collect();
    let patience = Duration::from_millis(100);
    thread::scope(|scope| {
        for (_client, mut backend) in frozen {
            scope.spawn(move || {
                backend.flood(&b"211-x\r\n".repeat(1_000), 4_000_000, patience);
                drop(backend);
            });
        }
        let begin = Instant::now();
        for _ in 0..20 {
            table.works();
        }
        assert!(begin.elapsed() < SOON / 10, "{:?}", begin.elapsed());
    });
}

#[test]
fn client_that_freezes_between_commands_is_left_in_time() {
    let mut table = Table::with(|setup| setup.tables("[timeouts]\nidle = \"1s\"\n"));
    table.log_in();
    let begin = Instant::now();
    table.client.reply(421);
    table.client.is_closed();
    assert!(begin.elapsed() >= Duration::from_millis(900));
    table.backend.is_gone();
    session_ends(&table.proxy, "client", "idle");
}

#[test]
fn backend_that_drops_connections_is_passed_over() {
    let [dropping, good] = [Door::new(), Door::new()];
    // As long as its backlog is full, further connections hang.
    dropping.set_backlog(0);
    let _waiting = TcpStream::connect(dropping.address()).unwrap();
    let proxy = Setup::new(&[dropping.address(), good.address()])
        .tables("[timeouts]\nconnect = \"300ms\"\n")
        .start();
    for _ in 0..2 {
        let mut client = Peer::connect(proxy.address);
        good.accept().say("220 Good.");
        client.hears("220 Good.");
    }
    let said = proxy.wait_for_log("backend did not take a session", 1);
    assert_eq!(field(&said[0], "backend"), "b0");
}

#[test]
fn frozen_ftplb_serves_what_came_meanwhile() {
    // Long enough for a busy host to come as far as the stop, and to answer after it.
    let deadline = Duration::from_secs(4);
    let timeouts =
        ["idle", "reply", "data_idle", "greeting"].map(|key| format!("{key} = \"4s\"\n"));
    let tables = format!("[timeouts]\n{}", timeouts.concat());
    let mut table = Table::with(|setup| setup.tables(&tables));
    let begin = Instant::now();
    table.log_in();
    let (mut client_data, mut backend_data) = table.passive_data();
    table.transfer("RETR f");
    let log_in = |(mut client, mut backend): (Peer, Peer)| {
        client.say("USER u");
        backend.hears("USER u");
        backend.say("230 In.");
        client.hears("230 In.");
        (client, backend)
    };
    let (mut asking, mut asked) = log_in(table.another());
    let (mut answered, mut answering) = log_in(table.another());
    answered.say("SIZE f");
    answering.hears("SIZE f");
    let mut greeted = Peer::connect(table.proxy.address);
    let mut greeting = table.door.accept();
    table.proxy.signal(Signal::SIGSTOP);
    assert!(begin.elapsed() < deadline, "this host is too slow to tell");
    asking.say("NOOP");
    answering.say("213 7");
    greeting.say("220 Welcome.");
    backend_data.send("half");
    // Longer than each of the deadlines.
    thread::sleep(deadline + Duration::from_millis(200));
    table.proxy.signal(Signal::SIGCONT);
    asked.hears("NOOP");
    asked.say("200 Zzz.");
    asking.hears("200 Zzz.");
    answered.hears("213 7");
    greeted.hears("220 Welcome.");
    assert_eq!(client_data.read_exact(4), b"half");
    drop(backend_data);
    client_data.is_closed();
}

#[test]
fn frozen_peers_do_not_delay_the_stop() {
    let mut table = Table::with(|setup| setup.tables("[timeouts]\ndrain = \"1s\"\n"));
    table.log_in();
    let (client_data, mut backend_data) = table.passive_data();
    table.transfer("RETR f");
    let patience = Duration::from_millis(100);
    backend_data.flood(&[b'x'; 1 << 14], 1 << 30, patience);
    let (client, mut backend) = table.another();
    backend.flood(&b"211-x\r\n".repeat(1_000), 1 << 30, patience);
    let begin = Instant::now();
    table.proxy.signal(Signal::SIGTERM);
    assert_eq!(table.proxy.finish().code(), 0);
    assert!(
        begin.elapsed() < Duration::from_secs(8),
        "{:?}",
        begin.elapsed()
    );
    drop((client_data, client));
}
