//! How each kind of value is spelled: numbers, durations, sizes, words; addresses, scripts and what is
//! asked by HTTP have files of their own.
//!
//! Each function takes a value as written and gives its meaning, or the mistake in it with the way to
//! write it right.

mod address;
mod http;
mod network;
mod rate;
mod script;

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

pub(super) use self::address::{
    FTP_PORT, api_address, backend_address, check_address, domain_name, host, host_v4,
    listen_address, passive_ports, server_address, socket_path,
};
pub(super) use self::http::{digest, header_value, http_path, pattern, status_codes};
pub(super) use self::network::network;
pub(super) use self::rate::{rate, rate_text};
pub(super) use self::script::{argument, command, judge_program, run_as};
use super::file::{Node, Value};
use super::problem::Mistake;
use crate::balance::Algorithm;
use crate::ftp::denial::Denial;

/// A closed set of words and what they stand for.
pub(super) type Words<T> = [(&'static str, T)];

/// `true` or `false`.
pub(super) fn boolean(node: &Node) -> Result<bool, Mistake> {
    match node.value {
        Value::Boolean(value) => Ok(value),
        ref value => Err(Mistake::new(
            format!("{value} is neither true nor false"),
            BOOLEAN,
        )),
    }
}

/// A whole number within `range`.
pub(super) fn count<T>(range: RangeInclusive<T>) -> impl Fn(&Node) -> Result<T, Mistake>
where
    T: Copy + Display + PartialOrd + TryFrom<i128>,
{
    move |node| {
        let hint = format!("a whole number from {} to {}", range.start(), range.end());
        match node.value {
            Value::Integer(number) => within(number, &range)
                .ok_or_else(|| Mistake::new(format!("{number} is out of range"), hint)),
            ref value => Err(Mistake::new(format!("{value} is no whole number"), hint)),
        }
    }
}

/// A number of bytes within `range`: `4096` or `"4KiB"`.
pub(super) fn size(range: RangeInclusive<usize>) -> impl Fn(&Node) -> Result<usize, Mistake> {
    move |node| {
        let [low, high] = [*range.start(), *range.end()].map(size_text);
        let hint = format!("a number of bytes, or such as \"64KiB\", from {low} to {high}");
        let bytes = match &node.value {
            Value::Integer(bytes) => Some(*bytes),
            Value::Text(text) => bytes(text),
            _ => None,
        };
        let Some(bytes) = bytes else {
            return Err(Mistake::new(format!("{} is no size", node.value), hint));
        };
        within(bytes, &range)
            .ok_or_else(|| Mistake::new(format!("{} is out of range", node.value), hint))
    }
}

/// A duration with its unit, within `range`: `"5s"`, `"1m 30s"`.
pub(super) fn duration(
    range: RangeInclusive<Duration>,
) -> impl Fn(&Node) -> Result<Duration, Mistake> {
    move |node| {
        let [low, high] = [*range.start(), *range.end()].map(humantime::format_duration);
        let hint =
            format!("a number with its unit, such as \"90s\" or \"5m\", from {low} to {high}");
        let Value::Text(text) = &node.value else {
            return Err(Mistake::new(format!("{} is no duration", node.value), hint));
        };
        match humantime::parse_duration(text) {
            Ok(duration) if range.contains(&duration) => Ok(duration),
            Ok(_) => Err(Mistake::new(format!("{text:?} is out of range"), hint)),
            Err(_) => Err(Mistake::new(format!("{text:?} is no duration"), hint)),
        }
    }
}

/// Text of one line that is not empty.
pub(super) fn text(node: &Node) -> Result<String, Mistake> {
    let Value::Text(text) = &node.value else {
        return Err(Mistake::new(
            format!("{} is no text", node.value),
            "write it in quotes",
        ));
    };
    if text.is_empty() {
        return Err(Mistake::new(
            "is empty",
            "write some text, or leave the key out",
        ));
    }
    // A line break in a user name would be a second command to the backend, in a pool's name a
    // second line of the log.
    if text.chars().any(char::is_control) {
        return Err(Mistake::new(
            format!("{text:?} contains a control character"),
            "take line breaks, tabs and the like out",
        ));
    }
    Ok(text.clone())
}

/// Text that no message may show.
pub(super) fn secret(node: &Node) -> Result<String, Mistake> {
    text(node).map_err(|mistake| Mistake::new("is no password", mistake.hint))
}

/// The path of a file with such text. What is found depends on no working directory.
pub(super) fn secret_file(node: &Node) -> Result<PathBuf, Mistake> {
    let path = PathBuf::from(text(node)?);
    if path.is_absolute() {
        return Ok(path);
    }
    let message = format!("{} is a relative path", node.value);
    let hint = "the absolute path of a file, such as \"/etc/ftplb/probe.password\"";
    Err(Mistake::new(message, hint))
}

/// A command that is denied: `"DELE"`, `"SITE CPFR"`.
pub(super) fn denial(node: &Node) -> Result<Denial, Mistake> {
    let denial = match &node.value {
        Value::Text(text) => Denial::parse(text),
        _ => None,
    };
    let hint = "a verb, \"DELE\", or a verb and the word behind it, \"SITE CPFR\"";
    let denial =
        denial.ok_or_else(|| Mistake::new(format!("{} is no command", node.value), hint))?;
    if denial.is_whole_verb() && ["USER", "PASS", "QUIT"].contains(&denial.verb()) {
        let message = format!("without {denial} there is no session");
        return Err(Mistake::new(message, "take it out"));
    }
    Ok(denial)
}

/// One of `words`.
pub(super) fn word<T: Copy>(words: &Words<T>) -> impl Fn(&Node) -> Result<T, Mistake> {
    move |node| {
        let chosen = match &node.value {
            Value::Text(text) => words.iter().find(|(word, _)| word == text),
            _ => None,
        };
        chosen.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let all: Vec<_> = words
                .iter()
                .map(|(word, _)| format!("\"{word}\""))
                .collect();
            let hint = format!("one of {}", all.join(", "));
            Mistake::new(format!("{} is not known here", node.value), hint)
        })
    }
}

/// The name of an algorithm, here or in ipvs.
pub(super) fn algorithm(node: &Node) -> Result<Algorithm, Mistake> {
    let algorithm = match &node.value {
        Value::Text(text) => Algorithm::parse(text),
        _ => None,
    };
    algorithm.ok_or_else(|| {
        let both = |one: Algorithm| match one.ipvs_name() {
            Some(ipvs) => format!("{} ({ipvs})", one.name()),
            None => one.name().to_owned(),
        };
        let hint = format!("one of {}", Algorithm::ALL.map(both).join(", "));
        Mistake::new(format!("{} is no algorithm", node.value), hint)
    })
}

/// A number of bytes as people write it; [`size`] reads it back.
pub(super) fn size_text(bytes: usize) -> String {
    for (unit, factor) in UNITS {
        if bytes >= factor && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    bytes.to_string()
}

fn bytes(text: &str) -> Option<i128> {
    let (digits, factor) = UNITS
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))
        .unwrap_or((text, 1));
    digits
        .trim_end()
        .parse::<i128>()
        .ok()?
        .checked_mul(i128::try_from(factor).ok()?)
}

fn within<T: Copy + PartialOrd + TryFrom<i128>>(
    number: i128,
    range: &RangeInclusive<T>,
) -> Option<T> {
    T::try_from(number)
        .ok()
        .filter(|number| range.contains(number))
}

const BOOLEAN: &str = "write true or false, without quotes";

const UNITS: [(&str, usize); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
