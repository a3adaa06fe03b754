//! Bytes of every kind, and the page that tells operators what becomes of each directive.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::definitions::Surroundings;
use super::grammar::{Fate, Grammar, check, server};
use super::*;
use crate::config::check::{self as toml, Surroundings as Here};

/// A host that has files and nothing else.
#[derive(Default)]
pub(super) struct Files(BTreeMap<String, Vec<u8>>);

impl Files {
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter();
        Self(
            files
                .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
                .collect(),
        )
    }
}

impl Host for Files {
    fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
        let kind = if path == "secret.conf" {
            std::io::ErrorKind::PermissionDenied
        } else {
            std::io::ErrorKind::NotFound
        };
        self.0.get(path).cloned().ok_or_else(|| kind.into())
    }

    /// Of patterns only `START*END`.
    fn glob(&self, pattern: &str) -> Vec<String> {
        let (start, end) = pattern.split_once('*').unwrap_or((pattern, ""));
        let paths = self.0.keys();
        paths
            .filter(|path| path.starts_with(start) && path.ends_with(end))
            .cloned()
            .collect()
    }

    fn directory(&self) -> String {
        "/srv".to_owned()
    }

    fn name(&self) -> String {
        "main.example.net".to_owned()
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn random(&self, range: RangeInclusive<u64>) -> u64 {
        *range.start()
    }
}

pub(super) fn surroundings(files: &Files) -> Surroundings<'_> {
    Surroundings {
        host: files,
        directory: "/srv".to_owned(),
        config_id: "main",
    }
}

/// Imports `bytes`, and checks that whatever comes of it is sound.
fn survive(bytes: Vec<u8>) {
    let files = Files(BTreeMap::from([("k.conf".to_owned(), bytes)]));
    let start = Instant::now();
    let import = import("k.conf", &files, &Options::default());
    let text = import.toml();
    if let Ok(checked) = import.check(&Here::default()) {
        let again = toml::check(&text, "x.toml", &Here::default()).unwrap();
        assert_eq!(checked.config, again.config);
    }
    // A thousand times what it takes: against what grows without a bound.
    assert!(start.elapsed() < Duration::from_secs(20));
}

fn piece() -> impl Strategy<Value = String> {
    let pieces: Vec<_> = PIECES.split('|').collect();
    prop::sample::select(pieces).prop_map(|piece| piece.replace(';', "\n"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_are_too_much(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        survive(bytes);
    }

    #[test]
    fn no_order_of_its_pieces_is_too_much(pieces in prop::collection::vec(piece(), 0..200)) {
        survive(pieces.join(" ").into_bytes());
    }
}

#[test]
fn hostile_files_end_soon() {
    let nested = format!("virtual_server 192.0.2.1 21 {{\n{}", "a {\n".repeat(20_000));
    survive(nested.into_bytes());
    survive("}\n".repeat(20_000).into_bytes());
    survive("\"".repeat(100_000).into_bytes());
    let chain: Vec<_> = (0..900)
        .map(|at| format!("$A{at}=$A{}\n", at + 1))
        .collect();
    survive(format!("{}{}", chain.concat(), "$A0\n".repeat(20_000)).into_bytes());
    // Found by the fuzzer: two definitions of several lines that end in each other.
    survive(b"$A= \\\n x { \\\n $B\n$B= \\\n y \\\n $A\n$A".to_vec());
    survive(
        "~SEQ(A,1,99999) virtual_serve$A x"
            .replace("serve$A", "serve${A}")
            .into_bytes(),
    );
    let servers = "real_server 10.0.0.1 21 { }\n".repeat(20_000);
    survive(format!("virtual_server 192.0.2.1 21 {{\nprotocol TCP\n{servers}}}").into_bytes());
    let many = "~SEQ(A,0,99) ~SEQ(B,0,199) real_server 10.0.${A}.$B 21 { TCP_CHECK { } }";
    survive(format!("virtual_server 192.0.2.1 21 {{\nprotocol TCP\n{many}\n}}").into_bytes());
    let services = "~SEQ(A,0,99) ~SEQ(B,0,199) virtual_server 10.0.${A}.$B 21 { real_server ::1 }";
    survive(services.as_bytes().to_vec());
    let members = "10.0.0.1 80\n".repeat(20_000);
    let uses = "virtual_server group G { }\n".repeat(20_000);
    survive(format!("virtual_server_group G {{\n{members}}}\n{uses}").into_bytes());
    let group = "virtual_server_group G {\n::/1 21\n0.0.0.0/1 21\n}\n";
    let server = "virtual_server group G {\nprotocol TCP\nreal_server 10.0.0.1 21 { }\n}";
    survive(format!("{group}{server}").into_bytes());
}

/// The grammars, in the order of the page, with their headings.
fn grammars() -> [(&'static str, &'static Grammar); 9] {
    [
        ("Top level", &server::TOP),
        ("`global_defs`", &server::GLOBAL_DEFS),
        ("`virtual_server`", &server::VIRTUAL_SERVER),
        ("`real_server`", &server::REAL_SERVER),
        ("`TCP_CHECK`, `PING_CHECK`", &check::TCP_CHECK),
        ("`MISC_CHECK`", &check::MISC_CHECK),
        ("`HTTP_GET`, `SSL_GET`", &check::HTTP_GET),
        ("`url`", &check::URL),
        ("`SMTP_CHECK`", &check::SMTP_CHECK),
    ]
}

fn table(grammar: &Grammar) -> String {
    let mut rows = vec!["| directive | | |".to_owned(), "|---|---|---|".to_owned()];
    for row in grammar.all() {
        let fate = match row.fate {
            Fate::Taken => "taken over",
            Fate::Differs => "with a difference",
            Fate::Not => "not applicable",
        };
        rows.push(format!("| `{}` | {fate} | {} |", row.keyword, row.says));
    }
    rows.join("\n")
}

/// `FTPLB_WRITE_EXPECTED=1` writes the tables anew.
#[test]
fn the_page_has_every_directive_and_no_other() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/keepalived.md");
    let mut page = std::fs::read_to_string(path).unwrap();
    let written = page.clone();
    for (title, grammar) in grammars() {
        let heading = format!("\n### {title}\n");
        let (before, behind) = page.split_once(&heading).expect(title);
        let rest = behind.find("\n#").map_or("", |end| &behind[end..]);
        page = format!("{before}{heading}\n{}\n{rest}", table(grammar));
    }
    if std::env::var_os("FTPLB_WRITE_EXPECTED").is_some() {
        std::fs::write(path, page).unwrap();
    } else {
        assert_eq!(page, written, "docs/keepalived.md");
    }
}

#[test]
fn no_directive_has_two_rows() {
    for (title, grammar) in grammars() {
        let mut seen = BTreeSet::new();
        for row in grammar.all() {
            assert!(seen.insert(row.keyword), "{title}: {}", row.keyword);
        }
    }
}

/// What configurations are made of, in any order. A line end stands as `;`.
const PIECES: &str = "virtual_server|192.0.2.10|21|{|}|;|real_server|TCP_CHECK|protocol TCP|weight|1|\"|'|\\\\|#|!|\
    $|${|$A=|$A|$A= \\;|~SEQ(A,1,3)|~LST({A,B},{1,2})|@main|@^main|include k.conf|include *|fwmark|\
    group|virtual_server_group|persistence_timeout|MISC_CHECK|misc_path|HTTP_GET|url|path /|quorum|\
    99999999999999999999|-1|alpha|sorry_server|::1|\0|é|global_defs|script_user|notify_up|\
    ${_RANDOM 1 2}|${_ENV X}|2001:db8::1-f|10.0.0.0/8|TUN|lb_kind|lb_algo sh|sh-port|regex|status_code";
