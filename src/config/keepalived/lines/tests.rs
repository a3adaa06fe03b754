//! From files to lines.

use super::*;
use crate::config::keepalived::tests::Files;

/// The lines of `k.conf`, each with its place if it is not what stands there; ignored ones begin with `-`,
/// mistakes with `!`.
fn lines(files: &[(&str, &str)]) -> Vec<String> {
    let files = Files::of(files);
    let lines = read("k.conf", &files, "main").into_iter();
    lines
        .map(|line| match line.kind {
            Kind::Statement => line.text,
            Kind::Ignored(why) => format!("- {}: {why}", line.text),
            Kind::Mistake(mistake) => format!("! {}: {}", line.text, mistake.message),
        })
        .collect()
}

fn of(text: &str) -> Vec<String> {
    lines(&[("k.conf", text)])
}

#[test]
fn a_line_has_the_place_where_the_reader_stood() {
    let text = "a\n\n$X= \\\n b \\\n c\nd { e }\n~SEQ(N,1,2) n$N ${N}\n$X\ninclude i.conf\nz";
    let files = Files::of(&[("k.conf", text), ("i.conf", "\r\nf\r\n\r\n")]);
    let lines = read("k.conf", &files, "main");
    let places: Vec<_> = lines
        .iter()
        .map(|line| format!("{}:{} {}", line.path, line.number, line.text))
        .collect();
    let expected = [
        "k.conf:1 a",
        "k.conf:6 d",
        "k.conf:6 {",
        "k.conf:6 e",
        "k.conf:6 }",
        "k.conf:7 n1 1",
        "k.conf:7 n2 2",
        "k.conf:8 b",
        "k.conf:8 c",
        "i.conf:2 f",
        "k.conf:10 z",
    ];
    assert_eq!(places, expected);
}

#[test]
fn conditions_are_met_by_the_id_of_the_configuration() {
    let text = "@main a\n@other b\n@^main c\n@^other d\n@main\n@\n@main @^other e\n$M=@other\n$M f\n@mainx g\n @main\th\n@other $Z=1\n@main $Z=2\n$Z";
    assert_eq!(of(text), ["a", "d", "e", "h", "2"]);
}

#[test]
fn repetitions_and_definitions_nest() {
    let text = "~SEQ(A,1,2) ~LST(B,x,y) $A $B";
    assert_eq!(of(text), ["1 x", "1 y", "2 x", "2 y"]);
    let text = "$L= \\\n ~SEQ(A,1,2) in${C} $A \\\n end${C}\n~SEQ(C,1,2) $L";
    assert_eq!(
        of(text),
        ["in1 1", "in1 2", "end1", "in2 1", "in2 2", "end2"]
    );
    // What stands behind a brace is read like a line.
    let text = "a { @main b }\n$W=3\nc { weight $W } ~SEQ(N,1,2) d$N ${N}";
    assert_eq!(
        of(text),
        [
            "a", "{", "b", "}", "c", "{", "weight 3", "}", "d1 1", "d2 2"
        ]
    );
    // An empty line ends a definition.
    assert_eq!(of("$X= \\\n a \\\n\n b \\\n$X"), ["b\\", "a"]);
    assert_eq!(of("$X= \\\n a \\\n \n b\n$X"), ["a", "b"]);
}

#[test]
fn files_are_included_from_where_they_stand() {
    let files = [
        (
            "k.conf",
            "include d/a.conf\ninclude d/*.inc\ninclude {x,d/y}.conf\nlast ${_PWD}",
        ),
        ("d/a.conf", "a ${_PWD}\ninclude b.conf\ninclude /abs.conf"),
        ("d/b.conf", "b"),
        ("/abs.conf", "abs ${_PWD}"),
        ("d/2.inc", "two"),
        ("d/1.inc", "one"),
        ("d/y.conf", "y"),
    ];
    assert_eq!(
        lines(&files),
        [
            "a /srv/d",
            "b",
            "abs /",
            "one",
            "two",
            "- include {x,d/y}.conf: there is no such file",
            "y",
            "last /srv",
        ]
    );
}

#[test]
fn an_include_that_demands_something_is_a_mistake_without_it() {
    for (line, is_mistake) in [
        ("include no.conf", false),
        ("include no*.conf", false),
        ("include {a,no}.conf", false),
        ("includer no.conf", false),
        ("includer no*.conf", false),
        ("includem no.conf", true),
        ("includem no*.conf", false),
        ("includem {a,no}.conf", false),
        ("includew no.conf", true),
        ("includew no*.conf", true),
        ("includeb {a,no}.conf", true),
        ("includeb no.conf", true),
        ("includea {a,no}.conf", true),
        ("includea no*.conf", true),
        ("include secret.conf", false),
        ("includer secret.conf", true),
    ] {
        let found = lines(&[("k.conf", line), ("a.conf", "")]);
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert_eq!(found[0].starts_with('!'), is_mistake, "{line}: {found:?}");
    }
}

#[test]
fn every_reading_ends() {
    let deep = |depth: usize| -> Vec<(String, String)> {
        let file = |at| (format!("{at}.conf"), format!("include {}.conf", at + 1));
        (0..depth).map(file).collect()
    };
    let mut files = deep(30);
    files.push(("k.conf".to_owned(), "include 0.conf".to_owned()));
    let files: Vec<_> = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    let found = lines(&files);
    assert!(found[0].contains("16 deep"), "{found:?}");

    assert!(of("include k.conf")[0].contains("includes itself"));
    assert!(of("$A=$A\n$A\nb")[0].contains("stands for itself"));
    // Each line alone is short enough.
    let text = format!("$A={}\n$B=$A,$A\nx $B\ny", "a".repeat(600));
    assert_eq!(of(&text).len(), 2);
    assert!(of(&text)[0].contains("longer than 1023 bytes"));
    let found = of("~SEQ(A,1,99999) ~SEQ(B,1,99999) ~SEQ(C,1,99999) x");
    assert!(
        found.last().unwrap().contains("too long"),
        "{}",
        found.len()
    );
    let found = of("~SEQ(A,1,99999) ~SEQ(B,1,99999) $X=$A");
    assert!(
        found.last().unwrap().contains("too long"),
        "{}",
        found.len()
    );
    let found = of("~SEQ(A,1,99999) include no.conf");
    assert!(
        found.last().unwrap().contains("too long"),
        "{}",
        found.len()
    );
    let found = of(&format!("{}\nb", "a".repeat(1_024)));
    assert!(found[0].contains("longer than 1023 bytes"), "{found:?}");
    assert_eq!(found[1], "b");
    let found = of("a\0\nb");
    assert!(found[0].contains("NUL"), "{found:?}");
    assert_eq!(found[1], "b");
}

#[test]
fn a_file_that_is_not_there_is_a_mistake() {
    assert!(lines(&[])[0].starts_with("! : cannot be read"));
}
