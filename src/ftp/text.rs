//! Peer text for logs.

use std::fmt;

/// Shows bytes that a peer sent, so that they can neither forge a log line nor drive a terminal (O6).
///
/// Control characters, DEL, bytes from 0x80 and the backslash are written as `\xNN`. Only the first
/// 128 bytes are shown, then `...`. Passwords are not recognised: see
/// [`Verb::is_secret`](super::command::Verb::is_secret).
#[derive(Clone, Copy)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.get(..MAX_SHOWN_BYTES).unwrap_or(self.0);
        // Plain text in one piece: it is nearly all of what is shown.
        for part in shown.chunk_by(|one, next| is_plain(*one) && is_plain(*next)) {
            match (part, str::from_utf8(part)) {
                ([byte], _) if !is_plain(*byte) => write!(f, "\\x{byte:02x}")?,
                (_, Ok(text)) => f.write_str(text)?,
                (_, Err(_)) => return Err(fmt::Error),
            }
        }
        if self.0.len() > MAX_SHOWN_BYTES {
            f.write_str("...")?;
        }
        Ok(())
    }
}

/// Shows bytes that a peer sent as the text that they are, for whoever needs the name of a file and not
/// only an idea of it.
///
/// UTF-8 is kept. Control characters, characters that are not seen, the backslash and bytes that are no UTF-8
/// are written as `\xNN`, byte by byte, so that the bytes can be had back. Only the first 4096 bytes are shown,
/// then `...`.
#[derive(Clone, Copy)]
pub struct Legible<'a>(pub &'a [u8]);

impl fmt::Display for Legible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.get(..MAX_LEGIBLE_BYTES).unwrap_or(self.0);
        for chunk in shown.utf8_chunks() {
            for c in chunk.valid().chars() {
                if is_legible(c) && c != '\\' {
                    write!(f, "{c}")?;
                } else {
                    hexadecimal(f, c.encode_utf8(&mut [0; 4]).as_bytes())?;
                }
            }
            hexadecimal(f, chunk.invalid())?;
        }
        if self.0.len() > MAX_LEGIBLE_BYTES {
            f.write_str("...")?;
        }
        Ok(())
    }
}

/// Whether a character can be seen for what it is, or is a plain space: nothing that moves a cursor, breaks a
/// line, or turns the direction of what follows.
pub fn is_legible(c: char) -> bool {
    let is_unseen = matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    );
    !c.is_control() && !is_unseen
}

fn hexadecimal(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))
}

impl fmt::Debug for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Whether `byte` stands for itself.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..0x7f) && byte != b'\\'
}

/// Bytes of peer text in one log field: more than any sane verb, path or banner needs to be known by.
const MAX_SHOWN_BYTES: usize = 128;

/// Bytes of a path in a log: what Linux takes for one (`PATH_MAX`).
pub const MAX_LEGIBLE_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o6_peer_text_is_escaped_and_capped() {
        let cases: [(&[u8], &str); 5] = [
            (b"USER joe", "USER joe"),
            (b"USER a\x1b[31m", "USER a\\x1b[31m"),
            (b"a\r\nb\0\x7f", "a\\x0d\\x0ab\\x00\\x7f"),
            (b"\xc3\xa4\xff", "\\xc3\\xa4\\xff"),
            (b"\\x41", "\\x5cx41"),
        ];
        for (bytes, shown) in cases {
            assert_eq!(Escaped(bytes).to_string(), shown);
        }
        assert_eq!(Escaped(&[b'a'; 128]).to_string(), "a".repeat(128));
        assert_eq!(Escaped(&[b'a'; 129]).to_string(), "a".repeat(128) + "...");
    }
    #[test]
    fn o6_a_name_is_legible_and_its_bytes_can_be_had_back() {
        let cases: [(&[u8], &str); 7] = [
            (b"/in/a b.txt", "/in/a b.txt"),
            (
                "/f\u{fc}r/\u{65e5}\u{672c}".as_bytes(),
                "/f\u{fc}r/\u{65e5}\u{672c}",
            ),
            (b"a\xff\xfeb", "a\\xff\\xfeb"),
            (b"a\r\n\x1b[31m\0\x7f", "a\\x0d\\x0a\\x1b[31m\\x00\\x7f"),
            (
                "\u{202e}gpj.exe\u{85}".as_bytes(),
                "\\xe2\\x80\\xaegpj.exe\\xc2\\x85",
            ),
            (b"\\x41\"", "\\x5cx41\""),
            (b"\xe2\x82", "\\xe2\\x82"),
        ];
        for (bytes, shown) in cases {
            assert_eq!(Legible(bytes).to_string(), shown);
        }
        let long = [b'a'; MAX_LEGIBLE_BYTES + 1];
        assert_eq!(Legible(&long[1..]).to_string().len(), MAX_LEGIBLE_BYTES);
        assert!(Legible(&long).to_string().ends_with("a..."));
    }
}
