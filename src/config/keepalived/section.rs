//! Reads a block against its grammar: judges every directive in it, and gives the translation the values.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::grammar::{Fate, Grammar, Row, Takes};
use super::text::shell_words;
use super::tree::Directive;
use crate::config::import::ledger::Ledger;
use crate::config::import::service::{Script, Told};
use crate::config::problem::Mistake;
use crate::config::similar::similar;

/// A block whose directives were judged. Of a directive that is repeated, keepalived takes the last one.
pub(super) struct Section<'d> {
    values: BTreeMap<&'static str, Vec<(&'d Directive, &'static Row)>>,
}

impl<'d> Section<'d> {
    /// Judges the directives of `block`, but not those in blocks within it.
    pub(super) fn read(block: &'d [Directive], grammar: &Grammar, ledger: &mut Ledger) -> Self {
        let mut values: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for directive in block {
            let Some(row) = grammar.row(&directive.keyword) else {
                let why = unknown(directive, grammar, ledger);
                ledger.not_applicable(directive.id, why);
                continue;
            };
            judge(directive, row, ledger);
            values
                .entry(row.keyword)
                .or_default()
                .push((directive, row));
        }
        let section = Self { values };
        section.judge_repetitions(ledger);
        section
    }

    /// Every directive `keyword`.
    pub(super) fn all(&self, keyword: &str) -> impl DoubleEndedIterator<Item = &'d Directive> {
        let values = self.values.get(keyword).into_iter().flatten();
        values.map(|(directive, _)| *directive)
    }

    /// The directive `keyword` that counts.
    pub(super) fn one(&self, keyword: &str) -> Option<&'d Directive> {
        self.counting(keyword).map(|(directive, _)| directive)
    }

    /// Whether and how `keyword` switches something.
    pub(super) fn boolean(&self, keyword: &str) -> Option<Told<bool>> {
        let directive = self.one(keyword)?;
        let value = boolean(directive).ok()?;
        Some(Told::by(directive.id, value))
    }

    /// The number behind `keyword`, if it is right.
    pub(super) fn count(&self, keyword: &str) -> Option<Told<u64>> {
        let (directive, row) = self.counting(keyword)?;
        let (Takes::Count(range) | Takes::CountOrNothing(range)) = &row.takes else {
            return None;
        };
        let value = count(directive, range).ok()?;
        Some(Told::by(directive.id, value))
    }

    /// The time behind `keyword`, if it is right.
    pub(super) fn time(&self, keyword: &str) -> Option<Told<Duration>> {
        let (directive, row) = self.counting(keyword)?;
        let Takes::Time(range) = &row.takes else {
            return None;
        };
        let value = time(directive, range).ok()?;
        Some(Told::by(directive.id, value))
    }

    /// The word behind `keyword`, if it is one of those that it takes.
    pub(super) fn word(&self, keyword: &str) -> Option<Told<&'d str>> {
        let (directive, row) = self.counting(keyword)?;
        let value = match &row.takes {
            Takes::Word(words) => word(directive, words).ok()?,
            _ => directive.argument()?,
        };
        Some(Told::by(directive.id, value))
    }

    /// The script behind `keyword`. Of scripts keepalived takes the first one.
    pub(super) fn script(&self, keyword: &str) -> Option<Told<Script>> {
        let directive = self.one(keyword)?;
        let script = script(directive).ok()?;
        Some(Told::by(directive.id, script))
    }

    fn counting(&self, keyword: &str) -> Option<(&'d Directive, &'static Row)> {
        let all = self.values.get(keyword)?;
        let is_first = is_first_counting(all.first()?.1);
        let one = if is_first { all.first() } else { all.last() };
        one.copied()
    }

    fn judge_repetitions(&self, ledger: &mut Ledger) {
        for (keyword, all) in &self.values {
            let Some((counting, row)) = self.counting(keyword) else {
                continue;
            };
            if matches!(row.takes, Takes::Block | Takes::Head) || row.fate == Fate::Not {
                continue;
            }
            let line = ledger.statement(counting.id).map_or(0, |s| s.line);
            for (directive, _) in all {
                if directive.id != counting.id {
                    ledger.not_applicable(directive.id, format!("line {line} says otherwise"));
                }
            }
        }
    }
}

/// `misc_path` may be said again, other scripts may not.
fn is_first_counting(row: &Row) -> bool {
    row.takes == Takes::Script && row.keyword != "misc_path"
}

fn judge(directive: &Directive, row: &Row, ledger: &mut Ledger) {
    match row.fate {
        Fate::Taken => ledger.taken_over(directive.id),
        Fate::Differs => ledger.differs(directive.id, row.says),
        Fate::Not => return ledger.not_applicable(directive.id, row.says),
    }
    let result = match &row.takes {
        Takes::Head => Ok(()),
        _ if directive.text.contains(char::REPLACEMENT_CHARACTER) => Err(Mistake::new(
            "holds a byte that is not of UTF-8",
            "save the file as UTF-8",
        )),
        Takes::Script => script(directive).map(drop),
        _ if directive.is_cut => Err(Mistake::new(
            "a double quote is not closed",
            "close it on the same line",
        )),
        takes if *takes != Takes::Block && directive.block.is_some() => {
            Err(Mistake::new("takes no block", "take the braces away"))
        }
        Takes::Anything => Ok(()),
        Takes::Block if directive.block.is_some() => Ok(()),
        Takes::Block => Err(Mistake::new(
            "lacks its block",
            "write it in braces: { ... }",
        )),
        Takes::Boolean => boolean(directive).map(drop),
        Takes::CountOrNothing(_) if directive.arguments.is_empty() => Ok(()),
        Takes::Count(range) | Takes::CountOrNothing(range) => count(directive, range).map(drop),
        Takes::Time(range) => time(directive, range).map(drop),
        Takes::Text => argument(directive, "one word, or text in double quotes").map(drop),
        Takes::Word(words) => word(directive, words).map(drop),
    };
    note_surplus(directive, &row.takes, ledger);
    if let Err(mistake) = result {
        ledger.mistake(directive.id, mistake);
    }
}

/// Whoever writes two directives on one line should know that keepalived reads the first only.
fn note_surplus(directive: &Directive, takes: &Takes, ledger: &mut Ledger) {
    let is_single = match takes {
        Takes::Anything | Takes::Block | Takes::Head | Takes::Script => false,
        // TUN has options.
        Takes::Word(words) => !words.contains(&"TUN"),
        _ => true,
    };
    if let [_, surplus, ..] = directive.arguments.as_slice()
        && is_single
    {
        let what = format!("as in keepalived, what stands from `{surplus}` on is ignored");
        ledger.differs(directive.id, what);
    }
}

fn unknown(directive: &Directive, grammar: &Grammar, ledger: &mut Ledger) -> String {
    if directive.keyword.starts_with('$') {
        return "no such name is defined above".to_owned();
    }
    let keywords = grammar.all().map(|row| row.keyword);
    match ledger.guess(&directive.keyword, keywords) {
        Some(meant) => format!("keepalived does not know it here: did you mean `{meant}`?"),
        None => "keepalived does not know it here".to_owned(),
    }
}

fn boolean(directive: &Directive) -> Result<bool, Mistake> {
    match directive.argument() {
        None | Some("on" | "true" | "yes") => Ok(true),
        Some("off" | "false" | "no") => Ok(false),
        Some(other) => Err(Mistake::new(
            format!("{other:?} is neither on nor off"),
            "on, true, yes, or off, false, no",
        )),
    }
}

fn count(directive: &Directive, range: &RangeInclusive<u64>) -> Result<u64, Mistake> {
    let hint = format!("a whole number from {} to {}", range.start(), range.end());
    let text = argument(directive, &hint)?;
    // A number of more than 20 digits is a number as well, if out of every range.
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u64>() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ if is_number => Err(Mistake::new(format!("{text} is out of range"), hint)),
        _ => Err(Mistake::new(format!("{text:?} is no whole number"), hint)),
    }
}

/// A decimal number of seconds. What is finer than a microsecond is cut off.
fn time(directive: &Directive, range: &RangeInclusive<u64>) -> Result<Duration, Mistake> {
    let seconds = |micros: &u64| {
        let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
        let text = text.trim_end_matches('0').trim_end_matches('.');
        text.to_owned()
    };
    let [low, high] = [range.start(), range.end()].map(seconds);
    let hint = format!("a number of seconds from {low} to {high}");
    let text = argument(directive, &hint)?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = !(whole.is_empty() && fraction.is_empty())
        && [whole, fraction]
            .iter()
            .all(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    if !is_number {
        return Err(Mistake::new(
            format!("{text:?} is no number of seconds"),
            hint,
        ));
    }
    let fraction: String = fraction.chars().chain("000000".chars()).take(6).collect();
    let micros = format!("{whole}{fraction}").parse::<u64>().ok();
    match micros.filter(|micros| range.contains(micros)) {
        Some(micros) => Ok(Duration::from_micros(micros)),
        None => Err(Mistake::new(format!("{text} is out of range"), hint)),
    }
}

fn word<'d>(directive: &'d Directive, words: &[&'static str]) -> Result<&'d str, Mistake> {
    let all = format!("one of {}", words.join(", "));
    let text = argument(directive, &all)?;
    // `protocol` is the only one that may be written small.
    let is_protocol = directive.keyword == "protocol";
    let is_it = |word: &&str| *word == text || (is_protocol && word.eq_ignore_ascii_case(text));
    if words.iter().any(is_it) {
        return Ok(text);
    }
    let hint = match similar(text, words) {
        Some(meant) => format!("did you mean `{meant}`? {all}"),
        None => all,
    };
    Err(Mistake::new(format!("{text:?} is not known here"), hint))
}

/// A command and its arguments, which are one word to keepalived's reader, and the user behind it.
fn script(directive: &Directive) -> Result<Script, Mistake> {
    let hint = "a command with its arguments in double quotes, and perhaps a user and a group";
    let broken = || Mistake::new("a quote is not closed, or nothing stands behind a \\", hint);
    let parts = shell_words(&directive.text, false).ok_or_else(broken)?;
    let mut parts = parts.into_iter().skip(1);
    let command = parts.next().unwrap_or_default();
    let words = shell_words(&command, true).ok_or_else(broken)?;
    if words.is_empty() {
        return Err(Mistake::new("has no command", hint));
    }
    // In misc_path the user has a directive of its own.
    let behind: Vec<String> = parts.collect();
    let run_as = (directive.keyword != "misc_path")
        .then(|| user(&behind))
        .flatten();
    Ok(Script { words, run_as })
}

/// `user`, `user group` or `user :group`, as ftplb writes it.
pub(super) fn user(words: &[String]) -> Option<String> {
    let (user, behind) = words.split_first()?;
    let group = behind
        .first()
        .map(|group| group.strip_prefix(':').unwrap_or(group));
    match group.filter(|group| !group.is_empty()) {
        Some(group) => Some(format!("{user}:{group}")),
        None => Some(user.clone()),
    }
}

fn argument<'d>(directive: &'d Directive, hint: &str) -> Result<&'d str, Mistake> {
    directive
        .argument()
        .ok_or_else(|| Mistake::new("says nothing", hint))
}
