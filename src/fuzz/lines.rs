//! The frames of a stream do not depend on the portions it comes in, and never exceed their limit (F1,
//! F7, T2).

use crate::ftp::line::{Frame, Framer};

/// Tries `data` as the bytes of a control connection. Its first four are the sizes of the portions.
pub fn check(data: &[u8]) {
    let Some((sizes, bytes)) = data.split_first_chunk::<4>() else {
        return;
    };
    for framer in [Framer::commands, Framer::replies] {
        let mut whole = Vec::new();
        take(&mut framer(MAX_LINE_BYTES), bytes, &mut whole);

        let mut chunked = Vec::new();
        let mut framer = framer(MAX_LINE_BYTES);
        let mut rest = bytes;
        for &size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (portion, after) = rest.split_at(rest.len().min(usize::from(size) + 1));
            // As the driver takes them, whole lines without a state.
            match framer.whole_line(portion) {
                Some(line) => chunked.push(Frame::Line(line)),
                None => take(&mut framer, portion, &mut chunked),
            }
            rest = after;
        }
        assert_eq!(whole, chunked);
    }
}

/// Adds the frames that come of `bytes`, up to the first runaway.
fn take(framer: &mut Framer, bytes: &[u8], found: &mut Vec<Frame>) {
    framer.push(bytes);
    while found.last() != Some(&Frame::Runaway) {
        let Some(frame) = framer.next_frame() else {
            break;
        };
        if let Frame::Line(line) = &frame {
            assert!(line.text.len() + 2 <= MAX_LINE_BYTES);
            assert!(!line.text.contains(&b'\n'));
        }
        found.push(frame);
    }
}

/// Small, so that the fuzzer finds the limit.
const MAX_LINE_BYTES: usize = 32;
