//! The way from a configuration as written to a checked one.
//!
//! Pure: what must be known of the host comes as [`Surroundings`]. All mistakes are found in one pass
//! (design decision 14): `sections` reads each key by itself, `together` then judges what the values
//! mean to each other.

use std::ops::RangeInclusive;

use super::Config;
use super::file::Document;
use super::problem::{Problem, Problems, Severity};
use super::reader::Section;
use super::secret::{self, ReadSecret};
use super::{sections, together};

/// What a configuration is judged against beside itself.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The ports that the kernel gives to outgoing connections, `net.ipv4.ip_local_port_range`, if that
    /// is known (K1).
    pub ephemeral_ports: Option<RangeInclusive<u16>>,
    /// The ports that `net.ipv4.ip_local_reserved_ports` keeps from outgoing connections.
    pub reserved_ports: Vec<RangeInclusive<u16>>,
    /// How many descriptors this process may open (`RLIMIT_NOFILE`), if that is known and bounded.
    pub descriptors: Option<u64>,
    /// How files with passwords are read.
    pub read_secret: ReadSecret,
}

impl Default for Surroundings {
    /// Nothing is known, and no file with a password can be read.
    fn default() -> Self {
        Self {
            ephemeral_ports: None,
            reserved_ports: Vec::new(),
            descriptors: None,
            read_secret: secret::read_none,
        }
    }
}

/// A configuration that ftplb can run with.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// The configuration.
    pub config: Config,
    /// What is doubtful in it.
    pub warnings: Vec<Problem>,
}

/// Checks a configuration in TOML. `path` is for messages only.
///
/// # Errors
/// Every mistake, and the warnings with them, in the order of the text.
pub fn check(text: &str, path: &str, surroundings: &Surroundings) -> Result<Checked, Vec<Problem>> {
    check_document(&Document::from_toml(text, path), surroundings)
}

pub(super) fn check_document(
    document: &Document,
    surroundings: &Surroundings,
) -> Result<Checked, Vec<Problem>> {
    let problems = Problems::of(document);
    let mut config = Section::read_root(&problems, sections::config);
    // What a syntax error hides would be reported as absent.
    if document.is_whole() {
        together::judge(&mut config, surroundings, &problems);
    }
    let found = problems.finish();
    if found
        .iter()
        .any(|problem| problem.severity == Severity::Error)
    {
        return Err(found);
    }
    Ok(Checked {
        config,
        warnings: found,
    })
}

#[cfg(test)]
pub(super) mod tests;
