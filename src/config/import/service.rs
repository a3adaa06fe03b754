//! What another balancer says of one FTP service, and how it is drafted as listeners and a pool.

use std::net::SocketAddr;
use std::time::Duration;

use super::draft::{Table, Value};
use super::ledger::Id;
use crate::config::file::Spot;

/// A value and the statement that says it.
#[derive(Clone, Debug)]
pub(in crate::config) struct Told<T> {
    pub(in crate::config) value: T,
    /// If none says it: the one that the value stands for.
    pub(in crate::config) by: Id,
    /// Nobody says it: it is the other balancer's default.
    pub(in crate::config) is_default: bool,
}

/// Addresses that clients connect to, and the servers behind them.
#[derive(Clone, Debug)]
pub(in crate::config) struct Service {
    pub(in crate::config) by: Id,
    /// Unique among the services.
    pub(in crate::config) name: String,
    pub(in crate::config) listeners: Vec<Told<SocketAddr>>,
    pub(in crate::config) algorithm: Told<String>,
    pub(in crate::config) hash_port: Option<Id>,
    pub(in crate::config) affinity: Option<Affinity>,
    pub(in crate::config) alpha: Option<Id>,
    pub(in crate::config) omega: Option<Id>,
    pub(in crate::config) quorum: Quorum,
    pub(in crate::config) sorry: Option<Told<SocketAddr>>,
    pub(in crate::config) backends: Vec<Backend>,
    /// What is different from the other balancer.
    pub(in crate::config) differences: Vec<String>,
}

/// How a client comes back to its server.
#[derive(Clone, Debug)]
pub(in crate::config) struct Affinity {
    pub(in crate::config) timeout: Told<Duration>,
    pub(in crate::config) prefix_v4: Option<Told<u64>>,
    pub(in crate::config) prefix_v6: Option<Told<u64>>,
}

/// How many servers a service needs.
#[derive(Clone, Debug, Default)]
pub(in crate::config) struct Quorum {
    pub(in crate::config) weight: Option<Told<u64>>,
    pub(in crate::config) hysteresis: Option<Told<u64>>,
    pub(in crate::config) on_up: Option<Told<Script>>,
    pub(in crate::config) on_down: Option<Told<Script>>,
}

/// One server of a service.
#[derive(Clone, Debug)]
pub(in crate::config) struct Backend {
    pub(in crate::config) by: Id,
    pub(in crate::config) address: SocketAddr,
    pub(in crate::config) weight: Option<Told<u64>>,
    pub(in crate::config) max_sessions: Option<Told<u64>>,
    pub(in crate::config) resume_sessions: Option<Told<u64>>,
    pub(in crate::config) on_up: Option<Told<Script>>,
    pub(in crate::config) on_down: Option<Told<Script>>,
    /// All must pass. None: it is not checked.
    pub(in crate::config) checks: Vec<Check>,
}

/// A check of a server. One success brings it up.
#[derive(Clone, Debug)]
pub(in crate::config) struct Check {
    pub(in crate::config) by: Id,
    pub(in crate::config) probe: Probe,
    /// What is checked in place of the server's own address.
    pub(in crate::config) address: Option<Told<String>>,
    pub(in crate::config) interval: Told<Duration>,
    pub(in crate::config) timeout: Told<Duration>,
    pub(in crate::config) fall: Told<u64>,
    pub(in crate::config) retry_interval: Told<Duration>,
    pub(in crate::config) warmup: Told<Duration>,
}

/// What a check tries.
#[derive(Clone, Debug)]
pub(in crate::config) enum Probe {
    /// A page; the keys of ftplb's check, with their values.
    Http(Vec<(&'static str, Told<Page>)>),
    Script(Told<Script>, Option<Id>),
    Tcp,
}

/// A value of a check of a page.
#[derive(Clone, Debug)]
pub(in crate::config) enum Page {
    Boolean(bool),
    Text(String),
}

/// A program and its arguments.
#[derive(Clone, Debug)]
pub(in crate::config) struct Script {
    pub(in crate::config) words: Vec<String>,
    /// `user` or `user:group`.
    pub(in crate::config) run_as: Option<String>,
}

impl<T> Told<T> {
    pub(in crate::config) fn by(by: Id, value: T) -> Self {
        Self {
            value,
            by,
            is_default: false,
        }
    }

    pub(in crate::config) fn default(of: Id, value: T) -> Self {
        Self {
            value,
            by: of,
            is_default: true,
        }
    }

    pub(in crate::config) fn map<U>(self, meaning: impl FnOnce(T) -> U) -> Told<U> {
        Told {
            value: meaning(self.value),
            by: self.by,
            is_default: self.is_default,
        }
    }
}

impl Service {
    /// The tables `[[listener]]`, which take data connections on `passive_ports` and name `advertise`, and
    /// the table `[[pool]]`.
    pub(super) fn draft(&self, passive_ports: &(Value, Spot), advertise: Option<&str>) -> Drafts {
        let mut listeners = Vec::new();
        for listener in &self.listeners {
            let mut table = Table::new(listener.by.spot());
            let spot = table.spot;
            table.set("address", address(listener.value), spot);
            table.set("pool", Value::Text(self.name.clone()), spot);
            let note = "open them in the firewall as well";
            let (ports, flag) = passive_ports;
            table.set_with_note("passive_ports", ports.clone(), *flag, note);
            // 227 names IPv4 addresses only.
            if let Some(ip) = advertise.filter(|_| listener.value.is_ipv4()) {
                let flag = Spot::Flag("--advertise");
                table.set("advertise", Value::Text(ip.to_owned()), flag);
            }
            listeners.push(table);
        }
        Drafts {
            listeners,
            pool: self.pool(),
        }
    }

    fn pool(&self) -> Table {
        let mut pool = Table::new(self.by.spot());
        let spot = pool.spot;
        if !self.differences.is_empty() {
            pool.remarks.push("What differs:".to_owned());
            pool.remarks.extend(self.differences.iter().cloned());
        }
        pool.set("name", Value::Text(self.name.clone()), spot);
        set(&mut pool, "algorithm", &self.algorithm, Value::Text);
        if let Some(by) = self.hash_port {
            pool.set("hash_port", Value::Boolean(true), by.spot());
        }
        match &self.affinity {
            Some(affinity) => {
                let table = affinity_table(affinity);
                pool.set("affinity", Value::Inline(table), affinity.timeout.by.spot());
            }
            None => pool.set("affinity", Value::Boolean(false), spot),
        }
        for (name, by) in [("alpha", self.alpha), ("omega", self.omega)] {
            if let Some(by) = by {
                pool.set(name, Value::Boolean(true), by.spot());
            }
        }
        if let Some(sorry) = &self.sorry {
            set(&mut pool, "sorry", sorry, address);
        }
        let quorum = self.quorum.table(spot);
        if !quorum.settings.is_empty() {
            pool.set("quorum", Value::Inline(quorum), spot);
        }
        let note = "as before; true: a backend that fails in live traffic is left out for a while";
        pool.set_with_note("ejection", Value::Boolean(false), spot, note);
        self.set_backends(&mut pool);
        pool
    }

    /// What is checked alike at every backend is said once, of the pool.
    fn set_backends(&self, pool: &mut Table) {
        let spot = pool.spot;
        let tables = |backend: &Backend| backend.checks.iter().map(Check::table).collect();
        let checks: Vec<Vec<Table>> = self.backends.iter().map(tables).collect();
        let alike = |one: &[Table], other: &[Table]| {
            let mut pairs = one.iter().zip(other);
            one.len() == other.len() && pairs.all(|(one, other)| one.says_the_same_as(other))
        };
        let common = checks.first().filter(|first| {
            let mut others = checks.iter();
            others.all(|other| alike(first, other))
        });
        if let Some(common) = common {
            set_health(pool, common, spot);
        }
        let backends = self.backends.iter().zip(&checks).map(|(backend, checks)| {
            let mut table = backend.table();
            if common.is_none() {
                set_health(&mut table, checks, backend.by.spot());
            }
            table
        });
        pool.set("backend", Value::Sections(backends.collect()), spot);
    }
}

/// What a service is drafted as.
pub(super) struct Drafts {
    pub(super) listeners: Vec<Table>,
    pub(super) pool: Table,
}

impl Quorum {
    fn table(&self, around: Spot) -> Table {
        let mut table = Table::new(around);
        set_optional(&mut table, "weight", self.weight.as_ref(), Value::Integer);
        set_optional(
            &mut table,
            "hysteresis",
            self.hysteresis.as_ref(),
            Value::Integer,
        );
        set_script(&mut table, "on_up", self.on_up.as_ref());
        set_script(&mut table, "on_down", self.on_down.as_ref());
        table
    }
}

impl Backend {
    fn table(&self) -> Table {
        let mut table = Table::new(self.by.spot());
        let spot = table.spot;
        table.set("address", address(self.address), spot);
        for (name, number) in [
            ("weight", &self.weight),
            ("max_sessions", &self.max_sessions),
            ("resume_sessions", &self.resume_sessions),
        ] {
            set_optional(&mut table, name, number.as_ref(), Value::Integer);
        }
        set_script(&mut table, "on_up", self.on_up.as_ref());
        set_script(&mut table, "on_down", self.on_down.as_ref());
        table
    }
}

impl Check {
    fn table(&self) -> Table {
        let mut table = Table::new(self.by.spot());
        let spot = table.spot;
        let word = match &self.probe {
            Probe::Http(_) => "http",
            Probe::Script(..) => "script",
            Probe::Tcp => "tcp",
        };
        table.set("probe", Value::Text(word.to_owned()), spot);
        set_optional(&mut table, "address", self.address.as_ref(), Value::Text);
        match &self.probe {
            Probe::Http(keys) => {
                for (name, page) in keys {
                    set(&mut table, name, page, |page| match page {
                        Page::Boolean(value) => Value::Boolean(value),
                        Page::Text(text) => Value::Text(text),
                    });
                }
            }
            Probe::Script(script, dynamic) => {
                set(&mut table, "command", script, |script| {
                    Value::Texts(script.words)
                });
                if let Some(user) = &script.value.run_as {
                    table.set("run_as", Value::Text(user.clone()), script.by.spot());
                }
                if let Some(by) = dynamic {
                    table.set("dynamic_weight", Value::Boolean(true), by.spot());
                }
            }
            Probe::Tcp => {}
        }
        set(&mut table, "interval", &self.interval, Value::duration);
        set(&mut table, "timeout", &self.timeout, Value::duration);
        table.set_with_note("rise", Value::Integer(1), spot, "one success is enough");
        set(&mut table, "fall", &self.fall, Value::Integer);
        let retry = &self.retry_interval;
        set(&mut table, "retry_interval", retry, Value::duration);
        set(&mut table, "warmup", &self.warmup, Value::duration);
        table
    }
}

/// A script without a user is its words only.
fn set_script(table: &mut Table, name: &'static str, told: Option<&Told<Script>>) {
    let Some(Told { value, by, .. }) = told else {
        return;
    };
    let (spot, words) = (by.spot(), Value::Texts(value.words.clone()));
    let Some(user) = &value.run_as else {
        return table.set(name, words, spot);
    };
    let mut script = Table::new(spot);
    script.set("command", words, spot);
    script.set("run_as", Value::Text(user.clone()), spot);
    table.set(name, Value::Inline(script), spot);
}

fn affinity_table(affinity: &Affinity) -> Table {
    let mut table = Table::new(affinity.timeout.by.spot());
    set(&mut table, "timeout", &affinity.timeout, Value::duration);
    let (v4, v6) = (&affinity.prefix_v4, &affinity.prefix_v6);
    set_optional(&mut table, "prefix_v4", v4.as_ref(), Value::Integer);
    set_optional(&mut table, "prefix_v6", v6.as_ref(), Value::Integer);
    table
}

fn set_health(table: &mut Table, checks: &[Table], spot: Spot) {
    match checks {
        [] => {
            let note = "nothing is checked, as before; take this away to check the greeting";
            table.set_with_note("health", Value::Boolean(false), spot, note);
        }
        [one] => table.set("health", Value::Section(one.clone()), one.spot),
        several => table.set("health", Value::Sections(several.to_vec()), spot),
    }
}

fn set<T: Clone>(
    table: &mut Table,
    name: &'static str,
    told: &Told<T>,
    meaning: impl FnOnce(T) -> Value,
) {
    let value = meaning(told.value.clone());
    if told.is_default {
        table.set_with_note(name, value, table.spot, "not written: the default");
    } else {
        table.set(name, value, told.by.spot());
    }
}

fn set_optional<T: Clone>(
    table: &mut Table,
    name: &'static str,
    told: Option<&Told<T>>,
    meaning: impl FnOnce(T) -> Value,
) {
    if let Some(told) = told {
        set(table, name, told, meaning);
    }
}

fn address(address: SocketAddr) -> Value {
    Value::Text(address.to_string())
}
