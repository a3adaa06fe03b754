//! What ftplb takes for a data address, servers and clients take for the same, or ftplb refuses it (A1, A2,
//! P1, P3); and what it relays of replies, Python's ftplib cuts into the same ones (R3, R10).

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, SocketAddrV4};
use std::process::Command;

use ftplb::ftp::endpoint;
use ftplb::ftp::line::{Frame, Framer};
use ftplb::ftp::reply::{Place, Replies};

use crate::differential::Dice;
use crate::netns::Place as Host;
use crate::process::{SOON, run};
use crate::proxy::Proxy;
use crate::scripted::{Door, Peer};
use crate::servers::{Kind, Server};

#[test]
fn vsftpd_dials_whom_ftplb_takes_a_client_to_name() {
    dials_the_same(Kind::Vsftpd);
}

#[test]
fn pyftpdlib_dials_whom_ftplb_takes_a_client_to_name() {
    dials_the_same(Kind::Pyftpdlib);
}

#[test]
fn proftpd_dials_whom_ftplb_takes_a_client_to_name() {
    dials_the_same(Kind::Proftpd);
}

/// Each of these makes this server dial the client's port, and is refused by ftplb: another reads another
/// address in it, or none.
#[test]
fn texts_that_a_server_misreads_are_refused() {
    let cases = [
        (Kind::Vsftpd, "PORT 4294967423,0,0,1,HIGH,LOW"),
        (Kind::Vsftpd, "PORT 127,0,0,1,HIGH,LOWx"),
        (Kind::Proftpd, "PORT +127,0,0,1,HIGH,LOW"),
        (Kind::Pyftpdlib, "PORT 127,0,0,1,0,NUMBER"),
        (Kind::Pyftpdlib, "PORT 1_27,0,0,1,HIGH, LOW"),
        (Kind::Pyftpdlib, "EPRT |1|127.0.0.1|+NUMBER|"),
    ];
    for kind in [Kind::Proftpd, Kind::Pyftpdlib, Kind::Vsftpd] {
        let server = Server::start(kind);
        for (_, text) in cases.iter().filter(|case| case.0 == kind) {
            let door = Door::at("127.0.0.1:0".parse().unwrap());
            let text = filled(text, door.address());
            assert_eq!(endpoint_of(&text), None, "{text}");
            let mut control = Peer::log_in(server.address, &Host::Host);
            control.say(&text);
            assert_eq!(control.reply_of(&[200]), 200, "{kind:?}: {text}");
            list(&mut control, &door);
        }
    }
}

/// Asks a server for a data connection by each text, and through ftplb.
fn dials_the_same(kind: Kind) {
    let server = Server::start(kind);
    let proxy = Proxy::before(&[server.address]);
    let mut taken = 0;
    for text in texts() {
        let door = Door::at("127.0.0.1:0".parse().unwrap());
        let text = filled(&text, door.address());
        let endpoint = endpoint_of(&text);
        let mut through = Peer::log_in(proxy.address, &Host::Host);
        through.say(&text);
        let Some(endpoint) = endpoint.filter(|endpoint| may_be_dialled(*endpoint)) else {
            through.reply_of(&[501, 504, 522]);
            continue;
        };
        through.reply(200);
        let door = if endpoint == door.address() {
            door
        } else {
            Door::at(endpoint)
        };
        list(&mut through, &door);
        let mut direct = Peer::log_in(server.address, &Host::Host);
        direct.say(&text);
        if direct.any_reply().starts_with('2') {
            list(&mut direct, &door);
            taken += 1;
        }
    }
    assert!(taken > 3, "{taken} texts are taken");
}

/// The listing comes to this door.
#[track_caller]
fn list(control: &mut Peer, door: &Door) {
    control.say("NLST");
    door.accept().read_to_end();
    control.reply_of(&[125, 150]);
    control.reply(226);
    control.say("QUIT");
    control.reply(221);
}

fn endpoint_of(text: &str) -> Option<SocketAddr> {
    let (verb, argument) = text.split_once(' ').unwrap();
    match verb {
        "PORT" => endpoint::parse_port(argument.as_bytes())
            .ok()
            .map(SocketAddr::V4),
        _ => endpoint::parse_eprt(argument.as_bytes()).ok(),
    }
}

/// A1, A3: what is not refused for its address or port.
fn may_be_dialled(endpoint: SocketAddr) -> bool {
    endpoint.port() >= 1024 && endpoint.ip().to_string() == "127.0.0.1"
}

fn filled(text: &str, door: SocketAddr) -> String {
    let port = door.port();
    let [high, low] = port.to_be_bytes();
    text.replace("HIGH", &high.to_string())
        .replace("LOW", &low.to_string())
        .replace("WRAPPED", &(u32::from(port) + 65_536).to_string())
        .replace("NUMBER", &port.to_string())
}

/// The table, and a change to each of its first texts by chance.
fn texts() -> Vec<String> {
    let mut dice = Dice::new(227);
    let mut texts: Vec<String> = TEXTS.iter().map(|text| (*text).to_owned()).collect();
    for _ in 0..24 {
        let mut text = TEXTS[dice.below(4)].to_owned();
        let at = 5 + dice.below(text.len() - 4);
        text.insert_str(
            at,
            dice.of::<&str>(&[" ", "0", "00", "+", "-", "1", ",", "|", "x", "\t", ".", "_"]),
        );
        texts.push(text);
    }
    texts
}

const TEXTS: [&str; 27] = [
    "PORT 127,0,0,1,HIGH,LOW",
    "EPRT |1|127.0.0.1|NUMBER|",
    "PORT 127,000,00,001,HIGH,LOW",
    "EPRT |1|127.0.0.1|0NUMBER|",
    "EPRT !1!127.0.0.1!NUMBER!",
    "PORT 127,0,0,1,HIGH,LOW ",
    "PORT  127,0,0,1,HIGH,LOW",
    "PORT 127, 0, 0, 1, HIGH, LOW",
    "PORT 127,0,0,1,HIGH,LOW,0",
    "PORT 127,0,0,1,HIGH,LOW,",
    "PORT 127,0,0,1,HIGH",
    "PORT 127,0,0,1,0,NUMBER",
    "PORT 127.0.0.1,HIGH,LOW",
    "PORT 0x7f,0,0,1,HIGH,LOW",
    "PORT +127,0,0,1,HIGH,LOW",
    "PORT 383,0,0,1,HIGH,LOW",
    "PORT 4294967423,0,0,1,HIGH,LOW",
    "PORT 127,0,0,1,HIGH,LOWx",
    "EPRT |1|127.0.0.1|WRAPPED|",
    "EPRT |1|127.0.0.1|NUMBER",
    "EPRT |1|127.0.0.1|NUMBER|x",
    "EPRT |1|127.0.0.01|NUMBER|",
    "EPRT |1|127.1|NUMBER|",
    "EPRT |1|127.0.0.1 |NUMBER|",
    "EPRT |2|::ffff:127.0.0.1|NUMBER|",
    "EPRT |1|::ffff:127.0.0.1|NUMBER|",
    "EPRT |01|127.0.0.1|NUMBER|",
];

#[test]
fn where_ftplib_finds_a_port_in_a_227_ftplb_finds_the_same_or_none() {
    let scan = |line: &[u8]| endpoint::scan_227(line).as_ref().map(SocketAddrV4::port);
    let texts = [
        "227 Entering Passive Mode (127,0,0,1,100,10).",
        "227 ok 12 (127,0,0,1,100,10)",
        "227 =1,2,3,4,100,10",
        "227 1,2,3,4,5,6,7 (127,0,0,1,100,10)",
        "227 (256,1,1,1,1,1) 127,0,0,1,100,10",
    ];
    // No blanks: ftplb and curl skip them in a list, and Python finds the next one.
    finds_the_same("227", &texts, b"0129,,||!().-+_x\t\x7f", scan);
}

#[test]
fn where_ftplib_finds_a_port_in_a_229_ftplb_finds_the_same_or_none() {
    let texts = [
        "229 Entering Extended Passive Mode (|||6446|)",
        "229 (!!!6446!) ok",
        "229 |||1| or (|||6446|)",
        "229 (|1|10.0.0.1|6446|)",
    ];
    finds_the_same(
        "229",
        &texts,
        b"0129,||||!() .-+_x\t\x7f",
        endpoint::scan_229,
    );
}

fn finds_the_same(code: &str, texts: &[&str], strange: &[u8], scan: fn(&[u8]) -> Option<u16>) {
    let mut dice = Dice::new(7);
    let lines: Vec<Vec<u8>> = (0..2_000)
        .map(|number| changed(&mut dice, texts[number % texts.len()], strange))
        .collect();
    let found = ftplib_reads(code, &lines);
    let mut agreed = 0;
    for (line, theirs) in lines.iter().zip(&found) {
        let ours = scan(line).map(|port| port.to_string());
        if theirs != "-"
            && let Some(ours) = ours
        {
            assert_eq!(ours, *theirs, "{}", line.escape_ascii());
            agreed += 1;
        }
    }
    assert!(agreed > 100, "both find a port in {agreed} lines only");
}

/// A text with up to four changes behind its code.
fn changed(dice: &mut Dice, text: &str, strange: &[u8]) -> Vec<u8> {
    let mut line = text.as_bytes().to_vec();
    for _ in 0..dice.below(5) {
        let at = 4 + dice.below(line.len() - 3);
        if dice.below(3) == 0 && at < line.len() {
            line.remove(at);
        } else {
            line.insert(at, *dice.of(strange));
        }
    }
    line
}

#[test]
fn ftplib_cuts_what_is_relayed_into_the_replies_that_ftplb_sees() {
    let mut dice = Dice::new(3);
    let streams: Vec<Vec<u8>> = (0..2_000)
        .map(|_| {
            let parts: Vec<&[u8]> = (0..2 + dice.below(9)).map(|_| *dice.of(&PARTS)).collect();
            parts.concat()
        })
        .collect();
    let (relayed, seen): (Vec<_>, Vec<_>) = streams.iter().map(|stream| relay(stream)).unzip();
    let found = ftplib_reads("replies", &relayed);
    for ((stream, found), seen) in streams.iter().zip(found).zip(seen) {
        assert_eq!(found, seen, "{}", stream.escape_ascii());
    }
}

/// The bytes that a client gets of these, up to the end of the last whole reply, and the codes and lines of
/// the replies as ftplb sees them.
fn relay(stream: &[u8]) -> (Vec<u8>, String) {
    let mut framer = Framer::replies(4_096);
    let mut replies = Replies::new(100, 10_000);
    let (mut bytes, mut seen) = (Vec::new(), String::new());
    let (mut open, mut lines) = (Vec::new(), 0);
    framer.push(stream);
    while let Some(Frame::Line(line)) = framer.next_frame() {
        let Ok(line) = replies.read(line.text) else {
            break;
        };
        let Some(line) = line else { continue };
        open.extend_from_slice(&line.text);
        open.extend_from_slice(b"\r\n");
        lines += 1;
        if matches!(line.place, Place::Last | Place::Only) {
            bytes.append(&mut open);
            let space = if seen.is_empty() { "" } else { " " };
            write!(seen, "{space}{}:{lines}", line.code).unwrap();
            lines = 0;
        }
    }
    (bytes, seen)
}

const PARTS: [&[u8]; 24] = [
    b"220-hello\r\n",
    b"220 there\r\n",
    b"220\r\n",
    b"220x\r\n",
    b"220\ty\r\n",
    b"2200 z\r\n",
    b"226 a\r\n",
    b"226-b\r\n",
    b"226",
    b" 220 c\r\n",
    b"text\r\n",
    b"\r\n",
    b"\r",
    b"\0",
    b"227 (1,2,3,4,5,6)\r\n",
    b"150 d\n",
    b"220",
    b"\n",
    b"-",
    b" ",
    b"\x0b",
    b"\x0c",
    b"\x1c\x1d\x1e",
    b"\x85",
];

/// What Python's ftplib makes of each.
fn ftplib_reads(what: &str, inputs: &[Vec<u8>]) -> Vec<String> {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("inputs");
    let mut text = String::new();
    for input in inputs {
        for byte in input {
            write!(text, "{byte:02x}").unwrap();
        }
        text.push('\n');
    }
    fs::write(&path, text).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/ftplib_reads.py");
    let mut command = Command::new("/usr/bin/python3");
    let done = run(command.args([script, what]).arg(&path), SOON).expect_success("ftplib");
    let found: Vec<String> = done.stdout.lines().map(str::to_owned).collect();
    assert_eq!(found.len(), inputs.len());
    found
}
