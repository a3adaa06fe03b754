//! Which backend a client had before: keepalived's persistence.
//!
//! A client network is remembered for a time that begins anew with each of its sessions, as the template of
//! ipvs does. Unlike there, a backend that is drained or dead does not keep its clients: the pool asks the
//! snapshot first, and remembers whatever backend the client gets instead.
//!
//! Bounded: at most `entries` networks, the one whose last session is longest ago is forgotten first, and
//! those whose time is over as soon as another is remembered. About 150 bytes each.
//!
//! A lookup reads one shard of the map. Remembering takes a lock on the order besides, and costs the same
//! for any number of networks, except that once in `entries` refreshes the order is swept.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use ipnet::IpNet;

#[cfg(test)]
mod tests;

/// Client networks and the backend that each had last.
#[derive(Debug)]
pub struct AffinityTable {
    timeout: Duration,
    prefix_v4: u8,
    prefix_v6: u8,
    entries: usize,
    networks: DashMap<IpAddr, Remembered>,
    order: Mutex<Order>,
}

#[derive(Clone, Copy, Debug)]
struct Remembered {
    backend: SocketAddr,
    since: Instant,
    /// That of its place in the order.
    stamp: u64,
}

/// The networks by their last session, oldest first. A place whose stamp is not that of its network is
/// left over: the network was refreshed since, or is forgotten.
#[derive(Debug, Default)]
struct Order {
    places: VecDeque<(IpAddr, u64)>,
    last_stamp: u64,
}

impl AffinityTable {
    /// An empty table. `timeout` runs from a client's last session. Clients whose first `prefix_v4` or
    /// `prefix_v6` bits agree count as one; more bits than an address has mean all of them.
    pub fn new(timeout: Duration, prefix_v4: u8, prefix_v6: u8, entries: usize) -> Self {
        let (networks, order) = (DashMap::new(), Mutex::default());
        Self {
            timeout,
            prefix_v4,
            prefix_v6,
            entries,
            networks,
            order,
        }
    }

    /// The address of the backend that the network of `client` had last, if it is remembered at `now`.
    pub fn lookup(&self, client: IpAddr, now: Instant) -> Option<SocketAddr> {
        let remembered = *self.networks.get(&self.network(client))?;
        (!self.is_over(remembered, now)).then_some(remembered.backend)
    }

    /// Remembers that a session of `client` with `backend` begins at `now`.
    pub fn remember(&self, client: IpAddr, backend: SocketAddr, now: Instant) {
        let network = self.network(client);
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        order.last_stamp += 1;
        let stamp = order.last_stamp;
        order.places.push_back((network, stamp));
        self.networks.insert(
            network,
            Remembered {
                backend,
                since: now,
                stamp,
            },
        );
        self.forget(&mut order, now);
    }

    /// Forgets what is over or too much, and keeps the order from growing by refreshes.
    fn forget(&self, order: &mut Order, now: Instant) {
        while let Some((network, stamp)) = order.places.front().copied() {
            if let Some(remembered) = self.at(network, stamp) {
                if self.networks.len() <= self.entries && !self.is_over(remembered, now) {
                    break;
                }
                self.networks.remove(&network);
            }
            order.places.pop_front();
        }
        if order.places.len() / 2 > self.entries {
            order
                .places
                .retain(|(network, stamp)| self.at(*network, *stamp).is_some());
        }
    }

    /// What is remembered of `network`, if `stamp` is still its place.
    fn at(&self, network: IpAddr, stamp: u64) -> Option<Remembered> {
        let remembered = *self.networks.get(&network)?;
        (remembered.stamp == stamp).then_some(remembered)
    }

    fn is_over(&self, remembered: Remembered, now: Instant) -> bool {
        now.saturating_duration_since(remembered.since) >= self.timeout
    }

    /// What stands for `client`: its address without the bits that do not count. IPv4 is the same
    /// whether or not it is mapped into IPv6 (V2).
    fn network(&self, client: IpAddr) -> IpAddr {
        let client = client.to_canonical();
        let prefix = if client.is_ipv4() {
            self.prefix_v4
        } else {
            self.prefix_v6
        };
        IpNet::new(client, prefix).map_or(client, |network| network.network())
    }
}
