//! Commands that an operator denies: by their verb, or by the verb and the word behind it, as in `SITE CPFR`
//! (F13).
//!
//! A name that servers take for another one counts as that: whoever denies `MKD` means `XMKD` too. And where
//! a server reads the word behind the verb in some other way, by more blanks or in quotes, it is that word.

use std::fmt;

use super::command::{self, Command};

/// A denied command.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Denial {
    /// In upper case, under its usual name.
    verb: String,
    /// In upper case; `None` for all commands of the verb.
    word: Option<String>,
}

impl Denial {
    /// Reads `VERB` or `VERB WORD`, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        let command = command::parse(text.as_bytes()).ok()?;
        let is_plain = |byte: &u8| byte.is_ascii_graphic() && !is_mark(*byte);
        let word = match command.argument {
            None => None,
            Some(word) if !word.is_empty() && word.iter().all(is_plain) => Some(upper(word)),
            Some(_) => return None,
        };
        let verb = usual(&upper(command.name)).to_owned();
        Some(Self { verb, word })
    }

    /// The verb, in upper case and under its usual name.
    pub fn verb(&self) -> &str {
        &self.verb
    }

    /// Whether all commands of the verb are meant.
    pub fn is_whole_verb(&self) -> bool {
        self.word.is_none()
    }

    /// Whether `command` is denied.
    pub fn covers(&self, command: &Command<'_>) -> bool {
        if usual(&upper(command.name)) != self.verb {
            return false;
        }
        let Some(word) = &self.word else { return true };
        let argument = command.argument.unwrap_or_default();
        let mut words = argument.split(|byte| is_blank(*byte));
        let first = words.find(|word| !word.is_empty()).unwrap_or_default();
        let read = first.iter().filter(|byte| !is_mark(**byte));
        read.map(u8::to_ascii_uppercase).eq(word.bytes())
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.verb)?;
        self.word
            .as_ref()
            .map_or(Ok(()), |word| write!(f, " {word}"))
    }
}

fn upper(name: &[u8]) -> String {
    String::from_utf8_lossy(name).to_ascii_uppercase()
}

/// The names of RFC 959 for those of RFC 775, and for Pure-FTPd's of PASV.
fn usual(verb: &str) -> &str {
    match verb {
        "P@SW" => "PASV",
        "XCUP" => "CDUP",
        "XCWD" => "CWD",
        "XMKD" => "MKD",
        "XPWD" => "PWD",
        "XRMD" => "RMD",
        verb => verb,
    }
}

/// What ProFTPD splits words at.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// What ProFTPD takes out of words.
fn is_mark(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(denied: &str, line: &[u8]) -> bool {
        let command = command::parse(line).unwrap();
        Denial::parse(denied).unwrap().covers(&command)
    }

    #[test]
    fn f13_a_verb_or_a_verb_and_its_word_is_denied_in_any_case_and_spelling() {
        for (denied, line) in [
            ("SITE CPFR", &b"SITE CPFR /etc/passwd"[..]),
            ("site cpfr", b"Site cPfR x"),
            ("SITE CPFR", b"SITE   CPFR x"),
            ("SITE CPFR", b"SITE \tCPFR\x0bx"),
            ("SITE CPFR", b"SITE \"CPFR\" x"),
            ("SITE CPFR", b"SITE CP\\FR x"),
            ("SITE", b"SITE CPFR x"),
            ("SITE", b"SITE"),
            ("MKD", b"XMKD d"),
            ("XMKD", b"mkd d"),
            ("PASV", b"P@SW"),
            ("DELE", b"dele f"),
        ] {
            assert!(covers(denied, line), "{denied}: {}", line.escape_ascii());
        }
        for (denied, line) in [
            ("SITE CPFR", &b"SITE CPTO x"[..]),
            ("SITE CPFR", b"SITE CPFRX"),
            ("SITE CPFR", b"SITE CHMOD CPFR"),
            ("SITE CPFR", b"SITE"),
            ("SITE CPFR", b"CPFR x"),
            ("DELE", b"DEL f"),
        ] {
            assert!(!covers(denied, line), "{denied}: {}", line.escape_ascii());
        }
    }

    #[test]
    fn what_names_no_command_is_no_denial() {
        for text in [
            "",
            " ",
            "TOOLONGVERB",
            "SITE ",
            "SITE A B",
            "SITE\tCPFR",
            "RM-R",
            "SITE \"A\"",
        ] {
            assert_eq!(Denial::parse(text), None, "{text:?}");
        }
        let written = Denial::parse("site cpfr").unwrap();
        assert_eq!(written.to_string(), "SITE CPFR");
        assert_eq!(Denial::parse(&written.to_string()), Some(written));
    }
}
