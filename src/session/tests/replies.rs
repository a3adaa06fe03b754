//! Replies: which command each answers (R, T8, T9), which are rewritten, which end the session.

use super::talk::{BACKEND_6, CLIENT, LOCAL_6, Talk, VIP, settings};
use crate::ending::{Cause, Phase, Side};
use crate::ftp::command::Direction;
use crate::session::{Action, DataEvent, Input, Tell};

fn downloading() -> Talk {
    let mut t = Talk::logged_in();
    t.passive();
    t.exchange("RETR f", "150 here");
    t.data(DataEvent::Finished(Direction::ToClient));
    t
}

/// The queue is in step: a 227 is believed and a transfer is told of.
fn works_on(t: &mut Talk) {
    t.tells.clear();
    t.passive();
    t.transfers_well("RETR g");
    t.active();
    t.transfers_well("STOR h");
    assert_eq!(t.session.deadline().map(|_| ()), Some(()));
}

#[test]
fn t8_t9_every_order_of_replies_to_what_came_during_a_transfer() {
    let cases: [(&str, &[&str], &[&str]); 17] = [
        (
            "vsftpd: ABOR too late",
            &["ABOR"],
            &["226 done", "225 none"],
        ),
        ("vsftpd: ABOR in time", &["ABOR"], &["426 cut", "225 none"]),
        ("ProFTPD: ABOR", &["ABOR"], &["426 cut", "226 aborted"]),
        ("pyftpdlib: ABOR", &["ABOR"], &["426 cut", "225 aborted"]),
        ("226 twice", &["ABOR"], &["226 done", "226 aborted"]),
        ("225 alone", &["ABOR"], &["225 aborted"]),
        ("226 alone", &["ABOR"], &["226 aborted"]),
        ("ABOR is not known", &["ABOR"], &["502 no", "226 done"]),
        (
            "ABOR, STAT",
            &["ABOR", "STAT"],
            &["426 x", "226 y", "211 z"],
        ),
        ("STAT at once", &["STAT"], &["213 at 5%", "226 done"]),
        ("STAT after", &["STAT"], &["226 done", "211 idle"]),
        ("NOOP at once", &["NOOP"], &["200 n", "226 done"]),
        ("NOOP after", &["NOOP"], &["226 done", "200 n"]),
        ("PWD at once", &["PWD"], &["257 \"/\"", "226 done"]),
        ("TYPE at once", &["TYPE I"], &["200 I", "226 done"]),
        ("an unknown one at once", &["XYZ"], &["500 no", "226 done"]),
        (
            "NOOP, ABOR",
            &["NOOP", "ABOR"],
            &["200 n", "426 x", "225 y"],
        ),
    ];
    for (what, lines, replies) in cases {
        let mut t = downloading();
        t.tells.clear();
        for line in lines {
            t.forwards(line);
        }
        for reply in replies {
            t.relays_reply(reply);
        }
        t.data_ends(1, 0);
        assert_eq!(t.transfers().len(), 1, "{what}");
        works_on(&mut t);
    }
}

#[test]
fn t8_after_a_merged_reply_to_abor_the_queue_finds_its_feet_again() {
    for (line, reply) in [
        ("TYPE I", "200 I"),
        ("PWD", "257 \"/\""),
        ("CWD a", "250 ok"),
        ("SIZE f", "213 5"),
        ("RETR g", "425 no"),
        ("DELE g", "550 no"),
    ] {
        let mut t = downloading();
        t.forwards("ABOR");
        t.relays_reply("226 for both");
        t.data_ends(1, 0);
        t.exchange(line, reply);
        works_on(&mut t);
        let mut t = downloading();
        t.forwards("ABOR");
        t.relays_reply("226 for both");
        t.data_ends(1, 0);
        t.exchange(line, reply);
        t.active();
        t.transfers().clear();
        t.transfers_well("RETR g");
    }
}

#[test]
fn t8_a_transfer_that_was_passed_over_is_told_of_once() {
    let mut t = downloading();
    t.tells.clear();
    t.forwards("ABOR");
    t.relays_reply("226 for both");
    t.data_ends(1, 0);
    assert_eq!(t.transfers().len(), 1);
    // XYZ is answered as if it were ABOR, the listing's 425 as if it were for XYZ.
    t.exchange("XYZ", "500 no");
    t.exchange("LIST", "425 no");
    t.passive();
    let told = t.transfer();
    assert_eq!(told.ending.cause, Cause::NoReply);
    t.transfers_well("RETR g");
}

#[test]
fn t8_answers_of_ours_are_not_lost_behind_an_abor_that_was_passed_over() {
    let mut t = downloading();
    t.forwards("ABOR");
    t.relays_reply("226 for both");
    t.data_ends(1, 0);
    t.client("AUTH TLS");
    t.forwards("PWD");
    t.backend("257 \"/\"");
    t.client_gets("502 TLS is not offered here.");
    t.client_gets("257 \"/\"");
    works_on(&mut t);

    let mut t = downloading();
    t.forwards("ABOR");
    t.relays_reply("226 for both");
    t.data_ends(1, 0);
    t.client("AUTH TLS");
    t.backend("250 to ABOR");
    t.client_gets("250 to ABOR");
    t.client_gets("502 TLS is not offered here.");
    works_on(&mut t);
}

#[test]
fn s11_quit_is_answered_by_either_order() {
    for replies in [
        ["226 done", "221 bye"],
        ["426 cut", "221 bye"],
        ["221 bye", "226 done"],
    ] {
        let mut t = downloading();
        t.forwards("QUIT");
        // Nothing follows a QUIT.
        t.client("NOOP");
        t.client_input(Input::TooLong);
        for reply in replies {
            t.relays_reply(reply);
        }
        t.data_ends(1, 0);
        t.backend_input(Input::Eof);
        t.closes(Side::Client, Phase::Command, Cause::Complete);
        assert_eq!(t.transfers().len(), 1);
    }
}

#[test]
fn r6_replies_that_nobody_asked_for_are_relayed() {
    let mut t = Talk::logged_in();
    t.relays_reply("425 pyftpdlib's, for a foreign peer");
    t.relays_reply("226-after");
    t.client("AUTH TLS");
    t.relays_reply("all");
    t.backend("226 that");
    t.client_gets("226 that");
    t.client_gets("502 TLS is not offered here.");
    t.forwards("NOOP");
    t.relays_reply("120 wait");
    t.relays_reply("200 ok");
    works_on(&mut t);
}

#[test]
fn r6_a_200_ahead_of_the_150() {
    let mut t = Talk::logged_in();
    t.passive();
    t.exchange("NLST", "200 fine");
    t.relays_reply("150 here");
    t.data_ends(1, 0);
    t.relays_reply("226 done");
    assert_eq!(t.transfers().len(), 1);
}

#[test]
fn r7_a_220_is_no_second_greeting() {
    let mut t = Talk::logged_in();
    t.exchange("EPSVX", "220 pyftpdlib's");
    t.exchange("REIN", "220 ready");
    t.exchange("USER u", "230 in");
    works_on(&mut t);
}

#[test]
fn r4_bad_input_79_a_227_that_nobody_asked_for_ends_the_session() {
    let fake = "227 Entering Passive Mode (9,9,9,9,31,64)";
    for (line, reply) in [
        (None, fake),
        (None, "229 (|||8000|)"),
        (None, "234 go"),
        (None, "334 go"),
        (Some("NLST 227 x"), fake),
        (Some("STAT"), fake),
        (Some("ABOR"), "228 x"),
        (Some("USER a"), "334 go"),
    ] {
        let mut t = Talk::logged_in();
        if let Some(line) = line {
            t.forwards(line);
        }
        t.backend(reply);
        t.client_gets("421 Service not available, closing control connection.");
        let phase = if line == Some("NLST 227 x") {
            Phase::Transfer
        } else {
            Phase::Command
        };
        t.closes(Side::Backend, phase, Cause::Protocol);
    }
}

#[test]
fn r4_a_227_is_believed_only_at_the_head() {
    let mut t = Talk::logged_in();
    t.forwards("STAT 227");
    t.client("PASV");
    t.leased(50_000);
    t.backend_gets("PASV");
    t.backend("227 (9,9,9,9,31,64)");
    t.client_gets("421 Service not available, closing control connection.");
    t.does(&Action::Release(t.id));
    t.closes(Side::Backend, Phase::Command, Cause::Protocol);
}

#[test]
fn r3_bad_input_80_inner_lines_are_set_apart() {
    let mut t = Talk::logged_in();
    t.forwards("STAT");
    t.relays_reply("230-hi");
    t.backend("227 Entering Passive Mode (9,9,9,9,9,9)");
    t.client_gets(" 227 Entering Passive Mode (9,9,9,9,9,9)");
    t.relays_reply("230 ok");
}

#[test]
fn r9_bad_input_81_82_what_is_no_reply_ends_the_session() {
    for line in ["no code", "99 x", "2x0 x", "700 x"] {
        let mut t = Talk::logged_in();
        t.backend(line);
        t.client_gets("421 Service not available, closing control connection.");
        t.closes(Side::Backend, Phase::Command, Cause::Protocol);
    }
    for input in [Input::TooLong, Input::Runaway] {
        let mut t = Talk::logged_in();
        t.backend_input(input);
        t.client_gets("421 Service not available, closing control connection.");
        t.closes(Side::Backend, Phase::Command, Cause::Protocol);
    }
    let mut t = Talk::logged_in();
    t.forwards("STAT");
    t.relays_reply("211-long");
    for _ in 1..10_000 {
        t.relays_reply("line");
    }
    t.backend("one too many");
    t.client_gets("421 Service not available, closing control connection.");
    t.closes(Side::Backend, Phase::Command, Cause::Protocol);
}

#[test]
fn r14_features_that_are_not_honoured_are_not_promised() {
    let mut t = Talk::greeted();
    t.forwards("FEAT");
    t.relays_reply("211-Features:");
    for line in [
        " AUTH TLS",
        " PBSZ",
        " PROT",
        " CEPR",
        " CPSV",
        " SSCN",
        " HOST",
        "LPSV",
        " ccc",
    ] {
        t.backend(line);
    }
    for line in [" EPSV", " UTF8", " MLST type*;", " CLNT", " REST STREAM"] {
        t.relays_reply(line);
    }
    t.relays_reply("211 End");
    // A refusal passes, and so does a list that is none.
    t.exchange("FEAT", "500 no");
    t.exchange("FEAT", "211 no features");
}

#[test]
fn r14_v1_between_families_what_we_translate_is_promised() {
    let mut t = Talk::connecting(settings(), CLIENT, VIP);
    t.picked(LOCAL_6.ip(), BACKEND_6);
    t.greets();
    t.forwards("FEAT");
    t.relays_reply("211-Features:");
    t.relays_reply(" EPRT");
    t.backend("211 End");
    t.client_gets(" EPSV");
    t.client_gets("211 End");
}

#[test]
fn replies_are_told_of_as_wholes() {
    let mut t = Talk::logged_in();
    t.relays_reply("211-a");
    t.relays_reply("b");
    assert_eq!(t.tells, []);
    t.relays_reply("211 c");
    let told = |tell: &Tell| matches!(tell, Tell::Reply(code) if code.is(211));
    assert!(t.tells.iter().all(told));
    assert_eq!(t.tells.len(), 1);
}
