//! What ftplb takes for a command, servers take for the same command, or ftplb refuses it (F2 to F7).
//!
//! Lines come from a table, and from mutations of it by a seed. What ftplb forwards of a line, each server is
//! told directly; what it makes of that is seen by its replies and by the directories that it makes. Then all
//! lines go through ftplb in one stream. Where a server does otherwise, and why that does no harm, is in
//! docs/fuzzing.md. `FTPLB_DIFFERENTIAL_SEED` and `FTPLB_DIFFERENTIAL_LINES` try others and more.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::os::unix::ffi::OsStringExt;

use ftplb::ftp::command::{self, Command, Verb};
use ftplb::ftp::line::{Frame, Framer};

use crate::netns::Place;
use crate::process::eventually;
use crate::proxy::Setup;
use crate::scripted::Peer;
use crate::servers::{Kind, Server};

#[test]
fn vsftpd_takes_each_forwarded_line_for_the_command_that_ftplb_takes_it_for() {
    agrees(Kind::Vsftpd);
}

#[test]
fn pyftpdlib_takes_each_forwarded_line_for_the_command_that_ftplb_takes_it_for() {
    agrees(Kind::Pyftpdlib);
}

#[test]
fn proftpd_takes_each_forwarded_line_for_the_command_that_ftplb_takes_it_for() {
    agrees(Kind::Proftpd);
}

#[test]
fn a_stream_through_ftplb_means_the_same_to_vsftpd() {
    means_the_same(Kind::Vsftpd);
}

#[test]
fn a_stream_through_ftplb_means_the_same_to_pyftpdlib() {
    means_the_same(Kind::Pyftpdlib);
}

#[test]
fn a_stream_through_ftplb_means_the_same_to_proftpd() {
    means_the_same(Kind::Proftpd);
}

/// Each of these is refused by ftplb because this server does something with it that its verb does not say.
#[test]
fn lines_that_a_server_misreads_are_refused() {
    let cases: [(Kind, &[u8], &[u16]); 8] = [
        (Kind::Proftpd, b"PWD\t\r\n", &[257]),
        (Kind::Proftpd, b"PWD\x0b\r\n", &[257]),
        (Kind::Proftpd, b"PWD\0\r\n", &[257]),
        (Kind::Pyftpdlib, b"XYSTAT\r\n", &[211]),
        (Kind::Pyftpdlib, b"PASVABOR\r\n", &[225]),
        (Kind::Vsftpd, b"\r\n", &[]),
        (Kind::Vsftpd, b"PWD\r\r\r\n", &[257]),
        (Kind::Vsftpd, b"PWD\nSYST\r\n", &[257, 215]),
    ];
    for kind in KINDS {
        let server = Server::start(kind);
        let mut direct = Direct::to(&server);
        for (_, raw, codes) in cases.iter().filter(|case| case.0 == kind) {
            assert_eq!(
                direct.codes(raw),
                *codes,
                "{kind:?}: {}",
                raw.escape_ascii()
            );
            let is_one_command =
                frames_of(raw, LIMIT) == [Framed::Forwarded(raw.trim_ascii_end().to_vec())];
            assert!(!is_one_command, "{} is forwarded", raw.escape_ascii());
        }
    }
}

/// Sends `kind` what ftplb would forward of each line.
fn agrees(kind: Kind) {
    let server = Server::start(kind);
    server.put("who.txt", b"one");
    let mut direct = Direct::to(&server);
    let mut forwarded = 0;
    for raw in lines(0) {
        for frame in frames_of(&raw, LIMIT) {
            let Framed::Forwarded(text) = frame else {
                continue;
            };
            forwarded += 1;
            let said = format!("{kind:?}: {}", text.escape_ascii());
            let command = command::parse(&text).unwrap();
            let before = directories(&server);
            let line = [&text[..], b"\r\n"].concat();
            let codes = direct.codes(&line);
            assert_eq!(codes.len(), 1, "{said}: {codes:?}");
            let made: Vec<Vec<u8>> = directories(&server).difference(&before).cloned().collect();
            if codes == [257] && is_mkd(&command) {
                assert_eq!(made, [name_of(kind, &command)], "{said}");
                continue;
            }
            assert!(made.is_empty(), "{said}: made {}", made[0].escape_ascii());
            if command.verb == Verb::Unknown && !KNOWN.iter().any(|name| is(&command, name)) {
                assert!([500, 502].contains(&codes[0]), "{said}: {codes:?}");
            } else if !is_mkd(&command) {
                let plain = [
                    &command.name.to_ascii_uppercase(),
                    &line[command.name.len()..],
                ]
                .concat();
                assert_eq!(direct.codes(&plain), codes, "{said}");
            }
        }
    }
    assert!(forwarded > 0, "no line is forwarded");
}

/// Sends the lines in one stream through ftplb.
fn means_the_same(kind: Kind) {
    let server = Server::start(kind);
    server.put("who.txt", b"one");
    let setup = Setup::new(&[server.address]);
    let proxy = setup
        .tables("[limits]\ncommand_line_bytes = 2048\n")
        .start();
    let mut client = Peer::log_in(proxy.address, &Place::Host);
    let mut expected = BTreeSet::new();
    for stream in lines(1).chunks(25) {
        let stream = stream.concat();
        let frames = frames_of(&stream, LIMIT);
        client.send(&stream);
        for frame in &frames {
            let reply = client.any_reply();
            let said = format!("{kind:?}: {frame:?}: {reply}");
            match frame {
                Framed::Refused => assert!(reply.starts_with("50"), "{said}"),
                Framed::Forwarded(text) => {
                    let command = command::parse(text).unwrap();
                    if is_mkd(&command) && reply.starts_with("257") {
                        expected.insert(name_of(kind, &command));
                    }
                }
            }
        }
    }
    client.say("NOOP");
    client.reply(200);
    assert!(!expected.is_empty());
    assert_eq!(directories(&server), expected, "{kind:?}");
    drop(client);
    eventually("the session ends", || proxy.log().contains("session ended"));
}

/// A session with a server and nobody in between.
struct Direct {
    control: Peer,
    marks: u32,
}

impl Direct {
    fn to(server: &Server) -> Self {
        Self {
            control: Peer::log_in(server.address, &Place::Host),
            marks: 1_000,
        }
    }

    /// The codes of the replies to these bytes: those ahead of the reply to a REST that follows them.
    fn codes(&mut self, bytes: &[u8]) -> Vec<u16> {
        self.marks += 1;
        let mark = self.marks.to_string();
        self.control
            .send([bytes, b"REST ", mark.as_bytes(), b"\r\n"].concat());
        let mut codes = Vec::new();
        loop {
            let reply = self.control.any_reply();
            if reply.starts_with("350") && reply.contains(&mark) {
                return codes;
            }
            codes.push(reply[..3].parse().unwrap());
        }
    }
}

/// What becomes of a line in ftplb.
#[derive(Debug, PartialEq)]
enum Framed {
    /// The backend is sent this line.
    Forwarded(Vec<u8>),
    /// ftplb answers it.
    Refused,
}

fn frames_of(stream: &[u8], limit: usize) -> Vec<Framed> {
    let mut framer = Framer::commands(limit);
    framer.push(stream);
    let mut found = Vec::new();
    while let Some(frame) = framer.next_frame() {
        found.push(match frame {
            Frame::Line(line) if command::parse(&line.text).is_ok() => {
                Framed::Forwarded(line.text.to_vec())
            }
            Frame::Line(_) | Frame::TooLong => Framed::Refused,
            Frame::Runaway | Frame::Telnet(_) => panic!("not in these streams"),
        });
    }
    found
}

fn is(command: &Command<'_>, name: &str) -> bool {
    command.name.eq_ignore_ascii_case(name.as_bytes())
}

fn is_mkd(command: &Command<'_>) -> bool {
    is(command, "MKD") || is(command, "XMKD")
}

/// The name that a server gives to the directory it makes.
fn name_of(kind: Kind, command: &Command<'_>) -> Vec<u8> {
    let name = command.argument.unwrap_or_default();
    match kind {
        Kind::Pyftpdlib => String::from_utf8_lossy(name).into_owned().into_bytes(),
        // It is a Telnet server: a doubled IAC is one byte of the name (F9).
        Kind::Proftpd => undoubled(name),
        Kind::Pureftpd | Kind::Vsftpd => name.to_vec(),
    }
}

fn undoubled(name: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = name;
    while let [first, after @ ..] = rest {
        bytes.push(*first);
        rest = if rest.starts_with(b"\xff\xff") {
            &after[1..]
        } else {
            after
        };
    }
    bytes
}

/// The names in the folder that the client is in.
fn directories(server: &Server) -> BTreeSet<Vec<u8>> {
    let entries = fs::read_dir(server.path("")).unwrap();
    let names = entries.map(|entry| entry.unwrap());
    names
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_vec())
        .collect()
}

/// Lines: those of the table in turn, and changes to them that a seed decides.
fn lines(seed: u64) -> Vec<Vec<u8>> {
    let number = |name| env::var(name).ok().and_then(|text| text.parse().ok());
    let mut dice = Dice::new(number("FTPLB_DIFFERENTIAL_SEED").unwrap_or(1) + (seed << 32));
    let count = number("FTPLB_DIFFERENTIAL_LINES").unwrap_or(300);
    (0..usize::try_from(count).unwrap())
        .map(|number| {
            let verb = VERBS[number % VERBS.len()];
            let mut line = verb.replace('#', &format!("d{number}")).into_bytes();
            let changes = if number < VERBS.len() {
                0
            } else {
                dice.below(4)
            };
            for _ in 0..changes {
                dice.change(&mut line);
            }
            if dice.below(40) == 0 {
                line.extend(vec![b'x'; 2_000 + dice.below(100)]);
            }
            line.extend(*dice.of(&[&b"\r\n"[..], b"\r\n", b"\r\n", b"\n", b"\r\r\n"]));
            line
        })
        .collect()
}

/// Chance, by a seed (xorshift).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    pub(crate) fn of<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.below(of.len())]
    }

    fn change(&mut self, line: &mut Vec<u8>) {
        let at = self.below(line.len() + 1);
        match self.below(5) {
            0 if at < line.len() => line[at] ^= 0x20 * u8::from(line[at].is_ascii_alphabetic()),
            1 if at < line.len() => drop(line.remove(at)),
            _ => {
                let bytes = *self.of(&MISREAD);
                line.splice(at..at, bytes.iter().copied());
            }
        }
    }
}

/// What is forwarded as it came, with what replies tell apart.
const VERBS: [&str; 13] = [
    "MKD #",
    "PWD",
    "SIZE who.txt",
    "XMKD #",
    "SYST",
    "MKD # #",
    "STRU F",
    "TYPE I",
    "MKD #",
    "NOOP",
    "MODE S",
    "XPWD",
    "ALLO 1",
];
/// The verbs of servers that are no verbs of ftplb's, and could come out of a change.
const KNOWN: [&str; 10] = [
    "ALLO", "MKD", "MODE", "PWD", "SIZE", "STRU", "SYST", "TYPE", "XMKD", "XPWD",
];
/// What servers are known to read in different ways.
const MISREAD: [&[u8]; 22] = [
    b" ",
    b"  ",
    b"\t",
    b"\0",
    b"\r",
    b"\n",
    b"\x0b",
    b"\x0c",
    b"\x1b",
    b"\x7f",
    b"\xff\xff",
    b"\xffa",
    b"\xff\xf4\xff\xf2",
    b"\xe9",
    b"\xc3\xa9",
    b"\"",
    b"%s",
    b"ABOR",
    b"-",
    b"@",
    b"\\",
    b";",
];
const KINDS: [Kind; 3] = [Kind::Proftpd, Kind::Pyftpdlib, Kind::Vsftpd];
/// pyftpdlib takes no longer lines (F7).
const LIMIT: usize = 2_048;
