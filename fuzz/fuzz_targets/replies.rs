//! A client that takes any `ddd ` for the end of a reply sees the same replies as ftplb (R3), and no
//! reply outgrows its limits (R9).
#![no_main]

use bytes::Bytes;
use ftplb::ftp::line::{Frame, Framer};
use ftplb::ftp::reply::{Place, Replies};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
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
        let is_end = matches!(line.place, Place::Last | Place::Only);
        assert_eq!(looks_final(&line.text), is_end);
        assert_eq!(replies.is_mid_reply(), !is_end);
        lines = if is_end { 0 } else { lines + 1 };
        assert!(lines <= MAX_LINES);
    }
});

fn looks_final(text: &Bytes) -> bool {
    let (digits, rest) = text.split_at(text.len().min(3));
    digits.len() == 3 && digits.iter().all(u8::is_ascii_digit) && matches!(rest, [] | [b' ', ..])
}

const MAX_LINES: usize = 8;
