//! From lines to blocks: a statement, and the statements between its braces.

use std::ops::Range;
use std::sync::Arc;

use super::lines::{Kind, Line};
use super::text::words;
use crate::config::import::ledger::{Id, Ledger};
use crate::config::problem::Mistake;

/// A statement with what stands in its block.
#[derive(Debug)]
pub(super) struct Directive {
    pub(super) id: Id,
    pub(super) keyword: String,
    /// Behind the keyword.
    pub(super) arguments: Vec<String>,
    /// The whole line, for scripts, which are split by other rules.
    pub(super) text: String,
    /// A double quote is not closed: the last argument is lost.
    pub(super) is_cut: bool,
    pub(super) block: Option<Vec<Directive>>,
}

impl Directive {
    /// The statements in its block.
    pub(super) fn children(&self) -> &[Self] {
        self.block.as_deref().unwrap_or_default()
    }

    /// The names of this statement and of all that stand in it.
    pub(super) fn all(&self) -> Range<Id> {
        let mut last = self;
        while let Some(inner) = last.children().last() {
            last = inner;
        }
        self.id..last.id.next()
    }

    /// The first argument.
    pub(super) fn argument(&self) -> Option<&str> {
        self.arguments.first().map(String::as_str)
    }
}

/// Enters every line into the ledger, and puts each into its block.
pub(super) fn grow(lines: Vec<Line>, ledger: &mut Ledger) -> Vec<Directive> {
    let mut tree = Tree {
        open: Vec::new(),
        current: Vec::new(),
        may_open: false,
    };
    for line in lines {
        let enter = |ledger: &mut Ledger| ledger.enter(&line.path, line.number, &line.text);
        match line.kind {
            Kind::Ignored(why) => {
                let id = enter(ledger);
                ledger.not_applicable(id, why);
            }
            Kind::Mistake(mistake) => {
                let id = enter(ledger);
                ledger.mistake(id, mistake);
                ledger.leave_out();
            }
            Kind::Statement if line.text == "{" => tree.open(&line.path, line.number, ledger),
            Kind::Statement if line.text == "}" => tree.close(&line.path, line.number, ledger),
            Kind::Statement => tree.push(enter(ledger), line.text),
        }
    }
    tree.finish(ledger)
}

struct Tree {
    /// The blocks that are open: the statement that each belongs to, and what stood before it.
    open: Vec<(Directive, Vec<Directive>)>,
    current: Vec<Directive>,
    /// The last line was a statement, to which a block may belong.
    may_open: bool,
}

impl Tree {
    fn push(&mut self, id: Id, text: String) {
        let (words, is_closed) = words(&text);
        let mut words = words.into_iter();
        self.current.push(Directive {
            id,
            keyword: words.next().unwrap_or_default(),
            arguments: words.collect(),
            text,
            is_cut: !is_closed,
            block: None,
        });
        self.may_open = true;
    }

    fn open(&mut self, path: &Arc<str>, line: usize, ledger: &mut Ledger) {
        let opener = self.current.pop_if(|_| self.may_open);
        self.may_open = false;
        let opener = opener.unwrap_or_else(|| {
            let hint = "a block belongs to the statement before it";
            let id = reject(path, line, "{", "{ opens no block", hint, ledger);
            Directive {
                id,
                keyword: String::new(),
                arguments: Vec::new(),
                text: String::new(),
                is_cut: false,
                block: None,
            }
        });
        if self.open.len() >= DEEPEST_BLOCK {
            let hint = "keepalived knows no block in a block in a block so deep";
            reject(path, line, "{", "the blocks are too deep", hint, ledger);
            self.current.push(opener);
            return;
        }
        self.open.push((opener, std::mem::take(&mut self.current)));
    }

    fn close(&mut self, path: &Arc<str>, line: usize, ledger: &mut Ledger) {
        self.may_open = false;
        if let Some((opener, before)) = self.open.pop() {
            return self.end(opener, before);
        }
        let hint = "take it away, or open the block that it ends";
        reject(path, line, "}", "} ends no block", hint, ledger);
    }

    fn end(&mut self, mut opener: Directive, before: Vec<Directive>) {
        opener.block = Some(std::mem::replace(&mut self.current, before));
        self.current.push(opener);
    }

    /// Closes what is left open, and says where the missing brace may have been.
    fn finish(mut self, ledger: &mut Ledger) -> Vec<Directive> {
        let outermost = self.open.first().map(|(opener, _)| opener.id);
        while let Some((opener, before)) = self.open.pop() {
            self.end(opener, before);
        }
        if let Some(id) = outermost {
            let opener = self.current.iter().find(|directive| directive.id == id);
            let hint = match opener.and_then(|opener| nested(opener, ledger)) {
                Some(hint) => hint,
                None => "a } is missing".to_owned(),
            };
            let mistake = Mistake::new("the block that begins here is not closed", hint);
            ledger.mistake(id, mistake);
            ledger.leave_out();
        }
        self.current
    }
}

fn reject(
    path: &Arc<str>,
    line: usize,
    text: &str,
    message: &str,
    hint: &str,
    ledger: &mut Ledger,
) -> Id {
    let id = ledger.enter(path, line, text);
    ledger.mistake(id, Mistake::new(message, hint));
    ledger.leave_out();
    id
}

/// Where a statement stands within another of its kind, as no statement does on purpose.
fn nested(outer: &Directive, ledger: &Ledger) -> Option<String> {
    let line = |id| ledger.statement(id).map_or(0, |statement| statement.line);
    let within = |inner: &Directive| {
        let (keyword, inner, outer) = (&inner.keyword, line(inner.id), line(outer.id));
        let hint = || {
            format!("a }} is missing: the {keyword} of line {inner} stands in that of line {outer}")
        };
        (inner != outer).then(hint)
    };
    let same = |inner: &&Directive| inner.block.is_some() && inner.keyword == outer.keyword;
    let children = outer.children();
    let inner = children.iter().find(same).and_then(within);
    inner.or_else(|| children.iter().find_map(|child| nested(child, ledger)))
}

/// Blocks in blocks: keepalived has five.
const DEEPEST_BLOCK: usize = 16;

#[cfg(test)]
mod tests;
