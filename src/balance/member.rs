//! One backend of a pool: what the configuration, the operator, its checks and live traffic say of it.
//!
//! ```text
//!                drain                 disable
//!   Serving ──────────────▶ Draining ──────────▶ Disabled       what the operator wants
//!      ▲                       │                    │
//!      └──────── resume ───────┴────────────────────┘
//!
//!   any ── no longer configured or discovered ──▶ Removed ── its last session ended ──▶ gone
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::load::Load;
use super::snapshot::Target;
use crate::health::{Availability, CheckId, EjectionRule, Health};

/// Names a backend in its pool, for as long as it is there. Never used again for another.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct BackendId(pub u32);

/// A backend as it is configured or was discovered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// Where its control port is. Two members of a pool differ in it.
    pub address: SocketAddr,
    /// Its name in metrics and logs.
    pub name: Arc<str>,
    /// Its share. 0: no new sessions.
    pub weight: u32,
    /// How many sessions it may have; 0: any number.
    pub max_sessions: u32,
    /// Once full, it takes sessions again below this; 0: below three quarters.
    pub resume_sessions: u32,
    /// The checks that must find it up.
    pub checks: Vec<CheckId>,
}

/// What the operator wants of a backend.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// New sessions.
    #[default]
    Serving,
    /// No new sessions; those that are there may finish what they do.
    Draining,
    /// No sessions at all.
    Disabled,
    /// It is no longer configured or discovered, and goes with its last session.
    Removed,
}

impl Standing {
    /// The label in metrics, logs and status.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Draining => "draining",
            Self::Disabled => "disabled",
            Self::Removed => "removed",
        }
    }
}

/// A member with everything that is known of it.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) id: BackendId,
    pub(super) member: Member,
    pub(super) standing: Standing,
    /// The weight that the operator ordered.
    pub(super) ordered_weight: Option<u32>,
    /// The weight that a check reported, while it is one of the backend's checks.
    pub(super) checked_weight: Option<(CheckId, u32)>,
    pub(super) health: Health,
    pub(super) load: Arc<Load>,
    /// Used in place of all others while the quorum is lost.
    pub(super) is_sorry: bool,
    /// Since when it has been back, while its share grows (slow start).
    back_since: Option<Instant>,
    was_usable: bool,
}

impl Backend {
    pub(super) fn new(
        id: BackendId,
        member: Member,
        alpha: bool,
        rule: Option<EjectionRule>,
    ) -> Self {
        let load = Arc::<Load>::default();
        load.set_limits(member.max_sessions, member.resume_sessions);
        Self {
            id,
            health: Health::new(&member.checks, alpha, rule),
            member,
            standing: Standing::Serving,
            ordered_weight: None,
            checked_weight: None,
            load,
            is_sorry: false,
            back_since: None,
            was_usable: true,
        }
    }

    /// Goes on as `member`, which has the same address. What the operator ordered at run time holds until
    /// the configuration says something new about it; whoever was removed and comes back serves.
    pub(super) fn become_member(
        &mut self,
        member: Member,
        alpha: bool,
        rule: Option<EjectionRule>,
    ) {
        if self.member.weight != member.weight {
            self.ordered_weight = None;
        }
        if self.standing == Standing::Removed {
            self.standing = Standing::Serving;
            self.ordered_weight = None;
        }
        if let Some((check, _)) = self.checked_weight
            && !member.checks.contains(&check)
        {
            self.checked_weight = None;
        }
        self.load
            .set_limits(member.max_sessions, member.resume_sessions);
        self.health.reconfigure(&member.checks, alpha, rule);
        let is_checked = |(check, _): &(CheckId, u32)| member.checks.contains(check);
        self.checked_weight = self.checked_weight.filter(is_checked);
        self.member = member;
    }

    /// The weight in effect: the operator's word goes before a check's, and that before the configuration.
    pub(super) fn weight(&self) -> u32 {
        let checked_weight = self.checked_weight.map(|(_, weight)| weight);
        self.ordered_weight
            .or(checked_weight)
            .unwrap_or(self.member.weight)
    }

    /// What it adds to the quorum: its weight if its checks let it serve. An ejection is advice, and ends
    /// by itself; it takes nothing from the quorum.
    pub(super) fn live_weight(&self, now: Instant) -> u64 {
        let is_live = !self.is_sorry
            && self.standing == Standing::Serving
            && self.health.availability(now) != Availability::Down;
        if is_live { self.weight().into() } else { 0 }
    }

    /// What a quorum can count on at best.
    pub(super) fn full_weight(&self) -> u64 {
        let counts = !self.is_sorry && self.standing != Standing::Removed;
        if counts {
            self.member.weight.max(self.weight()).into()
        } else {
            0
        }
    }

    /// Notes whether it can be given sessions at `now`; one that comes back begins its slow start.
    pub(super) fn note_usable(&mut self, slow_start: Duration, now: Instant) {
        let is_usable = self.standing == Standing::Serving
            && self.weight() > 0
            && self.health.availability(now) == Availability::Up;
        if is_usable && !self.was_usable && !slow_start.is_zero() {
            self.back_since = Some(now);
        }
        self.was_usable = is_usable;
        if self
            .back_since
            .is_some_and(|since| now >= since + slow_start)
        {
            self.back_since = None;
        }
    }

    /// How many tenths of its weight it gets at `now`, and until when; `None` when it gets all of it.
    pub(super) fn ramp(&self, slow_start: Duration, now: Instant) -> Option<(u32, Instant)> {
        let since = self.back_since?;
        let step = slow_start / RAMP_STEPS;
        let passed = now.saturating_duration_since(since);
        // The first step is there at once: a share of nothing would be no start.
        let steps = (1..RAMP_STEPS).find(|steps| passed < step * *steps)?;
        Some((steps, since + step * steps))
    }

    /// It as the picks see it. `tenths` of its weight are its share, all of it without.
    pub(super) fn target(&self, share: u32, now: Instant) -> Target {
        Target {
            id: self.id,
            address: self.member.address,
            name: Arc::clone(&self.member.name),
            weight: self.weight(),
            share,
            standing: self.standing,
            state: self.health.availability(now),
            is_sorry: self.is_sorry,
            load: Arc::clone(&self.load),
        }
    }
}

/// In how many steps the share of a backend that came back grows to all of it. Each makes a new snapshot.
pub(super) const RAMP_STEPS: u32 = 10;
