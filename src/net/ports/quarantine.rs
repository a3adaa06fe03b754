//! Passive ports that a client's late SYN may still reach (P11).
//!
//! A client that gave up may still have a SYN under way. It would be taken for the connection of the next
//! session from that address, so for a while no other session of that client gets the port. A lease
//! that was used up leaves none behind: its client connected. And for its own session a late connection is
//! no stranger's, which spares small ranges from a client that asks again and again.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::time::Instant;

/// The virtual IP and port, and the client.
pub type Key = (SocketAddr, IpAddr);

/// Who had which port lately, without having used it.
#[derive(Default)]
pub(super) struct Quarantine {
    entries: HashMap<Key, Entry>,
    /// In order of time. One that was renewed is in it twice.
    ends: VecDeque<(Instant, Key)>,
}

struct Entry {
    session: u64,
    end: Instant,
}

impl Quarantine {
    /// Whether `session` must not have the port.
    pub(super) fn holds(&self, key: Key, session: u64) -> bool {
        self.entries
            .get(&key)
            .is_some_and(|entry| entry.session != session)
    }

    /// Whose ports are kept from other sessions.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        self.entries.keys().copied()
    }

    /// What was added after `since` and is not over.
    pub(super) fn added_after(&self, since: Option<Instant>) -> Vec<Key> {
        let is_new = |end: &Instant| since.is_none_or(|since| *end > since + QUARANTINE);
        let new = { self.ends.iter().rev() }.take_while(|(end, _)| is_new(end));
        new.map(|(_, key)| *key).collect()
    }

    /// Keeps the port for `session` from now on.
    pub(super) fn add(&mut self, key: Key, session: u64, now: Instant) {
        self.forget_old(now);
        if self.ends.len() >= ENTRIES {
            self.forget_first();
        }
        let end = now + QUARANTINE;
        self.entries.insert(key, Entry { session, end });
        self.ends.push_back((end, key));
    }

    pub(super) fn forget_old(&mut self, now: Instant) {
        while self.ends.front().is_some_and(|(end, _)| *end <= now) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((end, key)) = self.ends.pop_front()
            && self.entries.get(&key).is_some_and(|entry| entry.end == end)
        {
            self.entries.remove(&key);
        }
    }
}

/// P11. A SYN is sent again after 1, 3, 7 and 15 seconds.
const QUARANTINE: Duration = Duration::from_secs(30);

/// The oldest is forgotten first. Up to 136 abandoned leases a second each has its 30 seconds.
const ENTRIES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(port: u16) -> Key {
        (([127, 0, 0, 1], port).into(), [127, 0, 0, 2].into())
    }

    #[test]
    fn p11_a_port_is_kept_from_other_sessions_for_thirty_seconds() {
        let (now, mut quarantine) = (Instant::now(), Quarantine::default());
        quarantine.add(key(1), 7, now);
        assert!(quarantine.holds(key(1), 8));
        assert!(!quarantine.holds(key(1), 7), "its own session may have it");
        assert!(!quarantine.holds(key(2), 8));
        quarantine.forget_old(now + QUARANTINE / 2);
        assert!(quarantine.holds(key(1), 8));
        quarantine.forget_old(now + QUARANTINE);
        assert!(!quarantine.holds(key(1), 8));
    }

    #[test]
    fn what_is_new_is_told_of() {
        let (now, mut quarantine) = (Instant::now(), Quarantine::default());
        let later = now + Duration::from_secs(1);
        quarantine.add(key(1), 7, now);
        quarantine.add(key(2), 7, later);
        assert_eq!(quarantine.added_after(None), [key(2), key(1)]);
        assert_eq!(quarantine.added_after(Some(now)), [key(2)]);
        assert_eq!(quarantine.added_after(Some(later)), []);
    }

    #[test]
    fn a_renewed_entry_outlives_its_first_end() {
        let (now, mut quarantine) = (Instant::now(), Quarantine::default());
        quarantine.add(key(1), 7, now);
        quarantine.add(key(1), 8, now + QUARANTINE / 2);
        quarantine.forget_old(now + QUARANTINE);
        assert!(quarantine.holds(key(1), 7));
    }

    #[test]
    fn the_oldest_is_forgotten_when_the_table_is_full() {
        let (now, mut quarantine) = (Instant::now(), Quarantine::default());
        for port in 0..=ENTRIES {
            quarantine.add(key(u16::try_from(port).unwrap()), 7, now);
        }
        assert!(!quarantine.holds(key(0), 8));
        assert!(quarantine.holds(key(1), 8));
        assert_eq!(quarantine.ends.len(), ENTRIES);
    }
}
