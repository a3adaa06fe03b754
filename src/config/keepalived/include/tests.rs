//! Orders to include, and their braces.

use super::*;

#[test]
fn the_letter_behind_include_says_what_it_demands() {
    for (line, pattern, demands) in [
        ("include a.conf", "a.conf", Demands::Nothing),
        (
            "include\t /etc/a b.conf ",
            "/etc/a b.conf",
            Demands::Nothing,
        ),
        ("includer a", "a", Demands::Readable),
        ("includem a", "a", Demands::Named),
        ("includeb a", "a", Demands::Braces),
        ("includew a", "a", Demands::Matched),
        ("includea a", "a", Demands::All),
    ] {
        let expected = Some(Include { pattern, demands });
        assert_eq!(Include::parse(line), expected, "{line}");
    }
    for line in [
        "include",
        "included a",
        "includex a",
        "Include a",
        "xinclude a",
    ] {
        assert_eq!(Include::parse(line), None, "{line}");
    }
}

#[test]
fn braces_stand_for_each_of_their_parts_in_order() {
    let patterns = |pattern| {
        let demands = Demands::Nothing;
        Include { pattern, demands }.patterns()
    };
    let cases: [(&str, &[&str]); 8] = [
        ("a", &["a"]),
        ("{a,b}.conf", &["a.conf", "b.conf"]),
        ("foo/{,cat,dog}", &["foo/", "foo/cat", "foo/dog"]),
        ("{foo/{,cat},bar}/x", &["foo//x", "foo/cat/x", "bar/x"]),
        ("{a,b}{1,2}", &["a1", "a2", "b1", "b2"]),
        ("a{}b{c}", &["a{}bc"]),
        ("a{b", &["a{b"]),
        ("a}b,c", &["a}b,c"]),
    ];
    for (pattern, expected) in cases {
        let expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
        assert_eq!(patterns(pattern), Some(expected), "{pattern}");
    }
    assert_eq!(patterns(&"{a,b}".repeat(9)), None);
}
