//! What is known of the records behind a name. Pure: answers go in, backends come out.
//!
//! A set of records (the A records of one name, say) is replaced by each answer that has some. An answer that
//! says that there are none empties it only when the next one says so too: a name server that restarts, or a
//! service without a single ready pod for a moment, must not empty a pool. A failure is no answer.
//!
//! ```text
//!              records               none
//!     Empty ─────────────▶ Full ─────────────▶ Doubted
//!       ▲                   ▲                    │  │
//!       │                   └─ records, failure ─┘  │
//!       └────────────────── none ───────────────────┘
//! ```

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::{Found, Look};
use crate::config::{Discovery, Record};

/// What a name server says of one set of records.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Answer<T> {
    /// There are none: the name does not exist, or has other records only.
    None {
        /// How long that is so, if the answer says it.
        ttl: Option<Duration>,
    },
    /// These, for so long.
    Records {
        /// At least one.
        records: Vec<T>,
        /// How long they are valid.
        ttl: Duration,
    },
    /// It can not be asked, or fails itself: why.
    Failed(String),
}

/// An SRV record (RFC 2782).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Service {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    /// The name of the host, in lower case.
    pub(super) host: String,
}

/// The bounds of the pause between two looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Pace {
    min: Duration,
    max: Duration,
}

/// Everything that is known behind one question.
#[derive(Debug, Default)]
pub(super) struct Known {
    services: RecordSet<Service>,
    /// The A and the AAAA records of each host.
    hosts: HashMap<String, [RecordSet<IpAddr>; 2]>,
}

#[derive(Debug)]
struct RecordSet<T> {
    records: Vec<T>,
    /// The last answer was that there are none.
    is_doubted: bool,
}

impl Pace {
    pub(super) fn of(discovery: &Discovery) -> Self {
        Self {
            min: discovery.min_interval,
            max: discovery.max_interval,
        }
    }

    /// The bounds that suit both.
    pub(super) fn quicker(self, other: Self) -> Self {
        Self {
            min: self.min.min(other.min),
            max: self.max.min(other.max),
        }
    }

    /// How long to wait after `look`. Whatever failed or is in doubt is asked for again soon.
    pub(super) fn pause(self, look: &Look) -> Duration {
        if look.failure.is_some() || look.is_doubted {
            return self.min;
        }
        look.ttl
            .unwrap_or(self.min)
            .clamp(self.min, self.max.max(self.min))
    }
}

impl Known {
    /// Takes what is said of the addresses of `host`, as A and AAAA records.
    pub(super) fn take_addresses(
        &mut self,
        host: &str,
        answers: [Answer<IpAddr>; 2],
        look: &mut Look,
    ) {
        let sets = self.hosts.entry(host.to_owned()).or_default();
        for (set, answer) in sets.iter_mut().zip(answers) {
            set.take(answer, look);
        }
    }

    /// Takes what is said of the services.
    pub(super) fn take_services(&mut self, answer: Answer<Service>, look: &mut Look) {
        self.services.take(answer, look);
    }

    /// The hosts of the services, each once, by their priority: the first class is wanted most.
    pub(super) fn classes(&self) -> BTreeMap<u16, Vec<String>> {
        let mut classes: BTreeMap<u16, Vec<String>> = BTreeMap::new();
        for service in &self.services.records {
            let class = classes.entry(service.priority).or_default();
            if !class.contains(&service.host) {
                class.push(service.host.clone());
            }
        }
        classes
    }

    /// Whether any of these hosts has an address.
    pub(super) fn has_address(&self, hosts: &[String]) -> bool {
        hosts
            .iter()
            .any(|host| self.addresses(host).next().is_some())
    }

    /// Forgets the hosts that are no targets of the services any more.
    pub(super) fn forget_hosts(&mut self) {
        let services = &self.services.records;
        self.hosts
            .retain(|host, _| services.iter().any(|service| service.host == *host));
    }

    /// The backends that `record` has named, in order, each address once. Of services those of the most
    /// wanted priority that has any.
    pub(super) fn found(&self, record: Record) -> Vec<Found> {
        let mut found: Vec<Found> = match record {
            Record::Address => {
                let addresses = self.hosts.values().flatten().flat_map(|set| &set.records);
                addresses.copied().map(Found::Host).collect()
            }
            Record::Srv => {
                let classes = self.classes();
                let mut classes = classes.iter();
                let class = classes.find(|(_, hosts)| self.has_address(hosts));
                let is_of_class =
                    |service: &&Service| class.is_some_and(|(of, _)| *of == service.priority);
                let services = self.services.records.iter().filter(is_of_class);
                services
                    .flat_map(|service| self.backends(service))
                    .collect()
            }
        };
        found.sort_unstable();
        // Of one address that is named twice the greater weight counts, which is the later.
        found.reverse();
        found.dedup_by_key(|found| match *found {
            Found::Host(ip) => SocketAddr::new(ip, 0),
            Found::Service(address, _) => address,
        });
        found.reverse();
        found
    }

    fn backends(&self, service: &Service) -> impl Iterator<Item = Found> {
        // RFC 2782 has 0 for servers that there is nothing to choose among; here 0 is no sessions.
        let (port, weight) = (service.port, service.weight.max(1));
        let addresses = self.addresses(&service.host);
        addresses.map(move |ip| Found::Service(SocketAddr::new(ip, port), weight))
    }

    fn addresses(&self, host: &str) -> impl Iterator<Item = IpAddr> {
        let sets = self.hosts.get(host).into_iter().flatten();
        sets.flat_map(|set| set.records.iter().copied())
    }
}

impl<T> RecordSet<T> {
    fn take(&mut self, answer: Answer<T>, look: &mut Look) {
        let ttl = match answer {
            Answer::Records { records, ttl } => {
                self.records = records;
                self.is_doubted = false;
                look.has_records = true;
                Some(ttl)
            }
            Answer::None { .. } if !self.records.is_empty() && !self.is_doubted => {
                self.is_doubted = true;
                look.is_doubted = true;
                None
            }
            Answer::None { ttl } => {
                self.records.clear();
                self.is_doubted = false;
                ttl
            }
            Answer::Failed(error) => {
                self.is_doubted = false;
                look.failure = Some(error);
                None
            }
        };
        look.ttl = look.ttl.into_iter().chain(ttl).min();
    }
}

impl<T> Default for RecordSet<T> {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            is_doubted: false,
        }
    }
}

#[cfg(test)]
mod tests;
