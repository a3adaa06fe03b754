//! Commands: what passes, what is answered here, what waits (F, T5, S1, S9, S10, S12, O2).

use bytes::Bytes;

use super::talk::{BACKEND, CLIENT, LOCAL, Talk, VIP, settings};
use crate::ending::{Cause, Phase, Side};
use crate::session::{Action, Input, Picked};

#[test]
fn f5_f8_f12_f13_what_is_not_known_passes_byte_for_byte() {
    let mut t = Talk::logged_in();
    let lines: [&[u8]; 9] = [
        b"XMKD  two spaces ",
        b"SITE CPFR a",
        b"type  I",
        b"PRET STOR x",
        b"MKD caf\xe9",
        b"CWD a\xff\xffb",
        b"PASVX",
        b"LANG fr",
        b"MODE Z",
    ];
    for line in lines {
        t.client(line);
        t.does(&Action::Send {
            to: Side::Backend,
            text: Bytes::from_static(line),
            alone: false,
        });
        t.relays_reply("200 ok");
    }
}

#[test]
fn bad_input_03_to_12_lines_that_are_no_commands_are_answered_here() {
    let forbidden = "501 Control characters are not allowed in a command.";
    let no_verb = "500 Syntax error, command unrecognized.";
    let cases: [(&[u8], &str); 11] = [
        (b"MKD a\r\0b", forbidden),
        (b"NOOP\0PWD", forbidden),
        (b"NOOP\rPASV", forbidden),
        (b"", "500 Empty command."),
        (b" PASV", no_verb),
        (b"PORT\t127,0,0,1,200,10", no_verb),
        (b"PORT\x0b127,0,0,1,200,10", no_verb),
        (b"PORT\x0c127,0,0,1,200,10", no_verb),
        (b"PASV\0", forbidden),
        (b"\rPASV", forbidden),
        (b"\"PASV\"", no_verb),
    ];
    let mut t = Talk::logged_in();
    for (line, reply) in cases {
        t.answers(line, reply);
    }
    t.exchange("NOOP", "200 still here");
}

#[test]
fn bad_input_44_f12_s19_p9_what_would_change_addressing_is_refused() {
    let mut t = Talk::logged_in();
    for line in [
        "LPSV",
        "LPRT 4,4,1,2,3,4,2,10,10",
        "CPSV",
        "SSCN ON",
        "CEPR on",
        "ESTP",
        "ESTA",
        "SPSV",
        "HOST a",
        "ADAT x",
        "MIC x",
        "CONF x",
        "ENC x",
        "ALGS STATUS64",
    ] {
        t.answers(line, "502 Command not implemented.");
    }
    for line in ["AUTH TLS", "PBSZ 0", "PROT P", "CCC"] {
        t.answers(line, "502 TLS is not offered here.");
    }
}

#[test]
fn bad_input_68_f10_a_foreign_protocol_is_hung_up_on_without_a_word() {
    for line in [
        &b"GET / HTTP/1.1"[..],
        b"post /",
        b"EHLO a",
        b"SSH-2.0-x",
        &[22, 3, 1],
        b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 21",
    ] {
        let mut t = Talk::connecting(settings(), CLIENT, VIP);
        t.client(line);
        t.closes(Side::Client, Phase::Connect, Cause::Protocol);
        t.pick(Picked::Connected {
            local: LOCAL,
            peer: BACKEND,
        });
    }
    let mut t = Talk::logged_in();
    t.forwards("GET later");
}

#[test]
fn f11_commands_ahead_of_the_greeting_wait_for_it() {
    let mut t = Talk::connecting(settings(), CLIENT, VIP);
    t.client("USER u");
    t.picked(LOCAL, BACKEND);
    t.client("PASS p");
    t.backend("220-hello");
    t.client_gets("220-hello");
    t.client("SYST");
    t.backend("220 there");
    t.client_gets("220 there");
    t.backend_gets("USER u");
    t.backend_gets("PASS p");
    t.backend_gets("SYST");
    t.relays_reply("331 p");
    t.relays_reply("230 in");
    t.relays_reply("215 UNIX");
}

#[test]
fn bad_input_16_f7_an_overlong_line_is_refused_in_its_turn() {
    let mut t = Talk::connecting(settings(), CLIENT, VIP);
    t.client("USER u");
    t.client_input(Input::TooLong);
    t.picked(LOCAL, BACKEND);
    t.backend("220 hello");
    t.client_gets("220 hello");
    t.backend_gets("USER u");
    t.backend("331 p");
    t.client_gets("331 p");
    t.client_gets("500 Command line too long.");
    t.exchange("PASS p", "230 in");

    t.client("PASV");
    t.leased(50_000);
    t.backend_gets("PASV");
    t.client("NLST");
    t.client_input(Input::TooLong);
    t.backend("500 no");
    t.client_gets("500 no");
    t.does(&Action::Release(t.id));
    t.backend_gets("NLST");
    t.backend("425 no");
    t.client_gets("425 no");
    t.client_gets("500 Command line too long.");
    t.transfer();
}

#[test]
fn bad_input_17_f7_a_line_without_end_ends_the_session() {
    let mut t = Talk::logged_in();
    t.client_input(Input::Runaway);
    t.client_gets("421 Command line without end, closing control connection.");
    t.closes(Side::Client, Phase::Command, Cause::Protocol);
}

#[test]
fn r6_answers_of_ours_keep_their_place_among_the_replies() {
    let mut t = Talk::logged_in();
    t.forwards("PWD");
    t.client("AUTH TLS");
    t.forwards("SYST");
    t.client("");
    t.backend("257 \"/\"");
    t.client_gets("257 \"/\"");
    t.client_gets("502 TLS is not offered here.");
    t.backend("215-UNIX");
    t.client_gets("215-UNIX");
    t.client("PBSZ 0");
    t.backend("215 x");
    t.client_gets("215 x");
    t.client_gets("500 Empty command.");
    t.client_gets("502 TLS is not offered here.");
}

#[test]
fn s1_what_follows_a_pasv_waits_for_its_reply() {
    let mut t = Talk::logged_in();
    t.client("PASV");
    t.leased(50_000);
    t.backend_gets("PASV");
    t.client("TYPE I");
    t.client("NLST");
    t.backend("227 =10,0,0,1,31,64");
    t.client_gets_alone("227 Entering Passive Mode (203,0,113,1,195,80)");
    t.backend_gets("TYPE I");
    t.backend_gets("NLST");
    t.relays_reply("200 I");
    t.relays_reply("425 no");
}

#[test]
fn s9_bad_input_43_after_epsv_all_nothing_but_epsv_works() {
    let mut t = Talk::logged_in();
    t.answers("EPSV ALL", "200 EPSV ALL accepted.");
    for line in [
        "PASV",
        "P@SW",
        "PORT 192,0,2,7,19,136",
        "EPRT |1|192.0.2.7|5000|",
    ] {
        t.answers(line, "503 Only EPSV is allowed after EPSV ALL.");
    }
    t.client("EPSV");
    t.leased(50_000);
    t.backend_gets("EPSV");
    t.backend("229 ok (|||8000|)");
    t.client_gets_alone("229 Entering Extended Passive Mode (|||50000|)");
}

#[test]
fn s10_bad_input_41_42_epsv_with_an_argument() {
    let mut t = Talk::logged_in();
    for line in ["EPSV 2", "EPSV 3", "EPSV 99999999999"] {
        t.answers(line, "522 Network protocol not supported, use (1)");
    }
    t.answers("EPSV x", "501 Syntax error in parameters.");
    t.client("EPSV 1");
    t.leased(50_000);
    t.backend_gets("EPSV");
    t.relays_reply("500 no");
    t.does(&Action::Release(t.id));
}

#[test]
fn t6_an_interrupt_goes_ahead_of_abor_only() {
    let mut t = Talk::logged_in();
    let text = Bytes::from_static(b"NOOP");
    let interrupt = true;
    t.client_input(Input::Line { text, interrupt });
    t.backend_gets("NOOP");
    let text = Bytes::from_static(b"ABOR");
    t.client_input(Input::Line { text, interrupt });
    t.does(&Action::Interrupt);
    t.backend_gets("ABOR");
    t.relays_reply("200 n");
    t.relays_reply("225 a");
}

#[test]
fn t5_what_concerns_a_transfer_is_not_held_behind_a_pasv() {
    let mut t = Talk::logged_in();
    t.passive();
    t.exchange("RETR f", "150 here");
    t.client("PASV");
    t.leased(50_001);
    t.backend_gets("PASV");
    for line in ["STAT", "NOOP", "ABOR"] {
        t.forwards(line);
    }
    // Nothing overtakes another command, though.
    t.client("LIST");
    t.client("ABOR");
    t.client("QUIT");
}

#[test]
fn t5_nothing_overtakes_a_command_that_waits() {
    let mut t = Talk::logged_in();
    t.client("PASV");
    t.leased(50_000);
    t.backend_gets("PASV");
    t.client("ABOR");
    t.backend("500 no");
    t.client_gets("500 no");
    t.does(&Action::Release(t.id));
    t.backend_gets("ABOR");
    t.relays_reply("225 a");
}
