//! How many sessions there are: in all, of each client address, of each network, and how many of them have
//! not logged in (O1).
//!
//! One value decides and counts in one step, so that no two clients get the last place. It holds an entry for
//! each address and network that has a session, and none for others.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Limits, Refusal};

/// The sessions that are alive, by where they come from.
#[derive(Debug, Default)]
pub struct Tally {
    all: Count,
    clients: HashMap<IpAddr, Count>,
    networks: HashMap<IpNet, Count>,
}

/// The place of one session in a [`Tally`], which must be given back.
#[derive(Debug)]
#[must_use = "a place is counted until it is given back"]
pub struct Place {
    /// Of the network that it is counted in: another prefix may be configured by its end.
    prefix: u8,
    has_logged_in: bool,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Count {
    sessions: u32,
    before_login: u32,
}

impl Place {
    /// Whether its session was said to have logged in.
    pub fn has_logged_in(&self) -> bool {
        self.has_logged_in
    }
}

impl Tally {
    /// Takes a new session of `client` in, within `limits`. The first limit that is reached is named; the
    /// narrower ones come first, for whom they concern is to be told.
    pub fn enter(&mut self, client: IpAddr, limits: &Limits) -> Result<Place, Refusal> {
        let network = limits.network(client);
        let own = self.clients.get(&client).copied().unwrap_or_default();
        let near = self.networks.get(&network).copied().unwrap_or_default();
        for (count, most, refusal) in [
            (
                own.sessions,
                limits.sessions_per_client,
                Refusal::ClientLimit,
            ),
            (
                own.before_login,
                limits.sessions_before_login_per_client,
                Refusal::ClientBeforeLoginLimit,
            ),
            (
                near.sessions,
                limits.sessions_per_network,
                Refusal::NetworkLimit,
            ),
            (self.all.sessions, limits.sessions, Refusal::Limit),
            (
                self.all.before_login,
                limits.sessions_before_login,
                Refusal::BeforeLoginLimit,
            ),
        ] {
            if count as usize >= most {
                return Err(refusal);
            }
        }
        Ok(self.enter_anyway(client, limits))
    }

    /// The same whatever the limits are: for ftplb's own checks.
    pub fn enter_anyway(&mut self, client: IpAddr, limits: &Limits) -> Place {
        let place = Place {
            prefix: limits.network(client).prefix_len(),
            has_logged_in: false,
        };
        self.count(client, &place, |count| {
            count.sessions += 1;
            count.before_login += 1;
        });
        place
    }

    /// Says whether the session has logged in by now; `REIN` takes that back.
    pub fn set_logged_in(&mut self, client: IpAddr, place: &mut Place, has_logged_in: bool) {
        if place.has_logged_in == has_logged_in {
            return;
        }
        place.has_logged_in = has_logged_in;
        self.count(client, place, |count| {
            if has_logged_in {
                count.before_login -= 1;
            } else {
                count.before_login += 1;
            }
        });
    }

    /// Gives the place of a session back.
    pub fn leave(&mut self, client: IpAddr, place: &Place) {
        self.count(client, place, |count| {
            count.sessions -= 1;
            count.before_login -= u32::from(!place.has_logged_in);
        });
    }

    /// How many there are.
    pub fn sessions(&self) -> usize {
        self.all.sessions as usize
    }

    /// How many of them have not logged in.
    pub fn before_login(&self) -> usize {
        self.all.before_login as usize
    }

    fn count(&mut self, client: IpAddr, place: &Place, change: impl Fn(&mut Count)) {
        change(&mut self.all);
        change_entry(&mut self.clients, client, &change);
        change_entry(&mut self.networks, network(client, place.prefix), &change);
    }
}

/// Changes a count, and keeps no entry for nothing.
fn change_entry<K: Eq + Hash>(counts: &mut HashMap<K, Count>, key: K, change: impl Fn(&mut Count)) {
    match counts.entry(key) {
        Entry::Occupied(mut entry) => {
            change(entry.get_mut());
            if entry.get().sessions == 0 {
                entry.remove();
            }
        }
        Entry::Vacant(entry) => change(entry.insert(Count::default())),
    }
}

/// The network of `prefix` bits that `client` is in. A prefix that the address does not have stands for
/// the address alone.
pub(super) fn network(client: IpAddr, prefix: u8) -> IpNet {
    IpNet::new(client, prefix).map_or_else(|_| client.into(), |network| network.trunc())
}

#[cfg(test)]
mod tests;
