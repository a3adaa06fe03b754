//! The ledger of an import: every statement of the input, what became of it, and what is wrong with it.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::config::file::{Spot, Statement};
use crate::config::problem::Mistake;
use crate::config::similar::similar;

/// What became of one statement.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// The file that it stands in.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// What it says.
    pub statement: String,
    /// What became of it.
    pub verdict: Verdict,
    /// It stands in a service that is FTP.
    pub concerns_ftp: bool,
}

/// What became of a statement.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// ftplb does the same.
    TakenOver,
    /// ftplb does something else: what.
    Differs(String),
    /// It means nothing to ftplb: why.
    NotApplicable(String),
}

/// The name of a statement in its ledger.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(in crate::config) struct Id(usize);

/// Everything that is said of an input.
#[derive(Debug, Default)]
pub(in crate::config) struct Ledger {
    statements: Vec<Statement>,
    /// As long as `statements`.
    verdicts: Vec<Option<Verdict>>,
    /// The statements of services that are FTP.
    of_ftp: BTreeSet<Id>,
    mistakes: Vec<(Spot, Mistake)>,
    /// Something was left out because of a mistake.
    lacks: bool,
    /// How often it was guessed what was meant.
    guesses: usize,
}

impl Verdict {
    /// How it is called.
    pub fn label(&self) -> &'static str {
        match self {
            Self::TakenOver => "taken over",
            Self::Differs(_) => "with a difference",
            Self::NotApplicable(_) => "not applicable",
        }
    }

    /// What there is to say of it.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::TakenOver => None,
            Self::Differs(reason) | Self::NotApplicable(reason) => Some(reason),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, line, label) = (&self.path, self.line, self.verdict.label());
        write!(f, "{path}:{line}  {label:<17}  {}", self.statement)?;
        match self.verdict.reason() {
            Some(reason) => write!(f, "\n    {reason}"),
            None => Ok(()),
        }
    }
}

impl Id {
    pub(in crate::config) fn spot(self) -> Spot {
        Spot::Statement(self.0)
    }

    /// That of the statement behind it.
    pub(in crate::config) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Ledger {
    /// Enters a statement. They come in the order of the input.
    pub(in crate::config) fn enter(&mut self, path: &Arc<str>, line: usize, text: &str) -> Id {
        let id = Id(self.statements.len());
        self.statements.push(Statement {
            path: Arc::clone(path),
            line,
            text: printable(text),
        });
        self.verdicts.push(None);
        id
    }

    pub(in crate::config) fn taken_over(&mut self, id: Id) {
        self.judge(id, Verdict::TakenOver);
    }

    /// Of several differences all are told.
    pub(in crate::config) fn differs(&mut self, id: Id, what: impl Into<String>) {
        let mut what = what.into();
        if let Some(Some(Verdict::Differs(told))) = self.verdicts.get(id.0) {
            if told.contains(&what) {
                return;
            }
            what = format!("{told}; {what}");
        }
        self.judge(id, Verdict::Differs(what));
    }

    pub(in crate::config) fn not_applicable(&mut self, id: Id, why: impl Into<String>) {
        self.judge(id, Verdict::NotApplicable(why.into()));
    }

    /// Leaves out the first statement of `range` with all that stands in it: one word on all of them.
    pub(in crate::config) fn leave_aside(&mut self, range: Range<Id>, why: impl Into<String>) {
        for id in (range.start.0..range.end.0).skip(1) {
            if let Some(place) = self.verdicts.get_mut(id) {
                *place = None;
            }
        }
        self.not_applicable(range.start, why);
    }

    /// Says that the statements in `range` belong to a service that is FTP.
    pub(in crate::config) fn concern_ftp(&mut self, range: Range<Id>) {
        self.of_ftp.extend((range.start.0..range.end.0).map(Id));
    }

    /// Reports a mistake in a statement. The same one is reported once.
    pub(in crate::config) fn mistake(&mut self, id: Id, mistake: Mistake) {
        self.mistake_at(id.spot(), mistake);
    }

    pub(in crate::config) fn mistake_at(&mut self, spot: Spot, mistake: Mistake) {
        let mistake = (spot, mistake);
        if self.mistakes.len() < MOST_MISTAKES && !self.mistakes.contains(&mistake) {
            self.mistakes.push(mistake);
        }
    }

    /// The name that was meant by `written`, for the first mistyped ones.
    pub(in crate::config) fn guess<'n>(
        &mut self,
        written: &str,
        names: impl Iterator<Item = &'n str>,
    ) -> Option<&'n str> {
        self.guesses += 1;
        if self.guesses > MOST_GUESSES {
            return None;
        }
        let names: Vec<_> = names.collect();
        similar(written, &names)
    }

    /// Something had to be left out because of a mistake: whether the rest fits together is not known.
    pub(in crate::config) fn leave_out(&mut self) {
        self.lacks = true;
    }

    pub(in crate::config) fn is_whole(&self) -> bool {
        !self.lacks
    }

    pub(in crate::config) fn mistakes(&self) -> &[(Spot, Mistake)] {
        &self.mistakes
    }

    pub(in crate::config) fn statements(&self) -> &[Statement] {
        &self.statements
    }

    pub(in crate::config) fn statement(&self, id: Id) -> Option<&Statement> {
        self.statements.get(id.0)
    }

    /// What became of each statement in `range`.
    pub(in crate::config) fn findings(&self, range: Range<Id>) -> impl Iterator<Item = Finding> {
        let ids = (range.start.0..range.end.0).map(Id);
        ids.filter_map(|id| {
            let (statement, verdict) = (self.statement(id)?, self.verdicts.get(id.0)?);
            Some(Finding {
                path: statement.path.to_string(),
                line: statement.line,
                statement: statement.text.clone(),
                verdict: verdict.clone()?,
                concerns_ftp: self.of_ftp.contains(&id),
            })
        })
    }

    /// What differs among the statements in `range`, for people who read the result only.
    pub(in crate::config) fn differences(&self, range: Range<Id>) -> Vec<String> {
        let difference = |finding: Finding| match finding.verdict {
            Verdict::Differs(what) => {
                let (path, line, statement) = (finding.path, finding.line, finding.statement);
                Some(format!("  {path}:{line} {statement}: {what}"))
            }
            Verdict::NotApplicable(_) | Verdict::TakenOver => None,
        };
        self.findings(range).filter_map(difference).collect()
    }

    /// What became of every statement, in the order of the input.
    pub(in crate::config) fn all(&self) -> Vec<Finding> {
        self.findings(Id(0)..Id(self.statements.len())).collect()
    }

    fn judge(&mut self, id: Id, verdict: Verdict) {
        if let Some(place) = self.verdicts.get_mut(id.0) {
            *place = Some(verdict);
        }
    }
}

/// Nobody reads more at a time.
const MOST_MISTAKES: usize = 1_000;

/// Whoever mistypes more has another problem.
const MOST_GUESSES: usize = 1_000;

/// `text` in one line of a terminal or of a comment.
pub(in crate::config) fn printable(text: &str) -> String {
    let shown = |c: char| {
        if c.is_control() {
            c.escape_default().collect()
        } else {
            c.to_string()
        }
    };
    text.chars().map(shown).collect()
}
