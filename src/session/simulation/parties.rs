//! The client and the backend of the simulation. Commands carry a tag `#n` that their replies repeat.

use std::collections::VecDeque;

use bytes::Bytes;

use super::books::Books;
use super::random::Random;
use crate::ftp::command::{self, Verb};
use crate::ftp::line::{Frame, Framer, Line};
use crate::session::Input;

/// How a party behaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Manner {
    /// Does several things at a time, as pyftpdlib.
    Eager,
    /// Says and does anything.
    Mean,
    /// One thing after the other, as vsftpd.
    Orderly,
    /// Mean, and says any bytes: those of the fuzzer's input.
    Wild,
}

impl Manner {
    /// How the client and the backend behave. Any bytes are only in the input of a fuzzer, and only where
    /// nothing is expected of the other party either.
    pub(super) fn of_both(random: &mut Random) -> (Self, Self) {
        if random.is_input() && random.one_in(3) {
            return (Self::Wild, Self::Wild);
        }
        let client = random.pick(&[Self::Orderly, Self::Orderly, Self::Mean]);
        let backends = [Self::Orderly, Self::Orderly, Self::Eager, Self::Mean];
        (client, random.pick(&backends))
    }

    pub(super) fn is_mean(self) -> bool {
        matches!(self, Self::Mean | Self::Wild)
    }
}

#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
pub(super) struct Client {
    manner: Manner,
    tag: u64,
    /// Whether it says other things before USER.
    dallies: bool,
    /// The name in its first USER.
    pub(super) user: Option<Bytes>,
    has_password: bool,
    has_quit: bool,
    pub(super) has_heard: bool,
    pub(super) was_greeted: bool,
}

impl Client {
    pub(super) fn new(manner: Manner, dallies: bool) -> Self {
        Self {
            manner,
            tag: 0,
            dallies,
            user: None,
            has_password: false,
            has_quit: false,
            has_heard: false,
            was_greeted: false,
        }
    }

    /// Whether what it said is to be answered.
    pub(super) fn was_heard(&mut self, input: &Input) -> bool {
        let had_quit = self.has_quit;
        match input {
            Input::Line { text, .. } => self.has_quit |= text.starts_with(b"QUIT"),
            Input::TooLong => {}
            _ => return false,
        }
        !had_quit
    }

    pub(super) fn says(&mut self, random: &mut Random, port: u16) -> Input {
        self.tag += 1;
        let tag = self.tag;
        if self.user.is_none() {
            if self.dallies && random.one_in(3) {
                return dally(random, tag);
            }
            self.user = Some(Bytes::from(format!("#{tag}")));
            return line(format!("USER #{tag}"));
        }
        if !std::mem::replace(&mut self.has_password, true) {
            return line(format!("PASS #{tag}"));
        }
        if self.manner == Manner::Wild && random.one_in(3) {
            return framed(random, Framer::commands);
        }
        match random.below(if self.manner.is_mean() { 60 } else { 44 }) {
            0..6 => line("PASV".to_owned()),
            6..10 => line("EPSV".to_owned()),
            10..13 => line("PORT 192,0,2,7,19,136".to_owned()),
            13 => line("EPRT |1|192.0.2.7|5000|".to_owned()),
            14..24 => {
                let verb = random.pick(&["RETR", "STOR", "LIST", "MLSD", "APPE"]);
                line(format!("{verb} #{tag}"))
            }
            24..28 => Input::Line {
                text: Bytes::from(format!("ABOR #{tag}")),
                interrupt: random.one_in(2),
            },
            28..42 => {
                let verbs = ["NOOP", "STAT", "TYPE", "CWD", "FEAT", "XYZ", "PWD", "REST"];
                line(format!("{} #{tag}", random.pick(&verbs)))
            }
            42 if random.one_in(4) => line(format!("QUIT #{tag}")),
            43 if random.one_in(8) => random.pick_of([Input::Eof, Input::Reset]),
            44..46 => Input::TooLong,
            46..48 => line(format!("REIN #{tag}")),
            48..50 => line(format!("USER #{tag}")),
            50..52 => line(format!("PASS #{tag}")),
            52 if random.one_in(20) => Input::Runaway,
            53 => line("EPSV ALL".to_owned()),
            54 => line("PORT 9,9,9,9,0,21".to_owned()),
            55 => line(format!("PASV {port}")),
            56 => line("AUTH TLS".to_owned()),
            57 => line("\0".to_owned()),
            _ => line(format!("NOOP #{tag}")),
        }
    }
}

/// What a client may say ahead of USER.
fn dally(random: &mut Random, tag: u64) -> Input {
    match random.below(24) {
        0 => Input::TooLong,
        1 => random.pick_of([Input::Eof, Input::Reset]),
        2 => line(format!("QUIT #{tag}")),
        3 => line("USER  ".to_owned()),
        _ => {
            let verbs = ["NOOP", "FEAT", "PASV", "AUTH", "REIN", "STAT", "RETR", "\0"];
            line(format!("{} #{tag}", random.pick(&verbs)))
        }
    }
}

pub(super) struct Backend {
    pub(super) manner: Manner,
    inbox: VecDeque<Bytes>,
    outbox: VecDeque<String>,
    /// The tag of the transfer under way.
    busy: Option<u64>,
    has_data: bool,
    is_leaving: bool,
}

impl Backend {
    pub(super) fn new(manner: Manner) -> Self {
        Self {
            manner,
            inbox: VecDeque::new(),
            outbox: VecDeque::new(),
            busy: None,
            has_data: false,
            is_leaving: false,
        }
    }

    /// A new connection to it.
    pub(super) fn begin(&mut self) {
        *self = Self::new(self.manner);
        self.outbox.push_back("220-hello".to_owned());
        self.outbox.push_back("220 there".to_owned());
    }

    pub(super) fn hears(&mut self, text: &Bytes) {
        self.inbox.push_back(text.clone());
    }

    pub(super) fn says(&mut self, random: &mut Random, books: &Books) -> Option<Input> {
        if self.manner == Manner::Wild && random.one_in(4) {
            return Some(framed(random, Framer::replies));
        }
        if self.manner.is_mean() && random.one_in(6) {
            return Some(mean(random));
        }
        if random.one_in(300) {
            return Some(random.pick_of([Input::Eof, Input::Reset]));
        }
        if self.outbox.is_empty() {
            self.works(random, books);
        }
        match self.outbox.pop_front() {
            Some(text) => Some(line(text)),
            None => self.is_leaving.then_some(Input::Eof),
        }
    }

    fn works(&mut self, random: &mut Random, books: &Books) {
        if let Some(tag) = self.busy {
            if !books.is_relaying() || random.one_in(4) {
                self.busy = None;
                self.has_data = false;
                let code = random.pick(&[226, 226, 226, 426, 451]);
                self.outbox.push_back(format!("{code} #{tag}"));
                return;
            }
            if self.manner == Manner::Orderly {
                return;
            }
        }
        if let Some(text) = self.inbox.pop_front() {
            let reply = self.answers(&text, random);
            self.outbox.push_back(reply);
        }
    }

    fn answers(&mut self, text: &[u8], random: &mut Random) -> String {
        let command = command::parse(text).expect("checked when it was sent");
        let tag = tag_of(text).unwrap_or_default();
        match command.verb {
            Verb::Pasv | Verb::Epsv | Verb::Port | Verb::Eprt if random.one_in(6) => {
                "500 no".to_owned()
            }
            Verb::Pasv => {
                self.has_data = true;
                "227 ok (10,0,0,1,31,64)".to_owned()
            }
            Verb::Epsv => {
                self.has_data = true;
                "229 ok (|||8000|)".to_owned()
            }
            Verb::Port | Verb::Eprt => {
                self.has_data = true;
                "200 ok".to_owned()
            }
            verb if verb.transfer().is_some() => {
                if !self.has_data || self.busy.is_some() {
                    format!("425 #{tag}")
                } else if random.one_in(5) {
                    format!("550 #{tag}")
                } else {
                    self.busy = Some(tag);
                    format!("150 #{tag}")
                }
            }
            Verb::Abor => {
                if let Some(transfer) = self.busy.take() {
                    self.outbox.push_back(format!("426 #{transfer}"));
                }
                format!("{} #{tag}", random.pick(&[225, 226]))
            }
            Verb::User => format!("331 #{tag}"),
            Verb::Pass => format!("230 #{tag}"),
            Verb::Rein => format!("{} #{tag}", random.pick(&[220, 502])),
            Verb::Quit => {
                self.is_leaving = true;
                format!("221 #{tag}")
            }
            Verb::Feat | Verb::Stat => {
                self.outbox.push_back(format!("211-#{tag}"));
                self.outbox.push_back("227 inner (1,2,3,4,5,6)".to_owned());
                format!("211 #{tag}")
            }
            Verb::Rest => format!("350 #{tag}"),
            Verb::Noop => format!("200 #{tag}"),
            _ => format!("{} #{tag}", random.pick(&[200, 250, 257, 550, 500])),
        }
    }
}

fn mean(random: &mut Random) -> Input {
    line(
        random
            .pick(&[
                "120 wait",
                "150 x",
                "150-x",
                "200 x",
                "200-x",
                "202 x",
                "211 x",
                "213-x",
                "220 x",
                "221 x",
                "225 x",
                "226 x",
                "226-x",
                "226 x",
                "230 x",
                "250 x",
                "257 x",
                "331 x",
                "350 x",
                "421 x",
                "425 x",
                "426 x",
                "426 x",
                "450 x",
                "500 x",
                "502 x",
                "530 x",
                "550 x",
                "631 x",
                "",
                "x",
                "227 (10,0,0,1,31,64)",
                "229 (|||8000|)",
                "227 (1)",
            ])
            .to_owned(),
    )
}

fn line(text: String) -> Input {
    let interrupt = false;
    let text = Bytes::from(text);
    Input::Line { text, interrupt }
}

/// What a framer makes of the next bytes of a fuzzer's input. They bear no tag, which would be believed.
fn framed(random: &mut Random, framer: fn(usize) -> Framer) -> Input {
    let mut framer = framer(MOST_BYTES);
    framer.push(&random.bytes(MOST_BYTES));
    framer.push(b"\n");
    while let Some(frame) = framer.next_frame() {
        match frame {
            Frame::Line(Line { text, interrupt }) => {
                let untagged = text
                    .iter()
                    .map(|byte| if *byte == b'#' { b'.' } else { *byte });
                let text = untagged.collect();
                return Input::Line { text, interrupt };
            }
            Frame::Runaway => return Input::Runaway,
            Frame::TooLong => return Input::TooLong,
            Frame::Telnet(_) => {}
        }
    }
    line(String::new())
}

/// A line may have so many, its end included; so few that a fuzzer finds the limit.
const MOST_BYTES: usize = 48;

/// The number behind `#`. Zero answers what had none.
pub(super) fn tag_of(text: &[u8]) -> Option<u64> {
    let (_, tag) = std::str::from_utf8(text).ok()?.split_once('#')?;
    tag.parse().ok().filter(|tag| *tag != 0)
}

/// Whether a line is the last of a reply that answers a command.
pub(super) fn is_final(text: &[u8]) -> bool {
    matches!(text, [b'2'..=b'6', b, c, b' ', ..] if b.is_ascii_digit() && c.is_ascii_digit())
}
