//! Faults that come together, or at the wrong moment, or for long: what a patient adversary and a bad day
//! have in common. Each was once answered wrongly.

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::process::{Process, SOON, eventually};
use crate::proxy::{PROGRAM, Proxy, Setup, field};
use crate::scripted::{Door, Peer, parse_227, reply_227};
use crate::table::Table;

/// An upload that has begun, and its two connections.
struct Upload {
    client: Peer,
    backend: Peer,
    client_data: Peer,
    backend_data: Peer,
}

impl Upload {
    /// Begins one in a greeted session whose backend is at `ip`.
    #[track_caller]
    fn begin((mut client, mut backend): (Peer, Peer), ip: IpAddr) -> Self {
        let (mut client_data, mut backend_data) = begin_upload(&mut client, &mut backend, ip);
        client_data.send("half");
        assert_eq!(backend_data.read_exact(4), b"half");
        Self {
            client,
            backend,
            client_data,
            backend_data,
        }
    }

    /// The client sends so many commands that ftplb reads no more of them: `forwarded` are.
    #[track_caller]
    fn stop_reading(&mut self, forwarded: usize) {
        self.client.send("NOOP\r\n".repeat(10));
        for _ in 0..forwarded {
            self.backend.hears("NOOP");
        }
        self.backend.is_silent(Duration::from_millis(100));
        // These stay in the kernel: the FIN that follows cannot be read, only heard of.
        self.client.send("NOOP\r\n".repeat(10));
        self.backend.is_silent(Duration::from_millis(100));
    }

    /// The data ended with FIN, and the transfer ends well.
    #[track_caller]
    fn completes(mut self) {
        assert_eq!(self.backend_data.read_to_end(), b"");
        drop((self.backend_data, self.client_data));
        self.backend.say("226 Stored.");
        self.client.hears("226 Stored.");
    }
}

#[track_caller]
fn begin_upload(client: &mut Peer, backend: &mut Peer, ip: IpAddr) -> (Peer, Peer) {
    let door = Door::at(SocketAddr::new(ip, 0));
    client.say("PASV");
    backend.hears("PASV");
    backend.say(&reply_227(door.address()));
    let client_data = Peer::connect(parse_227(&client.reply(227)));
    let backend_data = door.accept();
    client.say("STOR f");
    backend.hears("STOR f");
    backend.say("150 Send it.");
    client.hears("150 Send it.");
    (client_data, backend_data)
}

/// The log lines of `count` transfers have these fields.
#[track_caller]
pub(crate) fn transfers_end(proxy: &Proxy, count: usize, fields: &[(&str, &str)]) {
    let lines = proxy.wait_for_log("transfer ended", count);
    assert_eq!(lines.len(), count, "{lines:?}");
    for line in lines {
        for (name, value) in fields {
            assert_eq!(field(&line, name), *value, "{name} of {line}");
        }
    }
}

fn few_pending_commands(setup: Setup) -> Setup {
    setup.tables("[limits]\npending_commands = 4\n")
}

#[test]
fn decision_5_upload_of_a_client_that_dies_unread_is_cut() {
    let table = Table::with(few_pending_commands);
    let ip = table.door.address().ip();
    for _ in 0..5 {
        let mut upload = Upload::begin(table.another(), ip);
        upload.stop_reading(3);
        drop(upload.client);
        drop(upload.client_data);
        upload.backend_data.is_reset();
    }
}

#[test]
fn decision_5_upload_of_a_client_reset_unread_is_cut() {
    let table = Table::with(few_pending_commands);
    let ip = table.door.address().ip();
    for _ in 0..5 {
        let mut upload = Upload::begin(table.another(), ip);
        upload.stop_reading(3);
        upload.client.reset();
        drop(upload.client_data);
        upload.backend_data.is_reset();
    }
}

#[test]
fn decision_5_end_of_a_long_upload_is_in_doubt_for_longer() {
    let table = Table::greeted();
    let ip = table.door.address().ip();
    let mut upload = Upload::begin((table.client, table.backend), ip);
    let began = Instant::now();
    eventually("the upload has lasted", || began.elapsed() > LONG);
    let ended = Instant::now();
    upload.client_data.finish();
    assert_eq!(upload.backend_data.read_to_end(), b"");
    assert!(ended.elapsed() >= LONG / 16, "{:?}", ended.elapsed());
    upload.completes();
}

/// Much longer than the shortest doubt takes.
const LONG: Duration = Duration::from_millis(1_600);

#[test]
fn decision_5_upload_of_a_client_that_is_only_unread_completes() {
    let table = Table::with(few_pending_commands);
    let ip = table.door.address().ip();
    let mut upload = Upload::begin(table.another(), ip);
    upload.stop_reading(3);
    upload.client_data.finish();
    upload.completes();
}

#[test]
fn uploads_of_two_sessions_that_end_together_complete() {
    let table = Table::with(|setup| setup.tables("[timeouts]\nupload_end = \"50ms\"\n"));
    let ip = table.door.address().ip();
    for round in 1..=5 {
        let mut uploads = [table.another(), table.another()].map(|s| Upload::begin(s, ip));
        for upload in &mut uploads {
            upload.client_data.finish();
        }
        uploads.into_iter().for_each(Upload::completes);
        transfers_end(&table.proxy, 2 * round, &[("cause", "complete")]);
    }
}

#[test]
fn uploads_of_one_session_that_end_together_complete() {
    // The reply to the first goes to the client, after this time, before its data has ended.
    let tables = "[timeouts]\nsettle = \"200ms\"\nupload_end = \"100ms\"\n";
    let mut table = Table::with(|setup| setup.tables(tables));
    table.log_in();
    let ip = table.door.address().ip();
    let mut first = Upload::begin((table.client, table.backend), ip);
    first.backend.say("226 I have seen enough.");
    first.client.hears("226 I have seen enough.");
    let (mut client_data, mut backend_data) =
        begin_upload(&mut first.client, &mut first.backend, ip);
    first.client_data.send("rest");
    client_data.send("whole");
    assert_eq!(first.backend_data.read_exact(4), b"rest");
    assert_eq!(backend_data.read_exact(5), b"whole");
    first.client_data.finish();
    client_data.finish();
    assert_eq!(backend_data.read_to_end(), b"");
    drop((client_data, backend_data));
    // Its 226 is the second's: the first has had its own.
    first.completes();
    let expected = [("verb", "STOR"), ("mode", "passive"), ("cause", "complete")];
    transfers_end(&table.proxy, 2, &expected);
}

#[test]
fn p16_client_leg_of_a_refused_backend_port_is_reset_and_the_backend_is_named() {
    let mut table = Table::logged_in();
    let (address, data) = table.pasv();
    let closed = data.address().to_string();
    drop(data);
    // The reset may come before the client has looked whether it is connected.
    Peer::is_reset_from(Ipv4Addr::UNSPECIFIED.into(), address);
    table.exchange("RETR f", "425 Can't open data connection.");
    let expected = [
        ("verb", "RETR"),
        ("reply", "425"),
        ("side", "backend"),
        ("phase", "dial"),
        ("cause", "dial"),
        ("mode", "passive"),
    ];
    transfers_end(&table.proxy, 1, &expected);
    let message = "cannot connect to the backend's data port";
    let warnings = table.proxy.wait_for_log(message, 1);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    for (name, value) in [("level", "WARN"), ("backend", "b0"), ("to", &closed)] {
        assert_eq!(field(&warnings[0], name), value, "{}", warnings[0]);
    }
    table.works();
}

#[test]
fn p14_lease_that_nobody_came_to_is_the_clients_timeout() {
    let mut table = Table::with(|setup| setup.tables("[timeouts]\ndata_open = \"1s\"\n"));
    table.log_in();
    let (_, _data) = table.pasv();
    table.proxy.wait_for_metric("ftplb_leases_in_use", &[], 1.0);
    table.proxy.wait_for_metric("ftplb_leases_in_use", &[], 0.0);
    table.exchange("RETR f", "425 Nobody there.");
    let expected = [
        ("verb", "RETR"),
        ("reply", "425"),
        ("side", "client"),
        ("phase", "open"),
        ("cause", "timeout"),
        ("mode", "passive"),
    ];
    transfers_end(&table.proxy, 1, &expected);
    table.works();
}

#[test]
fn o5_backend_that_floods_with_telnet_and_reads_nothing_takes_no_memory() {
    let mut table = Table::logged_in();
    let memory = |proxy: &Proxy| proxy.metric("process_resident_memory_bytes", &[]);
    let before = memory(&table.proxy);
    assert!(before > 0.0);
    let line = [b"\xff\xfd\x01".repeat(60), b"\r\n".to_vec()].concat();
    let lines = line.repeat(100);
    let sent = table
        .backend
        .flood(&lines, 20_000_000, Duration::from_secs(2));
    let grown = memory(&table.proxy) - before;
    assert!(grown < 30e6, "{grown} bytes more after {sent} bytes");
    let (mut client, mut backend) = table.another();
    client.say("NOOP");
    backend.hears("NOOP");
    backend.say("200 Zzz.");
    client.hears("200 Zzz.");
}

#[test]
fn log_that_nobody_reads_stops_nothing() {
    let (mut unread, log) = io::pipe().unwrap();
    let door = Door::new();
    let mut proxy = Setup::new(&[door.address()]).start_logging_to(log);
    for _ in 0..600 {
        let mut client = Peer::connect(proxy.address);
        let mut backend = door.accept();
        backend.say("220 Scripted.");
        client.hears("220 Scripted.");
    }
    proxy.wait_for_metric("ftplb_sessions_total", &[], 600.0);
    assert_eq!(proxy.get("/healthz").0, 200);
    let (_, metrics) = proxy.get("/metrics");
    assert!(
        metrics.contains("\nftplb_log_lines_dropped_total "),
        "{metrics}"
    );
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.finish().code(), 0);
    let mut bytes = Vec::new();
    unread.read_to_end(&mut bytes).unwrap();
    // It takes 16 pages. A batch of lines that does not fit behind another begins a page of its own,
    // so that as much as half of them may stay free.
    assert!(bytes.len() > 32 << 10, "not full: {}", bytes.len());
}

#[test]
fn closed_pipe_behind_a_command_is_no_failure() {
    let address = ["--listen", "127.0.0.1:2121", "--backend", "127.0.0.1:2101"];
    for (command, arguments) in [
        ("show-config", address.as_slice()),
        ("check", address.as_slice()),
        ("run", &["--help"]),
    ] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut program = Command::new(PROGRAM);
        program.arg(command).args(arguments).stdin(Stdio::null());
        program.stdout(writer).stderr(Stdio::piped());
        let done = Process::start(&mut program).finish(SOON);
        assert_eq!(done.code(), 0, "{command}: {done:#?}");
        assert!(!done.stderr.contains("panic"), "{command}: {done:#?}");
    }
}

#[test]
fn o2_client_whose_segments_end_in_mid_line_is_not_slow() {
    let mut table = Table::with(|setup| setup.tables("[timeouts]\nline = \"1s\"\n"));
    table.log_in();
    table.client.send("NOO");
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(2_500) {
        table.client.is_silent(Duration::from_millis(250));
        table.client.send("P\r\nNOO");
        table.backend.hears("NOOP");
        table.backend.say("200 Zzz.");
        table.client.hears("200 Zzz.");
    }
    // One that it does not complete is slow.
    table.client.reply(421);
    table.client.is_gone();
}

#[test]
fn o8_half_closed_clients_do_not_delay_the_stop() {
    for is_waiting in [false, true] {
        let mut table = Table::with(|setup| setup.tables("[timeouts]\nsettle = \"2s\"\n"));
        table.log_in();
        if is_waiting {
            table.client.say("NOOP");
            table.backend.hears("NOOP");
        }
        table.client.finish();
        table.backend.is_closed();
        let begin = Instant::now();
        table.proxy.signal(Signal::SIGTERM);
        table.client.reply(421);
        table.client.is_closed();
        assert_eq!(table.proxy.finish().code(), 0);
        let time = begin.elapsed();
        assert!(
            time < Duration::from_secs(8),
            "{time:?}, waiting: {is_waiting}"
        );
    }
}
