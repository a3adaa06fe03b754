//! `$NAME=value`, and what `$NAME` and `${NAME}` stand for when a line is read.
//!
//! A name is looked up when it is used, not when it is defined, and its value may hold names. What is not
//! defined stays as it is written: older scripts have a `$` of their own.

use std::collections::HashMap;

use super::lines::LONGEST_LINE;
use super::text::BLANK;
use crate::config::import::Host;

/// What is defined so far.
#[derive(Debug, Default)]
pub(super) struct Definitions(HashMap<String, Definition>);

#[derive(Debug, Default)]
struct Definition {
    /// One, unless it has several lines: then as many as were not blank.
    lines: Vec<String>,
    has_several: bool,
}

/// What keepalived itself defines.
pub(super) struct Surroundings<'h> {
    pub(super) host: &'h dyn Host,
    /// The directory of the file that is being read, absolute.
    pub(super) directory: String,
    pub(super) config_id: &'h str,
}

/// A line in which names were replaced.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Replaced {
    pub(super) text: String,
    /// What comes before the next line that is read: the rest of definitions of several lines. The last
    /// one comes first.
    pub(super) following: Vec<Vec<String>>,
    /// Bytes that were written on the way.
    pub(super) work: usize,
}

/// What a line defines.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Defined {
    /// A name, whose value goes on in the next line.
    Begun(String),
    Nothing,
    Whole,
}

/// Why names in a line can not be replaced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Failure {
    /// A name stands for itself, by way of others perhaps.
    Endless,
    /// The line would become longer than keepalived takes.
    TooLong,
}

/// A name in a line, and what it stands for.
struct Reference {
    /// Of the name with its `$` and braces.
    length: usize,
    value: String,
    following: Option<Vec<String>>,
}

impl Definitions {
    /// Takes `$NAME=value`.
    pub(super) fn define(&mut self, line: &str) -> Defined {
        let parts = line.strip_prefix('$').and_then(|line| line.split_once('='));
        let Some((name, value)) = parts.filter(|(name, _)| is_name(name)) else {
            return Defined::Nothing;
        };
        let value = value.trim_start_matches(BLANK);
        let Some(first) = value.strip_suffix('\\') else {
            self.set(name, value);
            return Defined::Whole;
        };
        let definition = Definition {
            lines: first_line(first),
            has_several: true,
        };
        self.0.insert(name.to_owned(), definition);
        Defined::Begun(name.to_owned())
    }

    /// Takes the next line of a definition. Returns whether there is one more.
    pub(super) fn go_on(&mut self, name: &str, line: &str) -> bool {
        let (line, goes_on) = match line.strip_suffix('\\') {
            Some(line) => (line.trim_end_matches(BLANK), true),
            None => (line, false),
        };
        if let Some(definition) = self.0.get_mut(name)
            && !line.is_empty()
        {
            definition.lines.push(line.to_owned());
        }
        goes_on
    }

    /// Gives `name` a value of one line.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        let definition = Definition {
            lines: vec![value.to_owned()],
            has_several: false,
        };
        self.0.insert(name.to_owned(), definition);
    }

    /// `text` with every name replaced. `None`: it holds none that is defined.
    pub(super) fn replace(
        &self,
        text: &str,
        surroundings: &Surroundings<'_>,
    ) -> Result<Option<Replaced>, Failure> {
        let mut text = text.to_owned();
        let mut following = Vec::new();
        let (mut from, mut count, mut work) = (0, 0, 0);
        while let Some(found) = text.get(from..).and_then(|rest| rest.find('$')) {
            from += found;
            let (head, tail) = text.split_at(from);
            let Some(reference) = self.reference(tail, surroundings) else {
                from += 1;
                continue;
            };
            count += 1;
            if count > MOST_REPLACEMENTS {
                return Err(Failure::Endless);
            }
            let behind = tail.get(reference.length..).unwrap_or_default();
            text = format!("{head}{}{behind}", reference.value);
            work += text.len() + WORK_OF_ONE;
            if text.len() > LONGEST_LINE {
                return Err(Failure::TooLong);
            }
            following.extend(reference.following);
            // Its text is for the repetitions to replace.
            if reference.value.starts_with('~') {
                break;
            }
        }
        let text = text.trim_matches(BLANK).to_owned();
        Ok((count > 0).then_some(Replaced {
            text,
            following,
            work,
        }))
    }

    /// The name that `tail` begins with.
    fn reference(&self, tail: &str, surroundings: &Surroundings<'_>) -> Option<Reference> {
        let behind = tail.strip_prefix('$')?;
        let (inner, braces) = match behind.strip_prefix('{') {
            Some(inner) => (inner.split_once('}')?.0, 2),
            None => (behind, 0),
        };
        let end = inner.find(|c| !is_of_name(c)).unwrap_or(inner.len());
        let (name, rest) = inner.split_at(end);
        let is_ended = rest.starts_with([' ', '\t', ',', ')']) || rest.is_empty();
        if !is_name(name) || (braces == 0 && !is_ended) {
            return None;
        }
        let parameters = if braces == 0 { "" } else { rest };
        let length = 1 + braces + name.len() + parameters.len();
        let reference = |value| Reference {
            length,
            value,
            following: None,
        };
        let Some(definition) = self.0.get(name) else {
            return surroundings.value(name, parameters).map(reference);
        };
        // Several lines stand at the end of a line only.
        let is_last = tail.len() == length;
        if !parameters.is_empty() || (definition.has_several && !is_last) {
            return None;
        }
        let mut lines = definition.lines.iter().cloned();
        let value = lines.next().unwrap_or_default();
        Some(Reference {
            following: definition.has_several.then(|| lines.collect()),
            ..reference(value)
        })
    }
}

impl Surroundings<'_> {
    /// What keepalived's own name stands for.
    fn value(&self, name: &str, parameters: &str) -> Option<String> {
        let words: Vec<&str> = parameters.split(BLANK).filter(|w| !w.is_empty()).collect();
        let is_usual = parameters.trim_end_matches(BLANK).len() == parameters.len()
            && parameters
                .chars()
                .all(|c| is_of_name(c) || BLANK.contains(&c));
        match (name, words.as_slice()) {
            _ if !is_usual => None,
            ("_PWD", []) => Some(self.directory.clone()),
            ("_INSTANCE", []) => Some(self.config_id.to_owned()),
            ("_RANDOM", bounds @ ([] | [_] | [_, _])) => {
                let low = bounds.first().map_or(Ok(0), |low| low.parse()).ok()?;
                let high = bounds.get(1).map_or(Ok(32_767), |high| high.parse()).ok()?;
                Some(self.host.random(low..=high.max(low)).to_string())
            }
            ("_ENV", [variable]) => Some(self.host.variable(variable).unwrap_or_default()),
            ("_HASH", []) => Some("#".to_owned()),
            ("_BANG", []) => Some("!".to_owned()),
            _ => None,
        }
    }
}

/// What stands on the line of the name itself, if anything does.
fn first_line(text: &str) -> Vec<String> {
    let text = text.trim_end_matches(BLANK);
    if text.is_empty() {
        Vec::new()
    } else {
        vec![text.to_owned()]
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(is_of_name)
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// In one line. As many fit into the longest that keepalived takes; more is one that stands for itself.
const MOST_REPLACEMENTS: usize = LONGEST_LINE;

/// Taking a line, or finding and replacing a name, costs about as much as copying so many bytes.
pub(super) const WORK_OF_ONE: usize = 64;

#[cfg(test)]
mod tests;
