//! The configuration as written: values, each with the spot where it stands.
//!
//! A `Document` comes from TOML text, from flags, or from the statements of another balancer's
//! configuration. What its keys mean is none of its business: the sections of [`super::check`] say that. Serde is not used here, because it stops at the first
//! mistake, and every mistake is to be reported at once (design decision 14).

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use memchr::memchr_iter;
use toml::de::{DeTable, DeValue};

use super::key::{Key, Step};
use super::problem::{Mistake, Place};

/// A whole configuration as written.
pub(super) struct Document {
    source: Source,
    root: Node,
    mistakes: Vec<(Spot, Mistake)>,
    /// The lines or statements that have a mistake in them.
    broken: BTreeSet<usize>,
    is_whole: bool,
}

/// Where a document comes from.
enum Source {
    File {
        path: String,
        text: String,
        /// Where its lines begin, in bytes. A broken file has problems by the thousand, each with a line.
        lines: Vec<usize>,
    },
    Flags,
    Statements(Vec<Statement>),
}

/// A statement of a configuration that is not TOML, in the order of the input.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Statement {
    /// The file that it stands in.
    pub(super) path: Arc<str>,
    /// The line, from 1.
    pub(super) line: usize,
    /// What it says. The first word is its keyword.
    pub(super) text: String,
}

/// A value and where it stands.
pub(super) struct Node {
    pub(super) spot: Spot,
    pub(super) value: Value,
}

/// A value as written.
pub(super) enum Value {
    Boolean(bool),
    Integer(i128),
    List(Vec<Node>),
    /// A type that no key takes. Its name.
    Other(&'static str),
    Table(Vec<Entry>),
    Text(String),
}

/// A key of a table, and its value.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) spot: Spot,
    pub(super) node: Node,
}

/// Where something stands, in the order in which problems are reported.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Spot {
    /// In a flag, by its name.
    Flag(&'static str),
    /// In a file, counted in bytes.
    Offset(usize),
    /// In a statement, by its place among the statements.
    Statement(usize),
    /// Written nowhere: around the flags.
    Nowhere,
}

impl Document {
    /// Reads as much of `text` as can be read. Where TOML's syntax is broken, the value is a guess.
    pub(super) fn from_toml(text: &str, path: &str) -> Self {
        let (table, errors) = DeTable::parse_recoverable(text);
        let source = Source::File {
            path: path.to_owned(),
            text: text.to_owned(),
            lines: lines_of(text),
        };
        let root = Node {
            spot: Spot::Offset(0),
            value: table_value(table.get_ref()),
        };
        let mistakes: Vec<_> = errors
            .iter()
            .map(|error| {
                let spot = Spot::Offset(error.span().map_or(0, |span| span.start));
                (spot, syntax_mistake(error.message()))
            })
            .collect();
        let is_whole = mistakes.is_empty();
        Self::new(source, root, mistakes, is_whole)
    }

    /// What flags say.
    pub(super) fn from_flags(entries: Vec<Entry>) -> Self {
        Self::new(Source::Flags, root(entries), Vec::new(), true)
    }

    /// What the statements of another balancer mean. `mistakes` were found while they were read; unless
    /// `is_whole`, something is missing from `entries` because of them.
    pub(super) fn from_statements(
        entries: Vec<Entry>,
        statements: Vec<Statement>,
        mistakes: Vec<(Spot, Mistake)>,
        is_whole: bool,
    ) -> Self {
        let source = Source::Statements(statements);
        Self::new(source, root(entries), mistakes, is_whole)
    }

    fn new(source: Source, root: Node, mistakes: Vec<(Spot, Mistake)>, is_whole: bool) -> Self {
        let parts = mistakes.iter().filter_map(|(spot, _)| part(&source, *spot));
        Self {
            broken: parts.collect(),
            source,
            root,
            mistakes,
            is_whole,
        }
    }

    pub(super) fn root(&self) -> &Node {
        &self.root
    }

    /// What was found wrong before any key was read: where the text is not TOML.
    pub(super) fn mistakes(&self) -> &[(Spot, Mistake)] {
        &self.mistakes
    }

    /// Whether everything that is written could be read. If not, what seems to be absent may be there.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Where the value of `key` stands; if it stands nowhere, then the innermost value around it.
    pub(super) fn spot(&self, key: &Key) -> Spot {
        self.innermost(key).spot
    }

    /// Whether the innermost value that is written on the way to `key` is a list.
    pub(super) fn is_list(&self, key: &Key) -> bool {
        matches!(self.innermost(key).value, Value::List(_))
    }

    fn innermost(&self, key: &Key) -> &Node {
        let mut node = &self.root;
        for step in key.steps() {
            let inner = match (step, &node.value) {
                (Step::Field(name), Value::Table(entries)) => find(entries, name),
                (Step::Index(index), Value::List(nodes)) => nodes.get(*index),
                _ => None,
            };
            let Some(inner) = inner else { break };
            node = inner;
        }
        node
    }

    /// What to tell people of `spot`.
    pub(super) fn place(&self, spot: Spot, key: &Key) -> Place {
        match (&self.source, spot) {
            (_, Spot::Flag(name)) => Place::Flag { name },
            (Source::File { path, text, lines }, Spot::Offset(offset)) => {
                let (line, column) = position(text, lines, offset);
                Place::File {
                    path: path.clone(),
                    line,
                    column,
                    key: key.clone(),
                }
            }
            (Source::Statements(statements), Spot::Statement(index)) => {
                match statements.get(index) {
                    Some(statement) => statement.place(),
                    None => Place::Default { key: key.clone() },
                }
            }
            _ => Place::Default { key: key.clone() },
        }
    }

    /// Whether `spot` is on a line whose syntax is broken, or in a statement with a mistake: what stands
    /// there is a guess.
    pub(super) fn is_guess(&self, spot: Spot) -> bool {
        part(&self.source, spot).is_some_and(|part| self.broken.contains(&part))
    }
}

impl Statement {
    /// What to tell people of where it stands.
    pub(super) fn place(&self) -> Place {
        let keyword = self.text.split_whitespace().next().unwrap_or_default();
        Place::Statement {
            path: self.path.to_string(),
            line: self.line,
            keyword: keyword.to_owned(),
        }
    }
}

impl Node {
    pub(super) fn text(spot: Spot, text: &str) -> Self {
        Self {
            spot,
            value: Value::Text(text.to_owned()),
        }
    }
}

impl Entry {
    pub(super) fn new(name: &str, node: Node) -> Self {
        Self {
            name: name.to_owned(),
            spot: node.spot,
            node,
        }
    }
}

impl fmt::Display for Value {
    /// As in a message about it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::List(_) => f.write_str("a list"),
            Self::Other(kind) => write!(f, "a {kind}"),
            Self::Table(_) => f.write_str("a table"),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

/// The value of `name` in a table.
pub(super) fn find<'d>(entries: &'d [Entry], name: &str) -> Option<&'d Node> {
    entries
        .iter()
        .find(|entry| entry.name == name)
        .map(|entry| &entry.node)
}

fn root(entries: Vec<Entry>) -> Node {
    Node {
        spot: Spot::Nowhere,
        value: Value::Table(entries),
    }
}

fn table_value(table: &DeTable<'_>) -> Value {
    let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| Entry {
        name: String::from(AsRef::<str>::as_ref(key.get_ref())),
        spot: start(&key.span()),
        node: node(value),
    };
    Value::Table(table.iter().map(entry).collect())
}

fn node(spanned: &toml::Spanned<DeValue<'_>>) -> Node {
    let value = match spanned.get_ref() {
        DeValue::Array(values) => Value::List(values.iter().map(node).collect()),
        DeValue::Boolean(value) => Value::Boolean(*value),
        // Too large for 128 bits is too large for every key.
        DeValue::Integer(digits) => Value::Integer(
            i128::from_str_radix(digits.as_str(), digits.radix()).unwrap_or(i128::MAX),
        ),
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Table(table) => table_value(table),
        other @ (DeValue::Datetime(_) | DeValue::Float(_)) => Value::Other(other.type_str()),
    };
    Node {
        spot: start(&spanned.span()),
        value,
    }
}

fn start(span: &Range<usize>) -> Spot {
    Spot::Offset(span.start)
}

/// The line or the statement that `spot` is in.
fn part(source: &Source, spot: Spot) -> Option<usize> {
    match (source, spot) {
        (Source::File { lines, .. }, Spot::Offset(offset)) => Some(line_at(lines, offset)),
        (Source::Statements(_), Spot::Statement(index)) => Some(index),
        _ => None,
    }
}

/// Where the lines of `text` begin.
fn lines_of(text: &str) -> Vec<usize> {
    let after = memchr_iter(b'\n', text.as_bytes()).map(|end| end + 1);
    std::iter::once(0).chain(after).collect()
}

/// The number of the line, from 1.
fn line_at(lines: &[usize], offset: usize) -> usize {
    lines.partition_point(|start| *start <= offset)
}

/// Line and column, both from 1, the column in characters.
fn position(text: &str, lines: &[usize], offset: usize) -> (usize, usize) {
    let line = line_at(lines, offset);
    let start = lines.get(line - 1).copied().unwrap_or_default();
    let before = text.get(start..offset).or_else(|| text.get(start..));
    (line, before.unwrap_or_default().chars().count() + 1)
}

/// A message of the parser of TOML, with a hint that helps.
fn syntax_mistake(message: &str) -> Mistake {
    let (message, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    let hint = match expected {
        // The parser takes files, 5s or an address for a broken keyword or number.
        _ if message.starts_with("invalid ") && !message.ends_with("string") => {
            "text, addresses and durations stand in quotes".to_owned()
        }
        "" | "nothing" => "the file is TOML: see https://toml.io".to_owned(),
        expected => format!("expected {expected}"),
    };
    Mistake::new(format!("syntax error: {message}"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spot_is_that_of_the_innermost_value_that_is_written() {
        let text = "# ü\n[[pool]]\n  name = 'é' # c\n[[pool.backend]]\n";
        let document = Document::from_toml(text, "x.toml");
        let pool = Key::of("pool").index(0);
        for (key, line, column) in [
            (pool.field("name"), 3, 10),
            (pool.field("algorithm"), 2, 1),
            (pool.field("backend").index(0).field("address"), 4, 1),
            (Key::of("limits").field("sessions"), 1, 1),
        ] {
            let place = document.place(document.spot(&key), &key);
            let path = "x.toml".to_owned();
            assert_eq!(
                place,
                Place::File {
                    path,
                    line,
                    column,
                    key
                }
            );
        }
    }

    #[test]
    fn a_position_past_the_end_is_the_end() {
        assert_eq!(position("a\nbc", &lines_of("a\nbc"), 4), (2, 3));
        assert_eq!(position("a\nbc", &lines_of("a\nbc"), 99), (2, 3));
        assert_eq!(position("", &lines_of(""), 0), (1, 1));
    }
}
