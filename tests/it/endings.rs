//! How sessions and transfers end, and that both ends, logs and metrics learn the truth about it.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::clients::{curl, noise};
use crate::netns::Place;
use crate::process::{Process, SOON, eventually};
use crate::proxy::{Proxy, Setup, field};
use crate::scripted::Peer;
use crate::servers::{Kind, PASSWORD, Server};
use crate::table::Table;

#[test]
fn backend_killed_in_a_download_is_a_failure_at_the_client() {
    let mut server = Server::start(Kind::Vsftpd);
    server.put_sparse("big.bin", 300 << 20);
    let proxy = Proxy::before(&[server.address]);
    let directory = tempfile::tempdir().unwrap();
    let mut command = curl(&Place::Host, &["--limit-rate", "5M", "-o", "big.bin"]);
    command
        .arg(format!("ftp://{}/pub/big.bin", proxy.address))
        .current_dir(directory.path());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut client = Process::start(&mut command);
    let has_begun =
        || fs::metadata(directory.path().join("big.bin")).is_ok_and(|file| file.len() > 0);
    eventually("the download begins", has_begun);
    server.kill();
    let done = client.finish(SOON);
    assert_ne!(done.code(), 0, "{done:?}");
}

#[test]
fn ftplb_killed_in_an_upload_is_a_reset_at_the_backend() {
    let mut table = Table::logged_in();
    let (mut client_data, mut backend_data) = table.passive_data();
    table.transfer("STOR f");
    client_data.send("half");
    assert_eq!(backend_data.read_exact(4), b"half");
    table.proxy.signal(Signal::SIGKILL);
    backend_data.is_reset();
    client_data.is_reset();
}

#[test]
fn transfer_on_which_nothing_moves_is_reset_on_both_sides() {
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
    table.works();
}

#[test]
fn r13_226_comes_after_the_clients_last_byte() {
    let mut table = Table::logged_in();
    let (mut client_data, mut backend_data) = table.passive_data();
    table.transfer("RETR f");
    let content = noise(24 << 20, 3);
    std::thread::scope(|scope| {
        let sent = scope.spawn(|| {
            backend_data.send(&content);
            drop(backend_data);
        });
        // Far more than all buffers take: the backend cannot have closed yet, but speaks too early.
        table.backend.say("226 Done.");
        table.client.is_silent(Duration::from_millis(300));
        assert!(client_data.read_to_end() == content);
        sent.join().unwrap();
    });
    table.client.hears("226 Done.");
}

#[test]
fn s7_empty_transfers_cross() {
    let mut table = Table::logged_in();
    let (client_data, mut backend_data) = table.passive_data();
    drop(client_data);
    table.transfer("STOR empty");
    backend_data.is_closed();
    drop(backend_data);
    table.backend.say("226 Stored.");
    table.client.reply(226);
    let (mut client_data, backend_data) = table.passive_data();
    table.transfer("RETR empty");
    drop(backend_data);
    client_data.is_closed();
    table.backend.say("226 Sent.");
    table.client.reply(226);
}

#[test]
fn s13_reply_of_an_upload_follows_the_clients_half_close() {
    let mut table = Table::logged_in();
    let (mut client_data, mut backend_data) = table.passive_data();
    table.transfer("STOR f");
    client_data.send("whole");
    client_data.finish();
    assert_eq!(backend_data.read_to_end(), b"whole");
    table.client.finish();
    table.backend.is_closed();
    drop((client_data, backend_data));
    table.backend.say("226 Stored.");
    drop(table.backend);
    table.client.reply(226);
    table.client.is_closed();
}

#[test]
fn upload_whose_client_is_gone_first_is_cut() {
    let mut table = Table::logged_in();
    let (mut client_data, mut backend_data) = table.passive_data();
    table.transfer("STOR f");
    client_data.send("half");
    assert_eq!(backend_data.read_exact(4), b"half");
    // What the kernel sends for a killed client: FIN on its sockets in their order.
    drop(table.client);
    table.backend.is_closed();
    drop(client_data);
    backend_data.is_reset();
}

#[test]
fn client_killed_in_an_upload_is_no_success_at_the_backend() {
    let server = Server::start(Kind::Vsftpd);
    // A busy host takes its time over a death, and closes the data first.
    let proxy = Setup::new(&[server.address])
        .tables("[timeouts]\nupload_end = \"300ms\"\n")
        .start();
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("big.bin");
    fs::File::create(&source)
        .unwrap()
        .set_len(300 << 20)
        .unwrap();
    let mut command = curl(&Place::Host, &["--limit-rate", "2M", "-T", "big.bin"]);
    command.arg(format!("ftp://{}/pub/big.bin", proxy.address));
    command.current_dir(directory.path());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut client = Process::start(&mut command);
    eventually("the upload begins", || server.size("big.bin") > 0);
    client.kill();
    proxy.wait_for_log("session ended", 1);
    eventually("vsftpd has ended it", || server.log().contains("UPLOAD:"));
    let log = server.log();
    assert!(log.contains("FAIL UPLOAD:"), "{log}");
    assert!(!log.contains("\"226"), "{log}");
}

#[test]
fn endings_bytes_and_names_are_in_metrics_and_logs() {
    let mut table = Table::logged_in();
    let (mut client_data, mut backend_data) = table.passive_data();
    table.transfer("RETR f");
    backend_data.send([b'x'; 12_345]);
    drop(backend_data);
    assert_eq!(client_data.read_to_end().len(), 12_345);
    drop(client_data);
    table.backend.say("226 Done.");
    table.client.reply(226);
    let (mut client_data, mut backend_data) = table.passive_data();
    table.transfer("STOR f");
    client_data.send([b'x'; 321]);
    backend_data.read_exact(321);
    client_data.reset();
    backend_data.is_reset();
    table.backend.say("426 Cut.");
    table.client.reply(426);
    table.exchange("QUIT", "221 Bye.");
    drop((table.client, table.backend));
    are_counted(&table.proxy);
    are_logged(&table.proxy);
}

/// The download and the cut upload above, in the metrics.
fn are_counted(proxy: &Proxy) {
    let labels = ["pool=\"p\"", "backend=\"b0\""];
    proxy.wait_for_metric("ftplb_sessions_total", &["cause=\"complete\""], 1.0);
    proxy.wait_for_metric("ftplb_sessions_total", &[], 1.0);
    let cut = ["side=\"client\"", "phase=\"transfer\"", "cause=\"reset\""];
    proxy.wait_for_metric("ftplb_transfers_total", &cut, 1.0);
    proxy.wait_for_metric("ftplb_transfers_total", &["cause=\"complete\""], 1.0);
    proxy.wait_for_metric("ftplb_transfers_total", &[], 2.0);
    let bytes = |direction| [labels[0], labels[1], direction];
    let name = "ftplb_transfer_bytes_total";
    proxy.wait_for_metric(name, &bytes("direction=\"to_client\""), 12_345.0);
    proxy.wait_for_metric(name, &bytes("direction=\"to_backend\""), 321.0);
    proxy.wait_for_metric("ftplb_leases_in_use", &[], 0.0);
}

/// The same in the log.
fn are_logged(proxy: &Proxy) {
    let transfers = proxy.wait_for_log("transfer ended", 2);
    let [download, upload] = &transfers[..] else {
        panic!("not two: {transfers:?}");
    };
    let expected = [
        ("verb", "RETR"),
        ("to_client_bytes", "12345"),
        ("cause", "complete"),
    ];
    for (name, value) in expected {
        assert_eq!(field(download, name), value, "{name} of {download}");
    }
    let expected = [
        ("verb", "STOR"),
        ("to_backend_bytes", "321"),
        ("cause", "reset"),
    ];
    for (name, value) in expected
        .into_iter()
        .chain([("side", "client"), ("phase", "transfer")])
    {
        assert_eq!(field(upload, name), value, "{name} of {upload}");
    }
    let sessions = proxy.wait_for_log("session ended", 1);
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    for (name, value) in [("backend", "b0"), ("user", "ftp"), ("cause", "complete")] {
        assert_eq!(
            field(&sessions[0], name),
            value,
            "{name} of {}",
            sessions[0]
        );
    }
    assert!(
        field(&sessions[0], "client").starts_with("127.0.0.1"),
        "{}",
        sessions[0]
    );
}

#[test]
fn why_a_client_left_is_in_the_log() {
    // What it wanted and did not get: a closed passive range, and TLS, are seen at the client only.
    let mut table = Table::greeted();
    table.refuses("AUTH TLS\r\n", 502);
    table.log_in();
    let (port, _data) = table.pasv();
    drop((table.client, table.backend));
    let ended = table.proxy.wait_for_log("session ended", 1);
    assert_eq!(field(&ended[0], "unused_ports"), "1", "{}", ended[0]);
    let unused = table.proxy.wait_for_log("a passive port was not used", 1);
    assert_eq!(field(&unused[0], "port"), port.to_string());
    let refused = table.proxy.wait_for_log("client asked for TLS", 1);
    assert_eq!(field(&refused[0], "session"), field(&ended[0], "session"));
}

#[test]
fn passwords_are_never_logged() {
    let mut table = Table::logged_in();
    // Also where they do not belong: a typing error, and a command that is refused.
    table.exchange(&format!("pass {PASSWORD}"), "503 Already.");
    table.exchange(&format!("ACCT {PASSWORD}"), "202 No need.");
    table.refuses(format!("PASS {PASSWORD}\0\r\n"), 501);
    table.refuses(format!("PASS {}{PASSWORD}\r\n", "x".repeat(5_000)), 500);
    table.exchange("QUIT", "221 Bye.");
    drop((table.client, table.backend));
    table.proxy.wait_for_log("session ended", 1);
    let log = table.proxy.log();
    assert!(!log.contains(PASSWORD), "{log}");
}

#[test]
fn real_session_leaves_no_password_in_the_log() {
    let server = Server::start(Kind::Pyftpdlib);
    let proxy = Proxy::before(&[server.address]);
    drop(Peer::log_in(proxy.address, &Place::Host));
    proxy.wait_for_log("session ended", 1);
    assert!(!proxy.log().contains(PASSWORD), "{}", proxy.log());
}

#[test]
fn metrics_are_accepted_by_their_readers() {
    let mut table = Table::logged_in();
    let (client_data, backend_data) = table.passive_data();
    table.transfer("RETR empty");
    drop((client_data, backend_data));
    table.backend.say("226 Sent.");
    table.client.reply(226);
    table.exchange("QUIT", "221 Bye.");
    drop((table.client, table.backend));
    table
        .proxy
        .wait_for_metric("ftplb_sessions_total", &[], 1.0);
    let (status, body) = table.proxy.get("/metrics");
    assert_eq!(status, 200);
    for line in body
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let (_, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
    for name in [
        "ftplb_sessions_total",
        "ftplb_transfers_total",
        "ftplb_backend_up",
    ] {
        assert!(
            body.contains(&format!("# TYPE {name} ")),
            "{name} is not described: {body}"
        );
    }
}

#[test]
fn what_is_wrong_with_a_backend_is_counted_always_and_said_once() {
    let mut table = Table::logged_in();
    let bad_ip = "425 Security: Bad IP connecting.";
    table.exchange("RETR f", bad_ip);
    table.exchange("RETR g", bad_ip);
    let (mut client, mut backend) = table.another();
    for (line, reply) in [("USER u", "230 In."), ("LIST", bad_ip)] {
        client.say(line);
        backend.hears(line);
        backend.say(reply);
        client.hears(reply);
    }
    let labels = ["diagnosis=\"data_address_refused\""];
    table
        .proxy
        .wait_for_metric("ftplb_backend_diagnoses_total", &labels, 2.0);
    let said = table.proxy.wait_for_log("refuses data connections", 1);
    assert_eq!(said.len(), 1, "{said:#?}");
    assert_eq!(field(&said[0], "level"), "WARN");
    assert_eq!(field(&said[0], "diagnosis"), "data_address_refused");
    assert!(said[0].contains("pasv_promiscuous"), "{said:#?}");
}
