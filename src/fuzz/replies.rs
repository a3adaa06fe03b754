//! A client that takes for the end of a reply any `ddd `, or its code and anything but `-`, or for the end
//! of a line a bare CR, sees the same replies as ftplb (R3, R10), and no reply outgrows its limits (R9).

use crate::ftp::line::{Frame, Framer};
use crate::ftp::reply::{Place, Replies};

/// Tries `data` as what a backend sends.
pub fn check(data: &[u8]) {
    let mut framer = Framer::replies(64);
    let mut replies = Replies::new(MAX_LINES, 256);
    let mut lines = 0;
    framer.push(data);
    while let Some(frame) = framer.next_frame() {
        let line = match frame {
            Frame::Line(line) => line,
            Frame::Runaway => break,
            Frame::Telnet(_) | Frame::TooLong => continue,
        };
        let Ok(line) = replies.read(line.text) else {
            break;
        };
        let Some(line) = line else { continue };
        assert!(!line.text.contains(&b'\r'));
        let is_end = matches!(line.place, Place::Last | Place::Only);
        assert_eq!(looks_final(&line.text), is_end, "as curl reads it");
        let own = line.text.starts_with(line.code.to_string().as_bytes());
        let ends = own && line.text.get(3) != Some(&b'-');
        assert_eq!(ends, is_end, "as Python reads it");
        assert_eq!(replies.is_mid_reply(), !is_end);
        lines = if is_end { 0 } else { lines + 1 };
        assert!(lines <= MAX_LINES);
    }
}

fn looks_final(text: &[u8]) -> bool {
    let (digits, rest) = text.split_at(text.len().min(3));
    digits.len() == 3 && digits.iter().all(u8::is_ascii_digit) && matches!(rest, [] | [b' ', ..])
}

const MAX_LINES: usize = 8;
