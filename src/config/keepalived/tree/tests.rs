//! Blocks, and what is said of braces that do not match.

use super::*;
use crate::config::keepalived::lines;
use crate::config::keepalived::tests::Files;

/// The tree as text, and the mistakes with their lines.
fn grown(text: &str) -> (String, Vec<String>) {
    let files = Files::of(&[("k.conf", text)]);
    let mut ledger = Ledger::default();
    let tree = grow(lines::read("k.conf", &files, "main"), &mut ledger);
    let spots = ledger.mistakes().iter();
    let mistakes = spots.map(|(spot, mistake)| {
        let all = ledger.statements().iter().enumerate();
        let at = all
            .filter(|(index, _)| crate::config::file::Spot::Statement(*index) == *spot)
            .map(|(_, statement)| statement.line.to_string());
        let at: String = at.collect();
        format!("{at} {} | {}", mistake.message, mistake.hint)
    });
    (shown(&tree), mistakes.collect())
}

fn shown(tree: &[Directive]) -> String {
    let one = |directive: &Directive| match &directive.block {
        Some(block) => format!("{}({})", directive.text, shown(block)),
        None => directive.text.clone(),
    };
    tree.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_block_belongs_to_the_statement_before_it() {
    for (text, expected) in [
        ("a", "a"),
        ("a {\n b\n c\n}\nd", "a(b c) d"),
        ("a\n{\n\n}\n", "a()"),
        ("a { b { c } d } e", "a(b(c) d) e"),
        ("a{b{c}}d", "a(b(c)) d"),
        ("a \"{\" { }", "a \"{\"()"),
        ("a {}\nb {\n}", "a() b()"),
    ] {
        assert_eq!(grown(text), (expected.to_owned(), Vec::new()), "{text}");
    }
}

#[test]
fn braces_that_do_not_match_are_reported_where_they_stand() {
    for (text, expected, mistakes) in [
        (
            "a\n}",
            "a",
            &["2 } ends no block | take it away, or open"][..],
        ),
        ("{\na }", "(a)", &["1 { opens no block"]),
        ("a {\n{ b }\n}", "a((b))", &["2 { opens no block"]),
        ("a { }\n{ b }", "a() (b)", &["2 { opens no block"]),
        (
            "x\na {\nb",
            "x a(b)",
            &["2 the block that begins here is not closed | a } is missing"],
        ),
        (
            "a {\nb {\n}",
            "a(b())",
            &["1 the block that begins here is not closed"],
        ),
        (
            "v {\nr {\nc {\n}\nr {\n}\n}",
            "v(r(c() r()))",
            &[
                "1 the block that begins here is not closed | a } is missing: the r of line 5 stands in that of line 2",
            ],
        ),
    ] {
        let (tree, found) = grown(text);
        assert_eq!(tree, expected, "{text}");
        assert_eq!(found.len(), mistakes.len(), "{found:?}");
        for (found, start) in found.iter().zip(mistakes) {
            assert!(found.starts_with(start), "{found}");
        }
    }
    let (_, deep) = grown(&"a {\n".repeat(100));
    assert!(deep[0].contains("too deep"), "{deep:?}");
}
