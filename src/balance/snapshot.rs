//! The backends of a pool as one immutable value, and the choice of one of them.
//!
//! A snapshot never changes: a new state or weight makes a new one (design decision 9), so every pick sees
//! backends, weights, health and hash table of the same moment. Only the [`Load`] counters behind it
//! live, and the cursor of the rotating algorithms, which is an argument.
//!
//! A backend is *available* when its weight is not 0 and it is up. When no backend is up, those that were
//! ejected are available again: an ejection is advice to prefer others, and there are no others.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use super::algorithm::Algorithm;
use super::least;
use super::load::Load;
use super::maglev::Maglev;
use super::rotation::Rotation;
use crate::health::Availability;

/// What the picks of one moment see.
#[derive(Debug)]
pub struct Snapshot {
    algorithm: Algorithm,
    targets: Box<[Target]>,
    /// Beside each of `targets`: whether it is available.
    available: Box<[bool]>,
    /// For [`Algorithm::SourceHash`] only.
    table: Option<Maglev>,
}

/// One backend as a snapshot has it.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where its control port is.
    pub address: SocketAddr,
    /// Its name in metrics and logs.
    pub name: Arc<str>,
    /// Its share. 0: no new sessions.
    pub weight: u32,
    /// What its health was when the snapshot was made.
    pub state: Availability,
    /// What it has to do, now.
    pub load: Arc<Load>,
}

impl Snapshot {
    /// A snapshot of `targets`, whose order is the order that the algorithms know. Makes the hash table
    /// if the algorithm needs it, which takes some milliseconds.
    pub fn new(algorithm: Algorithm, targets: Vec<Target>) -> Self {
        let is_up = |target: &Target| target.weight > 0 && target.state == Availability::Up;
        let is_ejected = |target: &Target| {
            target.weight > 0 && matches!(target.state, Availability::Ejected { .. })
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
        let table = match algorithm {
            Algorithm::SourceHash => Maglev::new(candidates.iter()),
            Algorithm::LeastConnections
            | Algorithm::RoundRobin
            | Algorithm::WeightedLeastConnections
            | Algorithm::WeightedRoundRobin => None,
        };
        Self {
            algorithm,
            targets: targets.into(),
            available,
            table,
        }
    }

    /// The index of the backend for a new session of `client`, leaving out those of `tried`; `None` when
    /// no other is available.
    pub fn pick(&self, client: IpAddr, tried: &[usize], rotation: &Rotation) -> Option<usize> {
        let candidates = self.candidates(tried);
        match self.algorithm {
            Algorithm::LeastConnections => least::least_connections(candidates),
            Algorithm::RoundRobin => rotation.next(candidates),
            Algorithm::SourceHash => self.table.as_ref()?.pick(client, candidates),
            Algorithm::WeightedLeastConnections => least::weighted_least_connections(candidates),
            Algorithm::WeightedRoundRobin => rotation.next_weighted(candidates),
        }
    }

    /// The index of the backend at `address`, if it is available and not one of `tried`.
    pub fn find(&self, address: SocketAddr, tried: &[usize]) -> Option<usize> {
        let mut usable = self.candidates(tried).iter();
        usable
            .find(|(_, target)| target.address == address)
            .map(|(index, _)| index)
    }

    /// How a backend is picked.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The backends, available or not.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Whether any backend could be picked.
    pub fn is_available(&self) -> bool {
        self.available.contains(&true)
    }

    /// When the first ejection ends, and with it the truth of this snapshot.
    pub fn next_change(&self) -> Option<Instant> {
        let until = |target: &Target| match target.state {
            Availability::Ejected { until } => Some(until),
            Availability::Down | Availability::Up => None,
        };
        self.targets.iter().filter_map(until).min()
    }

    fn candidates<'a>(&'a self, tried: &'a [usize]) -> Candidates<'a> {
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
    targets: &'a [Target],
    available: &'a [bool],
    tried: &'a [usize],
}

impl<'a> Candidates<'a> {
    /// Those that are available and were not tried, with their index, in order.
    pub(super) fn iter(self) -> impl Iterator<Item = (usize, &'a Target)> + Clone {
        self.available()
            .filter(move |(index, _)| !self.tried.contains(index))
    }

    /// Those that are available, tried or not: what the algorithm's idea of the whole is made from.
    pub(super) fn available(self) -> impl Iterator<Item = (usize, &'a Target)> + Clone {
        let targets = self.targets.iter().zip(self.available).enumerate();
        targets.filter_map(|(index, (target, available))| available.then_some((index, target)))
    }
}
