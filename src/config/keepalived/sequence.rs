//! `~SEQ(...)`, `~SEQx(...)` and `~LST(...)`: the rest of the line is read once for each value.

use std::collections::VecDeque;

use super::definitions::{Definitions, Surroundings};
use super::text::BLANK;

/// A line that is read several times, each time with other values of its variables.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Sequence {
    text: String,
    values: Values,
}

#[derive(Debug, Eq, PartialEq)]
enum Values {
    Numbers {
        variable: String,
        next: i64,
        step: i64,
        last: i64,
        is_hexadecimal: bool,
    },
    Sets {
        variables: Vec<String>,
        sets: VecDeque<Vec<String>>,
    },
}

impl Sequence {
    /// Reads a line that begins with `~SEQ` or `~LST`. `None`: keepalived can not read it either.
    pub(super) fn parse(
        line: &str,
        definitions: &Definitions,
        surroundings: &Surroundings<'_>,
    ) -> Option<Self> {
        if let Some(list) = line.strip_prefix("~LST") {
            return Self::list(list);
        }
        let numbers = line.strip_prefix("~SEQ")?;
        let (numbers, is_hexadecimal) = match numbers.strip_prefix('x') {
            Some(numbers) => (numbers, true),
            None => (numbers, false),
        };
        let inner = numbers.trim_start_matches(BLANK).strip_prefix('(')?;
        let (variable, behind) = inner.split_once(',')?;
        let (bounds, text) = behind.split_once(')')?;
        let variable = variable.trim_matches(BLANK);
        if variable.is_empty() || variable.contains([' ', '\t', ')', '{']) {
            return None;
        }
        let bounds = match definitions.replace(bounds, surroundings) {
            Ok(Some(replaced)) if replaced.following.is_empty() => replaced.text,
            Ok(None) => bounds.to_owned(),
            Ok(Some(_)) | Err(_) => return None,
        };
        let bounds: Option<Vec<i64>> = bounds.split(',').map(number).collect();
        let (next, step, last) = match bounds?.as_slice() {
            [last] => (
                if *last < 0 { -1 } else { 1 },
                if *last < 1 { -1 } else { 1 },
                *last,
            ),
            [first, last] => (*first, if first <= last { 1 } else { -1 }, *last),
            [first, step, last] => (*first, *step, *last),
            _ => return None,
        };
        let leads_away = step == 0 || (next < last && step < 0) || (next > last && step > 0);
        if leads_away || (is_hexadecimal && (next < 0 || last < 0)) {
            return None;
        }
        Some(Self {
            text: text.trim_start_matches(BLANK).to_owned(),
            values: Values::Numbers {
                variable: variable.to_owned(),
                next,
                step,
                last,
                is_hexadecimal,
            },
        })
    }

    /// Sets the variables to their next values. Returns the line to read with them, and whether it was the
    /// last time.
    pub(super) fn next(&mut self, definitions: &mut Definitions) -> (String, bool) {
        let is_last = match &mut self.values {
            Values::Numbers {
                variable,
                next,
                step,
                last,
                is_hexadecimal,
            } => {
                let value = if *is_hexadecimal {
                    format!("{next:x}")
                } else {
                    next.to_string()
                };
                definitions.set(variable, &value);
                let following = next.checked_add(*step).filter(|following| {
                    if *step > 0 {
                        following <= last
                    } else {
                        following >= last
                    }
                });
                *next = following.unwrap_or(*next);
                following.is_none()
            }
            Values::Sets { variables, sets } => {
                let values = sets.pop_front().unwrap_or_default();
                for (place, variable) in variables.iter().enumerate() {
                    definitions.set(variable, values.get(place).map_or("", String::as_str));
                }
                sets.is_empty()
            }
        };
        (self.text.clone(), is_last)
    }

    /// `(v, a, b) text`, or `({v, w}, {a, b}, {c, d}) text`.
    fn list(list: &str) -> Option<Self> {
        let inner = list.trim_start_matches(BLANK).strip_prefix('(')?;
        let (variables, mut rest) = set(inner)?;
        let mut sets = VecDeque::new();
        while let Some(behind) = rest.strip_prefix(',') {
            let (values, behind) = set(behind)?;
            if values.len() > variables.len() {
                return None;
            }
            sets.push_back(values);
            rest = behind;
        }
        let text = rest.strip_prefix(')')?.trim_start_matches(BLANK).to_owned();
        let is_right = variables.iter().all(|name| !name.is_empty()) && !sets.is_empty();
        let values = Values::Sets { variables, sets };
        is_right.then_some(Self { text, values })
    }
}

/// `a`, or `{a, b}`, and what stands behind it.
fn set(text: &str) -> Option<(Vec<String>, &str)> {
    let text = text.trim_start_matches(BLANK);
    let (items, rest) = match text.strip_prefix('{') {
        Some(inner) => inner.split_once('}')?,
        None => text.split_at(text.find([',', ')'])?),
    };
    let items = items.split(',');
    let items = items
        .map(|item| item.trim_matches(BLANK).to_owned())
        .collect();
    Some((items, rest.trim_start_matches(BLANK)))
}

/// A number in decimal, octal or hexadecimal, as C reads it.
fn number(text: &str) -> Option<i64> {
    let text = text.trim_matches(BLANK);
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let hexadecimal = digits.strip_prefix("0x").or(digits.strip_prefix("0X"));
    let value = match hexadecimal {
        Some(digits) => i64::from_str_radix(digits, 16),
        None if digits.len() > 1 && digits.starts_with('0') => i64::from_str_radix(digits, 8),
        None => digits.parse(),
    };
    let value = value.ok().filter(|value| *value >= 0)?;
    Some(if is_negative { -value } else { value })
}

#[cfg(test)]
mod tests;
