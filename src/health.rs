//! Whether a backend may be given new sessions, from what checks and live sessions say about it.
//!
//! Pure: results and `now` go in, decisions come out. Nothing is dialled here and no timer runs (H9: what
//! a check tries is the prober's business); an ejection ends because `now` is past it, not because someone
//! is told. Sessions that a backend already has are never touched by its health.
//!
//! Checks and live traffic are two machines, and a backend is available when both let it be:
//!
//! ```text
//! checks               first ok                `fall` failures in a row
//!          Unknown ────────────────▶ Up ──────────────────────────────▶ Down
//!             │                      ▲                                   │ ▲
//!             │                      └──────── `rise` oks in a row ──────┘ │
//!             └──────────────────────────── first failure ────────────────┘
//!
//! live              `failures` in a row
//!          Taking ───────────────────────▶ Ejected { until }
//!             ▲                               │
//!             └──── `until` is past, ─────────┘
//!                   or the checks came to Up
//! ```
//!
//! Invariants: the checks change their mind only after `rise` or `fall` results in a row that contradict
//! them, the first result excepted. An ejection lasts its time and is not prolonged by failures of
//! sessions that were under way. `Unknown` is available: a pool without checks stays there.

use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// What is known of one backend.
#[derive(Clone, Debug)]
pub struct Health {
    thresholds: Thresholds,
    rule: Option<EjectionRule>,
    checked: Checked,
    /// Check results in a row that contradict `checked`.
    contradictions: u32,
    /// Failures in a row of live sessions.
    failures: u32,
    /// Ejections in a row: no live session succeeded between them.
    ejections: u32,
    ejected_until: Option<Instant>,
}

/// How many check results in a row change the state. 0 counts as 1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Thresholds {
    /// Successes in a row that bring a backend up.
    pub rise: u32,
    /// Failures in a row that take a backend down.
    pub fall: u32,
}

impl Default for Thresholds {
    /// One lost check is noise, and a server that starts may answer once before it is ready for good.
    fn default() -> Self {
        Self { rise: 2, fall: 3 }
    }
}

/// When live failures eject a backend, and for how long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EjectionRule {
    /// Failures in a row: refused, silent, or no greeting. 0 counts as 1.
    pub failures: u32,
    /// How long the first ejection lasts. Doubled for each one in a row, at most eightfold, and never
    /// longer than a day.
    pub time: Duration,
}

/// Whether a backend may be given new sessions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Availability {
    /// No: its checks fail.
    Down,
    /// Not before `until`, because live sessions failed; see [`Health::on_live_failure`].
    Ejected {
        /// When it takes sessions again.
        until: Instant,
    },
    /// Yes.
    Up,
}

impl Availability {
    /// The label in metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Ejected { .. } => "ejected",
            Self::Up => "up",
        }
    }
}

impl Health {
    /// A backend of which nothing is known yet. Without a `rule` live failures never eject it.
    pub const fn new(thresholds: Thresholds, rule: Option<EjectionRule>) -> Self {
        Self {
            thresholds,
            rule,
            checked: Checked::Unknown,
            contradictions: 0,
            failures: 0,
            ejections: 0,
            ejected_until: None,
        }
    }

    /// Whether the backend may be given new sessions at `now`.
    pub fn availability(&self, now: Instant) -> Availability {
        match (self.checked, self.ejected_until) {
            (Checked::Down, _) => Availability::Down,
            (_, Some(until)) if now < until => Availability::Ejected { until },
            _ => Availability::Up,
        }
    }

    /// Takes the result of one check. Returns what the checks say from now on if that is news: the first
    /// result, and every change after it.
    ///
    /// A backend that comes up starts afresh: live failures were about the outage that is over.
    pub fn on_check(&mut self, ok: bool) -> Option<Availability> {
        let needed = match (self.checked, ok) {
            (Checked::Unknown, _) => 1,
            (Checked::Down, true) => self.thresholds.rise,
            (Checked::Up, false) => self.thresholds.fall,
            (Checked::Down, false) | (Checked::Up, true) => {
                self.contradictions = 0;
                return None;
            }
        };
        self.contradictions = self.contradictions.saturating_add(1);
        if self.contradictions < needed {
            return None;
        }
        self.contradictions = 0;
        if !ok {
            self.checked = Checked::Down;
            return Some(Availability::Down);
        }
        self.checked = Checked::Up;
        self.failures = 0;
        self.ejections = 0;
        self.ejected_until = None;
        Some(Availability::Up)
    }

    /// Takes the failure of a session to get a greeting from this backend. Returns the ejection, if this
    /// was one failure too many.
    ///
    /// `may_eject` is false when the pool has no other backend to offer. The failures are remembered then,
    /// and the next one ejects as soon as it may.
    pub fn on_live_failure(&mut self, now: Instant, may_eject: bool) -> Option<Availability> {
        let rule = self.rule?;
        // Sessions that were under way when it went tell nothing new.
        if self.availability(now) != Availability::Up {
            return None;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures < rule.failures || !may_eject {
            return None;
        }
        let doublings = self.ejections.min(MOST_DOUBLINGS);
        let time = rule
            .time
            .saturating_mul(1 << doublings)
            .min(LONGEST_EJECTION);
        let until = now + time;
        self.failures = 0;
        self.ejections = self.ejections.saturating_add(1);
        self.ejected_until = Some(until);
        Some(Availability::Ejected { until })
    }

    /// Takes the success of a session: this backend greeted it. An ejection under way stays, because the
    /// session was begun before it.
    pub fn on_live_success(&mut self, now: Instant) {
        if self.availability(now) == Availability::Up {
            self.failures = 0;
            self.ejections = 0;
        }
    }
}

/// What the checks say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Checked {
    Down,
    Unknown,
    Up,
}

/// Eightfold: with the usual 30 s a sick backend is tried again every four minutes at the latest.
const MOST_DOUBLINGS: u32 = 3;

/// Who wants a backend gone for longer sets its weight to 0. Also keeps `now + time` representable.
const LONGEST_EJECTION: Duration = Duration::from_hours(24);
