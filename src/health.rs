//! Whether a backend may be given new sessions, from what checks and live sessions say about it.
//!
//! Pure: verdicts and `now` go in, decisions come out. Nothing is dialled here and no timer runs (H9: what
//! a check tries is the prober's business); an ejection ends because `now` is past it, not because someone
//! is told. Sessions that a backend already has are never touched by its health.
//!
//! Checks ([`CheckState`], any number of them) and live traffic are machines of their own, and a backend is
//! available when all let it be:
//!
//! ```text
//! live              `failures` in a row
//!          Taking ───────────────────────▶ Ejected { until }
//!             ▲                               │
//!             └──── `until` is past, ─────────┘
//!                   or the checks came to Up
//! ```
//!
//! Invariants: an ejection lasts its time and is not prolonged by failures of sessions that were under
//! way. A backend whose checks have not all spoken is available, unless it is told to wait for them
//! (`alpha`, as keepalived calls it); one without checks always is.

use std::time::{Duration, Instant};

mod check;
#[cfg(test)]
mod tests;

pub use self::check::{CheckState, Thresholds, Verdict};

/// Names a check: the same check of the same address has the same number, whichever pools use it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct CheckId(pub u64);

/// What is known of one backend.
#[derive(Clone, Debug)]
pub struct Health {
    checks: Vec<(CheckId, Verdict)>,
    /// What all checks together said last; `None` while some have not spoken.
    said: Option<bool>,
    alpha: bool,
    rule: Option<EjectionRule>,
    /// Failures in a row of live sessions.
    failures: u32,
    /// Ejections in a row: no live session succeeded between them.
    ejections: u32,
    ejected_until: Option<Instant>,
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
    /// Whether the checks say no. An ejection ends by itself.
    pub fn is_down(self) -> bool {
        self == Self::Down
    }

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
    /// A backend of which nothing is known yet. With `alpha` it is down until every one of its `checks` has
    /// found it up. Without a `rule` live failures never eject it.
    pub fn new(checks: &[CheckId], alpha: bool, rule: Option<EjectionRule>) -> Self {
        Self {
            checks: checks.iter().map(|id| (*id, Verdict::Unknown)).collect(),
            said: None,
            alpha,
            rule,
            failures: 0,
            ejections: 0,
            ejected_until: None,
        }
    }

    /// Goes on with other checks and another rule. What is known stays: a check that was there keeps its
    /// verdict, and one that is new begins with what all of them said, so that a reload neither brings
    /// back a dead backend nor takes away one that serves.
    pub fn reconfigure(&mut self, checks: &[CheckId], alpha: bool, rule: Option<EjectionRule>) {
        // Whoever was given sessions without a check's word is not taken away for want of it.
        let is_trusted = self.verdict() == Verdict::Unknown && !self.is_awaited() && alpha;
        let of_all = if is_trusted {
            Verdict::Up
        } else {
            self.verdict()
        };
        let known = |id: &CheckId| self.checks.iter().find(|(known, _)| known == id);
        let verdict = |id: &CheckId| match known(id) {
            Some((_, Verdict::Unknown)) | None => of_all,
            Some((_, verdict)) => *verdict,
        };
        self.checks = checks.iter().map(|id| (*id, verdict(id))).collect();
        self.said = { self.overall() }.filter(|_| !checks.is_empty());
        self.alpha = alpha;
        self.rule = rule;
        if rule.is_none() {
            self.ejected_until = None;
        }
    }

    /// Whether it is down because not all checks have spoken yet.
    fn is_awaited(&self) -> bool {
        self.alpha && self.overall().is_none()
    }

    /// What the checks say together, if there are any and all have spoken.
    pub fn verdict(&self) -> Verdict {
        match self.overall() {
            _ if self.checks.is_empty() => Verdict::Unknown,
            Some(true) => Verdict::Up,
            Some(false) => Verdict::Down,
            None => Verdict::Unknown,
        }
    }

    /// What `check` said last, if it is one of the backend's.
    pub fn verdict_of(&self, check: CheckId) -> Option<Verdict> {
        let known = self.checks.iter().find(|(id, _)| *id == check);
        known.map(|(_, verdict)| *verdict)
    }

    /// Whether the backend may be given new sessions at `now`.
    pub fn availability(&self, now: Instant) -> Availability {
        match (self.overall(), self.ejected_until) {
            (Some(false), _) => Availability::Down,
            (None, _) if self.alpha => Availability::Down,
            (_, Some(until)) if now < until => Availability::Ejected { until },
            _ => Availability::Up,
        }
    }

    /// Takes what one check says from now on. Returns what all of them say together if that is news: when
    /// the last has spoken for the first time, and at every change after it.
    ///
    /// A backend that comes up starts afresh: live failures were about the outage that is over.
    pub fn on_verdict(&mut self, check: CheckId, verdict: Verdict) -> Option<Availability> {
        let (_, known) = self.checks.iter_mut().find(|(id, _)| *id == check)?;
        *known = verdict;
        let overall = self.overall();
        if overall.is_none() || overall == self.said {
            return None;
        }
        self.said = overall;
        if overall == Some(false) {
            return Some(Availability::Down);
        }
        self.failures = 0;
        self.ejections = 0;
        self.ejected_until = None;
        Some(Availability::Up)
    }

    /// What the checks say together: all must be up. `None` while that is open.
    fn overall(&self) -> Option<bool> {
        let is = |wanted: Verdict| move |(_, verdict): &(CheckId, Verdict)| *verdict == wanted;
        if self.checks.iter().any(is(Verdict::Down)) {
            return Some(false);
        }
        self.checks.iter().all(is(Verdict::Up)).then_some(true)
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

/// Eightfold: with the usual 30 s a sick backend is tried again every four minutes at the latest.
const MOST_DOUBLINGS: u32 = 3;

/// Who wants a backend gone for longer sets its weight to 0. Also keeps `now + time` representable.
const LONGEST_EJECTION: Duration = Duration::from_hours(24);
