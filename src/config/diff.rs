//! What differs between two configurations, in words, for the log of a reload and for whoever asked for it.
//!
//! Both are compared as [`show`] prints them, so that no key can be forgotten and no secret be seen. Tables
//! that repeat are told apart by what they stand for: listeners and backends by their address, pools by
//! their name, discoveries by what they ask for.

use std::collections::BTreeSet;
use std::fmt;

use toml::{Table, Value};

use super::show::show;
use super::{Backend, Config, HealthCheck, Pool, Probe, Secret};

/// One difference.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// What is different, as one line: `timeouts.idle 15m → 30m`.
    pub text: String,
    /// When that holds.
    pub effect: Effect,
}

/// When a change of the configuration holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Effect {
    /// From the reload on.
    Applied,
    /// From the next start on. Until then everything is as before.
    NeedsRestart,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match self.effect {
            Effect::Applied => Ok(()),
            Effect::NeedsRestart => f.write_str(": holds from the next start on"),
        }
    }
}

/// What is different in `after`. Empty if nothing is.
pub fn diff(before: &Config, after: &Config) -> Vec<Change> {
    let mut found = Differences::default();
    let (tables, new_tables) = (tables(before), tables(after));
    for name in names(&tables, &new_tables) {
        let (old, new) = (tables.get(name), new_tables.get(name));
        match name {
            "listener" => found.repeated(&LISTENERS, "", old, new),
            "pool" => found.repeated(&POOLS, "", old, new),
            _ => found.value("", name, old, new),
        }
    }
    for pool in &after.pools {
        if let Some(old) = before.pools.iter().find(|old| old.name == pool.name) {
            found.passwords(old, pool);
        }
    }
    found.0
}

/// Keeps of `after` what needs a restart as it is in `before`: it is what holds.
pub fn keep_what_needs_a_restart(before: &Config, after: &mut Config) {
    after.log.format = before.log.format;
    after.log.file.clone_from(&before.log.file);
    after.transfer_log.clone_from(&before.transfer_log);
    after.process.clone_from(&before.process);
}

/// Where [`keep_what_needs_a_restart`] keeps something.
const NEEDS_RESTART: [&str; 8] = [
    "log.format",
    "log.file",
    "transfer_log.format",
    "transfer_log.file",
    "process.user",
    "process.privileged_ports",
    "process.sandbox",
    "process.handover",
];

/// Tables that repeat: what they are called, and how one of them is known.
struct Repeated {
    one: &'static str,
    many: &'static str,
    name: fn(&Table) -> String,
    /// Those that repeat within one of them, by their key.
    within: &'static [(&'static str, Self)],
}

const LISTENERS: Repeated = Repeated {
    one: "listener",
    many: "listeners",
    name: |table| text(table.get("address")),
    within: &[],
};

const POOLS: Repeated = Repeated {
    one: "pool",
    many: "pools",
    name: |table| text(table.get("name")),
    within: &[("backend", BACKENDS), ("discover", DISCOVERIES)],
};

const BACKENDS: Repeated = Repeated {
    one: "backend",
    many: "backends",
    name: |table| text(table.get("address")),
    within: &[],
};

const DISCOVERIES: Repeated = Repeated {
    one: "discover",
    many: "discover",
    name: |table| {
        let keys = ["record", "name", "port"];
        let words = { keys.iter() }.filter_map(|key| Some(text(Some(table.get(*key)?))));
        words.collect::<Vec<_>>().join(" ")
    },
    within: &[],
};

#[derive(Default)]
struct Differences(Vec<Change>);

impl Differences {
    fn push(&mut self, text: String, effect: Effect) {
        self.0.push(Change { text, effect });
    }

    /// Compares two lists of tables of one kind, in `place`.
    fn repeated(&mut self, kind: &Repeated, place: &str, old: Option<&Value>, new: Option<&Value>) {
        let tables = |value: Option<&Value>| -> Vec<(String, Table)> {
            let values = value.and_then(Value::as_array).into_iter().flatten();
            let tables = values.filter_map(Value::as_table);
            let named = tables.map(|table| ((kind.name)(table), table.clone()));
            named.collect()
        };
        let (old, new) = (tables(old), tables(new));
        let is_in =
            |all: &[(String, Table)], name: &str| all.iter().any(|(known, _)| known == name);
        for (name, table) in old.iter().filter(|(name, _)| !is_in(&new, name)) {
            let who = who(kind, place, name, table);
            self.push(format!("{who} removed"), Effect::Applied);
        }
        for (name, table) in &new {
            let who = who(kind, place, name, table);
            match old.iter().find(|(known, _)| known == name) {
                None => self.push(format!("{who} added"), Effect::Applied),
                Some((_, before)) => self.table(kind, &who, before, table),
            }
        }
        let stay = |one: &[(String, Table)], other: &[(String, Table)]| -> Vec<String> {
            let names = one.iter().map(|(name, _)| name);
            names.filter(|name| is_in(other, name)).cloned().collect()
        };
        if stay(&old, &new) != stay(&new, &old) {
            let text = format!("{place}{} in another order", kind.many);
            self.push(text, Effect::Applied);
        }
    }

    fn table(&mut self, kind: &Repeated, who: &str, old: &Table, new: &Table) {
        let place = format!("{who}: ");
        for name in names(old, new) {
            let (old, new) = (old.get(name), new.get(name));
            match kind.within.iter().find(|(key, _)| *key == name) {
                Some((_, kind)) => self.repeated(kind, &place, old, new),
                None => self.value(&place, name, old, new),
            }
        }
    }

    /// Compares what `key` stands for, in `place`; what is different within it is told one by one.
    fn value(&mut self, place: &str, key: &str, old: Option<&Value>, new: Option<&Value>) {
        if old == new {
            return;
        }
        match (old, new) {
            (Some(Value::Table(old)), Some(Value::Table(new))) => {
                for name in names(old, new) {
                    let key = format!("{key}.{name}");
                    self.value(place, &key, old.get(name), new.get(name));
                }
            }
            (Some(Value::Array(old)), Some(Value::Array(new)))
                if old.len() == new.len() && new.iter().all(Value::is_table) =>
            {
                for (index, (old, new)) in old.iter().zip(new).enumerate() {
                    self.value(place, &format!("{key}[{index}]"), Some(old), Some(new));
                }
            }
            _ => {
                let effect = if NEEDS_RESTART.contains(&key) {
                    Effect::NeedsRestart
                } else {
                    Effect::Applied
                };
                let (old, new) = (text(old), text(new));
                self.push(format!("{place}{key} {old} → {new}"), effect);
            }
        }
    }

    /// Finds what looks the same and is not.
    fn passwords(&mut self, old: &Pool, new: &Pool) {
        let place = format!("pool {}: ", new.name);
        if differ(&old.health, &new.health) {
            self.push(format!("{place}health: another password"), Effect::Applied);
        }
        for backend in &new.backends {
            let is_it = |old: &&Backend| old.address == backend.address;
            let checks = |of: &Backend| of.health.clone().unwrap_or_default();
            if let Some(old) = old.backends.iter().find(is_it)
                && differ(&checks(old), &checks(backend))
            {
                let text = format!(
                    "{place}backend {}: health: another password",
                    backend.address
                );
                self.push(text, Effect::Applied);
            }
        }
    }
}

/// Whether checks that stand in the same place have different passwords.
fn differ(old: &[HealthCheck], new: &[HealthCheck]) -> bool {
    let pairs = old.iter().zip(new);
    let passwords = pairs.map(|(old, new)| (password(old), password(new)));
    { passwords }.any(|pair| matches!(pair, (Some(old), Some(new)) if old.expose() != new.expose()))
}

fn password(check: &HealthCheck) -> Option<&Secret> {
    match &check.probe {
        Probe::Login { password, .. } | Probe::Transfer { password, .. } => Some(password),
        Probe::Greeting | Probe::Http(_) | Probe::Script { .. } | Probe::Tcp => None,
    }
}

/// `config` as it is shown.
fn tables(config: &Config) -> Table {
    { show(config).parse() }.expect("what is shown is TOML: it can be read back")
}

/// The keys of both, each once.
fn names<'t>(old: &'t Table, new: &'t Table) -> BTreeSet<&'t str> {
    old.keys().chain(new.keys()).map(String::as_str).collect()
}

/// One of several: by its name too, if it has one besides its address.
fn who(kind: &Repeated, place: &str, known_by: &str, table: &Table) -> String {
    let one = kind.one;
    match table.get("name").map(|name| text(Some(name))) {
        Some(name) if one == "backend" && name != known_by => {
            format!("{place}{one} {name} ({known_by})")
        }
        _ => format!("{place}{one} {known_by}"),
    }
}

/// A value as people read it.
fn text(value: Option<&Value>) -> String {
    match value {
        None => "not set".to_owned(),
        Some(Value::String(text)) if !text.is_empty() => text.clone(),
        Some(value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests;
