//! The names of the ways to choose a backend.
//!
//! Each is exactly the scheduler of that name in ipvs, so that a pool behaves as it did there. The rules
//! themselves are beside each other by family: [`super::least`], [`super::rotation`], [`super::maglev`].

/// How a backend is picked.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Algorithm {
    /// The fewest active sessions; ipvs `lc`.
    LeastConnections,
    /// One after the other; ipvs `rr`.
    RoundRobin,
    /// The client's address decides, the same on every replica; ipvs `mh`.
    SourceHash,
    /// The fewest active sessions for its weight; ipvs `wlc`. The default there and here.
    #[default]
    WeightedLeastConnections,
    /// One after the other, as often as its weight; ipvs `wrr`.
    WeightedRoundRobin,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 5] = [
        Self::LeastConnections,
        Self::RoundRobin,
        Self::SourceHash,
        Self::WeightedLeastConnections,
        Self::WeightedRoundRobin,
    ];

    /// The algorithm called `name`, here or in ipvs; or `maglev`, which is what the hash is made of.
    pub fn parse(name: &str) -> Option<Self> {
        let is_called =
            |algorithm: &Self| [algorithm.name(), algorithm.ipvs_name()].contains(&name);
        let found = Self::ALL.into_iter().find(is_called);
        found.or_else(|| (name == "maglev").then_some(Self::SourceHash))
    }

    /// The name in configuration, logs and status.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LeastConnections => "least_connections",
            Self::RoundRobin => "round_robin",
            Self::SourceHash => "source_hash",
            Self::WeightedLeastConnections => "weighted_least_connections",
            Self::WeightedRoundRobin => "weighted_round_robin",
        }
    }

    /// The name in `ipvsadm` and `keepalived.conf`.
    pub const fn ipvs_name(self) -> &'static str {
        match self {
            Self::LeastConnections => "lc",
            Self::RoundRobin => "rr",
            Self::SourceHash => "mh",
            Self::WeightedLeastConnections => "wlc",
            Self::WeightedRoundRobin => "wrr",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Algorithm;

    #[test]
    fn an_algorithm_answers_to_its_name_and_to_that_of_ipvs() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::parse(algorithm.name()), Some(algorithm));
            assert_eq!(Algorithm::parse(algorithm.ipvs_name()), Some(algorithm));
        }
        assert_eq!(Algorithm::parse("maglev"), Some(Algorithm::SourceHash));
        for unknown in ["", "LC", "least", "wlc ", "source-hash", "sh"] {
            assert_eq!(Algorithm::parse(unknown), None, "{unknown:?}");
        }
    }

    #[test]
    fn the_default_is_that_of_ipvs() {
        assert_eq!(Algorithm::default().ipvs_name(), "wlc");
    }
}
