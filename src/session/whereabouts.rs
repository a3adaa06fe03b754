//! Where the files of a session are: what a transfer log and whoever watches want to know, and nobody else.
//!
//! The directory and the type are learnt from what the client asks for and the backend agrees to; nothing is
//! asked for their sake (design decision 2). Commands may be pipelined (F11), so a relative path finds its
//! directory when the transfer is answered: by then everything ahead of it has been. A client that never
//! asks by PWD, nor goes to a directory by its whole name, is where only the server knows.

use crate::ftp::command::{self, Direction, Verb};
use crate::ftp::extent::scan_extent;
use crate::ftp::path;
use crate::ftp::reply::ReplyLine;
use crate::ftp::representation::Representation;
use crate::session::machine::Session;
use crate::session::pending::{Expect, TransferAsk};

/// What a session has learnt. There is none where nobody wants to know.
#[derive(Debug, Default)]
pub(super) struct Whereabouts {
    directory: Option<Directory>,
    representation: Representation,
}

/// An absolute path.
#[derive(Debug)]
struct Directory {
    path: Vec<u8>,
    /// It is what the server answered to PWD, so that its parent is what is in front of its last slash.
    is_told: bool,
}

/// What a command will have changed once it is agreed to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// CWD, with its argument.
    Into(Box<[u8]>),
    /// CDUP.
    Up,
    /// PWD changes nothing; its answer tells.
    Ask,
    /// TYPE; `None` for one that is not known.
    Type(Option<Representation>),
}

/// What a transfer is about.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Subject {
    /// The path that the client named, byte for byte; in a STOU the name that the backend chose. May be
    /// empty.
    pub path: Box<[u8]>,
    /// The same from the root, where that is known.
    pub file: Option<Box<[u8]>>,
    /// Whether the data was translated.
    pub representation: Representation,
    /// How many bytes the backend says there are, if it does.
    pub size: Option<u64>,
}

impl Session {
    /// What the command of a transfer is about; completed when it is answered.
    pub(super) fn subject(&self, text: &[u8]) -> Option<Box<Subject>> {
        self.whereabouts.as_ref()?;
        Some(Box::new(Subject {
            path: argument_of(text).into(),
            ..Subject::default()
        }))
    }

    /// What a command will have changed once it is agreed to.
    pub(super) fn step(&self, verb: Verb, text: &[u8]) -> Option<Step> {
        self.whereabouts.as_ref()?;
        Step::of(verb, argument_of(text))
    }

    /// The backend has agreed to a step.
    pub(super) fn take_step(&mut self, step: Step) {
        if let Some(whereabouts) = &mut self.whereabouts {
            whereabouts.take(step);
        }
    }

    /// The backend has passed over a step in silence.
    pub(super) fn doubt_step(&mut self, step: &Step) {
        if let Some(whereabouts) = &mut self.whereabouts {
            whereabouts.doubt(step);
        }
    }

    /// Whoever logs in is in a directory of the server's choice.
    pub(super) fn leave_directory(&mut self) {
        if let Some(whereabouts) = &mut self.whereabouts {
            whereabouts.directory = None;
        }
    }

    /// Everything is as at the beginning of the session (S12).
    pub(super) fn forget_whereabouts(&mut self) {
        if let Some(whereabouts) = &mut self.whereabouts {
            **whereabouts = Whereabouts::default();
        }
    }

    /// Whether a line of the reply to the command at `index` names a directory, the file of a STOU, or how long a
    /// file is.
    pub(super) fn look_for_path(&mut self, index: Option<usize>, line: &ReplyLine) {
        let (Some(index), Some(whereabouts)) = (index, &mut self.whereabouts) else {
            return;
        };
        if line.code.is(257) && self.pending.get(index) == Some(&Expect::Where(Step::Ask)) {
            whereabouts.note_told(&line.text);
            return;
        }
        match self.pending.subject(index) {
            Some((Verb::Stou, subject)) => {
                if let Some(name) = path::scan_unique_name(&line.text) {
                    subject.path = name.into();
                }
            }
            Some((Verb::Retr, subject)) if line.code.is_preliminary() => {
                subject.size = scan_extent(&line.text).or(subject.size);
            }
            _ => {}
        }
    }

    /// The transfer at `index` is answered: everything ahead of it has been.
    pub(super) fn settle_subject(&mut self, index: usize) {
        if let Some(whereabouts) = &self.whereabouts
            && let Some((verb, subject)) = self.pending.subject(index)
        {
            whereabouts.settle(verb, subject);
        }
    }

    /// What a transfer was about that is over, and was perhaps not answered by a 1yz before.
    pub(super) fn subject_of(&self, ask: &mut TransferAsk) -> Option<Box<Subject>> {
        let mut subject = ask.subject.take()?;
        if let Some(whereabouts) = &self.whereabouts
            && !ask.preliminary
        {
            whereabouts.settle(ask.verb, &mut subject);
        }
        Some(subject)
    }
}

impl Step {
    /// What `verb` will have changed.
    fn of(verb: Verb, argument: &[u8]) -> Option<Self> {
        match verb {
            Verb::Cdup => Some(Self::Up),
            Verb::Cwd => Some(Self::Into(argument.into())),
            Verb::Pwd => Some(Self::Ask),
            Verb::Type => Some(Self::Type(Representation::parse(argument))),
            _ => None,
        }
    }
}

impl Whereabouts {
    /// The backend has agreed.
    fn take(&mut self, step: Step) {
        match step {
            Step::Into(path) if *path == *b".." => self.go_up(),
            Step::Into(path) => self.go_to(&path),
            Step::Up => self.go_up(),
            Step::Ask => {}
            Step::Type(representation) => {
                self.representation = representation.unwrap_or(self.representation);
            }
        }
    }

    /// The backend may have agreed or not.
    fn doubt(&mut self, step: &Step) {
        if matches!(step, Step::Into(_) | Step::Up) {
            self.directory = None;
        }
    }

    /// A line of the answer to PWD.
    fn note_told(&mut self, line: &[u8]) {
        let told = path::scan_257(line).filter(|path| path.len() <= MAX_PATH_BYTES);
        self.directory = told.map(|path| Directory {
            path,
            is_told: true,
        });
    }

    /// Completes `subject` by what is known now, before the transfer of `verb`.
    fn settle(&self, verb: Verb, subject: &mut Subject) {
        let directory = { self.directory.as_ref() }.map(|directory| directory.path.as_slice());
        let is_listing = verb != Verb::Retr && verb.transfer() == Some(Direction::ToClient);
        let found = match (&*subject.path, is_listing) {
            (b"", true) => directory.map(<[u8]>::to_vec),
            // Options of `ls`, and then perhaps a path.
            ([b'-', ..], true) => None,
            (path, _) => path::absolute(directory, path),
        };
        subject.file = found.map(Vec::into_boxed_slice);
        subject.representation = self.representation;
    }

    fn go_to(&mut self, path: &[u8]) {
        let before = self.directory.take();
        let whole = path::absolute(before.as_ref().map(|of| of.path.as_slice()), path);
        let bounded = whole.filter(|path| path.len() <= MAX_PATH_BYTES);
        self.directory = bounded.map(|path| Directory {
            path,
            is_told: false,
        });
    }

    fn go_up(&mut self) {
        match &mut self.directory {
            Some(directory) if directory.is_told => directory.path = path::parent(&directory.path),
            Some(_) => self.go_to(b".."),
            None => {}
        }
    }
}

/// What stands behind the verb of a command that was read before.
fn argument_of(text: &[u8]) -> &[u8] {
    let command = command::parse(text).ok();
    command.and_then(|of| of.argument).unwrap_or_default()
}

/// What Linux takes for a path. A client that goes down and never up does not make it longer.
const MAX_PATH_BYTES: usize = 4096;
