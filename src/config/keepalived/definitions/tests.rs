//! Names and what they stand for.

use std::ops::RangeInclusive;

use super::*;

struct Nothing;

impl Host for Nothing {
    fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
        panic!("{path}")
    }

    fn glob(&self, pattern: &str) -> Vec<String> {
        panic!("{pattern}")
    }

    fn directory(&self) -> String {
        String::new()
    }

    fn name(&self) -> String {
        String::new()
    }

    fn variable(&self, name: &str) -> Option<String> {
        (name == "HOME").then(|| "/var".to_owned())
    }

    fn random(&self, range: RangeInclusive<u64>) -> u64 {
        range.start() * 100_000 + range.end()
    }
}

fn surroundings() -> Surroundings<'static> {
    Surroundings {
        host: &Nothing,
        directory: "/etc/keepalived".to_owned(),
        config_id: "main",
    }
}

/// What `text` is with the definitions in `lines`.
fn replaced(lines: &[&str], text: &str) -> String {
    let mut definitions = Definitions::default();
    for line in lines {
        assert_eq!(definitions.define(line), Defined::Whole, "{line}");
    }
    let replaced = definitions.replace(text, &surroundings()).unwrap();
    replaced.map_or_else(|| text.to_owned(), |replaced| replaced.text)
}

#[test]
fn a_name_is_replaced_where_it_ends() {
    for (text, expected) in [
        ("$A", "1"),
        ("x $A y", "x 1 y"),
        ("$A,$A)", "1,1)"),
        ("$A$A", "$A1"),
        ("$A.$A", "$A.1"),
        ("$AB", "$AB"),
        ("${A}B${A}", "1B1"),
        ("${AB}", "${AB}"),
        ("${A", "${A"),
        ("$", "$"),
        ("$$A", "$1"),
        ("\"$A\"", "\"$A\""),
        ("\"${A}\"", "\"1\""),
        ("x $E y", "x  y"),
        ("$E", ""),
        ("ü$A", "ü1"),
    ] {
        assert_eq!(replaced(&["$A=1", "$E="], text), expected, "{text}");
    }
}

#[test]
fn a_name_is_looked_up_when_it_is_used() {
    let lines = ["$BASE=10.2.${SUB}", "$SUB=0", "$SUB=10"];
    assert_eq!(replaced(&lines, "${BASE}.100/32"), "10.2.10.100/32");
    assert_eq!(
        replaced(&lines[..1], "${BASE}.100/32"),
        "10.2.${SUB}.100/32"
    );
}

#[test]
fn only_a_line_of_its_own_defines() {
    for line in [
        "A=1", "$A =1", "$1=a", "$=a", "$A-B=1", "x $A=1", "$A", "${A}=1",
    ] {
        let defined = Definitions::default().define(line);
        assert_eq!(defined, Defined::Nothing, "{line}");
    }
    assert_eq!(replaced(&["$_a1=  x = y "], "$_a1"), "x = y");
}

#[test]
fn what_keepalived_defines_is_there_until_it_is_defined_anew() {
    for (text, expected) in [
        ("${_PWD}/x", "/etc/keepalived/x"),
        ("$_PWD", "/etc/keepalived"),
        ("${_INSTANCE}", "main"),
        ("${_RANDOM}", "32767"),
        ("${_RANDOM 5}", "532767"),
        ("${_RANDOM 5 9}", "500009"),
        ("${_RANDOM 9 5}", "900009"),
        ("${_RANDOM 5 }", "${_RANDOM 5 }"),
        ("${_RANDOM x}", "${_RANDOM x}"),
        ("${_RANDOM 1 2 3}", "${_RANDOM 1 2 3}"),
        ("${_ENV HOME}", "/var"),
        ("x${_ENV NOTHING}y", "xy"),
        ("${_ENV}", "${_ENV}"),
        ("${_PWD x}", "${_PWD x}"),
        ("a${_HASH}b${_BANG}", "a#b!"),
        ("$_HASH", "#"),
    ] {
        assert_eq!(replaced(&[], text), expected, "{text}");
    }
    assert_eq!(replaced(&["$_PWD=/tmp"], "$_PWD"), "/tmp");
    assert_eq!(replaced(&["$A=1"], "${A 1}"), "${A 1}");
}

#[test]
fn several_lines_are_for_the_end_of_a_line() {
    let mut definitions = Definitions::default();
    assert_eq!(
        definitions.define("$A= first\\"),
        Defined::Begun("A".to_owned())
    );
    assert!(definitions.go_on("A", "second\\"));
    assert!(definitions.go_on("A", "\\"));
    assert!(!definitions.go_on("A", "third"));
    let of = |text: &str| {
        let replaced = definitions.replace(text, &surroundings()).unwrap();
        replaced.map(|replaced| (replaced.text, replaced.following))
    };
    let rest = || vec![vec!["second".to_owned(), "third".to_owned()]];
    assert_eq!(of("$A"), Some(("first".to_owned(), rest())));
    assert_eq!(of("x ${A}"), Some(("x first".to_owned(), rest())));
    assert_eq!(of("$A x"), None);
    assert_eq!(of("${A}x"), None);
    // Nothing on the line of the name, and one definition in the other.
    assert_eq!(definitions.define("$B=\\"), Defined::Begun("B".to_owned()));
    assert!(definitions.go_on("B", "$A\\"));
    assert!(!definitions.go_on("B", "last"));
    let found = definitions.replace("$B", &surroundings()).unwrap().unwrap();
    assert_eq!(found.text, "first");
    assert_eq!(found.following, [vec!["last".to_owned()], rest().remove(0)]);
}

#[test]
fn a_name_that_stands_for_itself_ends() {
    let failure = |lines: &[&str]| {
        let mut definitions = Definitions::default();
        for line in lines {
            definitions.define(line);
        }
        definitions.replace("$A", &surroundings()).unwrap_err()
    };
    assert_eq!(failure(&["$A=$A"]), Failure::Endless);
    assert_eq!(failure(&["$A=$B", "$B=$A"]), Failure::Endless);
    assert_eq!(failure(&["$A=x ${A}"]), Failure::TooLong);
}
