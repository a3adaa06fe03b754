//! `keepalived.conf` as input.
//!
//! ```text
//! lines    files, definitions, conditions, repetitions ─▶ one statement or brace a line
//! tree     lines ─▶ blocks
//! section  a block against its table in grammar: what is known, what it takes, what becomes of it
//! virtual_server, real_server, checks, listeners, group      blocks ─▶ services, with who says what
//! ```
//! It takes what keepalived takes, and where keepalived passes over a directive that concerns FTP because
//! its value is wrong, it says so: an operator who moves wants to know.

mod checks;
mod definitions;
mod grammar;
mod group;
mod include;
mod lines;
mod listeners;
mod real_server;
mod section;
mod sequence;
mod text;
mod tree;
mod values;
mod virtual_server;

use std::collections::{BTreeMap, BTreeSet};

use self::grammar::server;
use self::listeners::{Head, Heads};
use self::section::Section;
use self::tree::Directive;
use super::file::Spot;
use super::import::draft::{Table, Value};
use super::import::ledger::{Id, Ledger, printable};
use super::import::service::{Service, Told};
use super::import::targets::Targets;
use super::import::{Host, Import, Options, Others};
use super::problem::Mistake;

/// Takes over the virtual servers of FTP of the `keepalived.conf` at `path` and of whatever it includes.
pub fn import(path: &str, host: &dyn Host, options: &Options) -> Import {
    let mut ledger = Ledger::default();
    let targets = Targets::read(options, &mut ledger);
    let name = host.name();
    let short_name = name.split('.').next().unwrap_or_default();
    let config_id = options.config_id.as_deref().unwrap_or(short_name);
    let lines = lines::read(path, host, config_id);
    let tree = tree::grow(lines, &mut ledger);
    let globals = Globals::read(&tree, &mut ledger);
    let services = services(&tree, &targets, globals.script_user.is_some(), &mut ledger);
    if services.is_empty() {
        report_absence(path, &tree, &mut ledger);
    }
    let others = globals.others();
    Import::new(ledger, &printable(path), &services, others, options)
}

/// What `global_defs` says that concerns virtual servers.
#[derive(Debug, Default)]
struct Globals {
    script_user: Option<Told<String>>,
    log_all_failures: Option<Id>,
}

impl Globals {
    /// Judges everything at the top but virtual servers and their groups.
    fn read(tree: &[Directive], ledger: &mut Ledger) -> Self {
        let mut globals = Self::default();
        let top = Section::read(tree, &server::TOP, ledger);
        for block in top.all("global_defs") {
            // Most of it is of VRRP and mail, and not worth a line each.
            let known = |child: &&Directive| server::GLOBAL_DEFS.row(&child.keyword).is_some();
            for child in block.children().iter().filter(known) {
                let child = std::slice::from_ref(child);
                let section = Section::read(child, &server::GLOBAL_DEFS, ledger);
                if let Some(user) = section.one("script_user") {
                    let name = section::user(&user.arguments);
                    globals.script_user = name.map(|name| Told::by(user.id, name));
                }
                if let Some(on) = section.boolean("checker_log_all_failures") {
                    globals.log_all_failures = on.value.then_some(on.by);
                }
            }
        }
        globals
    }

    fn others(self) -> Others {
        let scripts = self.script_user.map(|user| {
            let mut table = Table::new(user.by.spot());
            table.set("run_as", Value::Text(user.value), user.by.spot());
            table
        });
        let log = self.log_all_failures.map(|by| {
            let mut table = Table::new(by.spot());
            table.set("filter", Value::Text(LOG_CHECKS.to_owned()), by.spot());
            table
        });
        Others { scripts, log }
    }
}

/// The virtual servers that are FTP.
fn services(
    tree: &[Directive],
    targets: &Targets,
    has_script_user: bool,
    ledger: &mut Ledger,
) -> Vec<Service> {
    let of = |keyword: &'static str| tree.iter().filter(move |d| d.keyword == keyword);
    let mut groups = BTreeMap::new();
    for group in of("virtual_server_group") {
        let name = group.argument().unwrap_or_default();
        groups.insert(name.to_owned(), group::members(group));
    }
    let mut used_groups = BTreeSet::new();
    let mut heads = Heads::new(targets, groups);
    let (mut services, mut marked) = (Vec::new(), Vec::new());
    let mut used_marks = BTreeSet::new();
    for server in of("virtual_server") {
        if let (Some("fwmark"), Some(mark)) = (server.argument(), server.arguments.get(1)) {
            used_marks.extend(mark.parse::<u32>());
        }
        match heads.judge(server, ledger) {
            Head::Ftp(fronts) => {
                if let (Some("group"), Some(name)) = (server.argument(), server.arguments.get(1)) {
                    used_groups.insert(name.as_str());
                }
                for front in fronts {
                    let service = virtual_server::service(server, front, has_script_user, ledger);
                    services.extend(service);
                }
            }
            Head::Other(why) => ledger.not_applicable(server.id, why),
            Head::Marked(mark) => {
                let why = format!("not known to be FTP: --fwmark {mark}=IP:PORT says so");
                ledger.not_applicable(server.id, why);
                marked.push((server.id, mark));
            }
        }
    }
    let is_unused =
        |group: &&Directive| !used_groups.contains(group.argument().unwrap_or_default());
    for group in of("virtual_server_group").filter(is_unused) {
        ledger.leave_aside(group.all(), "no virtual server of FTP uses it");
    }
    used_marks.extend(heads.marks());
    if services.is_empty() {
        require_marks(&marked, ledger);
    }
    report_unused_marks(targets, &used_marks, ledger);
    services
}

/// Without any other service of FTP, a mark is most likely that of FTP.
fn require_marks(marked: &[(Id, u32)], ledger: &mut Ledger) {
    for (id, mark) in marked {
        let hint = format!(
            "if it is that of FTP: --fwmark {mark}=VIP:21, with the virtual IP that clients connect to"
        );
        let message = format!("nobody says which address is behind the firewall mark {mark}");
        ledger.mistake(*id, Mistake::new(message, hint));
        ledger.leave_out();
    }
}

fn report_unused_marks(targets: &Targets, used: &BTreeSet<u32>, ledger: &mut Ledger) {
    for mark in targets.marks() {
        if !used.contains(&mark) {
            let all: Vec<_> = used.iter().map(ToString::to_string).collect();
            let hint = match all.join(", ") {
                all if all.is_empty() => "there are no marks in it".to_owned(),
                all => format!("the marks in it are {all}"),
            };
            let message = format!("no virtual server has the firewall mark {mark}");
            ledger.mistake_at(Spot::Flag("--fwmark"), Mistake::new(message, hint));
        }
    }
}

/// Says why there is nothing to take over, unless a mistake says so already.
fn report_absence(path: &str, tree: &[Directive], ledger: &mut Ledger) {
    if !ledger.is_whole() {
        return;
    }
    ledger.leave_out();
    let servers: Vec<_> = tree
        .iter()
        .filter(|directive| directive.keyword == "virtual_server")
        .map(|server| server.id)
        .collect();
    let id = match (servers.first(), tree.first()) {
        (Some(id), _) => *id,
        (None, Some(first)) => first.id,
        (None, None) => ledger.enter(&path.into(), 1, ""),
    };
    let message = match servers.len() {
        0 => "there is no virtual server in the configuration".to_owned(),
        1 => "this virtual server is not FTP, and there is no other".to_owned(),
        count => format!("none of {count} virtual servers, of which this is the first, is FTP"),
    };
    let hint = "if FTP is on another port than 21: --ftp-port PORT";
    ledger.mistake(id, Mistake::new(message, hint));
}

/// Failed checks are debug lines.
const LOG_CHECKS: &str = "info,ftplb::ops=debug";

#[cfg(test)]
mod tests;
