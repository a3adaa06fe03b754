//! The names of the ways to choose a backend.
//!
//! All but [`Algorithm::UserHash`] are exactly the scheduler of that name in ipvs, so that a pool behaves as
//! it did there; where one differs on purpose, its module says so and why. They are beside each other by
//! family: [`super::least`], [`super::heaviest`], [`super::rotation`], [`super::two_choices`],
//! [`super::address_hash`], [`super::maglev`], [`super::locality`].
//!
//! The list of backends begins with the first one of the configuration. That of ipvs begins with the last
//! one that was added, so where the place in the list decides, keepalived's last backend was the first.

/// How a backend is picked.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Algorithm {
    /// The address that the client connected to decides; ipvs `dh`. One backend for all clients of a VIP.
    DestinationHash,
    /// The fewest active sessions; ipvs `lc`.
    LeastConnections,
    /// One backend for each VIP until it is overloaded; ipvs `lblc`.
    LocalityLeastConnections,
    /// A set of backends for each VIP that grows with the load; ipvs `lblcr`.
    LocalityLeastConnectionsReplicated,
    /// The client's address decides, the same on every replica; ipvs `mh`.
    Maglev,
    /// An idle backend, or else by the shortest expected delay; ipvs `nq`.
    NeverQueue,
    /// The less busy of two that are drawn by lot; ipvs `twos`.
    PowerOfTwoChoices,
    /// One after the other; ipvs `rr`.
    RoundRobin,
    /// The fewest sessions for its weight, the new one included; ipvs `sed`.
    ShortestExpectedDelay,
    /// The client's address decides by a small table; ipvs `sh`.
    SourceHash,
    /// The user's name decides, the same on every replica. Not in ipvs, which knows no names.
    UserHash,
    /// The greatest weight; ipvs `fo`.
    WeightedFailover,
    /// The fewest active sessions for its weight; ipvs `wlc`. The default there and here.
    #[default]
    WeightedLeastConnections,
    /// The greatest weight until it has as many sessions, then the next; ipvs `ovf`.
    WeightedOverflow,
    /// One after the other, as often as its weight; ipvs `wrr`.
    WeightedRoundRobin,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 15] = [
        Self::DestinationHash,
        Self::LeastConnections,
        Self::LocalityLeastConnections,
        Self::LocalityLeastConnectionsReplicated,
        Self::Maglev,
        Self::NeverQueue,
        Self::PowerOfTwoChoices,
        Self::RoundRobin,
        Self::ShortestExpectedDelay,
        Self::SourceHash,
        Self::UserHash,
        Self::WeightedFailover,
        Self::WeightedLeastConnections,
        Self::WeightedOverflow,
        Self::WeightedRoundRobin,
    ];

    /// The algorithm called `name`, here or in ipvs.
    pub fn parse(name: &str) -> Option<Self> {
        let is_called = |algorithm: &Self| {
            algorithm.name() == name || algorithm.ipvs_name().is_some_and(|ipvs| ipvs == name)
        };
        Self::ALL.into_iter().find(is_called)
    }

    /// Whether it can take the client's port into the hash of its address.
    pub const fn hashes_client(self) -> bool {
        matches!(self, Self::Maglev | Self::SourceHash)
    }

    /// Whether a backend can have a part of its share: else there is no slow start.
    pub const fn heeds_shares(self) -> bool {
        matches!(
            self,
            Self::NeverQueue
                | Self::PowerOfTwoChoices
                | Self::ShortestExpectedDelay
                | Self::WeightedLeastConnections
                | Self::WeightedRoundRobin
        )
    }

    /// The name in configuration, logs and status.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DestinationHash => "destination_hash",
            Self::LeastConnections => "least_connections",
            Self::LocalityLeastConnections => "locality_least_connections",
            Self::LocalityLeastConnectionsReplicated => "locality_least_connections_replicated",
            Self::Maglev => "maglev",
            Self::NeverQueue => "never_queue",
            Self::PowerOfTwoChoices => "power_of_two_choices",
            Self::RoundRobin => "round_robin",
            Self::ShortestExpectedDelay => "shortest_expected_delay",
            Self::SourceHash => "source_hash",
            Self::UserHash => "user_hash",
            Self::WeightedFailover => "weighted_failover",
            Self::WeightedLeastConnections => "weighted_least_connections",
            Self::WeightedOverflow => "weighted_overflow",
            Self::WeightedRoundRobin => "weighted_round_robin",
        }
    }

    /// The name in `ipvsadm` and `keepalived.conf`, if it is there.
    pub const fn ipvs_name(self) -> Option<&'static str> {
        Some(match self {
            Self::DestinationHash => "dh",
            Self::LeastConnections => "lc",
            Self::LocalityLeastConnections => "lblc",
            Self::LocalityLeastConnectionsReplicated => "lblcr",
            Self::Maglev => "mh",
            Self::NeverQueue => "nq",
            Self::PowerOfTwoChoices => "twos",
            Self::RoundRobin => "rr",
            Self::ShortestExpectedDelay => "sed",
            Self::SourceHash => "sh",
            Self::UserHash => return None,
            Self::WeightedFailover => "fo",
            Self::WeightedLeastConnections => "wlc",
            Self::WeightedOverflow => "ovf",
            Self::WeightedRoundRobin => "wrr",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Algorithm;

    #[test]
    fn an_algorithm_answers_to_its_name_and_to_that_of_ipvs() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::parse(algorithm.name()), Some(algorithm));
            if let Some(name) = algorithm.ipvs_name() {
                assert_eq!(Algorithm::parse(name), Some(algorithm));
            }
        }
        for unknown in ["", "LC", "least", "wlc ", "source-hash", "uh"] {
            assert_eq!(Algorithm::parse(unknown), None, "{unknown:?}");
        }
    }

    #[test]
    fn every_scheduler_of_ipvs_is_here_and_one_more() {
        let mut names: Vec<_> = Algorithm::ALL
            .into_iter()
            .filter_map(Algorithm::ipvs_name)
            .collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "dh", "fo", "lblc", "lblcr", "lc", "mh", "nq", "ovf", "rr", "sed", "sh", "twos",
                "wlc", "wrr"
            ]
        );
        assert_eq!(Algorithm::UserHash.ipvs_name(), None);
    }

    #[test]
    fn the_default_is_that_of_ipvs() {
        assert_eq!(Algorithm::default().ipvs_name(), Some("wlc"));
    }
}
