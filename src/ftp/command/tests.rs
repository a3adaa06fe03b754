use proptest::prelude::*;

use super::*;

fn argument(line: &[u8]) -> (Verb, Option<&[u8]>) {
    let command = parse(line).unwrap();
    (command.verb, command.argument)
}

#[test]
fn f3_f4_f6_items_3_to_12_lines_that_are_no_commands_are_told_apart() {
    let cases: [(&[u8], CommandError); 28] = [
        (b"MKD a\r\0b", CommandError::Forbidden),
        (b"NOOP\0PWD", CommandError::Forbidden),
        (b"NOOP\rPASV", CommandError::Forbidden),
        (b"NOOP\r", CommandError::Forbidden),
        (b"NOOP a\nb", CommandError::Forbidden),
        (b"", CommandError::Empty),
        (b" ", CommandError::Empty),
        (b" \t  ", CommandError::Empty),
        (b" PASV", CommandError::Verb),
        (b"PORT\t127,0,0,1,200,10", CommandError::Verb),
        (b"PORT\x0b127,0,0,1,200,10", CommandError::Verb),
        (b"PORT\x0c127,0,0,1,200,10", CommandError::Verb),
        (b"PASV\t", CommandError::Verb),
        (b"PASV\0", CommandError::Forbidden),
        (b"\rPASV", CommandError::Forbidden),
        (b"\0", CommandError::Forbidden),
        (b"\"PASV\"", CommandError::Verb),
        (b"PASV-", CommandError::Verb),
        (b"\xffPASV", CommandError::Verb),
        (b"PAS\xc3\xa4", CommandError::Verb),
        (b"-", CommandError::Verb),
        // To pyftpdlib these are what they end in.
        (b"XABOR", CommandError::Verb),
        (b"statstat x", CommandError::Verb),
        (b"@Quit", CommandError::Verb),
        (b"PASVABOR", CommandError::Verb),
        (b"ABCDEFGHI", CommandError::Verb),
        (b"ABCDEFGHI x", CommandError::Verb),
        (&[b'A'; 4090], CommandError::Verb),
    ];
    for (line, error) in cases {
        assert_eq!(parse(line), Err(error), "{}", Escaped(line));
    }
}

#[test]
fn f5_verbs_are_known_in_any_case_and_by_their_whole_name() {
    let cases: [(&[u8], Verb); 12] = [
        (b"PASV", Verb::Pasv),
        (b"pasv", Verb::Pasv),
        (b"PaSv ", Verb::Pasv),
        (b"P@SW", Verb::Pasv),
        (b"p@sw", Verb::Pasv),
        (b"PASVX", Verb::Unknown),
        (b"PAS", Verb::Unknown),
        (b"other", Verb::Unknown),
        (b"STATX", Verb::Unknown),
        (b"UIT", Verb::Unknown),
        (b"XMKD a", Verb::Unknown),
        (b"ABCDEFGH", Verb::Unknown),
    ];
    for (line, verb) in cases {
        assert_eq!(parse(line).unwrap().verb, verb, "{}", Escaped(line));
    }
}

#[test]
fn every_verb_is_read_by_its_label() {
    let names = "ABOR ACCT ADAT ALGS APPE AUTH CCC CDUP CEPR CONF CPSV CWD ENC EPRT EPSV ESTA ESTP FEAT HOST \
        LIST LPRT LPSV MIC MLSD NLST NOOP OPTS PASS PASV PBSZ PORT PROT PWD QUIT REIN REST RETR RNFR SPSV \
        SSCN STAT STOR STOU TYPE USER";
    for name in names.split_whitespace() {
        let command = parse(name.as_bytes()).unwrap();
        assert_eq!(command.verb.label(), name);
        assert_eq!(command.name, name.as_bytes());
    }
    assert_eq!(parse(b"SITE").unwrap().verb.label(), "other");
}

#[test]
fn f5_the_argument_begins_after_one_space_and_is_kept_byte_for_byte() {
    assert_eq!(argument(b"STOR a"), (Verb::Stor, Some(&b"a"[..])));
    assert_eq!(argument(b"STOR  a "), (Verb::Stor, Some(&b" a "[..])));
    assert_eq!(argument(b"STOR "), (Verb::Stor, Some(&b""[..])));
    assert_eq!(argument(b"STOR"), (Verb::Stor, None));
    assert_eq!(argument(b"STOR a\tb"), (Verb::Stor, Some(&b"a\tb"[..])));
}

#[test]
fn f8_f9_bytes_over_0x7f_pass_in_arguments() {
    let line = b"RETR a\xff\xff\xe4";
    assert_eq!(argument(line), (Verb::Retr, Some(&b"a\xff\xff\xe4"[..])));
}

#[test]
fn f10_other_protocols_are_known_by_their_first_line() {
    let foreign: [&[u8]; 13] = [
        b"GET / HTTP/1.1",
        b"get",
        b"POST /x HTTP/1.1",
        b"PUT /x",
        b"OPTIONS * HTTP/1.1",
        b"CONNECT host:21 HTTP/1.1",
        b"EHLO mail.example",
        b"MAIL FROM:<a@b>",
        b"RCPT TO:<a@b>",
        b"SSH-2.0-OpenSSH_9.6",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 21",
        b"\0",
    ];
    for line in foreign {
        assert!(is_foreign_protocol(line), "{}", Escaped(line));
    }
    let ftp: [&[u8]; 8] = [
        b"",
        b"USER joe",
        b"DELE x",
        b"HELP",
        b"OPTS UTF8 ON",
        b"GETX",
        b"SSH",
        b"\x16",
    ];
    for line in ftp {
        assert!(!is_foreign_protocol(line), "{}", Escaped(line));
    }
}

#[test]
fn d16_seven_verbs_are_transfers() {
    let verbs = |direction| {
        let names = [
            "RETR", "STOR", "STOU", "APPE", "LIST", "NLST", "MLSD", "MLST", "STAT", "SIZE",
        ];
        names
            .map(|name| parse(name.as_bytes()).unwrap().verb)
            .into_iter()
            .filter(|verb| verb.transfer() == direction)
            .map(Verb::label)
            .collect::<Vec<_>>()
    };
    assert_eq!(verbs(Some(Direction::ToBackend)), ["STOR", "STOU", "APPE"]);
    assert_eq!(
        verbs(Some(Direction::ToClient)),
        ["RETR", "LIST", "NLST", "MLSD"]
    );
    assert_eq!(verbs(None), ["other", "STAT", "other"]);
}

#[test]
fn o6_a_secret_is_not_shown() {
    for line in ["PASS secret", "acct secret", "ADAT secret", "AUTH secret"] {
        let shown = format!("{:?}", parse(line.as_bytes()).unwrap());
        assert!(!shown.contains("secret"), "{shown}");
    }
    let shown = format!("{:?}", parse(b"USER a\x1b").unwrap());
    assert_eq!(shown, "Command(USER a\\x1b)");
}

proptest! {
    #[test]
    fn a_command_that_is_read_is_its_name_a_space_and_its_argument(
        line in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40),
            "[A-Za-z@]{1,9}[ \t\r]{0,2}[ -~]{0,10}".prop_map(String::into_bytes),
        ]
    ) {
        is_foreign_protocol(&line);
        if let Ok(command) = parse(&line) {
            let mut again = command.name.to_vec();
            if let Some(argument) = command.argument {
                again.push(b' ');
                again.extend_from_slice(argument);
            }
            prop_assert_eq!(again, line);
        }
    }
}
