//! Whatever a `keepalived.conf` or the rules of ipvsadm hold, they are read, and what can be run from
//! them runs the same from the TOML that they become.

use std::ops::RangeInclusive;

use crate::config::check::{self, Surroundings};
use crate::config::import::{Host, Import, Options};
use crate::config::{ipvsadm, keepalived};

/// Tries `data` as files of keepalived, or as rules of ipvsadm if its first byte is `-`, which stands before
/// them. A NUL ends a file, and the next one is `b.conf`, for includes.
pub fn check(data: &[u8]) {
    let Some((first, data)) = data.split_first() else {
        return;
    };
    let import: fn(&str, &dyn Host, &Options) -> Import = if *first == b'-' {
        ipvsadm::import
    } else {
        keepalived::import
    };
    let options = Options {
        marks: vec!["21=192.0.2.21".to_owned()],
        ..Options::default()
    };
    for options in [Options::default(), options] {
        let import = import("a.conf", &Files(data), &options);
        let toml = import.toml();
        assert!(import.findings().len() <= MOST_FINDINGS);
        if let Ok(checked) = import.check(&Surroundings::default()) {
            let again = check::check(&toml, "x.toml", &Surroundings::default());
            let again = again.unwrap_or_else(|found| panic!("{found:#?} of\n{toml}"));
            assert_eq!(again.config, checked.config, "{toml}");
        }
    }
}

/// A host with two files.
struct Files<'d>(&'d [u8]);

impl Host for Files<'_> {
    fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
        let index = usize::from(path == "b.conf");
        let mut files = self.0.split(|byte| *byte == 0);
        let file = files.nth(index).ok_or(std::io::ErrorKind::NotFound)?;
        Ok(file.to_vec())
    }

    fn glob(&self, _pattern: &str) -> Vec<String> {
        vec!["b.conf".to_owned()]
    }

    fn directory(&self) -> String {
        "/etc/keepalived".to_owned()
    }

    fn name(&self) -> String {
        "main".to_owned()
    }

    fn variable(&self, name: &str) -> Option<String> {
        Some(name.to_owned())
    }

    fn random(&self, range: RangeInclusive<u64>) -> u64 {
        *range.end()
    }
}

/// As many lines as are read, and those that are split.
const MOST_FINDINGS: usize = 300_000;
