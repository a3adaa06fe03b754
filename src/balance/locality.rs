//! The algorithms that keep a VIP's sessions together as long as they can: ipvs `lblc` and `lblcr`.
//!
//! They were made for caches behind a transparent proxy, where the destination is the site that is asked for
//! and its pages are best kept in one place. Of an FTP service the destination is the VIP: with one VIP all
//! sessions go to one backend until it is overloaded, which makes no sense except where other backends are
//! to stand by, and [`super::heaviest`] does that better. They are here so that a configuration that names
//! them behaves as it did.
//!
//! A backend is overloaded when it has more sessions than its weight while another has fewer than half of
//! its own. `lblc` then moves the VIP to the least busy backend (as by `wlc`). `lblcr` adds that one to the
//! VIP's set, from which the least busy takes each session. When a set of several has not changed for 24
//! hours (`lblcr_expiration`), the busiest leaves it.
//!
//! A VIP without sessions for 24 hours is forgotten. A set holds backends of the pool only, and the number
//! of VIPs is bounded.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::least;
use super::snapshot::{Candidates, Target};

#[cfg(test)]
mod tests;

/// The backends that VIPs are kept at.
#[derive(Debug, Default)]
pub(super) struct Localities {
    vips: Mutex<HashMap<IpAddr, Locality>>,
}

/// Where one VIP is.
#[derive(Debug)]
struct Locality {
    /// Under `lblc` one; under `lblcr` a set, the last one that came first.
    backends: Vec<SocketAddr>,
    /// When a backend last came or went.
    changed: Instant,
    used: Instant,
}

impl Localities {
    /// The backend of `vip`, or else the least busy one, which is that of `vip` from now on.
    pub(super) fn keep(
        &self,
        vip: IpAddr,
        candidates: Candidates<'_>,
        now: Instant,
    ) -> Option<usize> {
        self.with(vip, now, |locality| {
            let kept = locality.candidates(candidates).next();
            if let Some((index, _)) = kept.filter(|(_, kept)| !is_overloaded(kept, candidates)) {
                return Some(index);
            }
            let (index, target) = least_busy(candidates)?;
            locality.backends = vec![target.address];
            Some(index)
        })
    }

    /// The least busy backend of the set of `vip`, or else the least busy of all, which is of the set from
    /// now on.
    pub(super) fn replicate(
        &self,
        vip: IpAddr,
        candidates: Candidates<'_>,
        now: Instant,
    ) -> Option<usize> {
        self.with(vip, now, |locality| {
            let set = locality.candidates(candidates);
            let least = least::least_for_its_share(set, least::sessions);
            locality.shrink(candidates, now);
            let least = least.and_then(|index| candidates.get(index));
            if let Some((index, _)) = least.filter(|(_, least)| !is_overloaded(least, candidates)) {
                return Some(index);
            }
            let (index, target) = least_busy(candidates)?;
            locality.grow(target.address, candidates, now);
            Some(index)
        })
    }

    /// Does `pick` with what is known of `vip`, which may be nothing.
    fn with(
        &self,
        vip: IpAddr,
        now: Instant,
        pick: impl FnOnce(&mut Locality) -> Option<usize>,
    ) -> Option<usize> {
        let mut vips = self.vips.lock().unwrap_or_else(PoisonError::into_inner);
        if !vips.contains_key(&vip) {
            make_room(&mut vips);
        }
        let unknown = || Locality {
            backends: Vec::new(),
            changed: now,
            used: now,
        };
        let locality = vips.entry(vip).or_insert_with(unknown);
        if now.saturating_duration_since(locality.used) >= EXPIRATION {
            *locality = unknown();
        }
        locality.used = now;
        pick(locality)
    }
}

impl Locality {
    /// Its backends that can take a session, in its own order.
    fn candidates<'a>(
        &self,
        candidates: Candidates<'a>,
    ) -> impl Iterator<Item = (usize, &'a Target)> {
        self.backends.iter().filter_map(move |address| {
            candidates
                .iter()
                .find(|(_, target)| target.address == *address)
        })
    }

    /// Adds a backend, and lets go of those that the pool no longer has.
    fn grow(&mut self, backend: SocketAddr, candidates: Candidates<'_>, now: Instant) {
        if !self.backends.contains(&backend) {
            self.backends
                .retain(|address| candidates.all().any(|target| target.address == *address));
            self.backends.insert(0, backend);
            self.changed = now;
        }
    }

    /// Lets the busiest of several backends go if nothing has changed for long.
    fn shrink(&mut self, candidates: Candidates<'_>, now: Instant) {
        let is_settled = now.saturating_duration_since(self.changed) > EXPIRATION;
        if self.backends.len() < 2 || !is_settled {
            return;
        }
        let load = |address: &SocketAddr| {
            let mut all = candidates.all();
            let target = all.find(|target| target.address == *address && target.weight > 0)?;
            Some((*address, least::sessions(target), u64::from(target.share)))
        };
        let loads = self.backends.iter().filter_map(load);
        let busiest = loads.reduce(|most, next| {
            let ((_, most_sessions, most_share), (_, sessions, share)) = (most, next);
            if most_sessions * share < sessions * most_share {
                next
            } else {
                most
            }
        });
        if let Some((busiest, ..)) = busiest {
            self.backends.retain(|address| *address != busiest);
            self.changed = now;
        }
    }
}

/// Whether `target` has too many sessions while another candidate has few.
fn is_overloaded(target: &Target, candidates: Candidates<'_>) -> bool {
    least::sessions(target) > u64::from(target.weight)
        && candidates
            .iter()
            .any(|(_, other)| least::sessions(other) * 2 < u64::from(other.weight))
}

fn least_busy(candidates: Candidates<'_>) -> Option<(usize, &Target)> {
    candidates.get(least::weighted_least_connections(candidates)?)
}

/// Forgets the VIP whose last session is longest ago if there are too many for another.
fn make_room(vips: &mut HashMap<IpAddr, Locality>) {
    if vips.len() >= VIPS {
        let oldest = vips.iter().min_by_key(|(_, locality)| locality.used);
        if let Some(oldest) = oldest.map(|(vip, _)| *vip) {
            vips.remove(&oldest);
        }
    }
}

/// For how long a VIP is kept without sessions and a set without changes. The default of ipvs.
const EXPIRATION: Duration = Duration::from_hours(24);

/// The VIPs that are remembered. A pool has one for each listener, more only where listeners take whatever
/// address the host has. A search of them all takes microseconds.
const VIPS: usize = 1_024;
