//! A corpus of files as operators have them, in `tests/import`, each with what is made of it beside it:
//! `.toml`, the configuration; `.lint`, what became of each statement; `.mistakes`, in place of the first.
//!
//! `FTPLB_WRITE_EXPECTED=1 cargo test --lib import` writes these anew. Read the difference before it is
//! committed: what stands there was read once, by people who know keepalived.

use std::collections::BTreeSet;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::{Host, Import, Options, summary};
use crate::config::check::{Surroundings, check};
use crate::config::{ipvsadm, keepalived};

/// A host with a name, a directory, one variable, the files of the corpus, and no chance.
struct Corpus;

impl Host for Corpus {
    fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
        fs::read(folder().join(path))
    }

    fn glob(&self, pattern: &str) -> Vec<String> {
        let pattern = folder().join(pattern);
        let paths = glob::glob(&pattern.display().to_string()).unwrap();
        let relative = paths.map(|path| {
            let path = path.unwrap();
            let path = path.strip_prefix(folder()).unwrap();
            path.display().to_string()
        });
        relative.collect()
    }

    fn directory(&self) -> String {
        "/etc/keepalived".to_owned()
    }

    fn name(&self) -> String {
        "lb1.example.net".to_owned()
    }

    fn variable(&self, name: &str) -> Option<String> {
        (name == "VIP").then(|| "192.0.2.10".to_owned())
    }

    fn random(&self, range: RangeInclusive<u64>) -> u64 {
        *range.start()
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import")
}

/// The files of the corpus, by name.
fn corpus() -> BTreeSet<String> {
    let files = fs::read_dir(folder()).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let is_input = |name: &String| ["conf", "rules"].contains(&ending(name));
    let names: BTreeSet<_> = names.filter(is_input).collect();
    assert!(names.len() >= 20, "{names:?}");
    names
}

fn ending(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, ending)| ending)
}

/// What a line `options: --fwmark 21=192.0.2.10` in a comment of the input says.
fn options(name: &str) -> Options {
    let mut options = Options::default();
    let text = String::from_utf8_lossy(&fs::read(folder().join(name)).unwrap()).into_owned();
    let Some((_, line)) = text.split_once("options:") else {
        return options;
    };
    let words: Vec<_> = line.lines().next().unwrap().split_whitespace().collect();
    for pair in words.chunks(2) {
        let value = pair[1].to_owned();
        match pair[0] {
            "--fwmark" => options.marks.push(value),
            "--ftp-port" => options.ftp_ports.push(value),
            "--config-id" => options.config_id = Some(value),
            "--passive-ports" => options.passive_ports = Some(value),
            "--advertise" => options.advertise = Some(value),
            "--admin" => options.admin = Some(value),
            "--log-format" => options.log_format = Some(value),
            flag => panic!("{name}: {flag}"),
        }
    }
    options
}

fn import(name: &str) -> Import {
    let of = if ending(name) == "conf" {
        keepalived::import
    } else {
        ipvsadm::import
    };
    of(name, &Corpus, &options(name))
}

/// Compares with what stands beside the input, or writes it.
fn expect(name: &str, kind: &str, found: Option<String>) {
    let (stem, _) = name.rsplit_once('.').unwrap();
    let path = folder().join(format!("{stem}.{kind}"));
    if std::env::var_os("FTPLB_WRITE_EXPECTED").is_some() {
        match found {
            Some(text) => fs::write(path, text).unwrap(),
            None => drop(fs::remove_file(path)),
        }
        return;
    }
    let expected = fs::read_to_string(&path).ok();
    assert_eq!(found, expected, "{}", path.display());
}

#[test]
fn each_file_becomes_what_stands_beside_it() {
    for name in corpus() {
        let import = import(&name);
        let result = import.check(&Surroundings::default());
        let (toml, problems) = match &result {
            Ok(checked) => (Some(import.toml()), &checked.warnings),
            Err(problems) => (None, problems),
        };
        let problems: Vec<_> = problems.iter().map(|p| format!("{p}\n")).collect();
        expect(&name, "toml", toml);
        expect(
            &name,
            "mistakes",
            (!problems.is_empty()).then(|| problems.concat()),
        );
        let findings = import.findings();
        let lines: Vec<_> = findings.iter().map(|f| format!("{f}\n")).collect();
        let lint = format!("{}{}\n", lines.concat(), summary(&findings));
        expect(&name, "lint", Some(lint));
    }
}

#[test]
fn whoever_runs_from_the_file_and_from_its_toml_runs_the_same() {
    let mut count = 0;
    for name in corpus() {
        let import = import(&name);
        let Ok(from_input) = import.check(&Surroundings::default()) else {
            continue;
        };
        let toml = import.toml();
        let from_toml = check(&toml, "x.toml", &Surroundings::default());
        let from_toml = from_toml.unwrap_or_else(|problems| panic!("{name}: {problems:#?}"));
        assert_eq!(from_input.config, from_toml.config, "{name}");
        count += 1;
    }
    assert!(count >= 15, "{count}");
}

#[test]
fn every_statement_is_told_of_in_the_order_of_the_input() {
    for name in corpus() {
        let findings = import(&name).findings();
        for pair in findings.windows(2) {
            let is_behind = pair[0].path != pair[1].path || pair[0].line <= pair[1].line;
            assert!(is_behind, "{name}: {pair:#?}");
        }
    }
}
