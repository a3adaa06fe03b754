//! A configuration while it is drafted from another balancer's: tables that know where each value comes
//! from.
//!
//! It is the one thing that both ways go through: as [`Entry`]s it is checked like a file of ftplb's own,
//! and as TOML (in [`super::toml`]) it is written for people. So both ways lead to the same configuration.

use std::time::Duration;

use crate::config::file::{self, Entry, Node, Spot};

/// A table.
#[derive(Clone, Debug)]
pub(in crate::config) struct Table {
    /// Where it comes from.
    pub(in crate::config) spot: Spot,
    /// What people should know of it, a line each.
    pub(in crate::config) remarks: Vec<String>,
    /// Its keys.
    pub(in crate::config) settings: Vec<Setting>,
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(in crate::config) struct Setting {
    pub(in crate::config) name: &'static str,
    pub(in crate::config) value: Value,
    /// Where it comes from.
    pub(in crate::config) spot: Spot,
    /// What people should know of it.
    pub(in crate::config) note: Option<&'static str>,
}

/// A value.
#[derive(Clone, Debug)]
pub(in crate::config) enum Value {
    Boolean(bool),
    Integer(u64),
    /// A table in braces.
    Inline(Table),
    /// A table under a header of its own.
    Section(Table),
    /// Tables, each under a header.
    Sections(Vec<Table>),
    Text(String),
    Texts(Vec<String>),
}

impl Table {
    pub(in crate::config) fn new(spot: Spot) -> Self {
        Self {
            spot,
            remarks: Vec::new(),
            settings: Vec::new(),
        }
    }

    pub(in crate::config) fn set(&mut self, name: &'static str, value: Value, spot: Spot) {
        self.settings.push(Setting {
            name,
            value,
            spot,
            note: None,
        });
    }

    pub(in crate::config) fn set_with_note(
        &mut self,
        name: &'static str,
        value: Value,
        spot: Spot,
        note: &'static str,
    ) {
        self.set(name, value, spot);
        if let Some(setting) = self.settings.last_mut() {
            setting.note = Some(note);
        }
    }

    /// As it is checked.
    pub(in crate::config) fn entries(&self) -> Vec<Entry> {
        let entry = |setting: &Setting| Entry {
            name: setting.name.to_owned(),
            spot: setting.spot,
            node: node(setting.spot, &setting.value),
        };
        self.settings.iter().map(entry).collect()
    }

    /// Whether both say the same, wherever they come from.
    pub(in crate::config) fn says_the_same_as(&self, other: &Self) -> bool {
        let mut pairs = self.settings.iter().zip(&other.settings);
        self.settings.len() == other.settings.len()
            && pairs.all(|(one, other)| one.name == other.name && same(&one.value, &other.value))
    }
}

impl Value {
    pub(in crate::config) fn duration(duration: Duration) -> Self {
        Self::Text(humantime::format_duration(duration).to_string())
    }
}

fn node(spot: Spot, value: &Value) -> Node {
    let text = |text: &String| file::Value::Text(text.clone());
    let value = match value {
        Value::Boolean(value) => file::Value::Boolean(*value),
        Value::Integer(value) => file::Value::Integer(i128::from(*value)),
        Value::Inline(table) | Value::Section(table) => file::Value::Table(table.entries()),
        Value::Sections(tables) => {
            let table = |table: &Table| Node {
                spot: table.spot,
                value: file::Value::Table(table.entries()),
            };
            file::Value::List(tables.iter().map(table).collect())
        }
        Value::Text(value) => text(value),
        Value::Texts(values) => {
            let node = |value| Node {
                spot,
                value: text(value),
            };
            file::Value::List(values.iter().map(node).collect())
        }
    };
    Node { spot, value }
}

fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Boolean(one), Value::Boolean(other)) => one == other,
        (Value::Integer(one), Value::Integer(other)) => one == other,
        (Value::Text(one), Value::Text(other)) => one == other,
        (Value::Texts(one), Value::Texts(other)) => one == other,
        (Value::Inline(one), Value::Inline(other))
        | (Value::Section(one), Value::Section(other)) => one.says_the_same_as(other),
        (Value::Sections(one), Value::Sections(other)) => {
            let mut pairs = one.iter().zip(other);
            one.len() == other.len() && pairs.all(|(one, other)| one.says_the_same_as(other))
        }
        _ => false,
    }
}
