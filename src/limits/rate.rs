//! How often something may happen: token buckets, one alone or one for each of many clients.
//!
//! A bucket is no more than the moment at which it will be full again (the generic cell rate algorithm). Each
//! token that is taken puts that moment off by the time in which one token comes back; none is there while it
//! is a whole burst away.
//!
//! The buckets of clients have a table of fixed size, whoever comes from wherever. A bucket that is full again
//! needs no place. Where more clients than there are places have just been busy, the one that is nearest to
//! full is forgotten, and so forgiven: no client is refused for what others do.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// So many events in a time, and a burst of them after a pause.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    /// How many; at least 1.
    pub events: u32,
    /// In which time; more than zero.
    pub per: Duration,
    /// How many may come at once; at least 1.
    pub burst: u32,
}

/// The tokens of one client, or of one session.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    full_at: Instant,
}

/// The tokens of many clients.
#[derive(Debug, Default)]
pub struct Buckets {
    /// Empty until the first token is taken: a limit that is not set costs nothing.
    sets: Vec<Set>,
    hasher: RandomState,
}

type Set = [Option<(IpAddr, Bucket)>; WAYS];

impl Rate {
    /// In which time a token comes back.
    fn interval(self) -> Duration {
        (self.per / self.events.max(1)).max(Duration::from_nanos(1))
    }
}

impl Bucket {
    /// A full one.
    pub fn new(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// Takes a token; or takes none and says how long it is until there is one.
    pub fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        // A rate that has been changed holds from now on.
        self.full_at = now + self.owed(rate, now);
        let wait = self.wait(rate, now);
        if !wait.is_zero() {
            return Err(wait);
        }
        self.full_at += rate.interval();
        Ok(())
    }

    /// How long it is until there is a token. Zero: there is one.
    pub fn wait(self, rate: Rate, now: Instant) -> Duration {
        let most = rate.interval() * rate.burst.saturating_sub(1);
        self.owed(rate, now).saturating_sub(most)
    }

    /// The time that it takes to be full: nobody owes more than a burst.
    fn owed(self, rate: Rate, now: Instant) -> Duration {
        let owed = self.full_at.saturating_duration_since(now);
        owed.min(rate.interval() * rate.burst)
    }
}

impl Buckets {
    /// Takes a token of `client`; or takes none and says how long it is until it has one.
    #[expect(
        clippy::missing_panics_doc,
        reason = "it does not: the set exists, and has places"
    )]
    pub fn take(&mut self, client: IpAddr, rate: Rate, now: Instant) -> Result<(), Duration> {
        if self.sets.is_empty() {
            self.sets = vec![[None; WAYS]; SETS];
        }
        let set = self.hasher.hash_one(client) % (SETS as u64);
        let set = { usize::try_from(set).ok() }
            .and_then(|set| self.sets.get_mut(set))
            .expect("the rest is below the number of sets");
        if let Some((_, bucket)) = { set.iter_mut().flatten() }.find(|(of, _)| *of == client) {
            return bucket.take(rate, now);
        }
        let mut bucket = Bucket::new(now);
        let taken = bucket.take(rate, now);
        // The emptiest place, or that of the bucket which is nearest to full.
        let place = { set.iter_mut() }
            .min_by_key(|place| place.map(|(_, bucket)| bucket.full_at))
            .expect("a set has places");
        *place = Some((client, bucket));
        taken
    }
}

/// Places for clients whose hashes fall together.
const WAYS: usize = 4;

/// 16,384 clients can be short of a full bucket at a time, which takes 640 KiB. At the usual rates a client
/// with one session now and then is so for less than a second.
const SETS: usize = 4_096;

const _: () = assert!(size_of::<Set>() * SETS <= 640 << 10);

#[cfg(test)]
mod tests;
