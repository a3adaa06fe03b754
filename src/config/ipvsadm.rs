//! Rules of `ipvsadm` as input: what `ipvsadm-save` prints, or the commands of a script.
//!
//! The rules are obeyed one after the other, as `ipvsadm-restore` does, and what is left at the end is
//! taken over. Nothing is checked by IPVS, so nothing is checked after that either.

mod options;
mod rule;
mod table;

use std::sync::Arc;

use self::rule::Rule;
use self::table::Rules;
use super::file::Spot;
use super::import::ledger::{Ledger, printable};
use super::import::targets::Targets;
use super::import::{Host, Import, Options, Others};
use super::problem::Mistake;

/// Takes over the services of FTP of the rules at `path`.
pub fn import(path: &str, host: &dyn Host, options: &Options) -> Import {
    let mut ledger = Ledger::default();
    let targets = Targets::read(options, &mut ledger);
    let shared: Arc<str> = Arc::from(path);
    let mut rules = Rules::default();
    match host.read(path) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            for (index, line) in text.lines().enumerate().take(MOST_LINES + 1) {
                let line = line.trim();
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                let start: String = line.chars().take(SHOWN).collect();
                let id = ledger.enter(&shared, index + 1, &start);
                if index == MOST_LINES {
                    let message = format!("more than {MOST_LINES} lines");
                    let hint = "give ftplb the rules of FTP only";
                    ledger.mistake(id, Mistake::new(message, hint));
                    ledger.leave_out();
                    break;
                }
                match Rule::parse(line) {
                    Ok(rule) => rules.obey(id, rule, &mut ledger),
                    Err(mistake) => {
                        ledger.mistake(id, mistake);
                        ledger.leave_out();
                    }
                }
            }
        }
        Err(error) => {
            let id = ledger.enter(&shared, 1, "");
            let message = format!("cannot be read: {error}");
            let hint = "the path of what ipvsadm-save -n printed";
            ledger.mistake(id, Mistake::new(message, hint));
            ledger.leave_out();
        }
    }
    report_unused_marks(&targets, &rules, &mut ledger);
    let services = rules.services(&targets, &mut ledger);
    if services.is_empty() && ledger.is_whole() {
        ledger.leave_out();
        let id = ledger.enter(&shared, 1, "");
        let hint = "if FTP is on another port than 21: --ftp-port PORT";
        let mistake = Mistake::new("no rule is left of a service that is FTP", hint);
        ledger.mistake(id, mistake);
    }
    let name = printable(path);
    Import::new(ledger, &name, &services, Others::default(), options)
}

fn report_unused_marks(targets: &Targets, rules: &Rules, ledger: &mut Ledger) {
    for mark in targets.marks() {
        if !rules.has_mark(mark) {
            let message = format!("no rule has the firewall mark {mark}");
            let mistake = Mistake::new(message, "the marks are those behind -f");
            ledger.mistake_at(Spot::Flag("--fwmark"), mistake);
        }
    }
}

/// Each is compared with those before it. Many times what one kernel holds.
const MOST_LINES: usize = 20_000;

/// Characters of a line that are shown: more than of any rule.
const SHOWN: usize = 400;

#[cfg(test)]
mod tests;
