//! Comments, quotes, escapes and braces, one line at a time.

use super::*;

#[test]
fn a_comment_begins_at_a_mark_outside_double_quotes() {
    for (line, text) in [
        ("  lb_algo rr\t", "lb_algo rr"),
        ("lb_algo rr # comment", "lb_algo rr"),
        ("lb_algo rr!comment", "lb_algo rr"),
        ("# lb_algo rr", ""),
        ("!", ""),
        ("a \"b # c ! d\" # e", "a \"b # c ! d\""),
        ("a 'b # c'", "a 'b"),
        (r"a \# b \! c # d", "a # b ! c"),
        (r#"a "b \# c""#, r#"a "b \# c""#),
        (r#"a "b \" # c" # d"#, r#"a "b \" # c""#),
        (r"a \n b", r"a \n b"),
        (r"a \", r"a\"),
        (r"a b   \", r"a b\"),
        (r"a \\", r"a \\"),
        ("\\", "\\"),
        ("a \"open # b", "a \"open # b"),
        ("  \t ", ""),
    ] {
        assert_eq!(without_comment(line), text, "{line}");
    }
}

#[test]
fn words_are_separated_by_space_and_by_double_quotes() {
    let cases: [(&str, &[&str]); 8] = [
        ("a b\tc", &["a", "b", "c"]),
        ("", &[]),
        ("  a  ", &["a"]),
        ("a \"b  c\" d", &["a", "b  c", "d"]),
        ("abcd\" efg\"mnop", &["abcd", " efg", "mnop"]),
        ("a \"\" b", &["a", "", "b"]),
        ("a 'b c'", &["a", "'b", "c'"]),
        ("\"a\"", &["a"]),
    ];
    for (text, expected) in cases {
        let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
        assert_eq!(words(text), (expected, true), "{text}");
    }
    let (words, closed) = words("a b \"c d");
    assert_eq!((words.len(), closed), (2, false));
}

#[test]
fn the_words_of_a_script_are_split_twice() {
    let split = |text, escapes| shell_words(text, escapes);
    let words = |words: &[&str]| Some(words.iter().map(ToString::to_string).collect::<Vec<_>>());
    // The first time, what is escaped stays.
    let line = r#"notify_up "/bin/x 'a  b' \"c\" \x41" user :group"#;
    let command = r#"/bin/x 'a  b' \"c\" \x41"#;
    assert_eq!(
        split(line, false),
        words(&["notify_up", command, "user", ":group"])
    );
    assert_eq!(
        split(command, true),
        words(&["/bin/x", "a  b", "\"c\"", "A"])
    );
    for (text, expected) in [
        (r"\a\b\E\f\n\r\t\v", "\x07\x08\x1b\x0c\n\r\t\x0b"),
        (r"\x4a\x4ab\x4", "JJb\x04"),
        (r"\101\60\7\1012", "A0\x07A2"),
        (r"\cA\c[", "\x01\x1b"),
        (r"\\\'\ \q\x", "\\' qx"),
        (r"\xc3\xa9", "é"),
        ("a'b'\"c\"", "abc"),
    ] {
        assert_eq!(split(text, true), words(&[expected]), "{text}");
    }
    for open in ["a 'b", "a \"b", "a\\", "'"] {
        assert_eq!(split(open, true), None, "{open}");
    }
    assert_eq!(split("  ", true), words(&[]));
    assert_eq!(split("''", true), words(&[""]));
}

#[test]
fn a_brace_outside_quotes_stands_by_itself() {
    for (text, head, rest) in [
        ("a b", "a b", ""),
        ("a { b }", "a", "{ b }"),
        ("{ b }", "{", "b }"),
        ("b }", "b", "}"),
        ("}", "}", ""),
        ("}}", "}", "}"),
        ("}   a", "}", "a"),
        ("a \"{ b\" } c", "a \"{ b\"", "} c"),
        ("\"{\" {", "\"{\"", "{"),
        ("a \"b {", "a \"b {", ""),
        ("a{b", "a", "{b"),
    ] {
        assert_eq!(split_at_brace(text), (head, rest), "{text}");
    }
}
