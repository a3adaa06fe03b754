//! A control connection's bytes, cut into lines, with Telnet taken out of them.
//!
//! RFC 959 runs the control connection over Telnet, so option requests and interrupts can stand
//! anywhere between the bytes of a command (T2, T4), and `ProFTPD` puts them between replies (T3). A
//! [`Framer`] takes bytes as they come, in any portions, and gives the same [`Frame`]s for the same
//! bytes. It never looks into a line: [`command`](super::command) and [`reply`](super::reply) do.
//!
//! ```text
//!            ┌─────────────── any byte that is not IAC ◀────────────────┐
//!            ▼                                                          │ SE
//!          Text ──IAC──▶ Command ──SB──▶ Subnegotiation ──IAC──▶ SubnegotiationCommand
//!            ▲  ▲           │  │               ▲                        │
//!            │  └─two bytes─┘  │               └───── any other ────────┘
//!            │                 └──WILL WONT DO DONT──▶ Option ──▶ answer, Text
//!          more than 64 KiB without LF, 256 in a subnegotiation, 64 answers ──▶ Runaway, for good
//! ```
//!
//! Nearly every read brings one whole line and nothing else: [`Framer::whole_line`] takes that without a state.
//!
//! Invariants: between two lines nothing is kept on the heap (design decision 11); each byte is looked
//! at once, however it arrives; a line that arrived whole and without Telnet is not copied again.

use std::mem;
use std::ops::ControlFlow;

use bytes::{Buf, Bytes, BytesMut};
use memchr::{memchr, memchr2, memchr3};

#[cfg(test)]
mod tests;

/// Cuts one direction of a control connection into lines.
///
/// The caller takes frames until there are none before it pushes more, or bounds what it pushes by
/// [`buffered`](Self::buffered).
pub struct Framer {
    rules: Rules,
    /// From the first byte that is not known to end with its line, to the next moment between two lines.
    begun: Option<Box<Begun>>,
}

/// What a line may be.
#[derive(Clone, Copy)]
struct Rules {
    /// With the CRLF that the line will be sent on with.
    max_line_bytes: usize,
    nul: Nul,
}

/// A stream in the middle of something.
#[derive(Default)]
struct Begun {
    /// Received and not yet looked at.
    input: BytesMut,
    /// The unfinished line without Telnet. Empty unless the mode is [`Mode::Line`].
    line: BytesMut,
    /// Received since the last LF, with Telnet and all that was dropped.
    unended_bytes: usize,
    telnet: Telnet,
    mode: Mode,
    /// Telnet answers since the last LF.
    answers: u8,
    /// A Telnet IP or DM has been read since the last LF.
    interrupt: bool,
}

/// What a [`Framer`] found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Frame {
    /// A whole line.
    Line(Line),
    /// More than 64 KiB without a line end, a subnegotiation over 256 bytes, or more than 64 Telnet
    /// requests between two lines: the stream can not be used any more (F7, T2). Every later frame is
    /// this one.
    Runaway,
    /// Telnet's refusal of an option, to be sent back to where the bytes came from (T2).
    Telnet([u8; 3]),
    /// A line longer than allowed. Said once, as soon as it is known; the rest of the line up to its
    /// LF is discarded and never read as a line of its own (F7).
    TooLong,
}

/// A line of a control connection. It may hold a password.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    /// The bytes without the LF and without one CR before it. `FF FF` stays doubled (F9).
    pub text: Bytes,
    /// Telnet IP or DM stood before the line or in it: the client wants its transfer interrupted (T6).
    pub interrupt: bool,
}

impl Framer {
    /// A framer for what a client sends. NUL and inner CR stay in the line, to be refused there (F3).
    ///
    /// `max_line_bytes` counts the line with the CRLF it is sent on with (F7).
    pub fn commands(max_line_bytes: usize) -> Self {
        Self::new(max_line_bytes, Nul::Keep)
    }

    /// A framer for what a backend sends. NULs are dropped, and CRs that end no line: curl fails on the
    /// one, and the other is a line end to Python (R10).
    ///
    /// `max_line_bytes` counts the line with the CRLF it is sent on with (R9).
    pub fn replies(max_line_bytes: usize) -> Self {
        Self::new(max_line_bytes, Nul::Drop)
    }

    fn new(max_line_bytes: usize, nul: Nul) -> Self {
        let rules = Rules {
            max_line_bytes: max_line_bytes.max(CRLF_BYTES),
            nul,
        };
        Self { rules, begun: None }
    }

    /// The line that `bytes` are, if they are one line and nothing else, and nothing has begun before them.
    /// Otherwise `None`: they are to be pushed then.
    pub fn whole_line(&self, bytes: &[u8]) -> Option<Line> {
        let text = bytes.strip_suffix(&[LF])?;
        let is_plain = self.begun.is_none() && self.rules.special(bytes) == Some(text.len());
        let text = text.strip_suffix(&[CR]).unwrap_or(text);
        let is_kept = self.rules.nul == Nul::Keep || memchr(CR, text).is_none();
        (is_plain && is_kept && !self.rules.is_too_long(text)).then(|| Line {
            text: Bytes::copy_from_slice(text),
            interrupt: false,
        })
    }

    /// Takes received bytes. After a [`Frame::Runaway`] they are dropped.
    pub fn push(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.begun.get_or_insert_default().push(bytes);
        }
    }

    /// The next frame, or `None` until more bytes are pushed.
    pub fn next_frame(&mut self) -> Option<Frame> {
        let begun = self.begun.as_mut()?;
        let frame = begun.next_frame(self.rules);
        if begun.is_over() {
            self.begun = None;
        }
        frame
    }

    /// Bytes received and not yet given out, an unfinished Telnet sequence included. What is left of
    /// a line that is being discarded is not held, and not counted.
    pub fn buffered(&self) -> usize {
        let Some(begun) = &self.begun else { return 0 };
        begun.input.len() + begun.line.len() + begun.telnet.bytes()
    }

    /// Whether a line or a Telnet sequence has begun and not ended, for the deadline on slow lines
    /// (O2). To be asked when [`next_frame`](Self::next_frame) has given `None`.
    pub fn is_mid_line(&self) -> bool {
        self.begun.as_ref().is_some_and(|begun| {
            let is_text = begun.telnet == Telnet::Text;
            !begun.line.is_empty() || begun.mode == Mode::Discard || !is_text
        })
    }
}

impl Rules {
    /// Where the first byte stands that means something to a framer.
    fn special(self, bytes: &[u8]) -> Option<usize> {
        match self.nul {
            Nul::Drop => memchr3(LF, IAC, NUL, bytes),
            Nul::Keep => memchr2(LF, IAC, bytes),
        }
    }

    /// A line that ended in a bare LF is sent on one byte longer than it came (F2, F7).
    fn is_too_long(self, text: &[u8]) -> bool {
        text.len() + CRLF_BYTES > self.max_line_bytes
    }

    fn max_unended_bytes(self) -> usize {
        self.max_line_bytes.max(MIN_RUNAWAY_BYTES)
    }
}

impl Begun {
    fn push(&mut self, bytes: &[u8]) {
        if self.mode == Mode::Runaway {
            return;
        }
        if self.input.is_empty() {
            self.input = BytesMut::from(bytes);
        } else {
            self.input.extend_from_slice(bytes);
        }
    }

    fn next_frame(&mut self, rules: Rules) -> Option<Frame> {
        loop {
            if self.line.len() >= rules.max_line_bytes {
                self.line = BytesMut::new();
                self.mode = Mode::Discard;
                return Some(Frame::TooLong);
            }
            if self.unended_bytes > rules.max_unended_bytes() {
                self.run_away();
            }
            if self.mode == Mode::Runaway {
                return Some(Frame::Runaway);
            }
            let byte = *self.input.first()?;
            if let ControlFlow::Break(frame) = self.read(byte, rules) {
                return Some(frame);
            }
        }
    }

    /// Whether the stream stands between two lines, as at its beginning.
    fn is_over(&self) -> bool {
        self.input.is_empty() && self.unended_bytes == 0 && self.mode == Mode::Line
    }

    fn read(&mut self, byte: u8, rules: Rules) -> ControlFlow<Frame> {
        match (self.telnet, byte) {
            (Telnet::Text, _) => self.read_text(byte, rules),
            (Telnet::Command, IAC) => {
                self.keep(&[IAC, IAC]);
                self.skip_to(Telnet::Text)
            }
            (Telnet::Command, SB) => self.skip_to(Telnet::Subnegotiation(0)),
            (Telnet::Command, WILL..=DONT) => self.skip_to(Telnet::Option(byte)),
            (Telnet::Command, SE..=SB) => {
                self.interrupt |= matches!(byte, IP | DM);
                self.skip_to(Telnet::Text)
            }
            (Telnet::Command, _) => {
                // No Telnet command: a name in Latin-1 with a y-diaeresis that was not doubled (F8).
                self.keep(&[IAC]);
                self.telnet = Telnet::Text;
                ControlFlow::Continue(())
            }
            (Telnet::Option(request), option) => {
                self.skip_to(Telnet::Text)?;
                self.answer(request, option)
            }
            (Telnet::Subnegotiation(length), IAC) => {
                self.skip_to(Telnet::SubnegotiationCommand(length))
            }
            (Telnet::Subnegotiation(length), _) => self.subnegotiate(length + 1),
            (Telnet::SubnegotiationCommand(_), SE) => self.skip_to(Telnet::Text),
            (Telnet::SubnegotiationCommand(length), _) => self.subnegotiate(length + 2),
        }
    }

    fn read_text(&mut self, byte: u8, rules: Rules) -> ControlFlow<Frame> {
        match (byte, rules.nul) {
            (LF, _) => self.end_line(rules),
            (IAC, _) => self.skip_to(Telnet::Command),
            (NUL, Nul::Drop) => self.skip_to(Telnet::Text),
            _ => {
                self.take_run(rules);
                ControlFlow::Continue(())
            }
        }
    }

    /// Takes what stands before the next byte that means something here, but no more than makes the
    /// stream a runaway: at which byte that happens must not depend on the portions they came in.
    fn take_run(&mut self, rules: Rules) {
        let run = { rules.special(&self.input) }
            .unwrap_or(self.input.len())
            .min(rules.max_unended_bytes() + 1 - self.unended_bytes);
        self.unended_bytes += run;
        if self.mode == Mode::Line {
            let taken = self.input.split_to(run);
            if self.line.is_empty() {
                self.line = taken;
            } else {
                self.line.extend_from_slice(&taken);
            }
            self.free_if_empty();
        } else {
            self.skip(run);
        }
    }

    fn end_line(&mut self, rules: Rules) -> ControlFlow<Frame> {
        self.skip(1);
        self.unended_bytes = 0;
        self.answers = 0;
        let interrupt = mem::take(&mut self.interrupt);
        if mem::replace(&mut self.mode, Mode::Line) == Mode::Discard {
            return ControlFlow::Continue(());
        }
        let mut text = mem::take(&mut self.line);
        if text.last() == Some(&CR) {
            text.truncate(text.len() - 1);
        }
        if rules.nul == Nul::Drop && memchr(CR, &text).is_some() {
            text = text.into_iter().filter(|byte| *byte != CR).collect();
        }
        if rules.is_too_long(&text) {
            return ControlFlow::Break(Frame::TooLong);
        }
        ControlFlow::Break(Frame::Line(Line {
            text: text.freeze(),
            interrupt,
        }))
    }

    fn answer(&mut self, request: u8, option: u8) -> ControlFlow<Frame> {
        let refusal = match request {
            WILL => DONT,
            DO => WONT,
            // Answering a refusal would be answered in turn, for ever (RFC 854).
            _ => return ControlFlow::Continue(()),
        };
        if self.answers == MAX_ANSWERS {
            self.run_away();
            return ControlFlow::Continue(());
        }
        self.answers += 1;
        ControlFlow::Break(Frame::Telnet([IAC, refusal, option]))
    }

    fn subnegotiate(&mut self, length: u16) -> ControlFlow<Frame> {
        if length > MAX_SUBNEGOTIATION_BYTES {
            self.run_away();
            return ControlFlow::Continue(());
        }
        self.skip_to(Telnet::Subnegotiation(length))
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.mode == Mode::Line {
            self.line.extend_from_slice(bytes);
        }
    }

    fn skip_to(&mut self, telnet: Telnet) -> ControlFlow<Frame> {
        self.skip(1);
        self.unended_bytes += 1;
        self.telnet = telnet;
        ControlFlow::Continue(())
    }

    fn skip(&mut self, count: usize) {
        self.input.advance(count);
        self.free_if_empty();
    }

    /// An empty `BytesMut` can still hold on to the storage of the lines that were split off it.
    fn free_if_empty(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
    }

    fn run_away(&mut self) {
        self.input = BytesMut::new();
        self.line = BytesMut::new();
        self.telnet = Telnet::Text;
        self.mode = Mode::Runaway;
    }
}

#[derive(Clone, Copy, Default, Eq, PartialEq)]
enum Mode {
    Discard,
    #[default]
    Line,
    Runaway,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Nul {
    Drop,
    Keep,
}

/// Where in a Telnet sequence the stream stands (RFC 854).
#[derive(Clone, Copy, Default, Eq, PartialEq)]
enum Telnet {
    /// In none.
    #[default]
    Text,
    /// After IAC.
    Command,
    /// After IAC and this one of WILL, WONT, DO, DONT.
    Option(u8),
    /// After IAC SB and this many bytes.
    Subnegotiation(u16),
    /// After IAC SB, this many bytes, and IAC.
    SubnegotiationCommand(u16),
}

impl Telnet {
    /// Bytes of the sequence that were read.
    fn bytes(self) -> usize {
        match self {
            Self::Text => 0,
            Self::Command => 1,
            Self::Option(_) => 2,
            Self::Subnegotiation(length) => 2 + usize::from(length),
            Self::SubnegotiationCommand(length) => 3 + usize::from(length),
        }
    }
}

const NUL: u8 = 0;
const LF: u8 = b'\n';
const CR: u8 = b'\r';

// RFC 854, "TELNET COMMAND STRUCTURE".
const SE: u8 = 0xf0;
const DM: u8 = 0xf2;
const IP: u8 = 0xf4;
const SB: u8 = 0xfa;
const WILL: u8 = 0xfb;
const WONT: u8 = 0xfc;
const DO: u8 = 0xfd;
const DONT: u8 = 0xfe;
const IAC: u8 = 0xff;

const CRLF_BYTES: usize = 2;
/// F7: a peer that sends this much without a line end will not end it.
const MIN_RUNAWAY_BYTES: usize = 64 << 10;
/// T2. No subnegotiation is ever asked for; a terminal type, the longest that is seen, has 40.
const MAX_SUBNEGOTIATION_BYTES: u16 = 256;
/// Telnet has some 50 options: who asks more often between two lines wants answers, not options.
const MAX_ANSWERS: u8 = 64;
