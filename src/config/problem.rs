//! What is wrong with a configuration, where, and what to do about it.

use std::cell::RefCell;
use std::fmt;

use super::file::{Document, Spot};
use super::key::Key;

/// One mistake, or one doubt, in a configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// Whether ftplb can run like that.
    pub severity: Severity,
    /// Where it is written.
    pub place: Place,
    /// What is wrong: the offending value first.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

/// Whether ftplb can run in spite of a problem.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Severity {
    /// It can not.
    Error,
    /// It can, but not well.
    Warning,
}

/// Where a problem is written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// Nowhere: a default, used because no flag says otherwise.
    Default {
        /// The key of the default in the file format.
        key: Key,
    },
    /// In a file.
    File {
        /// The path of the file.
        path: String,
        /// The line, from 1. Of an absent key, the line of the table that lacks it.
        line: usize,
        /// The column, in characters, from 1.
        column: usize,
        /// The key; empty for the root and for syntax errors.
        key: Key,
    },
    /// In a flag of the command line, or the environment variable that stands for it.
    Flag {
        /// The name of the flag: `--backend`.
        name: &'static str,
    },
    /// In a statement of a configuration that is not ftplb's own.
    Statement {
        /// The path of the file.
        path: String,
        /// The line, from 1.
        line: usize,
        /// The first word of the statement; empty where it has none.
        keyword: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            severity,
            place,
            message,
            hint,
        } = self;
        let severity = match severity {
            Severity::Error => "",
            Severity::Warning => "warning: ",
        };
        match place {
            Place::Default { key } => write!(f, "{severity}{key}: ")?,
            Place::File {
                path,
                line,
                column,
                key,
            } => {
                write!(f, "{path}:{line}:{column}: {severity}")?;
                if *key != Key::default() {
                    write!(f, "{key}: ")?;
                }
            }
            Place::Flag { name } => write!(f, "{name}: {severity}")?,
            Place::Statement {
                path,
                line,
                keyword,
            } => {
                write!(f, "{path}:{line}: {severity}")?;
                if !keyword.is_empty() {
                    write!(f, "{keyword}: ")?;
                }
            }
        }
        write!(f, "{message}\n    hint: {hint}")
    }
}

impl std::error::Error for Problem {}

/// What is wrong with one value, before it is known where it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Mistake {
    pub(super) message: String,
    pub(super) hint: String,
}

impl Mistake {
    pub(super) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: hint.into(),
        }
    }
}

/// Gathers every problem of one document.
pub(super) struct Problems<'d> {
    document: &'d Document,
    found: RefCell<Vec<(Spot, Problem)>>,
}

impl<'d> Problems<'d> {
    pub(super) fn of(document: &'d Document) -> Self {
        let problems = Self {
            document,
            found: RefCell::default(),
        };
        for (spot, mistake) in document.mistakes() {
            problems.push(Severity::Error, *spot, &Key::default(), mistake.clone());
        }
        problems
    }

    pub(super) fn document(&self) -> &'d Document {
        self.document
    }

    /// A mistake in the value of `key`, or, when nothing is written there, in the table around it.
    pub(super) fn error(&self, key: &Key, mistake: Mistake) {
        self.error_at(self.document.spot(key), key, mistake);
    }

    pub(super) fn error_at(&self, spot: Spot, key: &Key, mistake: Mistake) {
        self.add(Severity::Error, spot, key, mistake);
    }

    pub(super) fn warning(&self, key: &Key, mistake: Mistake) {
        self.add(Severity::Warning, self.document.spot(key), key, mistake);
    }

    /// Every problem, in the order of the document.
    pub(super) fn finish(self) -> Vec<Problem> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|(spot, _)| *spot);
        // One flag may stand for the same key of several listeners.
        found.dedup();
        found.into_iter().map(|(_, problem)| problem).collect()
    }

    fn add(&self, severity: Severity, spot: Spot, key: &Key, mistake: Mistake) {
        // What the parser guessed behind a syntax error is no mistake of the operator's.
        if !self.document.is_guess(spot) {
            self.push(severity, spot, key, mistake);
        }
    }

    fn push(&self, severity: Severity, spot: Spot, key: &Key, mistake: Mistake) {
        let Mistake { message, hint } = mistake;
        let place = self.document.place(spot, key);
        self.found.borrow_mut().push((
            spot,
            Problem {
                severity,
                place,
                message,
                hint,
            },
        ));
    }
}
