//! Rates of lines, and commands that are denied (O5, F13, R14).

use std::time::Duration;

use super::talk::{Talk, settings};
use crate::ending::{Cause, Phase, Side};
use crate::ftp::denial::Denial;
use crate::limits::{Limits, Rate};
use crate::session::{Settings, Tell};

/// Three at once, as many as a login has replies; then one a second.
const THREE: Rate = Rate {
    events: 1,
    per: Duration::from_secs(1),
    burst: 3,
};

fn with(change: impl Fn(&mut Limits)) -> Settings {
    let mut settings = settings();
    change(&mut settings.limits);
    settings
}

fn pauses(talk: &mut Talk, side: Side) -> usize {
    let tells = std::mem::take(&mut talk.tells);
    let paused = tells.iter().filter(|tell| **tell == Tell::Paused(side));
    paused.count()
}

#[test]
fn o5_commands_beyond_the_rate_wait_unread_and_none_is_lost() {
    let mut t = Talk::logged_in_with(with(|limits| limits.command_rate = Some(THREE)));
    t.passes(60);
    drop(std::mem::take(&mut t.tells));
    for _ in 0..2 {
        t.exchange("PWD", "257 \"/\"");
        assert!(t.session.wants_client());
    }
    t.forwards("NOOP");
    for _ in 0..5 {
        assert!(!t.session.wants_client(), "the burst is over");
        assert!(t.session.wants_backend(), "who is in time is read");
        assert_eq!(pauses(&mut t, Side::Client), 1);
        t.relays_reply("200 ok");
        t.quiet();
        t.passes(1);
        assert!(t.session.wants_client());
        t.forwards("NOOP");
    }
    t.relays_reply("200 ok");
    t.passes(3);
    for _ in 0..3 {
        assert!(t.session.wants_client());
        t.exchange("NOOP", "200 ok");
    }
    assert!(!t.session.wants_client());
    // Whoever pauses is not idle for longer than others.
    t.passes(600);
    t.client_gets("421 Timeout, closing control connection.");
    t.closes(Side::Client, Phase::Command, Cause::Idle);
}

#[test]
fn o5_lines_that_are_answered_here_count_as_well() {
    let mut t = Talk::logged_in_with(with(|limits| limits.command_rate = Some(THREE)));
    t.passes(60);
    for _ in 0..3 {
        assert!(t.session.wants_client());
        t.answers("", "500 Empty command.");
    }
    assert!(!t.session.wants_client());
}

#[test]
fn o5_replies_beyond_the_rate_wait_unread_and_none_is_lost() {
    let mut t = Talk::logged_in_with(with(|limits| limits.reply_rate = Some(THREE)));
    t.passes(60);
    drop(std::mem::take(&mut t.tells));
    for line in ["PWD", "PWD", "NOOP", "STAT"] {
        t.forwards(line);
    }
    for _ in 0..2 {
        t.relays_reply("257 \"/\"");
    }
    // A reply of many lines is one.
    for line in ["200-a", "200-b"] {
        t.backend(line);
        t.client_gets(line);
        assert!(t.session.wants_backend());
    }
    t.relays_reply("200 ok");
    assert!(!t.session.wants_backend() && t.session.wants_client());
    assert_eq!(pauses(&mut t, Side::Backend), 1);
    t.passes(1);
    assert!(t.session.wants_backend());
    t.relays_reply("211 fine");
    assert!(!t.session.wants_backend());
}

#[test]
fn o2_a_line_is_not_late_while_its_sender_is_not_read() {
    let slow = Rate {
        per: Duration::from_hours(1),
        ..THREE
    };
    let mut t = Talk::greeted_with(with(|limits| {
        limits.command_rate = Some(slow);
        limits.errors_before_login = 100;
    }));
    for _ in 0..3 {
        t.answers("", "500 Empty command.");
    }
    let now = t.now;
    t.session.note_mid_line(Some(now));
    t.passes(59);
    t.quiet();
    t.passes(1);
    t.client_gets("421 Login took too long, closing control connection.");
    t.closes(Side::Client, Phase::Login, Cause::Timeout);
}

fn denying(commands: &[&str]) -> Settings {
    let denials = commands.iter().filter_map(|text| Denial::parse(text));
    Settings {
        deny_commands: denials.collect(),
        ..settings()
    }
}

#[test]
fn f13_a_denied_command_is_answered_here_and_others_pass() {
    let mut t = Talk::logged_in_with(denying(&["SITE CPFR", "DELE", "MKD", "EPRT"]));
    let denied = "502 Command not allowed here.";
    for line in [
        "SITE CPFR /etc/passwd",
        "site  cpfr x",
        "dele f",
        "XMKD d",
        "EPRT |1|192.0.2.7|5000|",
    ] {
        t.answers(line, denied);
    }
    let told = t.tells.iter().filter(|tell| **tell == Tell::Denied);
    assert_eq!(told.count(), 5);
    t.exchange("SITE CHMOD 600 f", "200 ok");
    t.exchange("RMD d", "250 ok");
    t.passive();
}

#[test]
fn f13_a_denied_command_keeps_its_turn() {
    let mut t = Talk::logged_in_with(denying(&["DELE"]));
    t.forwards("NOOP");
    t.client("DELE f");
    t.quiet();
    t.relays_reply("200 ok");
    t.client_gets("502 Command not allowed here.");
}

#[test]
fn r14_what_is_denied_is_not_among_the_features() {
    let mut t = Talk::logged_in_with(denying(&["MFMT", "SITE COPY", "EPSV"]));
    t.forwards("FEAT");
    for (line, is_shown) in [
        ("211-Features:", true),
        (" MDTM", true),
        (" MFMT", false),
        (" SITE COPY", false),
        (" SITE MKDIR", true),
        (" EPSV", false),
        (" UTF8", true),
        ("211 End", true),
    ] {
        t.backend(line);
        if is_shown {
            t.client_gets(line);
        }
        t.quiet();
    }
}
