//! Log lines about clients that are refused: one a minute for each, and one for all that are too many to be
//! named.
//!
//! ```text
//!  first event ─▶ a line ─▶ known for a minute: counted ─▶ a line with the number, and known for another
//!      │                          └── nothing more came: forgotten
//!      └── the table is full: counted among the others, who get one line together
//! ```
//! Every event is in exactly one line. The metrics have each as it comes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Lets one event of a source through in a minute, and counts the others.
#[derive(Debug, Default)]
pub struct Sources {
    table: Mutex<Table>,
}

/// Events that no line was written for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct More {
    /// Whose they are and what became of them; `None`: of sources that are not known.
    pub of: Option<(IpAddr, &'static str)>,
    /// How many.
    pub events: u64,
}

#[derive(Debug, Default)]
struct Table {
    known: HashMap<(IpAddr, &'static str), Told>,
    others: u64,
    others_told: Option<Instant>,
}

#[derive(Debug)]
struct Told {
    at: Instant,
    suppressed: u64,
}

impl Sources {
    /// Whether a line may be written about what happens to `source` at `now`: `Some` says how many events have
    /// been kept back since the last one.
    pub fn pass(&self, source: IpAddr, what: &'static str, now: Instant) -> Option<u64> {
        let mut table = self.table();
        let key = (source, what);
        if let Some(told) = table.known.get_mut(&key) {
            if is_recent(told.at, now) {
                told.suppressed += 1;
                return None;
            }
            told.at = now;
            return Some(std::mem::take(&mut told.suppressed));
        }
        if table.known.len() >= MOST {
            table.others += 1;
            return None;
        }
        let told = Told {
            at: now,
            suppressed: 0,
        };
        table.known.insert(key, told);
        Some(0)
    }

    /// What has been kept back for a minute: one line each. To be asked every second or so.
    pub fn sweep(&self, now: Instant) -> Vec<More> {
        let mut more = Vec::new();
        let mut table = self.table();
        table.known.retain(|of, told| {
            if is_recent(told.at, now) {
                return true;
            }
            let events = std::mem::take(&mut told.suppressed);
            told.at = now;
            if events > 0 {
                let of = Some(*of);
                more.push(More { of, events });
            }
            events > 0
        });
        let is_due = { table.others_told }.is_none_or(|at| !is_recent(at, now));
        if table.others > 0 && is_due {
            table.others_told = Some(now);
            let events = std::mem::take(&mut table.others);
            more.push(More { of: None, events });
        }
        more
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_recent(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < INTERVAL
}

/// Between two lines about one source.
const INTERVAL: Duration = Duration::from_secs(60);

/// Sources that are known at a time, and so lines a minute. Nobody reads more of them than that.
const MOST: usize = 256;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn ip(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(number).into()
    }

    #[test]
    fn a_source_has_one_line_a_minute_and_no_event_is_lost() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let sources = Sources::default();
        assert_eq!(sources.pass(ip(1), "limit", now), Some(0));
        assert_eq!(sources.pass(ip(1), "rate", now), Some(0), "another matter");
        assert_eq!(sources.pass(ip(2), "limit", now), Some(0), "another source");
        for second in [1, 30, 59] {
            assert_eq!(sources.pass(ip(1), "limit", at(second)), None);
            assert_eq!(sources.sweep(at(second)), []);
        }
        let more = More {
            of: Some((ip(1), "limit")),
            events: 3,
        };
        assert_eq!(sources.sweep(at(60)), [more]);
        assert_eq!(sources.table().known.len(), 1, "the silent are forgotten");
        // That was its line for this minute.
        assert_eq!(sources.pass(ip(1), "limit", at(61)), None);
        assert_eq!(sources.pass(ip(1), "limit", at(120)), Some(1));
        assert_eq!(sources.sweep(at(180)), []);
        assert!(sources.table().known.is_empty());
    }

    #[test]
    fn sources_that_are_too_many_have_one_line_together() {
        let now = Instant::now();
        let sources = Sources::default();
        let most = u32::try_from(MOST).unwrap();
        let told = (0..100_000).filter(|number| sources.pass(ip(*number), "denied", now).is_some());
        assert_eq!(told.count(), MOST);
        assert_eq!(sources.table().known.len(), MOST);
        let more = |events| [More { of: None, events }];
        assert_eq!(sources.sweep(now), more(u64::from(100_000 - most)));
        assert_eq!(sources.pass(ip(most), "denied", now), None);
        let later = now + INTERVAL / 2;
        assert_eq!(sources.sweep(later), [], "once a minute");
        assert_eq!(sources.sweep(now + INTERVAL), more(1));
        // There is room again.
        assert_eq!(sources.pass(ip(most), "denied", now + INTERVAL), Some(0));
    }
}
