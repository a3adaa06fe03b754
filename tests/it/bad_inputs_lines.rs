//! Bad inputs of protocol.md §14, numbers 1 to 18, 57 to 59, 62 to 64 and 67 to 72 as far as they need
//! no TLS: lines, Telnet and other protocols.

use crate::proxy::field;
use crate::scripted::{Peer, reply_227};
use crate::table::Table;

#[test]
fn bad_input_01_pasv_with_bare_lf_is_forwarded_with_crlf() {
    let mut table = Table::logged_in();
    table.client.send("PASV\n");
    table.backend.hears("PASV");
    table
        .backend
        .say(&reply_227("127.0.0.1:50000".parse().unwrap()));
    table.client.reply(227);
    table.works();
}

#[test]
fn bad_input_02_bare_lf_separates_two_commands() {
    let mut table = Table::logged_in();
    table.client.send("NOOP\nDELE x\r\n");
    table.backend.hears("NOOP");
    table.backend.say("200 Zzz.");
    table.backend.hears("DELE x");
    table.backend.say("250 Gone.");
    table.client.hears("200 Zzz.");
    table.client.hears("250 Gone.");
}

#[test]
fn bad_input_03_cr_nul_in_a_name_is_refused() {
    Table::logged_in().refuses("MKD a\r\0b\r\n", 501);
}

#[test]
fn bad_input_04_nul_between_commands_is_refused() {
    Table::logged_in().refuses("NOOP\0PWD\r\n", 501);
}

#[test]
fn bad_input_05_cr_between_commands_is_refused() {
    Table::logged_in().refuses("NOOP\rPASV\r\n", 501);
}

#[test]
fn bad_input_06_empty_line_is_answered_and_not_forwarded() {
    let mut table = Table::logged_in();
    for line in ["\r\n", "\n", "   \r\n"] {
        table.refuses(line, 500);
    }
}

#[test]
fn bad_input_07_space_before_verb_is_refused() {
    Table::logged_in().refuses(" PASV\r\n", 500);
}

#[test]
fn bad_input_08_and_09_control_characters_do_not_separate_verb_and_argument() {
    let mut table = Table::logged_in();
    for separator in ['\t', '\x0b', '\x0c'] {
        table.refuses(format!("PORT{separator}127,0,0,1,200,10\r\n"), 500);
    }
}

#[test]
fn bad_input_10_nul_after_a_verb_is_refused() {
    Table::logged_in().refuses("PASV\0\r\n", 501);
}

#[test]
fn bad_input_11_cr_before_a_verb_is_refused() {
    Table::logged_in().refuses("\rPASV\r\n", 501);
}

#[test]
fn bad_input_12_quoted_verb_is_refused() {
    Table::logged_in().refuses("\"PASV\"\r\n", 500);
}

#[test]
fn bad_input_13_longer_verb_is_another_verb() {
    let mut table = Table::logged_in();
    table.exchange("PASVX", "500 What?");
    table.proxy.wait_for_metric("ftplb_leases_in_use", &[], 0.0);
}

#[test]
fn bad_input_14_verbs_are_matched_in_any_case() {
    let mut table = Table::logged_in();
    for verb in ["pasv", "PaSv "] {
        table.client.say(verb);
        table.backend.hears("PASV");
        table
            .backend
            .say(&reply_227("127.0.0.1:50000".parse().unwrap()));
        table.client.reply(227);
    }
    table.works();
}

#[test]
fn bad_input_15_pasv_with_an_argument_is_refused() {
    Table::logged_in().refuses("PASV foo\r\n", 501);
}

#[test]
fn bad_input_16_overlong_line_is_refused_once() {
    let mut table = Table::logged_in();
    table.refuses([&b"MKD "[..], &[b'x'; 4_091], b"\r\n"].concat(), 500);
}

#[test]
fn bad_input_17_line_without_end_closes_the_session() {
    let mut table = Table::logged_in();
    table.client.send_until_closed(&vec![b'x'; 70_000]);
    let said = table.client.is_gone();
    let said = String::from_utf8_lossy(&said);
    assert!(
        said.is_empty() || said.starts_with("500") || said.starts_with("421"),
        "{said}"
    );
    assert_eq!(table.backend.is_gone(), b"", "nothing is forwarded");
}

#[test]
fn bad_input_18_overlong_line_and_pasv_in_one_segment() {
    // The first is within the limit, but no verb is as long; the second is over it.
    for length in [4_090, 4_096] {
        let mut table = Table::logged_in();
        table
            .client
            .send([&vec![b'A'; length][..], b"\nPASV\r\n"].concat());
        table.client.reply(500);
        table.backend.hears("PASV");
        table
            .backend
            .say(&reply_227("127.0.0.1:50000".parse().unwrap()));
        table.client.reply(227);
        table.works();
    }
}

#[test]
fn bad_input_57_telnet_options_are_refused_and_not_forwarded() {
    let mut table = Table::logged_in();
    table.client.send(b"\xff\xfb\x01");
    assert_eq!(
        table.client.read_exact(3),
        b"\xff\xfe\x01",
        "WILL is answered by DONT"
    );
    table.works();
    table.client.send(b"\xff");
    table.client.send(b"\xfd\x03NO");
    assert_eq!(
        table.client.read_exact(3),
        b"\xff\xfc\x03",
        "DO is answered by WONT"
    );
    table.client.send(b"\xff\xf1OP\r\n");
    table.backend.hears("NOOP");
    table.backend.say("200 Zzz.");
    table.client.reply(200);
}

#[test]
fn bad_input_58_endless_subnegotiation_closes_the_session() {
    let mut table = Table::logged_in();
    table.client.send_until_closed(b"\xff\xfa");
    table.client.send_until_closed(&vec![b'x'; 1 << 20]);
    table.client.is_gone();
    assert_eq!(table.backend.is_gone(), b"", "nothing is forwarded");
}

#[test]
fn bad_input_59_doubled_iac_is_forwarded_doubled() {
    let mut table = Table::logged_in();
    table.client.send(b"RETR a\xff\xffb\r\n");
    table.backend.hears(b"RETR a\xff\xffb");
    table.backend.say("550 No.");
    table.client.reply(550);
}

#[test]
fn bad_input_62_to_64_security_verbs_are_refused_without_tls() {
    let mut table = Table::logged_in();
    for line in [
        "AUTH TLS", "AUTH SSL", "AUTH FOO", "AUTH", "ADAT x", "PBSZ 0", "PROT P", "CCC",
    ] {
        table.refuses(format!("{line}\r\n"), 502);
    }
    // Nothing has become of it: PASV works in clear.
    table.pasv();
}

#[test]
fn bad_input_60_and_61_what_follows_a_refused_auth_is_a_command_in_clear() {
    let mut table = Table::greeted();
    table.client.send("AUTH TLS\r\nUSER x\r\n");
    table.client.hears("502 TLS is not offered here.");
    table.backend.hears("USER x");
    table.backend.say("331 Password?");
    table.client.hears("331 Password?");
    table.client.say("AUTH TLS");
    table.client.reply(502);
    table.works();
}

#[test]
fn bad_input_67_host_is_refused() {
    let mut table = Table::greeted();
    for line in ["HOST a:21", "HOST [::1]:21", "HOST ftp.example.org"] {
        table.refuses(format!("{line}\r\n"), 502);
    }
    table.log_in();
    table.refuses("HOST ftp.example.org\r\n", 502);
}

#[test]
fn bad_input_68_first_command_of_another_protocol_closes_the_session() {
    for line in [
        "GET / HTTP/1.1\r\n",
        "POST /x HTTP/1.1\r\n",
        "EHLO x\r\n",
        "SSH-2.0-x\r\n",
    ] {
        is_hung_up_on(line.as_bytes());
    }
}

/// A client that begins so is cut without a word, and its backend hears nothing of it.
#[track_caller]
fn is_hung_up_on(first: &[u8]) {
    let mut table = Table::greeted();
    let next = b"USER x\r\n";
    table.client.send_until_closed(&[first, next].concat());
    assert_eq!(table.client.is_gone(), b"", "{}", first.escape_ascii());
    assert_eq!(table.backend.is_gone(), b"", "{}", first.escape_ascii());
    table.another();
}

#[test]
fn bad_input_69_client_hello_in_clear_is_refused() {
    let hello = b"\x16\x03\x01\x00\x80\x01\x00\x00\x7c\x03\x03";
    is_hung_up_on(&[hello, &[0xa5; 117][..], b"\n"].concat());
}

#[test]
fn bad_input_71_proxy_header_that_nobody_asked_for_closes_the_session() {
    is_hung_up_on(b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 21\r\n");
    is_hung_up_on(b"PROXY UNKNOWN\r\n");
}

#[test]
fn bad_input_71_binary_proxy_header_closes_the_session() {
    let mut table = Table::greeted();
    let header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff";
    table
        .client
        .send_until_closed(&[&header[..], b"\x7f\0\0\x01USER x\r\n"].concat());
    // It begins with two blank lines.
    let said = table.client.is_gone();
    let said = String::from_utf8_lossy(&said);
    assert!(
        said.lines().all(|line| line.starts_with("500 ")) && said.lines().count() <= 2,
        "{said}"
    );
    assert_eq!(table.backend.is_gone(), b"", "nothing is forwarded");
    table.another();
}

#[test]
fn bad_input_71_proxy_header_without_end_closes_the_session() {
    let mut table = Table::with(|setup| setup.tables("[timeouts]\nline = \"1s\"\n"));
    let header = format!("PROXY TCP6 {}", "f".repeat(190));
    table.client.send(header);
    table.client.reply(421);
    table.client.is_gone();
    assert_eq!(table.backend.is_gone(), b"", "nothing is forwarded");
}

#[test]
fn bad_input_72_long_user_name_is_forwarded() {
    let mut table = Table::greeted();
    table.exchange(&format!("USER {}", "x".repeat(3_000)), "331 Password?");
}

#[test]
fn bad_input_72_escape_sequences_of_a_user_name_do_not_reach_the_log() {
    let mut table = Table::greeted();
    table.client.send("USER a\x1b[31mb\r\n");
    table.backend.hears("USER a\x1b[31mb");
    table.backend.say("530 No.");
    table.client.reply(530);
    table.exchange("QUIT", "221 Bye.");
    drop((table.client, table.backend));
    let ended = table.proxy.wait_for_log("session ended", 1);
    // Escaped by ftplb, and its backslash again by JSON.
    assert_eq!(field(&ended[0], "user"), r"a\\x1b[31mb");
    assert!(!table.proxy.log().contains('\x1b'));
}

#[test]
fn bad_input_44_other_verbs_of_addressing_are_never_forwarded() {
    let mut table = Table::logged_in();
    for line in [
        "LPSV",
        "LPRT 4,4,127,0,0,1,2,200,10",
        "CPSV",
        "SSCN ON",
        "CEPR on",
        "ESTA",
        "ESTP",
        "SPSV",
        "MIC x",
        "CONF x",
        "ENC x",
        "ALGS x",
    ] {
        table.refuses(format!("{line}\r\n"), 502);
    }
}

#[test]
fn bad_input_45_pasv_by_its_alias_is_forwarded_as_pasv() {
    let mut table = Table::logged_in();
    table.client.say("P@SW");
    table.backend.hears("PASV");
    table
        .backend
        .say(&reply_227("127.0.0.1:50000".parse().unwrap()));
    table.client.reply(227);
    table.works();
}

#[test]
fn unknown_verbs_pass_and_bytes_of_arguments_are_kept() {
    let mut table = Table::logged_in();
    table.exchange("XYZZY  two spaces ", "200 Nothing happens.");
    table.client.send(b"MKD \xe9\xa0 \xc3\xa9\r\n");
    table.backend.hears(b"MKD \xe9\xa0 \xc3\xa9");
    table.backend.say("257 Made.");
    table.client.reply(257);
}

#[test]
fn commands_before_the_greeting_and_split_over_many_segments_work() {
    let table = Table::greeted();
    let mut client = Peer::connect(table.proxy.address);
    for byte in b"USER x\r\nNOOP\r\n" {
        client.send([*byte]);
    }
    let mut backend = table.door.accept();
    backend.say("220 Scripted.");
    client.reply(220);
    backend.hears("USER x");
    backend.say("230 Welcome.");
    backend.hears("NOOP");
    backend.say("200 Zzz.");
    client.reply(230);
    client.reply(200);
}
