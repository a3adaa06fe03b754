//! The ways of IPVS, which keepalived and ipvsadm share.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::ledger::{Id, Ledger};
use super::service::Told;
use crate::config::problem::Mistake;

/// The algorithms, here called schedulers.
pub(in crate::config) const ALGORITHMS: [&str; 14] = [
    "rr", "wrr", "lc", "wlc", "lblc", "sh", "mh", "dh", "fo", "ovf", "lblcr", "sed", "nq", "twos",
];

/// The algorithm where none is named.
pub(in crate::config) const ALGORITHM: &str = "wlc";

/// What differs where packets were not translated.
pub(in crate::config) const PROXIED: &str = "replies pass through ftplb; real servers need not have the virtual IP, and see ftplb's address";

/// What differs where a service takes every port.
pub(in crate::config) const ALL_PORTS: &str =
    "every port is meant, and only FTP is taken over: port 21 and its data";

/// Persistence without a time.
pub(in crate::config) const PERSISTENCE: Duration = Duration::from_mins(6);

/// The most that `-p` and `persistence_timeout` take: 31 days, in seconds.
pub(in crate::config) const LONGEST_PERSISTENCE: u64 = 31 * 24 * 60 * 60;

/// How long a client comes back to its server; more than ftplb remembers is made less.
pub(in crate::config) fn persistence(seconds: Told<u64>, ledger: &mut Ledger) -> Told<Duration> {
    if seconds.value > LONGEST_AFFINITY {
        ledger.differs(seconds.by, "7 days: ftplb remembers clients no longer");
    }
    seconds.map(|seconds| Duration::from_secs(seconds.min(LONGEST_AFFINITY)))
}

/// The bits of a mask such as `255.255.255.0`, if its ones stand together. The kernel takes others as
/// well; nobody means them.
pub(in crate::config) fn mask_bits(text: &str) -> Option<u64> {
    let mask = u32::from(text.parse::<Ipv4Addr>().ok()?);
    let is_prefix = mask.leading_ones() + mask.trailing_zeros() == u32::BITS || mask == 0;
    is_prefix.then(|| u64::from(mask.leading_ones()))
}

/// The bits of a prefix of IPv6, which stands in place of a mask.
pub(in crate::config) fn prefix_bits(text: &str) -> Option<u64> {
    text.parse().ok().filter(|bits| (1..=128).contains(bits))
}

/// Says that a service has more servers than are taken.
pub(in crate::config) fn report_too_many_servers(id: Id, ledger: &mut Ledger) {
    let message = format!("more than {MOST_SERVERS} servers of one service");
    let hint = "divide them among several services";
    ledger.mistake(id, Mistake::new(message, hint));
    ledger.leave_out();
}

/// Of one service. Each is compared with each.
pub(in crate::config) const MOST_SERVERS: usize = 1_024;

/// Seconds; ftplb's limit.
const LONGEST_AFFINITY: u64 = 7 * 24 * 60 * 60;
