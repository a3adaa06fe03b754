//! A transfer as wu-ftpd wrote it, and vsftpd and ProFTPD do: xferlog(5).
//!
//! ```text
//! Thu Sep 17 10:00:00 2026 1 192.0.2.7 1024 /in/a_b.txt b _ i r alice ftp 0 * c
//! when it ended            │ │         │    │           │ │ │ │ │     │   │ │ └ complete, or incomplete
//!          seconds ────────┘ client    │    │           │ │ │ │ │     │   │ └ user by the authentication: none
//!                                  bytes    file        │ │ │ │ user  │   └ authentication: none
//!                       ascii or binary ────────────────┘ │ │ └ anonymous or real
//!                 packed on the way: never ───────────────┘ └ in or out
//! ```

use jiff::Zoned;

use super::Transfer;
use crate::ftp::command::{Direction, Verb};
use crate::ftp::text::{MAX_LEGIBLE_BYTES, is_legible};

/// The line of a transfer that ended at `now`, without its end; `None` for a listing, which this format has
/// no word for.
pub(super) fn line(transfer: &Transfer<'_>, now: &Zoned) -> Option<String> {
    let verb = transfer.verb?;
    let direction = match (verb, verb.transfer()?) {
        (_, Direction::ToBackend) => 'i',
        (Verb::Retr, Direction::ToClient) => 'o',
        (_, Direction::ToClient) => return None,
    };
    let time = now.strftime("%a %b %e %H:%M:%S %Y");
    let seconds = transfer.time.as_secs_f64().round().max(1.0);
    let client = transfer.client.ip();
    let bytes = transfer.bytes();
    let file = word(transfer.file.unwrap_or(transfer.path));
    let kind = if transfer.representation.is_text() {
        'a'
    } else {
        'b'
    };
    let access = if is_anonymous(transfer.user) {
        'a'
    } else {
        'r'
    };
    let user = word(transfer.user.as_bytes());
    let completion = if transfer.ending.is_complete() {
        'c'
    } else {
        'i'
    };
    Some(format!(
        "{time} {seconds} {client} {bytes} {file} {kind} _ {direction} {access} {user} ftp 0 * {completion}"
    ))
}

/// `text` as one word: fields are separated by spaces, and lines by their ends. There always is one.
fn word(text: &[u8]) -> String {
    let shown = text.get(..MAX_LEGIBLE_BYTES).unwrap_or(text);
    let mut word = String::with_capacity(shown.len());
    for chunk in shown.utf8_chunks() {
        let plain = |c: char| !c.is_whitespace() && is_legible(c);
        word.extend(
            chunk
                .valid()
                .chars()
                .map(|c| if plain(c) { c } else { '_' }),
        );
        word.extend(chunk.invalid().iter().map(|_| '_'));
    }
    if word.is_empty() {
        word.push('_');
    }
    word
}

/// By the names that RFC 1635 and every server have for it.
fn is_anonymous(user: &str) -> bool {
    user.eq_ignore_ascii_case("anonymous") || user.eq_ignore_ascii_case("ftp")
}
