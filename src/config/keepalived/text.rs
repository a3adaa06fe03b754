//! How keepalived reads the text of one line: comments, words, and the words of a script.

/// A line without its comment and the blanks around it. A backslash at the very end stays, since a
/// definition of several lines goes on then; one before `#` or `!` goes, and they begin no comment.
pub(super) fn without_comment(line: &str) -> String {
    let mut text = String::new();
    let (mut is_quoted, mut goes_on) = (false, false);
    let mut chars = line.trim_start_matches(BLANK).chars();
    while let Some(c) = chars.next() {
        match c {
            '#' | '!' if !is_quoted => break,
            '\\' => match chars.next() {
                None => goes_on = true,
                Some(mark @ ('#' | '!')) if !is_quoted => text.push(mark),
                Some(other) => text.extend([c, other]),
            },
            _ => {
                is_quoted ^= c == '"';
                text.push(c);
            }
        }
    }
    text.truncate(text.trim_end_matches(BLANK).len());
    if goes_on {
        text.push('\\');
    }
    text
}

/// The words of a line, and whether every quote is closed: what stands behind one that is not is lost.
/// Double quotes keep blanks and go away, and end the word before them.
pub(super) fn words(text: &str) -> (Vec<String>, bool) {
    let mut words = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while !rest.is_empty() {
        let parts = if let Some(quoted) = rest.strip_prefix('"') {
            quoted.split_once('"')
        } else {
            let end = rest.find(|c| is_space(c) || c == '"');
            Some(rest.split_at(end.unwrap_or(rest.len())))
        };
        let Some((word, behind)) = parts else {
            return (words, false);
        };
        words.push(word.to_owned());
        rest = behind.trim_start_matches(is_space);
    }
    (words, true)
}

/// The words of a line as a shell would split them: quotes of both kinds, and backslashes. With `escapes`
/// these are resolved; else they stay for a second reading. `None`: a quote is not closed, or nothing
/// stands behind the last backslash.
pub(super) fn shell_words(text: &str, escapes: bool) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut bytes = text.bytes().peekable();
    loop {
        while bytes.next_if(|b| is_space(char::from(*b))).is_some() {}
        if bytes.peek().is_none() {
            return Some(words);
        }
        let mut word = Vec::new();
        let mut quote = None;
        while let Some(byte) = bytes.next() {
            match (byte, quote) {
                (b'\\', _) if escapes => word.push(escaped(&mut bytes)?),
                (b'\\', _) => word.extend([byte, bytes.next()?]),
                (_, Some(open)) if byte == open => quote = None,
                (b'"' | b'\'', None) => quote = Some(byte),
                (_, None) if is_space(char::from(byte)) => break,
                _ => word.push(byte),
            }
        }
        if quote.is_some() {
            return None;
        }
        words.push(String::from_utf8_lossy(&word).into_owned());
    }
}

/// The first brace outside quotes, and what stands before it and from it on. A brace at the beginning is
/// cut off by itself.
pub(super) fn split_at_brace(text: &str) -> (&str, &str) {
    if text.starts_with(['{', '}']) {
        let (brace, rest) = text.split_at(1);
        return (brace, rest.trim_start_matches(BLANK));
    }
    let mut is_quoted = false;
    let brace = text.find(|c| {
        is_quoted ^= c == '"';
        !is_quoted && matches!(c, '{' | '}')
    });
    let (head, rest) = text.split_at(brace.unwrap_or(text.len()));
    (head.trim_end_matches(BLANK), rest)
}

/// What stands for one byte behind a backslash.
fn escaped(bytes: &mut std::iter::Peekable<std::str::Bytes<'_>>) -> Option<u8> {
    let byte = bytes.next()?;
    let digits = |bytes: &mut std::iter::Peekable<std::str::Bytes<'_>>, radix, first, most| {
        let mut value: u8 = first;
        for _ in 0..most {
            let Some(digit) = bytes.peek().and_then(|b| char::from(*b).to_digit(radix)) else {
                break;
            };
            bytes.next();
            // \777 wraps around, as in C.
            value = value.wrapping_mul(if radix == 16 { 16 } else { 8 });
            value = value.wrapping_add(u8::try_from(digit).unwrap_or_default());
        }
        value
    };
    Some(match byte {
        b'x' if bytes.peek().is_some_and(u8::is_ascii_hexdigit) => digits(bytes, 16, 0, 2),
        b'c' if bytes.peek().is_some() => bytes.next()? & 0x1f,
        b'0'..=b'7' => digits(bytes, 8, byte - b'0', 2),
        b'a' => 7,
        b'b' => 8,
        b'E' => 27,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        other => other,
    })
}

/// What C's `isspace` takes for space.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r')
}

/// What stands between the words of one line.
pub(super) const BLANK: [char; 2] = [' ', '\t'];

#[cfg(test)]
mod tests;
