//! From files to lines: what keepalived's reader makes of comments, definitions, conditions, repetitions
//! and included files, until a line holds a statement or a brace and nothing else.
//!
//! ```text
//! sources    file ◀ included file ◀ definition of several lines ◀ repetition      the last one is read first
//!    │ next line
//!    ▼
//! comment away ─▶ @condition ─▶ $NAME=value, ~SEQ(…) ─▶ $NAME replaced ─▶ include ─▶ split at braces ─▶ Line
//!                     ▲──────────────────── again, as long as names are replaced ┘           └ rest: read next
//! ```
//! Whatever a line is made from, its place is where the reader stood in a file.

use std::collections::VecDeque;
use std::sync::Arc;

use super::definitions::{Defined, Definitions, Failure, Surroundings, WORK_OF_ONE};
use super::include::{Demands, Include, has_wildcard};
use super::sequence::Sequence;
use super::text::{BLANK, split_at_brace, without_comment};
use crate::config::import::Host;
use crate::config::problem::Mistake;

/// A line of the configuration, ready to be understood.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Line {
    pub(super) path: Arc<str>,
    /// Where the reader stood, from 1.
    pub(super) number: usize,
    pub(super) text: String,
    pub(super) kind: Kind,
}

/// What a line is.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// One that keepalived passes over: why.
    Ignored(&'static str),
    /// One that nobody can read on from.
    Mistake(Mistake),
    /// A statement, or a brace by itself.
    Statement,
}

/// Reads the file at `path` and whatever it includes.
pub(super) fn read(path: &str, host: &dyn Host, config_id: &str) -> Vec<Line> {
    let mut reader = Reader {
        host,
        config_id,
        definitions: Definitions::default(),
        defining: None,
        sources: Vec::new(),
        rest: None,
        path: Arc::from(path),
        number: 1,
        files: 0,
        work: 0,
        lines: Vec::new(),
    };
    match reader.open(path) {
        Ok(file) => reader.sources.push(Source::File(file)),
        Err(error) => {
            let mistake = Mistake::new(
                format!("cannot be read: {error}"),
                "the path of a keepalived.conf",
            );
            reader.push(String::new(), Kind::Mistake(mistake));
        }
    }
    reader.read();
    reader.lines
}

struct Reader<'h> {
    host: &'h dyn Host,
    config_id: &'h str,
    definitions: Definitions,
    /// The name of the definition whose next line is awaited.
    defining: Option<String>,
    sources: Vec<Source>,
    /// Of the last line, from a brace on.
    rest: Option<String>,
    path: Arc<str>,
    number: usize,
    /// Files opened so far.
    files: usize,
    /// Bytes opened, read and replaced so far.
    work: usize,
    lines: Vec<Line>,
}

enum Source {
    File(File),
    /// The rest of a definition.
    Lines(VecDeque<String>),
    Sequence(Sequence),
}

struct File {
    path: Arc<str>,
    lines: std::vec::IntoIter<String>,
    number: usize,
}

impl Reader<'_> {
    fn read(&mut self) {
        while let Some(text) = self.next() {
            self.work += text.len() + WORK_OF_ONE;
            if self.is_full() {
                break;
            }
            if let Some(name) = self.defining.take() {
                self.defining = self.definitions.go_on(&name, &text).then_some(name);
                continue;
            }
            let Some(text) = self.expand(text) else {
                continue;
            };
            match Include::parse(&text) {
                Some(include) => self.include(&text, &include),
                None => self.take_statement(&text),
            }
        }
        if self.is_full() {
            let mistake = Mistake::new(
                "the configuration is too long from here on",
                "include and repeat less: at most 32 MiB in 200000 lines of 1000 files are read",
            );
            self.push(String::new(), Kind::Mistake(mistake));
        }
    }

    fn is_full(&self) -> bool {
        self.work > MOST_BYTES || self.lines.len() > MOST_LINES || self.files > MOST_FILES
    }

    /// The next line, wherever it comes from, without its comment.
    fn next(&mut self) -> Option<String> {
        if let Some(rest) = self.rest.take() {
            return Some(rest);
        }
        loop {
            match self.sources.last_mut()? {
                Source::Sequence(sequence) => {
                    let (text, is_last) = sequence.next(&mut self.definitions);
                    if is_last {
                        self.sources.pop();
                    }
                    return Some(text);
                }
                Source::Lines(lines) => match lines.pop_front() {
                    Some(text) => return Some(text),
                    None => drop(self.sources.pop()),
                },
                Source::File(file) => match file.lines.next() {
                    Some(text) => {
                        file.number += 1;
                        (self.path, self.number) = (Arc::clone(&file.path), file.number);
                        if let Some(text) = self.clean(&text) {
                            return Some(text);
                        }
                    }
                    None => drop(self.sources.pop()),
                },
            }
        }
    }

    /// A line of a file, if there is anything in it.
    fn clean(&mut self, line: &str) -> Option<String> {
        let line = line.trim_end_matches('\r');
        if line.is_empty() {
            // An empty line, unlike one of blanks, ends a definition.
            self.defining = None;
        }
        let reason = if line.len() > LONGEST_LINE {
            "keepalived ignores it: the line is longer than 1023 bytes"
        } else if line.contains('\0') {
            "keepalived ignores it: the line contains a NUL"
        } else {
            let text = without_comment(line);
            return (!text.is_empty()).then_some(text);
        };
        let start = line.chars().take(40).collect();
        self.push(start, Kind::Ignored(reason));
        None
    }

    /// A line with its condition met and its names replaced; `None` if nothing is left of it.
    fn expand(&mut self, mut text: String) -> Option<String> {
        for _ in 0..MOST_ROUNDS {
            while let Some(condition) = text.strip_prefix('@') {
                text = String::from(self.if_met(condition)?);
            }
            match self.definitions.define(&text) {
                Defined::Nothing => {}
                Defined::Whole => return None,
                Defined::Begun(name) => {
                    self.defining = Some(name);
                    return None;
                }
            }
            let surroundings = self.surroundings();
            if text.starts_with("~SEQ") || text.starts_with("~LST") {
                match Sequence::parse(&text, &self.definitions, &surroundings) {
                    Some(sequence) => self.sources.push(Source::Sequence(sequence)),
                    None => self.push(text, Kind::Ignored("keepalived can not read it either")),
                }
                return None;
            }
            match self.definitions.replace(&text, &surroundings) {
                Ok(None) => return (!text.is_empty()).then_some(text),
                Ok(Some(replaced)) => {
                    self.work += replaced.work;
                    text = replaced.text;
                    for lines in replaced.following {
                        self.sources.push(Source::Lines(lines.into()));
                    }
                }
                Err(failure) => return self.fail(text, failure),
            }
        }
        self.fail(text, Failure::Endless)
    }

    /// Tells of a line whose names can not be replaced. Behind one without an end nothing is read.
    fn fail(&mut self, text: String, failure: Failure) -> Option<String> {
        match failure {
            Failure::Endless => {
                let hint = "$NAME can not be part of its own value";
                let mistake = Mistake::new("a name stands for itself", hint);
                self.push(text, Kind::Mistake(mistake));
                self.sources.clear();
                self.rest = None;
            }
            Failure::TooLong => self.push(
                text,
                Kind::Ignored(
                    "keepalived ignores it: with its names replaced it is longer than 1023 bytes",
                ),
            ),
        }
        None
    }

    /// The rest of `@id rest` if the configuration has that id, of `@^id rest` if it has another.
    fn if_met<'t>(&self, condition: &'t str) -> Option<&'t str> {
        let (is_negative, condition) = match condition.strip_prefix('^') {
            Some(condition) => (true, condition),
            None => (false, condition),
        };
        let (id, rest) = condition.split_once(BLANK)?;
        ((id == self.config_id) != is_negative).then(|| rest.trim_start_matches(BLANK))
    }

    /// Takes a line up to its first brace, or that brace; the rest is read next.
    fn take_statement(&mut self, text: &str) {
        let (statement, rest) = split_at_brace(text);
        if !rest.is_empty() {
            self.rest = Some(rest.to_owned());
        }
        if !statement.is_empty() {
            self.push(statement.to_owned(), Kind::Statement);
        }
    }

    fn include(&mut self, text: &str, include: &Include<'_>) {
        let files = self.sources.iter();
        if files.filter(|s| matches!(s, Source::File(_))).count() >= DEEPEST_INCLUDE {
            let mistake = Mistake::new(
                format!("files include each other {DEEPEST_INCLUDE} deep"),
                "a file that is included must not include the one around it",
            );
            return self.push(text.to_owned(), Kind::Mistake(mistake));
        }
        let Some(patterns) = include.patterns() else {
            let hint = "name a pattern such as conf.d/*.conf";
            let mistake = Mistake::new("the braces stand for too many files", hint);
            return self.push(text.to_owned(), Kind::Mistake(mistake));
        };
        let (demands, is_one) = (include.demands, patterns.len() == 1);
        let directory = directory_of(&self.path).to_owned();
        let mut files = Vec::new();
        for pattern in patterns {
            let path = join(&directory, &pattern);
            if has_wildcard(&path) {
                let found = self.host.glob(&path);
                if found.is_empty() {
                    self.miss(text, &path, "no file matches it", demands.match_something());
                }
                for path in found {
                    files.extend(self.included(text, &path, demands.be_readable(), demands));
                }
            } else {
                let is_needed = demands.exist(is_one);
                files.extend(self.included(text, &path, is_needed, demands));
            }
        }
        // The first file comes off the pile first.
        let files = files.into_iter().rev().map(Source::File);
        self.sources.extend(files);
    }

    fn included(
        &mut self,
        text: &str,
        path: &str,
        is_needed: bool,
        demands: Demands,
    ) -> Option<File> {
        let mut sources = self.sources.iter();
        if sources.any(|source| matches!(source, Source::File(file) if *file.path == *path)) {
            let mistake =
                Mistake::new(format!("{path:?} includes itself"), "take the include away");
            self.push(text.to_owned(), Kind::Mistake(mistake));
            return None;
        }
        match self.open(path) {
            Ok(file) => return Some(file),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.miss(text, path, "there is no such file", is_needed);
            }
            Err(_) => self.miss(
                text,
                path,
                "the file can not be read",
                demands.be_readable(),
            ),
        }
        None
    }

    /// keepalived goes on without a file, unless the include demands it.
    fn miss(&mut self, text: &str, path: &str, what: &'static str, is_demanded: bool) {
        let kind = if is_demanded {
            Kind::Mistake(Mistake::new(
                format!("{path:?}: {what}"),
                "plain `include` goes on without it",
            ))
        } else {
            Kind::Ignored(what)
        };
        self.push(text.to_owned(), kind);
    }

    fn open(&mut self, path: &str) -> std::io::Result<File> {
        self.files += 1;
        let bytes = if self.is_full() {
            Vec::new()
        } else {
            self.host.read(path)?
        };
        self.work = self.work.saturating_add(bytes.len());
        let text = String::from_utf8_lossy(&bytes);
        let mut lines: Vec<String> = if self.is_full() {
            Vec::new()
        } else {
            text.split('\n').map(str::to_owned).collect()
        };
        // What stands behind the last line end is no line.
        lines.pop_if(|line| line.is_empty());
        Ok(File {
            path: Arc::from(path),
            lines: lines.into_iter(),
            number: 0,
        })
    }

    fn surroundings(&self) -> Surroundings<'_> {
        Surroundings {
            host: self.host,
            directory: join(&self.host.directory(), directory_of(&self.path)),
            config_id: self.config_id,
        }
    }

    fn push(&mut self, text: String, kind: Kind) {
        self.lines.push(Line {
            path: Arc::clone(&self.path),
            number: self.number,
            text,
            kind,
        });
    }
}

/// The directory of a file; empty for the one that relative paths begin at.
fn directory_of(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) => "/",
        Some((directory, _)) => directory,
        None => "",
    }
}

/// `path` as seen from `directory`.
fn join(directory: &str, path: &str) -> String {
    match directory.strip_suffix('/').unwrap_or(directory) {
        _ if path.starts_with('/') => path.to_owned(),
        _ if path.is_empty() => directory.to_owned(),
        "" if directory.is_empty() => path.to_owned(),
        directory => format!("{directory}/{path}"),
    }
}

/// Bytes of a line; keepalived's limit.
pub(super) const LONGEST_LINE: usize = 1_023;

/// Conditions and names that lead to each other in one line.
const MOST_ROUNDS: usize = 100;

/// Files that include each other. Nobody nests this deep on purpose.
const DEEPEST_INCLUDE: usize = 16;

/// Bytes of all files, of all that is repeated and of all that is replaced: thousands of virtual servers.
const MOST_BYTES: usize = 32 << 20;

/// Files that are included, whether or not they exist.
const MOST_FILES: usize = 1_000;

/// Lines of all files and of all that is repeated. A fuzzer loves definitions that hold themselves, and would try
/// nothing else.
const MOST_LINES: usize = if cfg!(fuzzing) { 1_000 } else { 200_000 };

#[cfg(test)]
mod tests;
