//! Reads the tables of a document key by key, and goes on after every mistake.
//!
//! A value that is absent or wrong is replaced by its default, or by a stand-in where there is none, so
//! that the rest can be checked. Nothing with a stand-in leaves [`super::check`]: the mistake that made
//! it necessary was reported.

use super::file::{Entry, Node, Value, find};
use super::key::Key;
use super::problem::{Mistake, Problems};
use super::similar::similar;

/// One table while its keys are read.
pub(super) struct Section<'d> {
    entries: &'d [Entry],
    key: Key,
    /// Every key that was asked for: what else is written is a mistake.
    known: Vec<&'static str>,
    problems: &'d Problems<'d>,
}

impl<'d> Section<'d> {
    /// Reads the whole document.
    pub(super) fn read_root<T>(problems: &'d Problems<'d>, read: impl FnOnce(&mut Self) -> T) -> T {
        let entries = match &problems.document().root().value {
            Value::Table(entries) => entries.as_slice(),
            _ => &[],
        };
        Self::read(entries, Key::default(), problems, read)
    }

    /// The value of `name`, if it is written and right.
    pub(super) fn optional<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&'d Node) -> Result<T, Mistake>,
    ) -> Option<T> {
        match parse(self.node(name)?) {
            Ok(value) => Some(value),
            Err(mistake) => {
                self.error(name, mistake);
                None
            }
        }
    }

    /// The value of `name`, or `default`.
    pub(super) fn or<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&'d Node) -> Result<T, Mistake>,
        default: T,
    ) -> T {
        self.optional(name, parse).unwrap_or(default)
    }

    /// The value of `name`, which must be written: as in `example`.
    pub(super) fn required<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&'d Node) -> Result<T, Mistake>,
        example: &str,
        stand_in: T,
    ) -> T {
        if !self.has(name) {
            self.missing(
                name,
                Mistake::new("is missing", format!("write {name} = {example}")),
            );
        }
        self.or(name, parse, stand_in)
    }

    /// The table `name`. An absent one is read as an empty one: all defaults.
    pub(super) fn table<T>(&mut self, name: &'static str, read: impl FnOnce(&mut Self) -> T) -> T {
        let key = self.key.field(name);
        let entries = self
            .node(name)
            .map_or(&[][..], |node| self.entries_of(node, &key));
        Self::read(entries, key, self.problems, read)
    }

    /// The table `name`, or what `true` (all defaults) and `false` stand for; `on` when absent.
    pub(super) fn switch<T>(
        &mut self,
        name: &'static str,
        on: bool,
        read: impl FnOnce(&mut Self) -> T,
    ) -> Option<T> {
        match self.node(name).map(|node| &node.value) {
            None if !on => None,
            Some(Value::Boolean(false)) => None,
            None | Some(Value::Boolean(true)) => {
                Some(Self::read(&[], self.key.field(name), self.problems, read))
            }
            Some(_) => Some(self.table(name, read)),
        }
    }

    /// The tables `[[name]]`, in their order.
    pub(super) fn tables<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(&mut Self) -> T,
    ) -> Vec<T> {
        let list = |node: &'d Node| match &node.value {
            Value::List(nodes) => Ok(nodes.as_slice()),
            value => Err(Mistake::new(
                format!("{value} is no list"),
                "there may be several: write the header in double brackets, [[...]]",
            )),
        };
        let nodes = self.or(name, list, &[]);
        let mut values = Vec::new();
        for (index, node) in nodes.iter().enumerate() {
            let key = self.key.field(name).index(index);
            let entries = self.entries_of(node, &key);
            values.push(Self::read(entries, key, self.problems, &mut read));
        }
        values
    }

    /// The elements of the list `name`. `None` when it is absent, no list, or one of them is wrong.
    pub(super) fn list<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&'d Node) -> Result<T, Mistake>,
    ) -> Option<Vec<T>> {
        let nodes = self.optional(name, |node| match &node.value {
            Value::List(nodes) if nodes.is_empty() => Err(Mistake::new(
                "is an empty list",
                "write something into it, or leave the key out",
            )),
            Value::List(nodes) => Ok(nodes.as_slice()),
            value => Err(Mistake::new(
                format!("{value} is no list"),
                "write it in brackets: [...]",
            )),
        })?;
        let mut values = Vec::new();
        for (index, node) in nodes.iter().enumerate() {
            match parse(node) {
                Ok(value) => values.push(value),
                Err(mistake) => {
                    let key = self.key.field(name).index(index);
                    self.problems.error(&key, mistake);
                }
            }
        }
        (values.len() == nodes.len()).then_some(values)
    }

    /// Whether `name` is written.
    pub(super) fn has(&self, name: &str) -> bool {
        find(self.entries, name).is_some()
    }

    /// Whether `name` is written as a table.
    pub(super) fn is_table(&self, name: &str) -> bool {
        find(self.entries, name).is_some_and(|node| matches!(node.value, Value::Table(_)))
    }

    /// Whether `name` is written as a list.
    pub(super) fn is_list(&self, name: &str) -> bool {
        find(self.entries, name).is_some_and(|node| matches!(node.value, Value::List(_)))
    }

    /// Reports that `name` is not written, unless a syntax error may hide it.
    pub(super) fn missing(&self, name: &str, mistake: Mistake) {
        if self.problems.document().is_whole() {
            self.error(name, mistake);
        }
    }

    /// Reports a mistake in the value of `name`.
    pub(super) fn error(&self, name: &str, mistake: Mistake) {
        self.problems.error(&self.key.field(name), mistake);
    }

    fn read<T>(
        entries: &'d [Entry],
        key: Key,
        problems: &'d Problems<'d>,
        read: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let mut section = Self {
            entries,
            key,
            known: Vec::new(),
            problems,
        };
        let value = read(&mut section);
        section.report_unknown_keys();
        value
    }

    fn report_unknown_keys(&self) {
        for entry in self.entries {
            let name = entry.name.as_str();
            if self.known.contains(&name) {
                continue;
            }
            let hint = match similar(name, &self.known) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("the keys here are {}", self.known.join(", ")),
            };
            let mistake = Mistake::new("there is no such key", hint);
            self.problems
                .error_at(entry.spot, &self.key.field(name), mistake);
        }
    }

    fn node(&mut self, name: &'static str) -> Option<&'d Node> {
        if !self.known.contains(&name) {
            self.known.push(name);
        }
        find(self.entries, name)
    }

    fn entries_of(&self, node: &'d Node, key: &Key) -> &'d [Entry] {
        if let Value::Table(entries) = &node.value {
            return entries;
        }
        let mistake = Mistake::new(
            format!("{} is no table", node.value),
            "write keys and their values",
        );
        self.problems.error(key, mistake);
        &[]
    }
}
