use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use proptest::prelude::*;

use super::{Lru, Place};

fn network(n: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, n])
}

fn backend(n: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], n))
}

impl Lru {
    /// The places that hang together from `first` on.
    fn places(&self, first: Option<Place>, next: fn(&super::Entry) -> Option<Place>) -> Vec<Place> {
        std::iter::successors(first, |place| next(self.at(*place)))
            .take(1_000)
            .collect()
    }

    /// Every entry is in one chain and at one place of the order, or free; the order reads the same from
    /// both ends.
    fn check(&self) {
        let mut chained = Vec::new();
        for (slot, head) in self.heads.iter().enumerate() {
            let chain = self.places(*head, |entry| entry.next);
            assert!(
                chain
                    .iter()
                    .all(|place| self.slot(self.at(*place).network) == slot)
            );
            chained.extend(chain);
        }
        let mut ordered = self.places(self.newest, |entry| entry.older);
        let mut backwards = self.places(self.oldest, |entry| entry.newer);
        backwards.reverse();
        assert_eq!(ordered, backwards);
        ordered.sort_unstable();
        chained.sort_unstable();
        assert_eq!(ordered, chained);
        assert_eq!(ordered.len(), self.len);
        let mut all = ordered;
        all.extend(self.places(self.free, |entry| entry.next));
        all.sort_unstable();
        let expected: Vec<Place> = (1..=self.entries.len())
            .map(|n| Place::new(u32::try_from(n).unwrap()).unwrap())
            .collect();
        assert_eq!(all, expected);
        assert!(self.entries.len() <= self.capacity);
    }
}

#[test]
fn memory_is_reserved_once() {
    let mut lru = Lru::new(100);
    let reserved = (lru.entries.as_ptr(), lru.heads.as_ptr());
    for n in 0..=255 {
        lru.put(network(n), backend(1), Instant::now());
    }
    assert_eq!(reserved, (lru.entries.as_ptr(), lru.heads.as_ptr()));
    assert_eq!((lru.len(), lru.entries.len()), (100, 100));
}

proptest! {
    /// The table against a list that is moved about, with chains of any length.
    #[test]
    fn any_sequence_of_changes_keeps_the_links_right(
        changes in proptest::collection::vec((0..20u8, any::<bool>()), 0..200),
        capacity in 0..12usize,
    ) {
        let (mut lru, now) = (Lru::new(capacity), Instant::now());
        let mut model: Vec<(IpAddr, SocketAddr)> = Vec::new();
        for (turn, (n, forget)) in (0..).zip(changes) {
            if forget {
                lru.forget_oldest();
                model.pop();
            } else {
                lru.put(network(n), backend(turn), now);
                model.retain(|(known, _)| *known != network(n));
                model.insert(0, (network(n), backend(turn)));
                model.truncate(capacity);
            }
            lru.check();
            let listed: Vec<_> = lru.newest_first().map(|entry| (entry.network, entry.backend)).collect();
            prop_assert_eq!(&listed, &model);
            prop_assert_eq!(lru.oldest().map(|entry| entry.network), model.last().map(|known| known.0));
            for n in 0..20 {
                let known = model.iter().find(|(known, _)| *known == network(n));
                prop_assert_eq!(lru.get(network(n)).map(|entry| entry.backend), known.map(|known| known.1));
            }
        }
    }
}
