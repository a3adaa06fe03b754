//! Lines that are read several times.

use super::super::definitions::Definitions;
use super::*;
use crate::config::keepalived::tests::{Files, surroundings};

/// The values of `$V` and `$W`, one time after the other, separated by a slash.
fn values(line: &str) -> Option<Vec<String>> {
    let files = Files::default();
    let surroundings = surroundings(&files);
    let mut definitions = Definitions::default();
    definitions.define("$FOUR=4");
    let mut sequence = Sequence::parse(line, &definitions, &surroundings)?;
    let mut values = Vec::new();
    loop {
        let (text, is_last) = sequence.next(&mut definitions);
        assert_eq!(text, "text $V");
        let found = definitions.replace("${V}/${W}", &surroundings).unwrap();
        values.push(found.unwrap().text);
        if is_last {
            return Some(values);
        }
    }
}

#[test]
fn numbers_go_from_the_first_to_the_last() {
    let cases: [(&str, &[&str]); 13] = [
        ("~SEQ(V, 0, 3) text $V", &["0", "1", "2", "3"]),
        ("~SEQ(V,1,2,6)text $V", &["1", "3", "5"]),
        ("~SEQ(V,3,1) text $V", &["3", "2", "1"]),
        ("~SEQ(V,9,-4,0) text $V", &["9", "5", "1"]),
        ("~SEQ(V,3) text $V", &["1", "2", "3"]),
        ("~SEQ(V,-2) text $V", &["-1", "-2"]),
        ("~SEQ(V,5,5) text $V", &["5"]),
        ("~SEQ (V, 010, 0xa) text $V", &["8", "9", "10"]),
        ("~SEQ(V, 3, $FOUR) text $V", &["3", "4"]),
        ("~SEQx(V, 0x9, 11) text $V", &["9", "a", "b"]),
        ("~SEQx(V, 0x90, 0x10, 0xb0) text $V", &["90", "a0", "b0"]),
        (
            "~SEQ(V, 9223372036854775806, 9223372036854775807) text $V",
            &["9223372036854775806", "9223372036854775807"],
        ),
        ("~SEQ(V,1,9223372036854775807,2) text $V", &["1"]),
    ];
    for (line, expected) in cases {
        let expected: Vec<_> = expected
            .iter()
            .map(|value| format!("{value}/${{W}}"))
            .collect();
        assert_eq!(values(line), Some(expected), "{line}");
    }
}

#[test]
fn lists_give_each_variable_its_value() {
    let cases: [(&str, &[&str]); 4] = [
        ("~LST(V, a, b,c) text $V", &["a/${W}", "b/${W}", "c/${W}"]),
        ("~LST({V, W}, {1,2}, {3, 4}) text $V", &["1/2", "3/4"]),
        ("~LST({V,W},{1},{},3)text $V", &["1/", "/", "3/"]),
        ("~LST({V}, {a}) text $V", &["a/${W}"]),
    ];
    for (line, expected) in cases {
        let expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
        assert_eq!(values(line), Some(expected), "{line}");
    }
}

#[test]
fn what_keepalived_can_not_read_is_no_sequence() {
    for line in [
        "~SEQ",
        "~SEQ(V) text",
        "~SEQ(V, 1, 2 text",
        "~SEQ(V, 1, 0, 5) text",
        "~SEQ(V, 1, -1, 5) text",
        "~SEQ(V, 5, 1, 1) text",
        "~SEQ(V, a, 5) text",
        "~SEQ(V, , 5) text",
        "~SEQ(V, 1, 2, 3, 4) text",
        "~SEQ(, 1, 2) text",
        "~SEQ({V}, 1, 2) text",
        "~SEQx(V, -1, 2) text",
        "~SEQ(V, 1, 99999999999999999999) text",
        "~LST",
        "~LST(V) text",
        "~LST(V, 1",
        "~LST(V, {1,2}) text",
        "~LST({V, 1) text",
        "~LST(, 1) text",
    ] {
        assert_eq!(values(line), None, "{line}");
    }
}
