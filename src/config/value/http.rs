//! How a request by HTTP and the answer that is wanted are spelled.

use std::ops::RangeInclusive;

use regex::bytes::Regex;

use super::super::file::{Node, Value};
use super::super::problem::Mistake;
use super::text;

/// What is asked for: `"/status"`.
pub(in crate::config) fn http_path(node: &Node) -> Result<String, Mistake> {
    let path = text(node)?;
    if !path.starts_with('/') || !is_graphic(&path) {
        return Err(Mistake::new(
            format!("{path:?} is no path"),
            "such as \"/status?full=1\": it begins with /, and what is not ASCII is written as %XX",
        ));
    }
    Ok(path)
}

/// The value of a header that has no spaces.
pub(in crate::config) fn header_value(node: &Node) -> Result<String, Mistake> {
    let value = text(node)?;
    if !is_graphic(&value) {
        let hint = "the name of a host, with a port if need be: \"ftp.example.com\"";
        return Err(Mistake::new(format!("{value:?} is no host"), hint));
    }
    Ok(value)
}

/// Codes of success: `"200-299"`, `"200,204,300-310"`.
pub(in crate::config) fn status_codes(node: &Node) -> Result<Vec<RangeInclusive<u16>>, Mistake> {
    let mistake = || {
        let hint = "codes from 100 to 999: \"200-299\" or \"200,204,300-310\"";
        Mistake::new(format!("{} are no status codes", node.value), hint)
    };
    let Value::Text(text) = &node.value else {
        return Err(mistake());
    };
    let code = |digits: &str| {
        let code = digits.trim().parse::<u16>().ok();
        code.filter(|code| (100..=999).contains(code))
    };
    let range = |item: &str| {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let (first, last) = (code(first)?, code(last)?);
        (first <= last).then_some(first..=last)
    };
    let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
    ranges.ok_or_else(mistake)
}

/// An MD5 digest.
pub(in crate::config) fn digest(node: &Node) -> Result<String, Mistake> {
    match &node.value {
        Value::Text(text) if text.len() == 32 && text.chars().all(|c| c.is_ascii_hexdigit()) => {
            Ok(text.to_ascii_lowercase())
        }
        value => Err(Mistake::new(
            format!("{value} is no MD5 digest"),
            "32 hexadecimal digits, as md5sum prints them",
        )),
    }
}

/// A regular expression.
pub(in crate::config) fn pattern(node: &Node) -> Result<String, Mistake> {
    let Value::Text(text) = &node.value else {
        return Err(Mistake::new(
            format!("{} is no regular expression", node.value),
            "write it in single quotes, in which a backslash is one",
        ));
    };
    match Regex::new(text) {
        Ok(_) => Ok(text.clone()),
        Err(error) => {
            // The whole message draws the expression over several lines; the reason is its last.
            let message = error.to_string();
            let reason = message.lines().last().unwrap_or_default();
            let reason = reason.trim_start_matches("error: ");
            Err(Mistake::new(
                format!("{text:?} is no regular expression: {reason}"),
                "the syntax is that of https://docs.rs/regex: as in Perl, but without back references \
                 and look-around",
            ))
        }
    }
}

fn is_graphic(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::super::super::file::Spot;
    use super::*;

    fn of<T>(parse: impl Fn(&Node) -> Result<T, Mistake>, text: &str) -> Result<T, String> {
        parse(&Node::text(Spot::Nowhere, text)).map_err(|mistake| mistake.message)
    }

    #[test]
    fn status_codes_are_codes_and_ranges_of_them() {
        for (text, ranges) in [
            ("200", vec![200..=200]),
            ("200-299", vec![200..=299]),
            ("200, 204,300 - 310", vec![200..=200, 204..=204, 300..=310]),
            ("100-999", vec![100..=999]),
        ] {
            assert_eq!(of(status_codes, text), Ok(ranges), "{text}");
        }
        for text in [
            "", "200,", "99", "1000", "299-200", "200-", "-200", "2xx", "200 204", "70000",
        ] {
            assert!(of(status_codes, text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_digest_is_32_hexadecimal_digits_in_either_case() {
        let empty = "d41d8cd98f00b204e9800998ecf8427e";
        assert_eq!(of(digest, empty).as_deref(), Ok(empty));
        assert_eq!(of(digest, &empty.to_uppercase()).as_deref(), Ok(empty));
        for text in [
            "",
            &empty[1..],
            &format!("{empty}0"),
            &empty.replace('d', "g"),
        ] {
            assert!(of(digest, text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_goes_into_a_request_can_not_end_its_line() {
        for text in ["/", "/status?full=1&x=%20", "/a/../b"] {
            assert_eq!(of(http_path, text).as_deref(), Ok(text));
        }
        for text in ["", "status", "http://a/", "/a b", "/a\r\nX: y", "/\u{e9}"] {
            assert!(of(http_path, text).is_err(), "{text:?}");
        }
        for text in ["ftp.example:8080", "[2001:db8::1]"] {
            assert_eq!(of(header_value, text).as_deref(), Ok(text));
        }
        for text in ["", "a b", "a\r\nX: y", "\u{e9}"] {
            assert!(of(header_value, text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_pattern_is_what_the_crate_compiles_and_its_mistake_is_one_line() {
        for text in ["", "ok", r"^\s*\d+", "(?i)OK", "\n"] {
            assert_eq!(of(pattern, text).as_deref(), Ok(text));
        }
        for (text, reason) in [
            ("(", "unclosed group"),
            (r"(a)\1", "backreferences are not supported"),
            (
                "(?=a)",
                "look-around, including look-ahead and look-behind, is not supported",
            ),
            (
                "a{1000}{1000}{1000}",
                "Compiled regex exceeds size limit of 10485760 bytes.",
            ),
        ] {
            let expected = format!("{text:?} is no regular expression: {reason}");
            assert_eq!(of(pattern, text), Err(expected));
        }
    }
}
