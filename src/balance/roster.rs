//! The backends of a pool and all that is known of them, behind the pool's lock.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::affinity::AffinityTable;
use super::algorithm::Algorithm;
use super::member::{Backend, BackendId, Member, RAMP_STEPS, Standing};
use super::quorum::QuorumRule;
use super::snapshot::{Snapshot, Target};
use crate::health::{Availability, CheckId, EjectionRule, Verdict};

/// How a pool decides.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Settings {
    /// How a backend is picked.
    pub algorithm: Algorithm,
    /// Whether hashes of the client take its port in.
    pub hash_port: bool,
    /// Whether and how clients come back to their backend.
    pub affinity: Option<AffinityRule>,
    /// Whether backends are down until their checks have found them up.
    pub alpha: bool,
    /// When live failures eject a backend, if they do.
    pub ejection: Option<EjectionRule>,
    /// How much must be alive.
    pub quorum: QuorumRule,
    /// The server that is used while the quorum is lost, in place of all others.
    pub sorry: Option<SocketAddr>,
    /// The time in which the share of a backend that comes back grows to all of it.
    pub slow_start: Duration,
}

/// How clients come back to their backend.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AffinityRule {
    /// Runs from a client's last session.
    pub timeout: Duration,
    /// Clients whose first bits agree count as one, for IPv4.
    pub prefix_v4: u8,
    /// The same for IPv6.
    pub prefix_v6: u8,
    /// How many client networks are remembered.
    pub entries: usize,
}

impl AffinityRule {
    pub(super) fn table(self) -> AffinityTable {
        AffinityTable::new(self.timeout, self.prefix_v4, self.prefix_v6, self.entries)
    }
}

/// What has changed and is worth telling: to logs, metrics and scripts.
#[derive(Clone, Debug)]
pub enum News {
    /// The checks of a backend have spoken for the first time, or have changed their mind.
    Backend {
        /// The backend as it was.
        target: Target,
        /// What it is from now on. Equal to the target's state when its checks only confirmed it.
        state: Availability,
    },
    /// The quorum was gained or lost.
    Quorum {
        /// Whether it is held from now on.
        is_held: bool,
        /// Whether the sorry server is in use from now on.
        is_sorry: bool,
    },
}

/// Backends in the order of the configuration.
#[derive(Debug, Default)]
pub(super) struct Roster {
    settings: Settings,
    backends: Vec<Backend>,
    last_id: u32,
    /// `None` until there were backends.
    quorum_held: Option<bool>,
}

impl Roster {
    pub(super) fn affinity_rule(&self) -> Option<AffinityRule> {
        self.settings.affinity
    }

    pub(super) fn configure(
        &mut self,
        members: Vec<Member>,
        settings: Settings,
        now: Instant,
    ) -> Vec<News> {
        let states = self.states(now);
        self.settings = settings;
        let mut before = std::mem::take(&mut self.backends);
        let sorry = self.settings.sorry.map(sorry_member);
        let wanted = members.into_iter().map(|member| (member, false));
        for (member, is_sorry) in wanted.chain(sorry.map(|member| (member, true))) {
            let known = before.iter().position(|backend| {
                backend.member.address == member.address && backend.is_sorry == is_sorry
            });
            let (alpha, rule) = if is_sorry {
                (false, None)
            } else {
                (self.settings.alpha, self.settings.ejection)
            };
            if let Some(index) = known {
                let mut backend = before.remove(index);
                backend.become_member(member, alpha, rule);
                self.backends.push(backend);
            } else {
                self.last_id += 1;
                let mut backend = Backend::new(BackendId(self.last_id), member, alpha, rule);
                backend.is_sorry = is_sorry;
                self.backends.push(backend);
            }
        }
        for mut backend in before {
            backend.standing = Standing::Removed;
            self.backends.push(backend);
        }
        self.news_since(&states, now)
    }

    pub(super) fn reap(&mut self, now: Instant) -> Vec<Target> {
        let is_gone = |backend: &mut Backend| {
            backend.standing == Standing::Removed
                && backend.load.active() + backend.load.checks() == 0
        };
        let gone = self.backends.extract_if(.., is_gone);
        gone.map(|backend| backend.target(0, now)).collect()
    }

    /// Returns the news; `None` if nothing has changed at all.
    pub(super) fn on_check(
        &mut self,
        id: BackendId,
        check: CheckId,
        verdict: Option<Verdict>,
        weight: Option<u32>,
        now: Instant,
    ) -> Option<Vec<News>> {
        let backend = self.find(id)?;
        let is_own = backend.member.checks.contains(&check);
        let weight = weight.filter(|_| is_own).map(|weight| (check, weight));
        let is_weight_news = weight.is_some() && weight != backend.checked_weight;
        let verdict = verdict.filter(|said| backend.health.verdict_of(check) != Some(*said));
        if verdict.is_none() && !is_weight_news {
            return None;
        }
        backend.checked_weight = weight.or(backend.checked_weight);
        let target = backend.target(0, now);
        let news = verdict.and_then(|verdict| backend.health.on_verdict(check, verdict));
        let news = news.map(|state| News::Backend { target, state });
        Some(news.into_iter().collect())
    }

    pub(super) fn on_live(
        &mut self,
        id: BackendId,
        ok: bool,
        now: Instant,
    ) -> Option<Availability> {
        if ok {
            self.find(id)?.health.on_live_success(now);
            return None;
        }
        let is_other = |backend: &Backend| {
            backend.id != id
                && backend.live_weight(now) > 0
                && backend.health.availability(now) == Availability::Up
        };
        let may_eject = self.backends.iter().any(is_other);
        self.find(id)?.health.on_live_failure(now, may_eject)
    }

    /// What the checks of the member at `address` say together.
    pub(super) fn verdict(&self, address: SocketAddr) -> Verdict {
        let is_it = |backend: &&Backend| backend.member.address == address && !backend.is_sorry;
        let member = self.backends.iter().find(is_it);
        member.map_or(Verdict::Unknown, |backend| backend.health.verdict())
    }

    pub(super) fn find(&mut self, id: BackendId) -> Option<&mut Backend> {
        self.backends.iter_mut().find(|backend| backend.id == id)
    }

    /// What follows from a change for the whole.
    pub(super) fn settle(&mut self, now: Instant) -> Vec<News> {
        for backend in &mut self.backends {
            backend.note_usable(self.settings.slow_start, now);
        }
        let sum = |weight: &dyn Fn(&Backend) -> u64| self.backends.iter().map(weight).sum::<u64>();
        let (live, all) = (
            sum(&|backend| backend.live_weight(now)),
            sum(&Backend::full_weight),
        );
        let was = self.quorum_held;
        let is_held = self.settings.quorum.is_held(was, live, all);
        self.quorum_held = Some(is_held);
        let news = News::Quorum {
            is_held,
            is_sorry: !is_held && self.settings.sorry.is_some(),
        };
        let is_news = was.map_or(!is_held, |was| was != is_held);
        if is_news { vec![news] } else { Vec::new() }
    }

    pub(super) fn snapshot(&self, now: Instant) -> Snapshot {
        let slow_start = self.settings.slow_start;
        let ramps: Vec<_> = { self.backends.iter() }
            .map(|backend| backend.ramp(slow_start, now))
            .collect();
        // While any of them ramps, all shares are counted in tenths.
        let is_ramping = ramps.iter().any(Option::is_some);
        let share = |(backend, ramp): (&Backend, &Option<(u32, Instant)>)| {
            let tenths = ramp.map_or(RAMP_STEPS, |(tenths, _)| tenths);
            let share = backend.weight().saturating_mul(tenths);
            backend.target(if is_ramping { share } else { backend.weight() }, now)
        };
        let targets = self.backends.iter().zip(&ramps).map(share).collect();
        let next_step = ramps.iter().flatten().map(|(_, until)| *until).min();
        Snapshot::new(
            self.settings.algorithm,
            self.settings.hash_port,
            targets,
            self.quorum_held.unwrap_or(true),
            next_step,
        )
    }

    fn states(&self, now: Instant) -> Vec<Target> {
        let target = |backend: &Backend| backend.target(0, now);
        self.backends.iter().map(target).collect()
    }

    /// The backends whose state is another than it was in `before`.
    fn news_since(&self, before: &[Target], now: Instant) -> Vec<News> {
        let was = |id: BackendId| before.iter().find(|target| target.id == id);
        let news = |backend: &Backend| {
            let (target, state) = (was(backend.id)?, backend.health.availability(now));
            (target.state != state).then(|| News::Backend {
                target: target.clone(),
                state,
            })
        };
        self.backends.iter().filter_map(news).collect()
    }
}

/// keepalived's sorry server has a weight of 1, no limit and no checks.
fn sorry_member(address: SocketAddr) -> Member {
    Member {
        address,
        name: address.to_string().into(),
        weight: 1,
        max_sessions: 0,
        resume_sessions: 0,
        checks: Vec::new(),
    }
}
