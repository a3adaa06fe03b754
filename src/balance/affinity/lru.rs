//! The table behind affinity: a hash table of fixed size whose entries are also in the order of their last
//! sessions (least recently used first out).
//!
//! ```text
//! heads   [ · | 3 | · | 1 | · ]                by hash: the first place of a chain
//! entries [ 1: next ──▶ 2 | 2: | 3: | … ]      never more than the capacity
//!           newest ─▶ older ─▶ … ─▶ oldest     a list through the same entries
//! ```
//!
//! A general map is rehashed now and then, all of a million entries at once, while everybody waits; so is
//! each shard of a sharded one, and it needs the order beside it, with every key a second time. Here the heads
//! are made once for all entries that there can be, the links are places of four bytes, and the time of every
//! call is that of one chain. Memory that nothing was written to costs nothing: both arrays are reserved by
//! the allocator and become resident page by page.
//!
//! Clients choose addresses, so the hash has a key of its own in each table.

use std::collections::hash_map::RandomState;
use std::fmt::{Debug, Formatter};
use std::hash::BuildHasher;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Instant;

#[cfg(test)]
mod tests;

/// What is known of a network, and its links. One struct and not two: it would be 8 bytes longer.
pub(super) struct Entry {
    /// Its first address.
    pub(super) network: IpAddr,
    pub(super) backend: SocketAddr,
    /// When its last session began.
    pub(super) since: Instant,
    /// In the chain of its hash, or of free entries.
    next: Option<Place>,
    newer: Option<Place>,
    older: Option<Place>,
}

/// Entries by network and by age.
pub(super) struct Lru {
    capacity: usize,
    /// As many as the capacity, up to the next power of two.
    heads: Box<[Option<Place>]>,
    entries: Vec<Entry>,
    /// Those that were forgotten, chained.
    free: Option<Place>,
    newest: Option<Place>,
    oldest: Option<Place>,
    len: usize,
    hasher: RandomState,
}

/// An index of an entry, plus one.
type Place = NonZeroU32;

impl Lru {
    /// An empty table for `capacity` entries.
    pub(super) fn new(capacity: usize) -> Self {
        // Places have 32 bits. That is 400 GB of entries.
        let capacity = capacity.min(1 << 31);
        let heads = capacity.next_power_of_two();
        Self {
            capacity,
            heads: vec![None; heads].into(),
            entries: Vec::with_capacity(capacity),
            free: None,
            newest: None,
            oldest: None,
            len: 0,
            hasher: RandomState::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The entry of `network`.
    pub(super) fn get(&self, network: IpAddr) -> Option<&Entry> {
        self.find(network).map(|place| self.at(place))
    }

    /// Makes the entry of `network` the newest, with these values. The oldest leaves if there is no room
    /// for a new one.
    pub(super) fn put(&mut self, network: IpAddr, backend: SocketAddr, since: Instant) {
        if self.capacity == 0 {
            return;
        }
        if let Some(place) = self.find(network) {
            self.leave_order(place);
            let entry = self.at_mut(place);
            (entry.backend, entry.since) = (backend, since);
            self.enter_order(place);
            return;
        }
        if self.len == self.capacity {
            self.forget_oldest();
        }
        let next = *self.head(network);
        let place = self.place_for(Entry {
            network,
            backend,
            since,
            next,
            newer: None,
            older: None,
        });
        *self.head(network) = Some(place);
        self.enter_order(place);
        self.len += 1;
    }

    /// The entry that was put longest ago.
    pub(super) fn oldest(&self) -> Option<&Entry> {
        self.oldest.map(|place| self.at(place))
    }

    pub(super) fn forget_oldest(&mut self) {
        let Some(place) = self.oldest else { return };
        self.leave_chain(place);
        self.leave_order(place);
        self.at_mut(place).next = self.free;
        self.free = Some(place);
        self.len -= 1;
    }

    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Entry> {
        let older = |place: &Place| self.at(*place).older;
        std::iter::successors(self.newest, older).map(|place| self.at(place))
    }

    /// Puts `entry` where it is from now on.
    fn place_for(&mut self, entry: Entry) -> Place {
        if let Some(place) = self.free {
            self.free = self.at(place).next;
            *self.at_mut(place) = entry;
            return place;
        }
        self.entries.push(entry);
        u32::try_from(self.entries.len())
            .ok()
            .and_then(Place::new)
            .expect("there is an entry, and no more than the capacity")
    }

    fn find(&self, network: IpAddr) -> Option<Place> {
        let first = *self.heads.get(self.slot(network))?;
        let next = |place: &Place| self.at(*place).next;
        std::iter::successors(first, next).find(|place| self.at(*place).network == network)
    }

    fn leave_chain(&mut self, place: Place) {
        let entry = self.at(place);
        let (network, next) = (entry.network, entry.next);
        let first = *self.head(network);
        if first == Some(place) {
            *self.head(network) = next;
            return;
        }
        let next_of = |other: &Place| self.at(*other).next;
        let mut chain = std::iter::successors(first, next_of);
        let before = chain.find(|other| self.at(*other).next == Some(place));
        if let Some(before) = before {
            self.at_mut(before).next = next;
        }
    }

    fn enter_order(&mut self, place: Place) {
        let older = self.newest.replace(place);
        match older {
            Some(older) => self.at_mut(older).newer = Some(place),
            None => self.oldest = Some(place),
        }
        let entry = self.at_mut(place);
        (entry.newer, entry.older) = (None, older);
    }

    fn leave_order(&mut self, place: Place) {
        let entry = self.at(place);
        let (newer, older) = (entry.newer, entry.older);
        match newer {
            Some(newer) => self.at_mut(newer).older = older,
            None => self.newest = older,
        }
        match older {
            Some(older) => self.at_mut(older).newer = newer,
            None => self.oldest = newer,
        }
    }

    /// Where the chain of `network` begins.
    fn head(&mut self, network: IpAddr) -> &mut Option<Place> {
        let slot = self.slot(network);
        self.heads
            .get_mut(slot)
            .expect("a slot is below the number of heads")
    }

    fn slot(&self, network: IpAddr) -> usize {
        let heads = self.heads.len() as u64;
        usize::try_from(self.hasher.hash_one(network) % heads).expect("the rest is below a usize")
    }

    fn at(&self, place: Place) -> &Entry {
        self.entries.get(index(place)).expect(PLACES)
    }

    fn at_mut(&mut self, place: Place) -> &mut Entry {
        self.entries.get_mut(index(place)).expect(PLACES)
    }
}

impl Debug for Lru {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lru")
            .field("len", &self.len)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

fn index(place: Place) -> usize {
    usize::try_from(place.get() - 1).expect("the entries are in memory, so an index is a usize")
}

const PLACES: &str = "a place is that of an entry, and none is ever taken out";

// What an entry costs, with one head of four bytes for each, or two where the capacity is no power of two.
const _: () = assert!(size_of::<Entry>() <= 80 && size_of::<Option<Place>>() == 4);
