//! Which command each reply answers.
//!
//! Commands may be pipelined (F11), so every forwarded command leaves an [`Expect`] in a queue, and
//! replies are held against its head (R6). Answers that ftplb gives itself stand in the same queue:
//! the order of replies is the order of commands, whoever answers.
//!
//! Three things make it more than a queue. ABOR, STAT, NOOP and QUIT may be answered while the transfer
//! before them is still under way (T8, T9, R6). Some servers send 200 ahead of the 150. And some answer
//! a transfer and the ABOR that cut it with one reply; [`Asked::slack`] is what lets the queue find
//! its feet again at the next PASV.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use crate::ftp::command::Verb;
use crate::ftp::reply::Code;
use crate::session::data::DataId;
use crate::session::whereabouts::{Step, Subject};

/// What a reply is waited for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Expect {
    /// A reply that is relayed and changes nothing.
    Plain,
    /// No reply: this one of ftplb's own is given when its turn comes.
    Local(Bytes),
    /// The reply to ABOR.
    Abor,
    /// The feature list, which is edited (R14).
    Feat,
    /// The reply to NOOP, which may come ahead of a transfer's.
    Noop,
    /// The answer to a PASV or EPSV sent for the client's PASV, EPSV, PORT or EPRT.
    Passive(PassiveAsk),
    /// The answer to a PORT or EPRT sent for the client's.
    Active,
    /// The reply to PASS or ACCT: a 2yz is a login.
    Password,
    /// 221, and the backend closes.
    Quit,
    /// A 2yz takes the session back to its state before login (S12).
    Rein,
    /// The reply to STAT, which may come ahead of a transfer's (T9).
    Stat,
    /// 1yz, then the reply that ends the transfer.
    Transfer(TransferAsk),
    /// The reply to USER: 230 is a login.
    User,
    /// A reply that is relayed and changes only where files are found.
    Where(Step),
}

/// A PASV or EPSV under way to the backend.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct PassiveAsk {
    /// What the client asked for, and so what it is to be answered.
    pub(super) client: Verb,
    /// Whether a refusal is met by a PASV in place of the EPSV that the client never sent (P8).
    pub(super) may_retry: bool,
}

/// A transfer command under way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct TransferAsk {
    pub(super) verb: Verb,
    /// The data association at the time of the command, if there was one (S8).
    pub(super) data: Option<DataId>,
    pub(super) since: Instant,
    /// Whether a 1yz has come.
    pub(super) preliminary: bool,
    /// What it is about, where that is wanted.
    pub(super) subject: Option<Box<Subject>>,
}

/// Where in the queue the command is that a reply answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Found {
    /// How many commands at the head turn out to have been passed over.
    pub(super) passed: usize,
    /// Its index, those counted.
    pub(super) index: usize,
}

impl Expect {
    /// Bytes that the client has named and that are kept until the reply.
    fn remembered(&self) -> usize {
        match self {
            Self::Where(Step::Into(path)) => path.len(),
            Self::Transfer(ask) => { ask.subject.as_ref() }.map_or(0, |subject| subject.path.len()),
            _ => 0,
        }
    }

    /// Whether later commands wait until this one is answered: its reply decides what they mean (S1).
    fn is_barrier(&self) -> bool {
        matches!(self, Self::Active | Self::Passive(_) | Self::Rein)
    }
}

/// The commands sent and not yet answered, oldest first. A session that waits for no reply pays a pointer.
#[derive(Debug, Default)]
pub(super) struct Pending(Option<Box<Asked>>);

/// What [`Pending`] stands in while there is something.
#[derive(Debug, Default)]
pub(super) struct Asked {
    queue: VecDeque<Expect>,
    /// When the head became the head.
    since: Option<Instant>,
    /// How many replies the backend may owe and never send: one for each ABOR sent during a transfer,
    /// until the queue has been empty once.
    slack: usize,
}

impl Pending {
    /// Gives back what nothing stands in, as new.
    pub(super) fn give_back(&mut self) -> Option<Box<Asked>> {
        let mut asked = self.0.take_if(|asked| asked.queue.is_empty())?;
        asked.settle();
        Some(asked)
    }

    /// Takes what the next command is to stand in.
    pub(super) fn borrow(&mut self, asked: &mut Option<Box<Asked>>) {
        if self.0.is_none() {
            self.0 = asked.take();
        }
    }

    pub(super) fn push(&mut self, expect: Expect, now: Instant) {
        let owes = expect == Expect::Abor && self.transfer().is_some();
        let asked = self.0.get_or_insert_default();
        if owes {
            asked.slack += 1;
        }
        if asked.queue.is_empty() {
            asked.since = Some(now);
        }
        asked.queue.push_back(expect);
    }

    /// Those that wait, oldest first.
    fn all(&self) -> impl DoubleEndedIterator<Item = &Expect> + ExactSizeIterator {
        self.0
            .as_deref()
            .map_or_else(Default::default, |asked| asked.queue.iter())
    }

    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |asked| asked.queue.len())
    }

    /// Bytes of what the commands behind the oldest one have named, which are kept until they are answered (O5).
    /// The oldest may take long, and an ABOR must be heard meanwhile.
    pub(super) fn remembered(&self) -> usize {
        self.all().skip(1).map(Expect::remembered).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Since when the oldest unanswered command is the oldest.
    pub(super) fn since(&self) -> Option<Instant> {
        self.0.as_ref()?.since
    }

    /// Whether later commands have to wait (S1).
    pub(super) fn is_barred(&self) -> bool {
        self.all().any(Expect::is_barrier)
    }

    /// Whether a PASV may follow a command that was sent already, so that nothing may be sent between.
    pub(super) fn may_ask_again(&self) -> bool {
        let may = |expect: &Expect| matches!(expect, Expect::Passive(ask) if ask.may_retry);
        self.all().any(may)
    }

    /// Whether the client has asked for the end of a transfer and got no answer.
    pub(super) fn is_aborting(&self) -> bool {
        self.all().any(|expect| *expect == Expect::Abor)
    }

    /// The oldest transfer that is not yet answered.
    pub(super) fn transfer(&self) -> Option<&TransferAsk> {
        self.transfers().next()
    }

    /// Every transfer that is not yet answered.
    pub(super) fn transfers(&self) -> impl Iterator<Item = &TransferAsk> {
        self.all().filter_map(|expect| match expect {
            Expect::Transfer(ask) => Some(ask),
            _ => None,
        })
    }

    /// Takes the oldest one off, at the end of the session.
    pub(super) fn pop(&mut self) -> Option<Expect> {
        let asked = self.0.as_mut()?;
        let oldest = asked.queue.pop_front();
        asked.settle();
        oldest
    }

    /// Whether a transfer that is not yet answered uses this association.
    pub(super) fn uses(&self, id: DataId) -> bool {
        self.transfers().any(|ask| ask.data == Some(id))
    }

    pub(super) fn get(&self, index: usize) -> Option<&Expect> {
        self.0.as_ref()?.queue.get(index)
    }

    /// The command that a reply of `code` answers; `None` for a reply nobody asked for.
    pub(super) fn find(&self, code: Code) -> Option<Found> {
        let aborts = if answers_abor(code) {
            0
        } else {
            let is_other = |expect: &Expect| !matches!(expect, Expect::Abor | Expect::Local(_));
            self.all().position(is_other).unwrap_or(0)
        };
        let at = |index| Found {
            passed: aborts,
            index,
        };
        if opens_data(code) {
            return self.resynchronise(aborts, |expect| matches!(expect, Expect::Passive(_)));
        }
        let Expect::Transfer(transfer) = self.get(aborts)? else {
            // Nothing but a transfer is begun.
            let begun = code.is_preliminary().then(|| {
                self.resynchronise(aborts, |expect| matches!(expect, Expect::Transfer(_)))
            });
            return begun.flatten().or(Some(at(aborts)));
        };
        if code.is_preliminary() {
            return Some(at(aborts));
        }
        let begun = transfer.preliminary;
        let is_answered = |expect: &Expect| answers_ahead(code, expect, begun);
        match self.all().skip(aborts).position(is_answered) {
            Some(index) => Some(at(aborts + index)),
            // Python's ftplib knows servers that say 200 ahead of the 150; and no 3yz ends a transfer.
            None => ((begun || !code.is(200)) && code.class() != 3).then(|| at(aborts)),
        }
    }

    /// ABOR was answered with `code`. By a 225 or 226 it was ABOR for sure, and nothing is owed for it.
    pub(super) fn note_abort(&mut self, code: Code) {
        if matches!(code.value(), 225 | 226)
            && let Some(asked) = &mut self.0
        {
            asked.slack = asked.slack.saturating_sub(1);
        }
    }

    /// Takes off the queue what the backend has passed over.
    pub(super) fn pass_over(&mut self, count: usize) -> Vec<Expect> {
        let owed = self.asked_before(count);
        let Some(asked) = &mut self.0 else {
            return Vec::new();
        };
        asked.slack = asked.slack.saturating_sub(owed);
        asked.queue.drain(..count.min(asked.queue.len())).collect()
    }

    /// Takes the command at `index` off the queue.
    pub(super) fn take(&mut self, index: usize, now: Instant) -> Option<Expect> {
        let asked = self.0.as_mut()?;
        let taken = asked.queue.remove(index);
        if index == 0 {
            asked.since = Some(now);
        }
        asked.settle();
        taken
    }

    /// The local answers that are due, oldest first.
    pub(super) fn take_local(&mut self, now: Instant) -> Option<Bytes> {
        match self.get(0) {
            Some(Expect::Local(_)) => match self.take(0, now) {
                Some(Expect::Local(reply)) => Some(reply),
                _ => None,
            },
            _ => None,
        }
    }

    /// Notes that the transfer at the head has been begun.
    pub(super) fn note_preliminary(&mut self, index: usize) {
        if let Some(Expect::Transfer(ask)) = self.get_mut(index) {
            ask.preliminary = true;
        }
    }

    /// What the transfer at `index` is about, where that is wanted.
    pub(super) fn subject(&mut self, index: usize) -> Option<(Verb, &mut Subject)> {
        match self.get_mut(index) {
            Some(Expect::Transfer(ask)) => Some((ask.verb, ask.subject.as_deref_mut()?)),
            _ => None,
        }
    }

    /// The `wanted` one, as if it were the head: what stands before it is at most what ABOR left
    /// unanswered. So is a 227 or 229 believed only at the head (R4): a PASV bars what comes after it and
    /// is the last in the queue.
    fn resynchronise(&self, aborts: usize, wanted: impl Fn(&Expect) -> bool) -> Option<Found> {
        let index = self.all().position(wanted)?;
        let is_head = index <= aborts || self.asked_before(index) <= self.slack();
        is_head.then_some(Found {
            passed: index,
            index,
        })
    }

    /// How many of the first `index` commands the backend was sent.
    fn asked_before(&self, index: usize) -> usize {
        let is_asked = |expect: &&Expect| !matches!(expect, Expect::Local(_));
        self.all().take(index).filter(is_asked).count()
    }

    fn slack(&self) -> usize {
        self.0.as_ref().map_or(0, |asked| asked.slack)
    }

    fn get_mut(&mut self, index: usize) -> Option<&mut Expect> {
        self.0.as_mut()?.queue.get_mut(index)
    }
}

impl Asked {
    fn settle(&mut self) {
        if self.queue.is_empty() {
            self.slack = 0;
            self.since = None;
            self.queue.shrink_to(KEPT);
        }
    }
}

/// How many commands there is room for in what is kept for the next session: more than most ever have at once.
const KEPT: usize = 8;

/// Whether the reply is one of those that name a data port (R4).
pub(super) fn opens_data(code: Code) -> bool {
    matches!(code.value(), 227..=229)
}

/// Whether this is one of the replies to ABOR of RFC 959 §5.4. Others count only when nothing else waits.
fn answers_abor(code: Code) -> bool {
    matches!(code.value(), 225 | 226 | 500..=502)
}

/// Whether a reply that comes while a transfer is at the head is the answer to a later command: servers
/// that do several things at a time give it at once (T9, R6).
fn answers_ahead(code: Code, expect: &Expect, begun: bool) -> bool {
    // A transfer that has begun ends for another reason than its syntax.
    let is_refusal = begun && matches!(code.value(), 500..=504);
    match expect {
        Expect::Abor => code.is(225) || is_refusal,
        Expect::Active => code.is(200),
        Expect::Feat => code.is(211) || is_refusal,
        Expect::Noop => code.is(200) || is_refusal,
        Expect::Password | Expect::User => {
            matches!(code.value(), 202 | 230 | 232 | 300..=399) || is_refusal
        }
        Expect::Plain | Expect::Where(_) => {
            matches!(code.value(), 200 | 202 | 211..=219 | 257 | 300..=399) || is_refusal
        }
        Expect::Quit => code.is(221),
        Expect::Stat => matches!(code.value(), 211..=213) || is_refusal,
        Expect::Local(_) | Expect::Passive(_) | Expect::Rein | Expect::Transfer(_) => false,
    }
}
