//! Scripts, wherever they are run, and what holds for all of them.

use super::super::{Notify, Script, Scripts};
use super::page::{Page, duration, inline, list, text};

pub(super) fn show_scripts(page: &mut Page, scripts: &Scripts) {
    let Scripts { run_as, timeout } = scripts;
    page.header("[scripts]");
    page.optional("run_as", run_as.as_ref().map(text));
    page.line("timeout", duration(*timeout));
}

pub(super) fn show_notify(page: &mut Page, notify: &Notify) {
    let Notify { on_up, on_down } = notify;
    page.optional("on_up", on_up.as_ref().map(script_value));
    page.optional("on_down", on_down.as_ref().map(script_value));
}

/// The fields of a table for what is set.
pub(super) fn notify_fields(notify: &Notify) -> impl Iterator<Item = (&'static str, String)> {
    let Notify { on_up, on_down } = notify;
    [("on_up", on_up), ("on_down", on_down)]
        .into_iter()
        .filter_map(|(name, script)| Some((name, script_value(script.as_ref()?))))
}

/// The fields of a table with a script in it.
pub(super) fn script_fields(script: &Script) -> Vec<(&'static str, String)> {
    let Script { words, run_as } = script;
    let mut fields = vec![("command", list(words.iter().map(text)))];
    fields.extend(run_as.as_ref().map(|run_as| ("run_as", text(run_as))));
    fields
}

fn script_value(script: &Script) -> String {
    match script {
        Script {
            words,
            run_as: None,
        } => list(words.iter().map(text)),
        script => inline(&script_fields(script)),
    }
}
