//! Lines of both formats, and what a hostile name makes of them.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::{DataMode, Transfer, TransferDirection, json, xferlog};
use crate::ending::{Cause, Ending, Moved, Phase, Side};
use crate::ftp::command::Verb;
use crate::ftp::reply::Code;
use crate::ftp::representation::Representation;

const CLIENT: &str = "192.0.2.7:51234";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    "2026-09-07T08:00:00.1239Z".parse().unwrap()
}

/// A file of 3,000 bytes that was stored in a second and a half.
fn upload() -> Transfer<'static> {
    Transfer {
        session: 7,
        client: address(CLIENT),
        listener: "0.0.0.0:21",
        vip: address("203.0.113.1:21"),
        pool: "files",
        backend: "a",
        backend_address: Some(address("10.0.0.1:21")),
        user: "alice",
        verb: Some(Verb::Stor),
        path: b"a b.txt",
        file: Some(b"/in/a b.txt"),
        representation: Representation::Image,
        mode: DataMode::Passive,
        direction: TransferDirection::Upload,
        moved: Moved {
            to_backend: 3_000,
            to_client: 0,
        },
        time: Duration::from_micros(1_500_400),
        reply: Code::new(226),
        ending: Ending::new(Side::Client, Phase::Transfer, Cause::Complete),
    }
}

fn cut() -> Ending {
    Ending::new(Side::Client, Phase::Transfer, Cause::Reset)
}

fn in_xferlog(transfer: &Transfer<'_>) -> String {
    let now = now().to_zoned(TimeZone::fixed(jiff::tz::offset(2)));
    xferlog::line(transfer, &now).unwrap()
}

fn in_json(transfer: &Transfer<'_>) -> Value {
    serde_json::from_str(&json::line(transfer, now())).unwrap()
}

#[test]
fn a_line_of_xferlog_has_the_fields_of_wu_ftpd() {
    let line = in_xferlog(&upload());
    assert_eq!(
        line,
        "Mon Sep  7 10:00:00 2026 2 192.0.2.7 3000 /in/a_b.txt b _ i r alice ftp 0 * c"
    );
    let download = Transfer {
        verb: Some(Verb::Retr),
        file: None,
        moved: Moved {
            to_backend: 0,
            to_client: 5,
        },
        representation: Representation::Ascii,
        time: Duration::ZERO,
        user: "Anonymous",
        client: address("[2001:db8::7]:51234"),
        ending: cut(),
        ..upload()
    };
    assert_eq!(
        in_xferlog(&download),
        "Mon Sep  7 10:00:00 2026 1 2001:db8::7 5 a_b.txt a _ o a Anonymous ftp 0 * i"
    );
}

#[test]
fn xferlog_has_no_line_for_what_is_no_file() {
    for verb in [Some(Verb::List), Some(Verb::Nlst), Some(Verb::Mlsd), None] {
        let transfer = Transfer { verb, ..upload() };
        let line = xferlog::line(&transfer, &now().to_zoned(TimeZone::UTC));
        assert_eq!(line, None, "{verb:?}");
    }
}

#[test]
fn o6_a_name_is_one_word_of_xferlog_whatever_is_in_it() {
    let long = "x".repeat(5_000);
    let kept = "x".repeat(4_096);
    for (name, word) in [
        (&b"a b\tc"[..], "a_b_c"),
        (b"a\r\nMon Sep  7", "a__Mon_Sep__7"),
        (b"\x1b[31m\0\x7f", "_[31m__"),
        (
            "f\u{fc}r \u{65e5}\u{672c}".as_bytes(),
            "f\u{fc}r_\u{65e5}\u{672c}",
        ),
        (b"\xff\xfe", "__"),
        (
            "\u{202e}gpj\u{2028}\u{a0}\u{3000}\u{85}".as_bytes(),
            "_gpj____",
        ),
        (b"", "_"),
        (long.as_bytes(), &kept),
    ] {
        let transfer = Transfer {
            file: Some(name),
            ..upload()
        };
        let line = in_xferlog(&transfer);
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words.len(), 18, "{line}");
        assert_eq!(words[8], word, "{}", name.escape_ascii());
    }
}

#[test]
fn a_line_of_json_tells_everything_that_is_known() {
    assert_eq!(
        in_json(&upload()),
        json!({
            "time": "2026-09-07T08:00:00.123Z",
            "session": 7,
            "client": "192.0.2.7",
            "client_port": 51234,
            "user": "alice",
            "listener": "0.0.0.0:21",
            "vip": "203.0.113.1:21",
            "pool": "files",
            "backend": "a",
            "backend_address": "10.0.0.1:21",
            "verb": "STOR",
            "path": "a b.txt",
            "file": "/in/a b.txt",
            "type": "I",
            "mode": "passive",
            "direction": "upload",
            "bytes": 3000,
            "seconds": 1.5,
            "bytes_per_second": 2000,
            "reply": 226,
            "complete": true,
            "side": "client",
            "phase": "transfer",
            "cause": "complete",
        })
    );
}

#[test]
fn json_has_null_for_what_nobody_knows() {
    let unknown = in_json(&Transfer {
        backend: "",
        backend_address: None,
        verb: None,
        path: b"",
        file: None,
        mode: DataMode::None,
        direction: TransferDirection::None,
        time: Duration::from_micros(400),
        reply: None,
        ending: cut(),
        ..upload()
    });
    for field in [
        "backend",
        "backend_address",
        "verb",
        "file",
        "bytes_per_second",
        "reply",
    ] {
        assert!(unknown[field].is_null(), "{field}: {unknown}");
    }
    assert_eq!(unknown["path"], "");
    assert_eq!(unknown["bytes"], 3_000);
    assert_eq!(unknown["complete"], false);
    assert_eq!(unknown["cause"], "reset");
}

#[test]
fn o6_a_name_is_a_text_of_json_whatever_is_in_it() {
    let name = b"a\r\n{\"x\":1}\x1b[31m\xff\xe2\x80\xae\\";
    let transfer = Transfer {
        path: name,
        file: Some(name),
        ..upload()
    };
    let line = json::line(&transfer, now());
    assert!(
        line.bytes().all(|byte| (0x20..0x7f).contains(&byte)),
        "{line}"
    );
    let read: Value = serde_json::from_str(&line).unwrap();
    let shown = r#"a\x0d\x0a{"x":1}\x1b[31m\xff\xe2\x80\xae\x5c"#;
    assert_eq!(
        (&read["path"], &read["file"]),
        (&json!(shown), &json!(shown))
    );
}
