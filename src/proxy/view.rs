//! A live session as others see it: who it is, how far it has come, what it does just now.
//!
//! The driver writes here whenever it has dealt with something, and while data moves; whoever lists the
//! sessions reads. An idle session pays a lock that nobody else wants, and no buffer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::ending::{Moved, Phase};
use crate::ftp::command::Verb;
use crate::ftp::text::Legible;
use crate::session::{Subject, Underway};

/// What of a session never changes.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The client's address, normalised (V2).
    pub client: SocketAddr,
    /// The address it connected to, normalised.
    pub vip: SocketAddr,
    /// Whose session it is.
    pub names: Arc<Names>,
}

/// What the sessions of a listener have in common. Shared by them: an idle one pays a pointer.
#[derive(Debug)]
pub struct Names {
    /// The name of the listener.
    pub listener: Arc<str>,
    /// The name of its pool.
    pub pool: Arc<str>,
}

/// How a session is doing.
#[derive(Clone, Debug)]
pub struct View {
    /// How far it has come.
    pub phase: Phase,
    /// It waits for a backend to have room.
    pub is_waiting: bool,
    /// When the client or the backend last said something, or data last ended.
    pub last_activity: Instant,
    /// When it ends if the client keeps silent. `None` before the login, and while that time stands still.
    pub idle_until: Option<Instant>,
    /// Who the client says it is; empty until then.
    pub user: Arc<str>,
    /// The transfer under way, if there is one.
    pub transfer: Option<Box<Current>>,
    /// How many transfers have ended.
    pub transfers: u32,
    /// What those have carried.
    pub moved: Moved,
}

/// A transfer under way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Current {
    /// Its command.
    pub verb: Verb,
    /// When that came.
    pub since: Instant,
    /// What has crossed so far.
    pub moved: Moved,
    /// Its file, as far as that is known: escaped, and not longer than a line or two.
    pub file: Box<str>,
    /// How many bytes the backend says there are, if it does.
    pub size: Option<u64>,
    has_begun: bool,
}

impl Current {
    fn new(of: Underway<'_>) -> Self {
        let mut current = Self {
            verb: of.verb,
            since: of.since,
            moved: Moved::default(),
            file: Box::default(),
            size: None,
            has_begun: of.has_begun,
        };
        current.describe(of.subject);
        current
    }

    fn describe(&mut self, subject: Option<&Subject>) {
        let Some(subject) = subject else { return };
        let path = subject.file.as_ref().unwrap_or(&subject.path);
        // The end of a path tells more than its beginning.
        let end = path.len().saturating_sub(MAX_FILE_BYTES);
        let mark = if end > 0 { "..." } else { "" };
        let shown = path.get(end..).unwrap_or_default();
        self.file = format!("{mark}{}", Legible(shown)).into();
        self.size = subject.size;
    }
}

impl View {
    /// A session that has just begun.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            phase: Phase::Connect,
            is_waiting: false,
            last_activity: now,
            idle_until: None,
            user: Arc::default(),
            transfer: None,
            transfers: 0,
            moved: Moved::default(),
        }
    }

    /// What the transfer under way has carried so far, if there is one.
    pub fn carried(&self) -> Option<Moved> {
        self.transfer.as_ref().map(|transfer| transfer.moved)
    }

    /// Which transfer is under way. One that is known keeps what it has carried.
    pub(super) fn set_transfer(&mut self, transfer: Option<Underway<'_>>) {
        match (&mut self.transfer, transfer) {
            (Some(known), Some(of)) if (known.verb, known.since) == (of.verb, of.since) => {
                if of.has_begun && !known.has_begun {
                    known.has_begun = true;
                    known.describe(of.subject);
                }
            }
            (_, other) => self.transfer = other.map(|of| Box::new(Current::new(of))),
        }
    }

    /// A transfer has ended, which carried so much.
    pub(super) fn end_transfer(&mut self, moved: Moved) {
        self.transfer = None;
        self.transfers += 1;
        self.moved.to_client += moved.to_client;
        self.moved.to_backend += moved.to_backend;
    }
}

/// Bytes of a path that is shown: some lines of a screen.
const MAX_FILE_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_transfer_keeps_what_it_has_carried_until_it_ends() {
        let now = Instant::now();
        let mut view = View::new(now);
        let underway = |since, has_begun, subject| Underway {
            verb: Verb::Stor,
            since,
            has_begun,
            subject,
        };
        view.set_transfer(Some(underway(now, false, None)));
        let moved = Moved {
            to_client: 0,
            to_backend: 7,
        };
        if let Some(transfer) = &mut view.transfer {
            transfer.moved = moved;
        }
        let path = [b"/".as_slice(), &[b'a'; MAX_FILE_BYTES], b"\n"].concat();
        let subject = Subject {
            path: path.into(),
            size: Some(9),
            ..Subject::default()
        };
        view.set_transfer(Some(underway(now, true, Some(&subject))));
        let current = view.transfer.clone().unwrap();
        assert!(current.file.starts_with("...aa") && current.file.ends_with("aa\\x0a"));
        assert_eq!(current.size, Some(9));
        assert_eq!(view.carried(), Some(moved), "it is the same one");
        view.end_transfer(moved);
        assert_eq!(
            (view.carried(), view.transfers, view.moved),
            (None, 1, moved)
        );
        let later = now + Duration::from_secs(1);
        view.set_transfer(Some(underway(later, false, None)));
        assert_eq!(view.carried(), Some(Moved::default()), "another one");
    }
}
