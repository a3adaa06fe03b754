//! Every directive of keepalived that has to do with virtual servers, and what ftplb makes of it.
//!
//! One table a block. `docs/keepalived.md` has the same tables and is tested against these. What the
//! translation says of a directive in a given file may be finer than its row.

pub(super) mod check;
pub(super) mod server;

use std::ops::RangeInclusive;

/// The directives of one kind of block.
pub(super) struct Grammar {
    pub(super) rows: &'static [&'static [Row]],
}

/// A directive.
pub(super) struct Row {
    pub(super) keyword: &'static str,
    pub(super) takes: Takes,
    pub(super) fate: Fate,
    /// How it is taken over, what differs, or why it means nothing.
    pub(super) says: &'static str,
}

/// What stands behind a keyword.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Takes {
    /// Whatever: nobody reads it, or the translation does.
    Anything,
    /// A block, and perhaps words before it.
    Block,
    /// What says by itself whether it is FTP, and is judged only then.
    Head,
    /// `on` or `off` and the like, or nothing for `on`.
    Boolean,
    /// A whole number.
    Count(RangeInclusive<u64>),
    /// The same, or nothing.
    CountOrNothing(RangeInclusive<u64>),
    /// A command, and perhaps the user it is run as.
    Script,
    /// One word, or what stands in double quotes.
    Text,
    /// A number of seconds, in microseconds here.
    Time(RangeInclusive<u64>),
    /// One of these words.
    Word(&'static [&'static str]),
}

/// What becomes of a directive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    Taken,
    Differs,
    Not,
}

impl Grammar {
    pub(super) fn row(&self, keyword: &str) -> Option<&'static Row> {
        self.all().find(|row| row.keyword == keyword)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &'static Row> {
        self.rows.iter().flat_map(|rows| rows.iter())
    }
}

const fn row(keyword: &'static str, takes: Takes, fate: Fate, says: &'static str) -> Row {
    Row {
        keyword,
        takes,
        fate,
        says,
    }
}

const fn taken(keyword: &'static str, takes: Takes, says: &'static str) -> Row {
    row(keyword, takes, Fate::Taken, says)
}

const fn differs(keyword: &'static str, takes: Takes, says: &'static str) -> Row {
    row(keyword, takes, Fate::Differs, says)
}

const fn not(keyword: &'static str, says: &'static str) -> Row {
    row(keyword, Takes::Anything, Fate::Not, says)
}
