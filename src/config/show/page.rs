//! TOML line by line, and the values in it.

use std::fmt::Display;
use std::time::Duration;

use toml::Value;

use super::super::value::{Words, size_text};

/// Lines of TOML.
#[derive(Default)]
pub(super) struct Page(Vec<String>);

impl Page {
    pub(super) fn header(&mut self, header: &str) {
        if !self.0.is_empty() {
            self.0.push(String::new());
        }
        self.0.push(header.to_owned());
    }

    pub(super) fn line(&mut self, name: &str, value: impl Display) {
        self.0.push(format!("{name} = {value}"));
    }

    pub(super) fn optional(&mut self, name: &str, value: Option<impl Display>) {
        match value {
            Some(value) => self.line(name, value),
            None => self.0.push(format!("# {name} is not set")),
        }
    }

    pub(super) fn finish(self) -> String {
        self.0.join("\n") + "\n"
    }
}

/// `value` as TOML text, quoted and escaped.
pub(super) fn text(value: impl Display) -> String {
    Value::String(value.to_string()).to_string()
}

pub(super) fn number(value: impl Display) -> String {
    value.to_string()
}

pub(super) fn duration(duration: Duration) -> String {
    text(humantime::format_duration(duration))
}

/// A size in a round unit is text, one in bytes a number.
pub(super) fn size(bytes: usize) -> String {
    let size = size_text(bytes);
    if size.ends_with('B') {
        text(size)
    } else {
        size
    }
}

pub(super) fn name_of<T: Copy + PartialEq>(words: &Words<T>, value: T) -> String {
    let found = words.iter().find(|(_, meaning)| *meaning == value);
    text(found.expect("every meaning has a word").0)
}

pub(super) fn switch<T>(value: Option<&T>, table: impl Fn(&T) -> String) -> String {
    value.map_or_else(|| false.to_string(), table)
}

/// A list on one line.
pub(super) fn list(values: impl IntoIterator<Item = String>) -> String {
    let values: Vec<_> = values.into_iter().collect();
    format!("[{}]", values.join(", "))
}

/// A table on one line.
pub(super) fn inline(fields: &[(&str, String)]) -> String {
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    format!("{{ {} }}", fields.join(", "))
}
