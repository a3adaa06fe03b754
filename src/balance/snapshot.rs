//! The backends of a pool as one immutable value, and the choice of one of them.
//!
//! A snapshot never changes: a new state or weight makes a new one (design decision 9), so every pick sees
//! backends, weights, health and hash table of the same moment. Only the [`Load`] counters behind it
//! live, and the memory of the algorithms, which is an argument.
//!
//! A backend is *available* when it serves, its weight is not 0 and it is up. When no backend is up, those
//! that were ejected are available again: an ejection is advice to prefer others, and there are no others.
//! While the quorum is lost and there is a sorry server, that one alone is available.
//!
//! A backend that is available and *full* is left out of a pick, but counts in what the algorithm makes of
//! the whole: it has room again in a moment.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::algorithm::Algorithm;
use super::load::Load;
use super::member::{BackendId, RAMP_STEPS, Standing};
use super::memory::Memory;
use super::request::Request;
use super::slots::Slots;
use super::{address_hash, heaviest, least, maglev, two_choices};
use crate::health::Availability;

/// What the picks of one moment see.
#[derive(Debug)]
pub struct Snapshot {
    algorithm: Algorithm,
    hash_port: bool,
    targets: Box<[Arc<Target>]>,
    /// Beside each of `targets`: whether it is available.
    available: Box<[bool]>,
    /// For the algorithms that hash only.
    pub(super) slots: Option<Slots>,
    quorum_held: bool,
    /// When the share of a backend in its slow start grows next.
    next_step: Option<Instant>,
}

/// One backend as a snapshot has it.
#[derive(Clone, Debug)]
pub struct Target {
    /// Which one it is, in its pool.
    pub id: BackendId,
    /// Where its control port is.
    pub address: SocketAddr,
    /// Its name in metrics and logs.
    pub name: Arc<str>,
    /// Its weight in effect. 0: no new sessions.
    pub weight: u32,
    /// What it is to get of the sessions among the others: its weight, or less of it in its slow start,
    /// and then in other units. At least 1 if the weight is.
    pub share: u32,
    /// What the operator wants of it.
    pub standing: Standing,
    /// What its health was when the snapshot was made.
    pub state: Availability,
    /// It is used in place of all others while the quorum is lost.
    pub is_sorry: bool,
    /// What it has to do, now.
    pub load: Arc<Load>,
}

impl Snapshot {
    /// A snapshot of `targets`, whose order is the order that the algorithms know. Makes the hash table
    /// if the algorithm needs it, which takes some milliseconds. With `hash_port` the hash of a client's
    /// address is that of its port as well. The shares hold until `next_step`.
    pub fn new(
        algorithm: Algorithm,
        hash_port: bool,
        mut targets: Vec<Target>,
        quorum_held: bool,
        next_step: Option<Instant>,
    ) -> Self {
        for target in &mut targets {
            target.share = target.share.max(target.weight.min(1));
        }
        let targets: Box<[_]> = targets.into_iter().map(Arc::new).collect();
        let is_in_use = |target: &Target| target.weight > 0 && target.standing == Standing::Serving;
        let is_sorry_time =
            !quorum_held && { targets.iter() }.any(|target| target.is_sorry && is_in_use(target));
        let is_candidate = |target: &Target| target.is_sorry == is_sorry_time && is_in_use(target);
        let is_up = |target: &Arc<Target>| is_candidate(target) && target.state == Availability::Up;
        let is_ejected = |target: &Arc<Target>| {
            is_candidate(target) && matches!(target.state, Availability::Ejected { .. })
        };
        let some_up = targets.iter().any(is_up);
        let available: Box<[bool]> = targets
            .iter()
            .map(|target| is_up(target) || (!some_up && is_ejected(target)))
            .collect();
        let candidates = Candidates {
            targets: &targets,
            available: &available,
            tried: &[],
        };
        let slots = match algorithm {
            Algorithm::DestinationHash => address_hash::in_turn(candidates),
            Algorithm::Maglev | Algorithm::UserHash => maglev::table(candidates.available()),
            Algorithm::SourceHash => address_hash::by_weight(candidates),
            Algorithm::LeastConnections
            | Algorithm::LocalityLeastConnections
            | Algorithm::LocalityLeastConnectionsReplicated
            | Algorithm::NeverQueue
            | Algorithm::PowerOfTwoChoices
            | Algorithm::RoundRobin
            | Algorithm::ShortestExpectedDelay
            | Algorithm::WeightedFailover
            | Algorithm::WeightedLeastConnections
            | Algorithm::WeightedOverflow
            | Algorithm::WeightedRoundRobin => None,
        };
        Self {
            algorithm,
            hash_port,
            targets,
            available,
            slots,
            quorum_held,
            next_step,
        }
    }

    /// The index of the backend for a new session, leaving out those of `tried` and those that are full;
    /// `None` when no other is available, or when the algorithm finds that all others have enough.
    pub fn pick(
        &self,
        request: &Request<'_>,
        tried: &[BackendId],
        memory: &Memory,
        now: Instant,
    ) -> Option<usize> {
        let candidates = self.candidates(tried);
        let (client, vip) = (request.client.ip(), request.vip.ip().to_canonical());
        let port = self.hash_port.then_some(request.client.port());
        let slots = self.slots.as_ref();
        match self.algorithm {
            Algorithm::DestinationHash => address_hash::pick(slots?, vip, None, candidates),
            Algorithm::LeastConnections => least::least_connections(candidates),
            Algorithm::LocalityLeastConnections => memory.localities.keep(vip, candidates, now),
            Algorithm::LocalityLeastConnectionsReplicated => {
                memory.localities.replicate(vip, candidates, now)
            }
            Algorithm::Maglev => maglev::pick_by_client(slots?, client, port, candidates),
            Algorithm::NeverQueue => least::never_queue(candidates),
            Algorithm::PowerOfTwoChoices => {
                two_choices::less_busy_of_two(candidates, |end| memory.chance.below(end))
            }
            Algorithm::RoundRobin => memory.rotation.next(candidates),
            Algorithm::ShortestExpectedDelay => least::shortest_expected_delay(candidates),
            Algorithm::SourceHash => address_hash::pick(slots?, client, port, candidates),
            Algorithm::UserHash => maglev::pick_by_user(slots?, request.user, candidates),
            Algorithm::WeightedFailover => heaviest::failover(candidates),
            Algorithm::WeightedLeastConnections => least::weighted_least_connections(candidates),
            Algorithm::WeightedOverflow => heaviest::overflow(candidates),
            Algorithm::WeightedRoundRobin => memory.rotation.next_weighted(candidates),
        }
    }

    /// The index of the backend at `address`, if it is available, has room and is not one of `tried`.
    pub fn find(&self, address: SocketAddr, tried: &[BackendId]) -> Option<usize> {
        let mut usable = self.candidates(tried).iter();
        usable
            .find(|(_, target)| target.address == address)
            .map(|(index, _)| index)
    }

    /// How a backend is picked.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The backend called `id`, available or not.
    pub fn target(&self, id: BackendId) -> Option<&Arc<Target>> {
        self.targets.iter().find(|target| target.id == id)
    }

    /// Whether there is a backend, not one of `tried`, that would be available if it had room.
    pub fn is_full(&self, tried: &[BackendId]) -> bool {
        let mut available = self.candidates(tried).available();
        available.any(|(_, target)| !tried.contains(&target.id) && target.load.is_full())
    }

    /// Whether enough of the pool is alive.
    pub fn has_quorum(&self) -> bool {
        self.quorum_held
    }

    /// Whether the sorry server is used in place of all others.
    pub fn is_sorry_time(&self) -> bool {
        let mut available = self.candidates(&[]).available();
        available.any(|(_, target)| target.is_sorry)
    }

    /// How much of its weight a backend gets: less than all of it in its slow start.
    pub fn share_percent(&self, target: &Target) -> u32 {
        // While any of them is in its slow start, all shares are counted in parts of the weight.
        let whole = u64::from(target.weight) * u64::from(RAMP_STEPS);
        match (u64::from(target.share) * 100).checked_div(whole) {
            Some(percent) if self.next_step.is_some() => u32::try_from(percent).unwrap_or(100),
            _ => 100,
        }
    }

    /// The backends, available or not.
    pub fn targets(&self) -> &[Arc<Target>] {
        &self.targets
    }

    /// Whether any backend could be picked.
    pub fn is_available(&self) -> bool {
        self.available.contains(&true)
    }

    /// When the first ejection ends or the first share grows, and with it the truth of this snapshot.
    pub fn next_change(&self) -> Option<Instant> {
        let until = |target: &Arc<Target>| match target.state {
            Availability::Ejected { until } => Some(until),
            Availability::Down | Availability::Up => None,
        };
        let ejections = self.targets.iter().filter_map(until);
        ejections.chain(self.next_step).min()
    }

    pub(super) fn candidates<'a>(&'a self, tried: &'a [BackendId]) -> Candidates<'a> {
        Candidates {
            targets: &self.targets,
            available: &self.available,
            tried,
        }
    }
}

/// The backends of a snapshot that one pick may choose from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidates<'a> {
    targets: &'a [Arc<Target>],
    available: &'a [bool],
    tried: &'a [BackendId],
}

impl<'a> Candidates<'a> {
    /// Those that are available, have room and were not tried, with their index, in order.
    pub(super) fn iter(self) -> impl Iterator<Item = (usize, &'a Target)> + Clone {
        self.available()
            .filter(move |(_, target)| !self.tried.contains(&target.id) && !target.load.is_full())
    }

    /// Those that are available, tried, full or not: what the algorithm's idea of the whole is made from.
    pub(super) fn available(self) -> impl Iterator<Item = (usize, &'a Target)> + Clone {
        let targets = self.targets.iter().zip(self.available).enumerate();
        targets.filter_map(|(index, (target, available))| available.then_some((index, &**target)))
    }

    /// Those that ipvs would have in its list: the available ones, and those of weight 0 that are up.
    pub(super) fn listed(self) -> impl Iterator<Item = (usize, &'a Target)> + Clone {
        let targets = self.targets.iter().zip(self.available).enumerate();
        targets.filter_map(|(index, (target, available))| {
            let is_quiesced = target.weight == 0
                && target.standing == Standing::Serving
                && target.state == Availability::Up;
            (*available || is_quiesced).then_some((index, &**target))
        })
    }

    /// All of the pool, up or not.
    pub(super) fn all(self) -> impl Iterator<Item = &'a Target> {
        self.targets.iter().map(|target| &**target)
    }

    /// The candidate at `index`.
    pub(super) fn get(self, index: usize) -> Option<(usize, &'a Target)> {
        self.iter().find(|(candidate, _)| *candidate == index)
    }
}
