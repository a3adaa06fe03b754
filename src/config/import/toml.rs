//! A draft as TOML for people: each line ends in the place that it comes from.

use super::draft::{Setting, Table, Value};
use super::ledger::printable;
use crate::config::file::{Spot, Statement};

/// `root` as TOML. `statements` are what spots in it refer to.
pub(super) fn write(root: &Table, statements: &[Statement]) -> String {
    let mut page = Page {
        text: String::new(),
        statements,
    };
    page.remarks(&root.remarks);
    page.settings(root, "");
    page.text
}

struct Page<'s> {
    text: String,
    statements: &'s [Statement],
}

impl Page<'_> {
    /// The keys of `table`, whose header is `path`. Its sections come last: what stands behind a header
    /// belongs to it.
    fn settings(&mut self, table: &Table, path: &str) {
        for setting in &table.settings {
            if !matches!(setting.value, Value::Section(_) | Value::Sections(_)) {
                self.setting(setting, table.spot);
            }
        }
        for setting in &table.settings {
            let path = if path.is_empty() {
                setting.name.to_owned()
            } else {
                format!("{path}.{}", setting.name)
            };
            match &setting.value {
                Value::Section(inner) => self.section(inner, &path, ["[", "]"]),
                Value::Sections(inner) => {
                    for inner in inner {
                        self.section(inner, &path, ["[[", "]]"]);
                    }
                }
                _ => {}
            }
        }
    }

    fn section(&mut self, table: &Table, path: &str, [open, close]: [&str; 2]) {
        self.text.push('\n');
        self.remarks(&table.remarks);
        let place = self.place(table.spot);
        self.line(&format!("{open}{path}{close}"), place.as_deref());
        self.settings(table, path);
    }

    fn setting(&mut self, setting: &Setting, around: Spot) {
        let mut spots = vec![setting.spot];
        collect_spots(&setting.value, &mut spots);
        spots.retain(|spot| *spot != around);
        spots.dedup();
        let mut comments: Vec<_> = spots.iter().filter_map(|spot| self.place(*spot)).collect();
        comments.extend(setting.note.map(str::to_owned));
        let comment = (!comments.is_empty()).then(|| comments.join(", "));
        let line = format!("{} = {}", setting.name, inline(&setting.value));
        self.line(&line, comment.as_deref());
    }

    fn remarks(&mut self, remarks: &[String]) {
        for remark in remarks {
            self.text
                .push_str(format!("# {}", printable(remark)).trim_end());
            self.text.push('\n');
        }
    }

    fn line(&mut self, line: &str, comment: Option<&str>) {
        let comment = comment.map(printable);
        let line = match comment {
            Some(comment) => format!("{line:<COMMENT_COLUMN$} # {comment}\n"),
            None => format!("{line}\n"),
        };
        self.text.push_str(&line);
    }

    fn place(&self, spot: Spot) -> Option<String> {
        match spot {
            Spot::Flag(flag) => Some(flag.to_owned()),
            Spot::Statement(index) => self
                .statements
                .get(index)
                .map(|statement| format!("{}:{}", statement.path, statement.line)),
            Spot::Offset(_) | Spot::Nowhere => None,
        }
    }
}

fn collect_spots(value: &Value, spots: &mut Vec<Spot>) {
    if let Value::Inline(table) = value {
        for setting in &table.settings {
            spots.push(setting.spot);
            collect_spots(&setting.value, spots);
        }
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::Boolean(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Text(value) => text(value),
        Value::Texts(values) => {
            let values: Vec<_> = values.iter().map(|value| text(value)).collect();
            format!("[{}]", values.join(", "))
        }
        Value::Inline(table) | Value::Section(table) => braces(table),
        Value::Sections(tables) => {
            let tables: Vec<_> = tables.iter().map(braces).collect();
            format!("[{}]", tables.join(", "))
        }
    }
}

fn braces(table: &Table) -> String {
    let one = |setting: &Setting| format!("{} = {}", setting.name, inline(&setting.value));
    let all: Vec<_> = table.settings.iter().map(one).collect();
    format!("{{ {} }}", all.join(", "))
}

/// In double quotes, on one line.
fn text(text: &str) -> String {
    let escaped = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
        c => c.to_string(),
    };
    let inner: String = text.chars().map(escaped).collect();
    format!("\"{inner}\"")
}

/// Where comments begin, unless the line is longer.
const COMMENT_COLUMN: usize = 47;
