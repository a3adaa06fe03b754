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
}
