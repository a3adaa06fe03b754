//! Programs of the operator's that ftplb runs: health checks, and what is told of changes.

use std::fmt;
use std::time::Duration;

use super::key::Key;
use super::{Config, HealthCheck, Probe};

/// A program that is run, without a shell.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Script {
    /// The program, an absolute path or a name in `PATH`, and its arguments. At least one word.
    pub words: Vec<String>,
    /// As whom; else [`Scripts::run_as`].
    pub run_as: Option<RunAs>,
}

/// The user that something is run as. Whether there is such a user is not known here.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct RunAs {
    /// The name of the user, or its number.
    pub user: String,
    /// The name of the group, or its number; else the user's own.
    pub group: Option<String>,
}

impl RunAs {
    /// Whether root is meant.
    pub fn is_root(&self) -> bool {
        matches!(self.user.as_str(), "root" | "0")
    }
}

impl fmt::Display for RunAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.user)?;
        match &self.group {
            Some(group) => write!(f, ":{group}"),
            None => Ok(()),
        }
    }
}

/// What is run when something comes up or goes down.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Notify {
    /// When it comes up.
    pub on_up: Option<Script>,
    /// When it goes down.
    pub on_down: Option<Script>,
}

/// What holds for every script.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scripts {
    /// As whom they are run unless they say so; else as ftplb's own user.
    pub run_as: Option<RunAs>,
    /// A script that is told of a change and takes longer is killed.
    pub timeout: Duration,
}

impl Config {
    /// Whether any program of the operator's is run.
    pub fn runs_scripts(&self) -> bool {
        !self.scripts().is_empty()
    }

    /// Every program of the operator's that is run, by its key.
    pub fn scripts(&self) -> Vec<(Key, &Script)> {
        let mut found = Vec::new();
        for (index, pool) in self.pools.iter().enumerate() {
            let key = Key::of("pool").index(index);
            add_checks(&mut found, &key, &pool.health);
            add_notify(&mut found, &key, &pool.notify);
            add_notify(&mut found, &key.field("quorum"), &pool.quorum.notify);
            for (at, backend) in pool.backends.iter().enumerate() {
                let key = key.field("backend").index(at);
                add_checks(
                    &mut found,
                    &key,
                    backend.health.as_deref().unwrap_or_default(),
                );
                add_notify(&mut found, &key, &backend.notify);
            }
        }
        found
    }
}

type Found<'c> = Vec<(Key, &'c Script)>;

fn add_notify<'c>(found: &mut Found<'c>, key: &Key, notify: &'c Notify) {
    let Notify { on_up, on_down } = notify;
    for (name, script) in [("on_up", on_up), ("on_down", on_down)] {
        found.extend(script.iter().map(|script| (key.field(name), script)));
    }
}

fn add_checks<'c>(found: &mut Found<'c>, key: &Key, checks: &'c [HealthCheck]) {
    let key = key.field("health");
    for (index, check) in checks.iter().enumerate() {
        if let Probe::Script { script, .. } = &check.probe {
            let key = if checks.len() == 1 {
                key.clone()
            } else {
                key.index(index)
            };
            found.push((key, script));
        }
    }
}
