//! What the screen shows: which lists, from where on, in which order; and what the keys change of it.

use std::cmp::Ordering;
use std::time::Duration;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::look::{Look, Looks};
use crate::cli::ask::AskError;
use crate::ops::status::SessionStatus;

/// What is shown.
#[derive(Debug)]
pub(super) struct Screen {
    pub(super) looks: Looks,
    /// Why there is no newer look.
    pub(super) trouble: Option<String>,
    pub(super) is_paused: bool,
    /// A look that is older than this is late.
    pub(super) patience: Duration,
    pub(super) view: View,
    pub(super) order: Order,
    pub(super) is_reversed: bool,
    /// The first line of the list that is shown.
    pub(super) offset: usize,
    /// How many lines of it there was room for.
    pub(super) page: usize,
}

/// Which lists are shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum View {
    /// Backends, and sessions below them.
    Both,
    Backends,
    Sessions,
    Listeners,
}

/// Which sessions come first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Order {
    /// Those that transfer, then the oldest.
    Busy,
    Speed,
    Bytes,
    Age,
    Idle,
    Client,
    User,
}

impl View {
    const ALL: [(char, Self); 4] = [
        ('1', Self::Both),
        ('2', Self::Backends),
        ('3', Self::Sessions),
        ('4', Self::Listeners),
    ];
}

impl Order {
    const ALL: [Self; 7] = [
        Self::Busy,
        Self::Speed,
        Self::Bytes,
        Self::Age,
        Self::Idle,
        Self::Client,
        Self::User,
    ];

    /// What it is called at the bottom of the screen.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Speed => "speed",
            Self::Bytes => "bytes",
            Self::Age => "age",
            Self::Idle => "idle",
            Self::Client => "client",
            Self::User => "user",
        }
    }
}

impl Screen {
    /// The first look, and one more in each time `every`.
    pub(super) fn new(first: Look, every: Duration) -> Self {
        Self {
            patience: every + ANSWER,
            looks: Looks::new(first),
            trouble: None,
            is_paused: false,
            view: View::Both,
            order: Order::Busy,
            is_reversed: false,
            offset: 0,
            page: 1,
        }
    }

    /// Another look, or why there is none. While it is paused nothing changes but that.
    pub(super) fn on_look(&mut self, look: Result<Box<Look>, AskError>) {
        match look {
            Ok(look) => {
                self.trouble = None;
                if !self.is_paused {
                    self.looks.take(*look);
                }
            }
            Err(error) => self.trouble = Some(error.to_string()),
        }
    }

    /// Does what a key says. Whether the screen is still wanted.
    pub(super) fn on_key(&mut self, key: KeyEvent) -> bool {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return false,
            KeyCode::Char('c') if is_control => return false,
            KeyCode::Char('p' | ' ') => self.is_paused = !self.is_paused,
            KeyCode::Char('s') => self.order = after(&Order::ALL, self.order),
            KeyCode::Char('r') => self.is_reversed = !self.is_reversed,
            KeyCode::Tab => self.turn_to(after(&View::ALL.map(|(_, view)| view), self.view)),
            KeyCode::Char(digit @ '1'..='4') => {
                if let Some((_, view)) = View::ALL.into_iter().find(|(key, _)| *key == digit) {
                    self.turn_to(view);
                }
            }
            KeyCode::Up | KeyCode::Char('k') => self.offset = self.offset.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.offset = self.offset.saturating_add(1),
            KeyCode::PageUp => self.offset = self.offset.saturating_sub(self.page),
            KeyCode::PageDown => self.offset = self.offset.saturating_add(self.page),
            KeyCode::Home => self.offset = 0,
            // The drawing knows how long the list is.
            KeyCode::End => self.offset = usize::MAX,
            _ => {}
        }
        true
    }

    fn turn_to(&mut self, view: View) {
        self.view = view;
        self.offset = 0;
    }

    /// Has the offset be such that a list of so many lines fills the `page`.
    pub(super) fn keep_within(&mut self, lines: usize, page: usize) {
        self.page = page.max(1);
        self.offset = self.offset.min(lines.saturating_sub(page));
    }

    /// The sessions in the order that is wanted.
    pub(super) fn sessions(&self) -> Vec<&SessionStatus> {
        let mut sessions: Vec<_> = self.looks.last.sessions.sessions.iter().collect();
        sessions.sort_by(|one, other| {
            let order = self.compare(one, other);
            let order = if self.is_reversed {
                order.reverse()
            } else {
                order
            };
            order.then(one.id.cmp(&other.id))
        });
        sessions
    }

    fn compare(&self, one: &SessionStatus, other: &SessionStatus) -> Ordering {
        let speed = |of| self.looks.rate_of_transfer(of).unwrap_or(-1.0);
        let bytes = |of: &SessionStatus| of.transfer.as_ref().map(|transfer| transfer.bytes);
        match self.order {
            Order::Busy => other.transfer.is_some().cmp(&one.transfer.is_some()),
            Order::Speed => speed(other).total_cmp(&speed(one)),
            Order::Bytes => bytes(other).cmp(&bytes(one)),
            Order::Age => other.age_seconds.total_cmp(&one.age_seconds),
            Order::Idle => other.idle_seconds.total_cmp(&one.idle_seconds),
            Order::Client => one.client.cmp(&other.client),
            Order::User => one.user.cmp(&other.user),
        }
    }
}

/// What an answer may take before somebody should know.
const ANSWER: Duration = Duration::from_secs(5);

/// What comes after `one` in a list that has no end.
fn after<T: Copy + PartialEq>(all: &[T], one: T) -> T {
    let index = all.iter().position(|other| *other == one).unwrap_or(0);
    all.iter().cycle().nth(index + 1).copied().unwrap_or(one)
}
