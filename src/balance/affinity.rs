//! Which backend a client had before: keepalived's persistence.
//!
//! A client network is remembered for a time that begins anew with each of its sessions, and does not run out
//! while it has one (`Pool::renew`), as the template of ipvs. Unlike there, a backend that is drained or dead
//! does not keep its clients: the pool asks the snapshot first, and remembers whatever backend the client gets
//! instead.
//!
//! Bounded: at most `entries` networks, the one whose last session is longest ago is forgotten first. With a
//! million networks in it the table takes 84 bytes each, IPv4 or IPv6, measured as resident memory. Its
//! address space is reserved when it is made, and becomes memory as networks are remembered; memory that was
//! used once is kept for other networks.
//!
//! One lock, and the same few steps under it for any number of networks: nothing is copied to grow, nothing
//! is swept. Those whose time is over leave a few at a time as others are remembered. Measured with a
//! million networks (`cargo bench --bench affinity`): half a microsecond for a lookup, one to remember, and
//! 0.1 to 0.34 ms of processor time for the longest of fifteen million calls. A sharded map with a queue beside it
//! took 200 to 250 bytes, 15 ms in the call that made it grow, and 0.6 s in the call that found all of a
//! million to be over.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use self::lru::{Entry, Lru};

mod lru;
#[cfg(test)]
mod tests;

/// Client networks and the backend that each had last.
#[derive(Debug)]
pub struct AffinityTable {
    timeout: Duration,
    prefix_v4: u8,
    prefix_v6: u8,
    networks: Mutex<Lru>,
}

/// One client network, for listings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Affine {
    /// The clients.
    pub network: IpNet,
    /// The backend that they come back to, if it is available.
    pub backend: SocketAddr,
    /// Until they are forgotten, unless a session begins before.
    pub remaining: Duration,
}

impl AffinityTable {
    /// An empty table. `timeout` runs from a client's last session. Clients whose first `prefix_v4` or
    /// `prefix_v6` bits agree count as one; more bits than an address has mean all of them.
    pub fn new(timeout: Duration, prefix_v4: u8, prefix_v6: u8, entries: usize) -> Self {
        Self {
            timeout,
            prefix_v4,
            prefix_v6,
            networks: Mutex::new(Lru::new(entries)),
        }
    }

    /// The address of the backend that the network of `client` had last, if it is remembered at `now`.
    pub fn lookup(&self, client: IpAddr, now: Instant) -> Option<SocketAddr> {
        let network = self.network(client).addr();
        let networks = self.networks();
        let entry = networks.get(network)?;
        self.remaining(entry, now).map(|_| entry.backend)
    }

    /// Remembers that a session of `client` with `backend` begins at `now`.
    pub fn remember(&self, client: IpAddr, backend: SocketAddr, now: Instant) {
        let network = self.network(client).addr();
        let mut networks = self.networks();
        networks.put(network, backend, now);
        for _ in 0..FORGOTTEN_AT_ONCE {
            let oldest = networks.oldest();
            if oldest.is_none_or(|oldest| self.remaining(oldest, now).is_some()) {
                break;
            }
            networks.forget_oldest();
        }
    }

    /// How many networks are in the table, with those whose time is over and that have not left yet.
    pub fn len(&self) -> usize {
        self.networks().len()
    }

    /// Whether no network is in the table.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The networks that are remembered at `now`, those with the latest session first, at most `max`. Picks
    /// wait meanwhile, 0.05 ms for a thousand.
    pub fn entries(&self, max: usize, now: Instant) -> Vec<Affine> {
        let networks = self.networks();
        let of_entry = |entry: &Entry| {
            let remaining = self.remaining(entry, now)?;
            Some(Affine {
                network: self.network(entry.network),
                backend: entry.backend,
                remaining,
            })
        };
        // What is over lies together at the end, and could be long.
        networks
            .newest_first()
            .map_while(of_entry)
            .take(max)
            .collect()
    }

    fn networks(&self) -> MutexGuard<'_, Lru> {
        self.networks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For how long `entry` counts from `now` on, if it still does.
    fn remaining(&self, entry: &Entry, now: Instant) -> Option<Duration> {
        let age = now.saturating_duration_since(entry.since);
        self.timeout.checked_sub(age).filter(|left| !left.is_zero())
    }

    /// What stands for `client`: its address without the bits that do not count. IPv4 is the same
    /// whether or not it is mapped into IPv6 (V2).
    fn network(&self, client: IpAddr) -> IpNet {
        let client = client.to_canonical();
        let prefix = if client.is_ipv4() {
            self.prefix_v4
        } else {
            self.prefix_v6
        };
        IpNet::new(client, prefix).map_or_else(|_| client.into(), |network| network.trunc())
    }
}

/// How many networks whose time is over leave when one is remembered: more than one, so that they become
/// fewer, and few, so that no session waits for them.
const FORGOTTEN_AT_ONCE: usize = 4;
