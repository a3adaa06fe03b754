//! Scripts, wherever they are run, and what holds for all of them.

use super::super::problem::Mistake;
use super::super::reader::Section;
use super::super::value::{self, duration};
use super::super::{Notify, Script, Scripts};
use super::{DAY, MILLISECOND, MINUTE};

pub(super) fn scripts(s: &mut Section<'_>) -> Scripts {
    Scripts {
        run_as: s.optional("run_as", value::run_as),
        timeout: s.or("timeout", duration(MILLISECOND..=DAY), MINUTE),
    }
}

pub(super) fn notify(s: &mut Section<'_>) -> Notify {
    Notify {
        on_up: script(s, "on_up"),
        on_down: script(s, "on_down"),
    }
}

/// The command by itself, or a table with the user that it is run as.
fn script(s: &mut Section<'_>, name: &'static str) -> Option<Script> {
    if s.is_table(name) {
        return Some(s.table(name, |s| {
            demand_command(s);
            parts(s)
        }));
    }
    let words = command(s, name)?;
    Some(Script {
        words,
        run_as: None,
    })
}

/// Reports that the table has no command.
pub(super) fn demand_command(s: &Section<'_>) {
    if !s.has("command") {
        let hint = "write command = \"/usr/local/bin/check --fast\"";
        s.missing("command", Mistake::new("is missing", hint));
    }
}

/// The command and the user of a table. Without a command there are no words.
pub(super) fn parts(s: &mut Section<'_>) -> Script {
    Script {
        words: command(s, "command").unwrap_or_default(),
        run_as: s.optional("run_as", value::run_as),
    }
}

/// The words of a command: one text that is split, or a list of them.
fn command(s: &mut Section<'_>, name: &'static str) -> Option<Vec<String>> {
    if !s.is_list(name) {
        return s.optional(name, value::command);
    }
    let words = s.list(name, value::argument)?;
    if let Err(mistake) = value::judge_program(&words) {
        s.error(name, mistake);
        return None;
    }
    Some(words)
}
