//! `include` and its stricter sisters, and the braces in their patterns.

use super::text::BLANK;

/// An order to read other files here.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Include<'l> {
    /// A path or a pattern, relative to the file that it stands in.
    pub(super) pattern: &'l str,
    pub(super) demands: Demands,
}

/// What files must do, or it is a mistake: by the letter behind `include`. Of the plain one, nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Demands {
    Nothing,
    Readable,
    Named,
    Matched,
    Braces,
    All,
}

impl<'l> Include<'l> {
    /// Reads `include PATTERN` and the like. `None`: the line is something else.
    pub(super) fn parse(line: &'l str) -> Option<Self> {
        let (word, pattern) = line.split_once(BLANK)?;
        let demands = Demands::of(word.strip_prefix("include")?)?;
        let pattern = pattern.trim_matches(BLANK);
        Some(Self { pattern, demands })
    }

    /// The patterns that the braces stand for, as csh has it: `{a,b}/x` is `a/x` and `b/x`. `None`: they
    /// are more than anybody includes.
    pub(super) fn patterns(&self) -> Option<Vec<String>> {
        let mut patterns = Vec::new();
        let mut open = vec![self.pattern.to_owned()];
        while let Some(pattern) = open.pop() {
            let Some((head, alternatives, tail)) = first_braces(&pattern) else {
                patterns.push(pattern);
                continue;
            };
            // The first one comes off the pile first.
            for alternative in alternatives.iter().rev() {
                open.push(format!("{head}{alternative}{tail}"));
            }
            if patterns.len() + open.len() > MOST_PATTERNS {
                return None;
            }
        }
        Some(patterns)
    }
}

impl Demands {
    /// Of the letter behind `include`.
    fn of(letter: &str) -> Option<Self> {
        Some(match letter {
            "" => Self::Nothing,
            "r" => Self::Readable,
            "m" => Self::Named,
            "w" => Self::Matched,
            "b" => Self::Braces,
            "a" => Self::All,
            _ => return None,
        })
    }

    /// A file must be readable.
    pub(super) fn be_readable(self) -> bool {
        self != Self::Nothing
    }

    /// A file must exist that is named, as the only one or in braces.
    pub(super) fn exist(self, is_only_one: bool) -> bool {
        match self {
            Self::Nothing | Self::Readable => false,
            Self::Named | Self::Matched => is_only_one,
            Self::Braces | Self::All => true,
        }
    }

    /// A pattern must match something.
    pub(super) fn match_something(self) -> bool {
        matches!(self, Self::Matched | Self::All)
    }
}

/// Whether the path is a pattern for the file system to match.
pub(super) fn has_wildcard(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// What stands before the first pair of braces, the alternatives in it, and what stands behind. `{}` is
/// no such pair.
fn first_braces(pattern: &str) -> Option<(&str, Vec<&str>, &str)> {
    let begin = pattern
        .match_indices('{')
        .map(|(at, _)| at)
        .find(|at| !pattern.get(*at..).is_some_and(|p| p.starts_with("{}")))?;
    let (head, rest) = pattern.split_at(begin);
    let inner = rest.strip_prefix('{')?;
    let (mut depth, mut from, mut alternatives) = (0_usize, 0, Vec::new());
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '}' => {
                alternatives.push(inner.get(from..at)?);
                return Some((head, alternatives, inner.get(at + 1..)?));
            }
            ',' if depth == 0 => {
                alternatives.push(inner.get(from..at)?);
                from = at + 1;
            }
            _ => {}
        }
    }
    None
}

/// Of one line. Each may match many files.
const MOST_PATTERNS: usize = 256;

#[cfg(test)]
mod tests;
