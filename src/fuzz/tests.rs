//! The inputs of the corpora, tried again.

use std::fs;
use std::path::{Path, PathBuf};

use super::{commands, configuration, endpoints, keepalived, lines, replies, session};

type Target = (&'static str, fn(&[u8]));

/// The targets, by the names of their corpora.
const TARGETS: [Target; 7] = [
    ("commands", commands::check),
    ("configuration", configuration::check),
    ("endpoints", endpoints::check),
    ("keepalived", keepalived::check),
    ("lines", lines::check),
    ("replies", replies::check),
    ("session", session::check),
];

#[test]
fn no_input_of_a_corpus_breaks_its_target() {
    for (name, check) in TARGETS {
        let mut count = 0;
        for file in fs::read_dir(fuzz().join("corpus").join(name)).unwrap() {
            let path = file.unwrap().path();
            // Where a target panics, the test says which input it was.
            println!("{}", path.display());
            check(&fs::read(path).unwrap());
            count += 1;
        }
        assert!(count > 0, "the corpus of {name} is empty");
    }
}

#[test]
fn every_target_has_a_program_and_a_corpus_and_no_other_is_left() {
    let names = TARGETS.map(|(name, _)| name.to_owned());
    for folder in ["corpus", "fuzz_targets"] {
        let found = fs::read_dir(fuzz().join(folder)).unwrap();
        let mut found: Vec<String> = found
            .map(|file| file.unwrap().path())
            .map(|path| path.file_stem().unwrap().display().to_string())
            .collect();
        found.sort();
        assert_eq!(found, names, "fuzz/{folder}");
    }
    let programs = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for name in names {
        assert!(programs.contains(&format!("name = \"{name}\"")), "{name}");
    }
}

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}
