//! Replicas that know nothing of each other send a session to the same backend (design decision 16).

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use super::{id, members, place, report, session_of};
use crate::balance::{Algorithm, Pool, Settings};

const HASHES: [Algorithm; 4] = [
    Algorithm::DestinationHash,
    Algorithm::Maglev,
    Algorithm::SourceHash,
    Algorithm::UserHash,
];

fn replica(algorithm: Algorithm, hash_port: bool, seed: u64) -> Pool {
    let settings = Settings {
        algorithm,
        hash_port,
        ..Settings::default()
    };
    let pool = Pool::new("files", seed, Instant::now());
    pool.configure(members(&[3, 1, 2, 5, 1]), settings, Instant::now());
    pool
}

/// The backends of many sessions of different clients, users and VIPs.
fn backends(pool: &Pool, now: Instant) -> Vec<Option<usize>> {
    let sessions = 0..200_u16;
    sessions
        .flat_map(|n| {
            let [high, low] = n.to_be_bytes();
            let user = format!("user-{n}");
            [
                Ipv4Addr::new(192, 0, 2, low).into(),
                Ipv6Addr::new(0x2001, 0xdb8, n, 0, 0, 0, 0, n).into(),
            ]
            .map(|client| {
                let mut request = session_of(client);
                request.client.set_port(40_000 + n);
                request.vip.set_ip(Ipv4Addr::new(198, 51, high, low).into());
                request.user = user.as_bytes();
                pool.pick(&request, &[], now).ok().as_ref().map(place)
            })
        })
        .collect()
}

#[test]
fn decision_16_replicas_agree_whatever_each_of_them_has_seen() {
    let now = Instant::now();
    for algorithm in HASHES {
        for hash_port in [false, true] {
            let [fresh, calm, eventful] = [1, 2, 3].map(|seed| replica(algorithm, hash_port, seed));
            // Both end with the fourth backend down and the second drained, by other ways.
            report(&calm, 3, false, now);
            calm.set_weight(id(1), Some(0), now);
            for index in [4, 2, 3, 0, 1] {
                report(&eventful, index, false, now);
                backends(&eventful, now);
            }
            eventful.set_weight(id(1), Some(0), now);
            for index in [1, 0, 4, 2, 3] {
                report(&eventful, index, true, now);
                backends(&eventful, now);
            }
            report(&eventful, 3, false, now);
            let name = algorithm.name();
            assert!(
                backends(&calm, now) == backends(&eventful, now),
                "{name}, two of five left out"
            );
            for pool in [&calm, &eventful] {
                report(pool, 3, true, now);
                pool.set_weight(id(1), Some(1), now);
                assert!(
                    backends(&fresh, now) == backends(pool, now),
                    "{name}, all back"
                );
            }
        }
    }
}
