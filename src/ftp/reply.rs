//! FTP replies: which lines belong together, and what each must look like to the client.
//!
//! Lines are passed on one by one and never collected (R9). A reply's meaning, and the command it
//! answers, are the session's business.
//!
//! ```text
//!                  220-x ▷ First
//!  ┌─────────┐ ─────────────────▶ ┌──────────┐
//!  │ between │                    │ in a 220 │
//!  └─────────┘ ◀───────────────── └──────────┘
//!                  220 x ▷ Last
//!  220 x ▷ Only                   x, 220-x, 230-x ▷ Inner
//!  blank ▷ nothing                230 x, 220x, 230x ▷ Inner, with a space in front
//! ```
//!
//! A code and nothing after it is read as `220 x` and `230 x` are.
//!
//! Invariant: the lines given out are cut into the same replies by a client that takes any `ddd ` for
//! the end of a reply as by one that waits for the code of the first line, with a space behind it or with
//! anything but `-` (R3).

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use nom::branch::alt;
use nom::bytes::complete::{tag, take_while_m_n};
use nom::combinator::{eof, map, value};
use nom::{IResult, Parser};

#[cfg(test)]
mod tests;

/// Puts reply lines in their places.
pub struct Replies {
    max_lines: usize,
    max_bytes: usize,
    /// Boxed: few sessions are in the middle of one at any time.
    open: Option<Box<Open>>,
}

/// A reply line to be relayed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReplyLine {
    /// The code of the reply that the line belongs to.
    pub code: Code,
    /// Where in the reply it stands.
    pub place: Place,
    /// The whole line, code included, without line end. An inner line that a client could take for the
    /// end of the reply has got one space in front (R3).
    pub text: Bytes,
}

/// Where in its reply a line stands (R1, R2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// The reply has this one line.
    Only,
    /// More lines follow.
    First,
    /// Neither first nor last.
    Inner,
    /// The reply ends here.
    Last,
}

/// Why a line can not be relayed. The session ends: its client and backend no longer agree on what
/// answers what.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReplyError {
    /// A line outside of a reply that does not begin one.
    #[error("the backend sent a line that is no FTP reply")]
    NotAReply,
    /// The reply has more bytes than allowed, line ends included (R9).
    #[error("the backend sent a reply of more than {max_bytes} bytes")]
    TooLong {
        /// How many are allowed.
        max_bytes: usize,
    },
    /// The reply has more lines than allowed (R9).
    #[error("the backend sent a reply of more than {max_lines} lines")]
    TooManyLines {
        /// How many are allowed.
        max_lines: usize,
    },
}

impl Replies {
    /// Between two replies. Each reply may have up to `max_lines` lines and `max_bytes` bytes.
    pub fn new(max_lines: usize, max_bytes: usize) -> Self {
        Self {
            max_lines,
            max_bytes,
            open: None,
        }
    }

    /// Puts a line, which stands without its line end, in its place. `None` is a blank line between
    /// replies, which is to be dropped.
    pub fn read(&mut self, line: Bytes) -> Result<Option<ReplyLine>, ReplyError> {
        let head = Head::of(&line);
        let Some(mut open) = self.open.take() else {
            return self.begin(line, head);
        };
        self.admit(&mut open, &line)?;
        let code = open.code;
        let is_end = |head: Head| head.separator != Separator::Dash && code.is(head.number);
        if head.is_some_and(is_end) {
            return Ok(Some(ReplyLine {
                code,
                place: Place::Last,
                text: line,
            }));
        }
        self.open = Some(open);
        Ok(Some(ReplyLine {
            code,
            place: Place::Inner,
            text: if looks_final(&line) {
                indent(&line)
            } else {
                line
            },
        }))
    }

    /// Whether the last line was not the last of its reply. A reply of ftplb's own must wait then.
    pub fn is_mid_reply(&self) -> bool {
        self.open.is_some()
    }

    fn begin(&mut self, line: Bytes, head: Option<Head>) -> Result<Option<ReplyLine>, ReplyError> {
        if line.iter().all(|byte| matches!(byte, b' ' | b'\t')) {
            return Ok(None);
        }
        let head = head.ok_or(ReplyError::NotAReply)?;
        let code = Code::new(head.number).ok_or(ReplyError::NotAReply)?;
        let mut open = Open::new(code);
        self.admit(&mut open, &line)?;
        let place = match head.separator {
            Separator::Dash => {
                self.open = Some(Box::new(open));
                Place::First
            }
            Separator::End | Separator::Space => Place::Only,
        };
        Ok(Some(ReplyLine {
            code,
            place,
            text: line,
        }))
    }

    fn admit(&self, open: &mut Open, line: &Bytes) -> Result<(), ReplyError> {
        let Self {
            max_lines,
            max_bytes,
            ..
        } = *self;
        open.lines += 1;
        open.bytes += line.len() + CRLF.len();
        if open.bytes > max_bytes {
            return Err(ReplyError::TooLong { max_bytes });
        }
        if open.lines > max_lines {
            return Err(ReplyError::TooManyLines { max_lines });
        }
        Ok(())
    }
}

/// A reply code, 100 to 699. 6yz are the protected replies of RFC 2228.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Code(u16);

impl Code {
    /// The code of this value, if it is one.
    pub const fn new(value: u16) -> Option<Self> {
        match value {
            100..=699 => Some(Self(value)),
            _ => None,
        }
    }

    /// The code at the start of a line that stands outside of a reply and begins one (R1).
    pub fn parse(line: &[u8]) -> Option<Self> {
        Self::new(Head::of(line)?.number)
    }

    /// The number.
    pub const fn value(self) -> u16 {
        self.0
    }

    /// The first digit: 1 to 6.
    pub const fn class(self) -> u16 {
        self.0 / 100
    }

    /// Whether it is this number.
    pub const fn is(self, value: u16) -> bool {
        self.0 == value
    }

    /// 1yz: another reply to the same command follows (R6).
    pub const fn is_preliminary(self) -> bool {
        self.class() == 1
    }

    /// 2yz: done.
    pub const fn is_positive(self) -> bool {
        self.class() == 2
    }

    /// 4yz and 5yz: not done.
    pub const fn is_negative(self) -> bool {
        matches!(self.class(), 4 | 5)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A multi-line reply whose last line has not come.
struct Open {
    code: Code,
    lines: usize,
    bytes: usize,
}

impl Open {
    fn new(code: Code) -> Self {
        Self {
            code,
            lines: 0,
            bytes: 0,
        }
    }
}

/// Whether some client takes a line for the last of a reply: curl any `ddd `, Python and tnftp the code of
/// the first line unless `-` follows, commons-net what begins with a digit and has no `-` there.
fn looks_final(line: &[u8]) -> bool {
    let (code, rest) = line.split_at(line.len().min(3));
    code.len() == 3 && code.iter().all(u8::is_ascii_digit) && !rest.starts_with(b"-")
}

/// Three digits and what sets them off: the start of a reply.
#[derive(Clone, Copy)]
struct Head {
    number: u16,
    separator: Separator,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Separator {
    Dash,
    End,
    Space,
}

impl Head {
    fn of(line: &[u8]) -> Option<Self> {
        head(line).map(|(_, head)| head).ok()
    }
}

fn head(line: &[u8]) -> IResult<&[u8], Head> {
    let digits = take_while_m_n(3, 3, |byte: u8| byte.is_ascii_digit());
    let number = map(digits, |digits: &[u8]| {
        digits
            .iter()
            .fold(0, |number, digit| number * 10 + u16::from(digit - b'0'))
    });
    let separator = alt((
        value(Separator::Space, tag(" ")),
        value(Separator::Dash, tag("-")),
        value(Separator::End, eof),
    ));
    let (rest, (number, separator)) = (number, separator).parse(line)?;
    Ok((rest, Head { number, separator }))
}

fn indent(line: &Bytes) -> Bytes {
    let mut indented = BytesMut::with_capacity(line.len() + 1);
    indented.put_u8(b' ');
    indented.put_slice(line);
    indented.freeze()
}

const CRLF: &[u8] = b"\r\n";
