//! How scripts and the users that they are run as are spelled.

use super::super::RunAs;
use super::super::file::{Node, Value};
use super::super::problem::Mistake;

/// A command in one text, split into words as a shell splits it. Nothing else of a shell is known here:
/// no variables, no patterns, no pipes.
pub(in crate::config) fn command(node: &Node) -> Result<Vec<String>, Mistake> {
    let Value::Text(text) = &node.value else {
        return Err(Mistake::new(
            format!("{} is no command", node.value),
            COMMAND,
        ));
    };
    if text.contains('\0') {
        return Err(Mistake::new(HAS_NUL, COMMAND));
    }
    let words = shlex::split(text).ok_or_else(|| {
        let message = format!("{text:?} has a quote or a backslash that nothing follows");
        Mistake::new(
            message,
            "close every quote, or write a list of words: [\"/usr/local/bin/check\", \"it's\"]",
        )
    })?;
    judge_program(&words)?;
    Ok(words)
}

/// One word of a command in a list of words: taken as it is.
pub(in crate::config) fn argument(node: &Node) -> Result<String, Mistake> {
    match &node.value {
        Value::Text(text) if text.contains('\0') => Err(Mistake::new(HAS_NUL, COMMAND)),
        Value::Text(text) => Ok(text.clone()),
        value => Err(Mistake::new(
            format!("{value} is no word of a command"),
            "write each word in quotes",
        )),
    }
}

/// Whether the first of `words` can be run: what is found depends on no working directory.
pub(in crate::config) fn judge_program(words: &[String]) -> Result<(), Mistake> {
    match words.first().map(String::as_str) {
        None | Some("") => Err(Mistake::new("has no program", COMMAND)),
        Some(program) if program.contains('/') && !program.starts_with('/') => Err(Mistake::new(
            format!("{program:?} is a relative path"),
            "the absolute path of the program, or a name to be found in PATH",
        )),
        Some(_) => Ok(()),
    }
}

/// A user, and a group if need be: `"nobody"`, `"nobody:nogroup"`.
pub(in crate::config) fn run_as(node: &Node) -> Result<RunAs, Mistake> {
    let hint = "a user, \"nobody\", or a user and a group, \"nobody:nogroup\"";
    let mistake = || Mistake::new(format!("{} is no user", node.value), hint);
    let Value::Text(text) = &node.value else {
        return Err(mistake());
    };
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text.as_str(), None),
    };
    let is_name = |name: &str| {
        let is_part = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, ':' | '/');
        !name.is_empty() && name.chars().all(is_part)
    };
    if !is_name(user) || !group.is_none_or(is_name) {
        return Err(mistake());
    }
    Ok(RunAs {
        user: user.to_owned(),
        group: group.map(str::to_owned),
    })
}

const COMMAND: &str = "a program and its arguments: \"/usr/local/bin/check --fast\"";

/// The end of a word for the kernel.
const HAS_NUL: &str = "contains a NUL character";

#[cfg(test)]
mod tests {
    use super::super::super::file::Spot;
    use super::*;

    fn of<T>(parse: impl Fn(&Node) -> Result<T, Mistake>, text: &str) -> Result<T, String> {
        parse(&Node::text(Spot::Nowhere, text)).map_err(|mistake| mistake.message)
    }

    #[test]
    fn a_command_is_split_as_a_shell_splits_it() {
        for (text, words) in [
            ("check", &["check"][..]),
            ("  /bin/check\t-v \n x ", &["/bin/check", "-v", "x"]),
            (
                r#"check 'a "b" \c' "d 'e' \"f\" \$g""#,
                &["check", r#"a "b" \c"#, r#"d 'e' "f" $g"#],
            ),
            (r"check a\ b '' c''d", &["check", "a b", "", "cd"]),
            ("check a#b # a comment", &["check", "a#b"]),
            (
                "check $HOME *.txt > x | y ; z &",
                &["check", "$HOME", "*.txt", ">", "x", "|", "y", ";", "z", "&"],
            ),
        ] {
            let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(of(command, text), Ok(words), "{text}");
        }
        for text in ["check 'a", "check \"a", "check \\"] {
            let message = format!("{text:?} has a quote or a backslash that nothing follows");
            assert_eq!(of(command, text), Err(message));
        }
        for text in [
            "",
            " ",
            "''",
            "'' x",
            "./check",
            "bin/check",
            "../check x",
            "check\0",
        ] {
            assert!(of(command, text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_user_may_have_a_group() {
        for (text, user, group) in [
            ("nobody", "nobody", None),
            ("nobody:nogroup", "nobody", Some("nogroup")),
            ("65534:65534", "65534", Some("65534")),
            ("ftp-check_1.x", "ftp-check_1.x", None),
        ] {
            let expected = RunAs {
                user: user.to_owned(),
                group: group.map(str::to_owned),
            };
            assert_eq!(of(run_as, text), Ok(expected));
        }
        for text in [
            "", ":", "a:", ":a", "a:b:c", "a b", "a :b", "/a", "a\n", "a\0",
        ] {
            assert!(of(run_as, text).is_err(), "{text:?}");
        }
    }
}
