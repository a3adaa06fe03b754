use proptest::prelude::*;

use super::*;

const MAX_LINES: usize = 100;
const MAX_BYTES: usize = 10_000;

type Relayed = (u16, Place, String);

/// Code, place and text of each line that is relayed.
fn read(lines: &[&'static str]) -> Result<Vec<Relayed>, ReplyError> {
    let mut replies = Replies::new(MAX_LINES, MAX_BYTES);
    let mut relayed = Vec::new();
    for line in lines {
        if let Some(line) = replies.read(Bytes::from_static(line.as_bytes()))? {
            let text = String::from_utf8(line.text.to_vec()).unwrap();
            relayed.push((line.code.value(), line.place, text));
        }
    }
    Ok(relayed)
}

fn at(code: u16, place: Place, text: &str) -> Relayed {
    (code, place, text.to_owned())
}

#[test]
fn r1_one_line_is_a_reply_with_or_without_text() {
    for line in ["220 ready", "220 ", "220", "631 abc", "150 - x"] {
        let code = line[..3].parse().unwrap();
        assert_eq!(read(&[line]).unwrap(), [at(code, Place::Only, line)]);
    }
}

#[test]
fn r2_a_reply_ends_at_its_own_code_only() {
    let lines = [
        "211-Features",
        " UTF8",
        "plain",
        "",
        "211-more",
        "226-x",
        "211 End",
        "200 ok",
    ];
    assert_eq!(
        read(&lines).unwrap(),
        [
            at(211, Place::First, "211-Features"),
            at(211, Place::Inner, " UTF8"),
            at(211, Place::Inner, "plain"),
            at(211, Place::Inner, ""),
            at(211, Place::Inner, "211-more"),
            at(211, Place::Inner, "226-x"),
            at(211, Place::Last, "211 End"),
            at(200, Place::Only, "200 ok"),
        ]
    );
    let bare = ["211-", "211"];
    assert_eq!(
        read(&bare).unwrap(),
        [at(211, Place::First, "211-"), at(211, Place::Last, "211")]
    );
}

#[test]
fn r3_item_80_an_inner_line_that_looks_like_an_end_is_indented() {
    let lines = [
        "230-hi",
        "227 Entering Passive Mode (9,9,9,9,9,9)",
        "226",
        "999 x",
        "000 x",
        "2300 x",
        "230x",
        "230\tx",
        "150x",
        "23 0 x",
        "230 ok",
    ];
    assert_eq!(
        read(&lines).unwrap(),
        [
            at(230, Place::First, "230-hi"),
            at(
                230,
                Place::Inner,
                " 227 Entering Passive Mode (9,9,9,9,9,9)"
            ),
            at(230, Place::Inner, " 226"),
            at(230, Place::Inner, " 999 x"),
            at(230, Place::Inner, " 000 x"),
            at(230, Place::Inner, " 2300 x"),
            at(230, Place::Inner, " 230x"),
            at(230, Place::Inner, " 230\tx"),
            at(230, Place::Inner, " 150x"),
            at(230, Place::Inner, "23 0 x"),
            at(230, Place::Last, "230 ok"),
        ]
    );
}

#[test]
fn r1_item_82_a_line_that_begins_no_reply_is_refused() {
    let lines = [
        "hello", "99 x", "2x0 x", "700 x", "099 x", "000", "22", "2200 x", "220x", "220\tx",
        " 220 x", "-",
    ];
    for line in lines {
        assert_eq!(read(&[line]), Err(ReplyError::NotAReply), "{line}");
        assert_eq!(Code::parse(line.as_bytes()), None, "{line}");
    }
}

#[test]
fn a_blank_line_between_replies_is_dropped() {
    assert_eq!(
        read(&["", "200 ok", " \t", "200 ok"]).unwrap(),
        [
            at(200, Place::Only, "200 ok"),
            at(200, Place::Only, "200 ok")
        ]
    );
}

#[test]
fn r9_item_81_a_reply_that_does_not_end_is_refused() {
    let many = |line: &'static [u8]| {
        let mut replies = Replies::new(MAX_LINES, MAX_BYTES);
        replies.read(Bytes::from_static(b"211-x")).unwrap();
        let mut count = 1;
        loop {
            if let Err(error) = replies.read(Bytes::from_static(line)) {
                return (count, error);
            }
            count += 1;
        }
    };
    let max_lines = MAX_LINES;
    let max_bytes = MAX_BYTES;
    assert_eq!(
        many(b"x"),
        (MAX_LINES, ReplyError::TooManyLines { max_lines })
    );
    assert_eq!(many(&[b'x'; 998]), (10, ReplyError::TooLong { max_bytes }));
}

#[test]
fn r9_the_limits_are_those_of_one_reply() {
    let mut replies = Replies::new(2, 20);
    for _ in 0..100 {
        for line in [&b"211-abcd"[..], b"211 abcd", b"200 abcdefghijklmn"] {
            assert!(replies.read(Bytes::from_static(line)).is_ok());
        }
    }
}

#[test]
fn a_reply_is_open_until_its_last_line() {
    let mut replies = Replies::new(MAX_LINES, MAX_BYTES);
    let steps: [(&[u8], bool); 5] = [
        (b"", false),
        (b"150 x", false),
        (b"226-x", true),
        (b"", true),
        (b"226 x", false),
    ];
    for (line, is_open) in steps {
        replies.read(Bytes::from_static(line)).unwrap();
        assert_eq!(replies.is_mid_reply(), is_open);
    }
}

#[test]
fn relayed_lines_are_not_copied() {
    let mut replies = Replies::new(MAX_LINES, MAX_BYTES);
    for line in [&b"211-x"[..], b" a", b"211 x"] {
        let line = Bytes::from_static(line);
        let relayed = replies.read(line.clone()).unwrap().unwrap();
        assert_eq!(relayed.text.as_ptr(), line.as_ptr());
    }
}

#[test]
fn a_code_knows_its_class() {
    let code = |value| Code::new(value).unwrap();
    assert!(code(150).is_preliminary());
    assert!(code(226).is_positive() && !code(331).is_positive());
    assert!(code(425).is_negative() && code(550).is_negative() && !code(631).is_negative());
    assert!(code(421).is(421) && !code(421).is(420));
    assert_eq!((code(699).class(), code(100).class()), (6, 1));
    assert_eq!((Code::new(99), Code::new(700)), (None, None));
    assert_eq!(Code::parse(b"227-x"), Code::new(227));
    assert_eq!(code(227).to_string(), "227");
}

/// How curl, wget and lftp find the end of a reply (R3).
fn ends_for_lax_client(line: &[u8]) -> bool {
    matches!(line, [a, b, c, b' ', ..] if [a, b, c].iter().all(|d| d.is_ascii_digit()))
        || matches!(line, [a, b, c] if [a, b, c].iter().all(|d| d.is_ascii_digit()))
}

proptest! {
    #[test]
    fn r3_lax_and_strict_clients_see_the_same_replies(
        lines in proptest::collection::vec(
            prop_oneof!["[12]2[07][- x]{0,2}[a-z ]{0,5}", "[ -~]{0,8}", "[0-9]{2,4}[ -]?"],
            0..30,
        )
    ) {
        let mut replies = Replies::new(1000, 100_000);
        for line in lines {
            let Ok(Some(line)) = replies.read(Bytes::from(line)) else { continue };
            let is_end = matches!(line.place, Place::Last | Place::Only);
            prop_assert_eq!(ends_for_lax_client(&line.text), is_end);
            prop_assert_eq!(replies.is_mid_reply(), !is_end);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..8), 0..20)
    ) {
        let mut replies = Replies::new(5, 30);
        for line in lines {
            let was_open = replies.is_mid_reply();
            let begins = Code::parse(&line);
            if let Ok(Some(reply)) = replies.read(Bytes::from(line)) && !was_open {
                prop_assert_eq!(begins, Some(reply.code));
            }
        }
    }
}
