//! What a transfer was about: the path as it was sent, and from the root where replies tell enough.

use super::talk::{Talk, settings};
use crate::ending::{Cause, Phase, Side};
use crate::ftp::representation::Representation;
use crate::session::{Input, Settings, Subject, TransferEnd};

/// What is told of a transfer.
fn subject(end: TransferEnd) -> Subject {
    *end.subject.unwrap()
}

/// What is told of a download of `path`, from the root.
fn file(t: &mut Talk, path: &str) -> Option<String> {
    t.exchange(&format!("RETR {path}"), "550 no");
    let subject = subject(t.transfer());
    assert_eq!(&*subject.path, path.as_bytes());
    let text = |file: Box<[u8]>| String::from_utf8(file.into_vec()).unwrap();
    subject.file.map(text)
}

#[test]
fn a_relative_path_has_no_beginning_until_the_backend_tells_the_directory() {
    let mut t = Talk::logged_in();
    assert_eq!(file(&mut t, "a"), None);
    t.exchange("CWD sub", "250 ok");
    assert_eq!(file(&mut t, "a"), None);
    assert_eq!(file(&mut t, "/x/a"), Some("/x/a".into()));
    t.exchange("XPWD", "257 \"/people/joe/sub\" is the current directory");
    assert_eq!(file(&mut t, "a b"), Some("/people/joe/sub/a b".into()));
    t.exchange("PWD", "257 somewhere");
    assert_eq!(
        file(&mut t, "a"),
        None,
        "what it says now is not understood"
    );
}

#[test]
fn the_directory_follows_what_the_backend_agrees_to() {
    let mut t = Talk::logged_in();
    t.exchange("PWD", "257 \"/in\"");
    t.exchange("CDUP", "200 ok");
    assert_eq!(file(&mut t, "a"), Some("/a".into()));
    t.exchange("CWD out", "250 ok");
    assert_eq!(file(&mut t, "a"), Some("/out/a".into()));
    t.exchange("CWD none", "550 no such directory");
    t.exchange("XCUP", "550 no");
    assert_eq!(file(&mut t, "a"), Some("/out/a".into()));
    // `out` may be a symbolic link: its parent is not where it was come from.
    t.exchange("CWD ..", "250 ok");
    assert_eq!(file(&mut t, "a"), Some("/out/../a".into()));
    t.exchange("XCWD /new", "250 ok");
    assert_eq!(file(&mut t, "a"), Some("/new/a".into()));
    t.exchange("CWD ~joe", "250 ok");
    assert_eq!(file(&mut t, "a"), None);
}

#[test]
fn mkd_is_answered_by_a_path_and_goes_nowhere() {
    let mut t = Talk::logged_in();
    t.exchange("PWD", "257 \"/in\"");
    t.exchange("MKD sub", "257 \"/in/sub\" created");
    assert_eq!(file(&mut t, "a"), Some("/in/a".into()));
}

#[test]
fn f11_pipelined_commands_find_the_directory_of_their_turn() {
    let mut t = Talk::logged_in();
    for line in ["CWD /one", "RETR a", "CWD /two", "RETR b"] {
        t.forwards(line);
    }
    for reply in ["250 ok", "550 no", "250 ok", "550 no"] {
        t.relays_reply(reply);
    }
    let files: Vec<_> = { t.transfers().into_iter() }
        .map(|end| subject(end).file.unwrap())
        .collect();
    assert_eq!(files, [b"/one/a"[..].into(), b"/two/b"[..].into()]);
}

#[test]
fn a_transfer_that_nobody_answers_is_not_put_where_it_may_not_be() {
    let mut t = Talk::logged_in();
    t.exchange("PWD", "257 \"/in\"");
    t.forwards("CWD sub");
    t.forwards("RETR a");
    t.client_input(Input::Reset);
    let end = t.transfer();
    assert_eq!(
        (end.ending.side, end.ending.cause),
        (Side::Client, Cause::SessionEnd)
    );
    let Subject { path, file, .. } = subject(end);
    assert_eq!((&*path, file), (&b"a"[..], None));
    t.closes(Side::Client, Phase::Transfer, Cause::Reset);
}

#[test]
fn whoever_logs_in_again_is_elsewhere() {
    let mut t = Talk::logged_in();
    t.exchange("PWD", "257 \"/in\"");
    t.exchange("TYPE I", "200 ok");
    t.exchange("REIN", "220 ready");
    t.exchange("USER joe", "331 password");
    t.exchange("PASS x", "230 hello");
    assert_eq!(file(&mut t, "a"), None);
}

#[test]
fn the_type_is_what_the_backend_has_agreed_to() {
    let mut t = Talk::logged_in();
    let mut told = |line: &str, reply: &str| {
        t.exchange(line, reply);
        t.exchange("RETR a", "550 no");
        subject(t.transfer()).representation
    };
    assert_eq!(told("NOOP", "200 ok"), Representation::Ascii);
    assert_eq!(told("TYPE I", "200 ok"), Representation::Image);
    assert_eq!(told("TYPE A", "504 no"), Representation::Image);
    assert_eq!(told("TYPE ?", "200 what?"), Representation::Image);
    assert_eq!(told("type a n", "200 ok"), Representation::Ascii);
}

#[test]
fn listings_and_unique_names_are_what_they_are() {
    let mut t = Talk::logged_in();
    t.exchange("PWD", "257 \"/in\"");
    for (line, path, file) in [
        ("LIST", "", Some("/in")),
        ("MLSD sub", "sub", Some("/in/sub")),
        ("LIST -la sub", "-la sub", None),
        ("STOU", "", None),
    ] {
        t.exchange(line, "550 no");
        let told = subject(t.transfer());
        assert_eq!(&*told.path, path.as_bytes(), "{line}");
        assert_eq!(told.file.as_deref(), file.map(str::as_bytes), "{line}");
    }
    t.passive();
    t.exchange("STOU", "150 FILE: chosen.1");
    t.data_ends(0, 5);
    t.relays_reply("226 done");
    let told = subject(t.transfer());
    assert_eq!(&*told.path, b"chosen.1");
    assert_eq!(told.file.as_deref(), Some(&b"/in/chosen.1"[..]));
}

#[test]
fn a_path_does_not_grow_for_ever() {
    let mut t = Talk::logged_in();
    let name = "x".repeat(1_000);
    t.exchange("CWD /", "250 ok");
    for _ in 0..3 {
        t.exchange(&format!("CWD {name}"), "250 ok");
    }
    assert_eq!(file(&mut t, "a").map(|file| file.len()), Some(3_005));
    t.exchange(&format!("CWD {name}"), "250 ok");
    t.exchange(&format!("CWD {name}"), "250 ok");
    assert_eq!(file(&mut t, "a"), None);
}

#[test]
fn where_nobody_wants_to_know_nothing_is_remembered() {
    let mut t = Talk::logged_in_with(Settings {
        follow_paths: false,
        ..settings()
    });
    t.exchange("CWD /in", "250 ok");
    t.exchange("RETR a", "550 no");
    assert_eq!(t.transfer().subject, None);
}

#[test]
fn o5_names_that_nobody_answers_for_take_no_memory_without_end() {
    let long = "x".repeat(4_000);
    for verb in ["CWD", "RETR"] {
        let mut t = Talk::logged_in();
        let most = t.session.settings.limits.queued_bytes;
        let mut sent = 0;
        while t.session.wants_client() {
            t.forwards(&format!("{verb} {long}"));
            sent += long.len();
            assert!(sent <= most + 2 * long.len(), "{verb}: {sent} bytes");
        }
        assert!(sent >= most, "{verb}: {sent} bytes");
        t.relays_reply("550 no");
        t.relays_reply("550 no");
        assert!(t.session.wants_client(), "{verb}");
    }
}
