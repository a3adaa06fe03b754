//! Configurations of other balancers, taken over: `keepalived.conf`, and the rules of `ipvsadm`.
//!
//! An input is read once, by [`keepalived`](super::keepalived) or [`ipvsadm`](super::ipvsadm), into
//! statements, each with its place, and a draft of ftplb's own tables that knows which statement says
//! what. From there on there is one way: the draft is checked like a file of ftplb's own, and the same
//! draft is written as TOML. Whoever runs from the input or from that TOML runs the same configuration.
//!
//! What is not FTP is left to whoever does it now. Nothing is read here: the host is an argument.

pub(super) mod draft;
pub(super) mod fronts;
pub(super) mod ipvs;
pub(super) mod ledger;
pub(super) mod service;
pub(super) mod targets;
mod toml;

use std::ops::RangeInclusive;

pub use ledger::{Finding, Verdict};

use self::draft::{Table, Value};
use self::ledger::Ledger;
use self::service::Service;
use super::check::{Checked, Surroundings, check_document};
use super::file::{Document, Spot};
use super::problem::Problem;

/// What an import asks of the host.
pub trait Host {
    /// The bytes of a file.
    fn read(&self, path: &str) -> std::io::Result<Vec<u8>>;

    /// The paths that match a pattern of `*`, `?` and `[...]`, sorted. None if there are none.
    fn glob(&self, pattern: &str) -> Vec<String>;

    /// The directory that relative paths begin at, absolute.
    fn directory(&self) -> String;

    /// The name of the host, with or without its domain.
    fn name(&self) -> String;

    /// The value of an environment variable.
    fn variable(&self, name: &str) -> Option<String>;

    /// A number from `range`, by chance.
    fn random(&self, range: RangeInclusive<u64>) -> u64;
}

/// What the input does not say. Every text is as written, and is checked with the input.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Options {
    /// `--ftp-port`: ports of FTP beside 21.
    pub ftp_ports: Vec<String>,
    /// `--fwmark`: `MARK=IP:PORT`, or without the port: the address behind a firewall mark.
    pub marks: Vec<String>,
    /// `--config-id`: keepalived's, in place of the name of the host.
    pub config_id: Option<String>,
    /// `--passive-ports`: of every listener.
    pub passive_ports: Option<String>,
    /// `--advertise`: of every listener.
    pub advertise: Option<String>,
    /// `--admin`: where metrics and health are served; nowhere unless set.
    pub admin: Option<String>,
    /// `--api`: where the API is served; nowhere unless set.
    pub api: Option<String>,
    /// `--user`: whom ftplb becomes, if it is started as root.
    pub user: Option<String>,
    /// `--log-format`
    pub log_format: Option<String>,
    /// `--log-filter`
    pub log_filter: Option<String>,
    /// `--log-file`
    pub log_file: Option<String>,
}

/// Another balancer's configuration, taken over.
#[derive(Debug)]
pub struct Import {
    draft: Table,
    ledger: Ledger,
}

impl Import {
    /// The configuration that the input stands for.
    ///
    /// # Errors
    /// Every mistake in the input and the options, and the warnings with them.
    pub fn check(&self, surroundings: &Surroundings) -> Result<Checked, Vec<Problem>> {
        let document = Document::from_statements(
            self.draft.entries(),
            self.ledger.statements().to_vec(),
            self.ledger.mistakes().to_vec(),
            self.ledger.is_whole(),
        );
        check_document(&document, surroundings)
    }

    /// The same configuration as ftplb's own, with comments. Of use if [`check`](Self::check) found no
    /// mistake.
    pub fn toml(&self) -> String {
        toml::write(&self.draft, self.ledger.statements())
    }

    /// What became of each statement, in the order of the input.
    pub fn findings(&self) -> Vec<Finding> {
        self.ledger.all()
    }

    /// `services` and whatever else is drafted, with what only `options` say.
    pub(super) fn new(
        ledger: Ledger,
        made_from: &str,
        services: &[Service],
        others: Others,
        options: &Options,
    ) -> Self {
        let mut draft = Table::new(Spot::Nowhere);
        draft.remarks = vec![
            format!("FTP of {made_from}, taken over by `ftplb import`."),
            "Each line ends in the place that it comes from.".to_owned(),
        ];
        let flag = Spot::Flag("--passive-ports");
        let ports = match &options.passive_ports {
            Some(ports) => (Value::Text(ports.clone()), flag),
            None => (Value::Text(PASSIVE_PORTS.to_owned()), Spot::Nowhere),
        };
        let advertise = options.advertise.as_deref();
        let (mut listeners, mut pools) = (Vec::new(), Vec::new());
        for service in services {
            let drafts = service.draft(&ports, advertise);
            listeners.extend(drafts.listeners);
            pools.push(drafts.pool);
        }
        draft.set("listener", Value::Sections(listeners), Spot::Nowhere);
        draft.set("pool", Value::Sections(pools), Spot::Nowhere);
        if let Some(scripts) = others.scripts {
            let spot = scripts.spot;
            draft.set("scripts", Value::Section(scripts), spot);
        }
        set_flags(&mut draft, "process", &[("user", "--user", &options.user)]);
        set_admin(&mut draft, options);
        let mut log = Vec::from([
            ("format", "--log-format", &options.log_format),
            ("file", "--log-file", &options.log_file),
        ]);
        match others.log {
            Some(table) if options.log_filter.is_none() => {
                let spot = table.spot;
                draft.set("log", Value::Section(add_flags(table, &log)), spot);
            }
            _ => {
                log.insert(1, ("filter", "--log-filter", &options.log_filter));
                set_flags(&mut draft, "log", &log);
            }
        }
        Self { draft, ledger }
    }
}

/// How many statements became what, in one line.
pub fn summary(findings: &[Finding]) -> String {
    let count = |label| {
        let same = findings.iter();
        let count = same.filter(|f| f.verdict.label() == label).count();
        format!("{count} {label}")
    };
    let labels = ["taken over", "with a difference", "not applicable"];
    let all = findings.len();
    format!("{all} statements: {}", labels.map(count).join(", "))
}

/// Tables beside those of the services.
#[derive(Debug, Default)]
pub(super) struct Others {
    pub(super) scripts: Option<Table>,
    pub(super) log: Option<Table>,
}

type Flags<'o> = [(&'static str, &'static str, &'o Option<String>)];

/// An API by itself does not bring the metrics with it.
fn set_admin(draft: &mut Table, options: &Options) {
    let mut table = add_flags(
        Table::new(Spot::Nowhere),
        &[("address", "--admin", &options.admin)],
    );
    if options.api.is_some() && options.admin.is_none() {
        table.set("address", Value::Boolean(false), Spot::Flag("--api"));
    }
    let table = add_flags(table, &[("api", "--api", &options.api)]);
    if !table.settings.is_empty() {
        draft.set("admin", Value::Section(table), Spot::Nowhere);
    }
}

/// The table `name`, if any of its keys is given.
fn set_flags(draft: &mut Table, name: &'static str, flags: &Flags<'_>) {
    let table = add_flags(Table::new(Spot::Nowhere), flags);
    if !table.settings.is_empty() {
        draft.set(name, Value::Section(table), Spot::Nowhere);
    }
}

fn add_flags(mut table: Table, flags: &Flags<'_>) -> Table {
    for (name, flag, text) in flags {
        if let Some(text) = text {
            table.set(name, Value::Text(text.clone()), Spot::Flag(flag));
        }
    }
    table
}

/// The range that guides to FTP behind LVS mark for passive data connections, and ftplb's own.
const PASSIVE_PORTS: &str = "10000-20000";

#[cfg(test)]
mod tests;
