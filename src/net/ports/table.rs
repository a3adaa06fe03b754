//! Who waits on which passive port, and how many of them each client has.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use tokio::time::Instant;

use super::port::Port;
use super::quarantine::Quarantine;
use super::room::Slot;
use crate::config::PeerCheck;

/// What is leased.
pub(super) struct Table {
    pub(super) rules: Rules,
    ports: HashMap<SocketAddr, Arc<Port>>,
    /// Leases that wait or are sought a port, by client.
    clients: HashMap<IpAddr, usize>,
    pub(super) quarantine: Quarantine,
}

/// What new leases keep to.
#[derive(Clone)]
pub(super) struct Rules {
    pub(super) range: RangeInclusive<u16>,
    pub(super) peer_check: PeerCheck,
    pub(super) leases_per_client: usize,
}

impl Table {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            ports: HashMap::new(),
            clients: HashMap::new(),
            quarantine: Quarantine::default(),
        }
    }

    /// The ports that somebody waits on.
    #[cfg(test)]
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.ports.keys().copied()
    }

    /// Leases of all clients.
    pub(super) fn leases(&self) -> usize {
        self.clients.values().sum()
    }

    /// Counts one more lease of `client`, unless it has `limit` of them already.
    pub(super) fn count(&mut self, client: IpAddr, limit: usize) -> bool {
        let leases = self.clients.get(&client).copied().unwrap_or_default();
        if leases < limit {
            self.clients.insert(client, leases + 1);
        }
        leases < limit
    }

    /// One lease less of `client`.
    pub(super) fn discount(&mut self, client: IpAddr) {
        if let Some(leases) = self.clients.get_mut(&client) {
            *leases -= 1;
            if *leases == 0 {
                self.clients.remove(&client);
            }
        }
    }

    /// The port of this address, if somebody waits on it and `slot` may join.
    pub(super) fn port_for(&self, address: SocketAddr, slot: &Slot) -> Option<Arc<Port>> {
        let port = self.ports.get(&address)?;
        let may_join = !self.is_resting(address, slot) && port.room.takes(slot);
        may_join.then(|| Arc::clone(port))
    }

    fn is_resting(&self, address: SocketAddr, slot: &Slot) -> bool {
        self.quarantine.holds((address, slot.client), slot.session)
    }

    /// Lets `slot` wait on the port, if its client may have that. It may not listen yet.
    pub(super) fn enter(&mut self, address: SocketAddr, slot: &Arc<Slot>) -> Option<Arc<Port>> {
        if self.is_resting(address, slot) {
            return None;
        }
        if let Some(port) = self.ports.get(&address) {
            let takes = port.room.takes(slot);
            takes.then(|| port.room.enter(Arc::clone(slot)));
            return takes.then(|| Arc::clone(port));
        }
        let port = Arc::new(Port::new(address));
        port.room.enter(Arc::clone(slot));
        self.ports.insert(address, Arc::clone(&port));
        Some(port)
    }

    /// Ends the wait of the lease that a connection from `peer` belongs to, if there is one.
    pub(super) fn take_out(&mut self, port: &Port, peer: IpAddr) -> Option<Arc<Slot>> {
        let is_its = |one: &Slot| one.peer_check.allows(one.client, peer);
        let owner = port.room.find(is_its)?;
        self.remove(port, &owner);
        Some(owner)
    }

    /// Ends the wait of `slot`, and keeps the port from other sessions of its client for a while (P11). False when
    /// it did not wait.
    pub(super) fn give_up(&mut self, port: &Port, slot: &Arc<Slot>) -> bool {
        let waited = self.remove(port, slot);
        if waited {
            let key = (port.address, slot.client);
            self.quarantine.add(key, slot.session, Instant::now());
        }
        waited
    }

    fn remove(&mut self, port: &Port, slot: &Arc<Slot>) -> bool {
        let waited = port.room.leave(slot);
        if waited {
            self.discount(slot.client);
        }
        waited
    }

    /// Forgets the port if nobody waits on it.
    pub(super) fn forget_if_unused(&mut self, port: &Arc<Port>) {
        let is_it = |known: &Arc<Port>| Arc::ptr_eq(known, port) && known.room.is_empty();
        if self.ports.get(&port.address).is_some_and(is_it) {
            self.ports.remove(&port.address);
        }
    }

    /// Ports that the client who is worst off can not have now.
    pub(super) fn taken(&self) -> usize {
        let is_shared = self.rules.peer_check == PeerCheck::Strict;
        let waiting = { self.ports.iter() }.flat_map(|(address, port)| {
            let clients = port.room.clients();
            clients.into_iter().map(|client| (*address, client))
        });
        let resting = self.quarantine.keys().filter(|_| is_shared);
        let mut taken: HashMap<_, HashSet<SocketAddr>> = HashMap::new();
        for (address, client) in waiting.chain(resting) {
            let whose = (address.ip(), is_shared.then_some(client));
            taken.entry(whose).or_default().insert(address);
        }
        { taken.values() }.map(HashSet::len).max().unwrap_or(0)
    }
}
