use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{Affine, AffinityTable, FORGOTTEN_AT_ONCE};

const TIMEOUT: Duration = Duration::from_mins(5);

fn backend(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 21))
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_client_is_remembered_for_the_timeout_after_its_last_session() {
    let table = AffinityTable::new(TIMEOUT, 32, 128, 10);
    let (client, start) = (ip("192.0.2.1"), Instant::now());
    assert_eq!(table.lookup(client, start), None);
    table.remember(client, backend(1), start);
    let almost = start + TIMEOUT.saturating_sub(Duration::from_nanos(1));
    assert_eq!(table.lookup(client, almost), Some(backend(1)));
    assert_eq!(
        table.lookup(client, start + TIMEOUT),
        None,
        "a lookup does not refresh"
    );
    table.remember(client, backend(1), almost);
    assert_eq!(
        table.lookup(client, start + TIMEOUT),
        Some(backend(1)),
        "a session does"
    );
    table.remember(client, backend(2), start + TIMEOUT);
    assert_eq!(
        table.lookup(client, start + TIMEOUT),
        Some(backend(2)),
        "the last backend counts"
    );
}

#[test]
fn clients_of_one_network_count_as_one() {
    let table = [
        (32, 128, "192.0.2.1", "192.0.2.2", false),
        (24, 128, "192.0.2.1", "192.0.2.254", true),
        (24, 128, "192.0.2.1", "192.0.3.1", false),
        (0, 128, "192.0.2.1", "203.0.113.1", true),
        (0, 0, "192.0.2.1", "::1", false),
        (255, 255, "192.0.2.1", "192.0.2.2", false),
        (32, 64, "2001:db8::1", "2001:db8::ffff:1", true),
        (32, 64, "2001:db8::1", "2001:db8:0:1::1", false),
        (32, 64, "192.0.2.1", "::ffff:192.0.2.1", true),
        (24, 0, "::ffff:192.0.2.1", "192.0.2.9", true),
    ];
    for (prefix_v4, prefix_v6, first, second, same) in table {
        let affinity = AffinityTable::new(TIMEOUT, prefix_v4, prefix_v6, 10);
        let now = Instant::now();
        affinity.remember(ip(first), backend(1), now);
        assert_eq!(
            affinity.lookup(ip(second), now).is_some(),
            same,
            "{first} {second}"
        );
    }
}

#[test]
fn the_oldest_is_forgotten_first_and_a_refresh_makes_young() {
    let table = AffinityTable::new(TIMEOUT, 32, 128, 2);
    let (a, b, c) = (ip("192.0.2.1"), ip("192.0.2.2"), ip("192.0.2.3"));
    let now = Instant::now();
    for client in [a, b, a, c] {
        table.remember(client, backend(1), now);
    }
    let known = [a, b, c].map(|client| table.lookup(client, now).is_some());
    assert_eq!(known, [true, false, true]);
}

#[test]
fn a_table_of_no_entries_remembers_nobody() {
    let (table, now) = (AffinityTable::new(TIMEOUT, 32, 128, 0), Instant::now());
    table.remember(ip("192.0.2.1"), backend(1), now);
    assert_eq!(table.lookup(ip("192.0.2.1"), now), None);
    assert!(table.is_empty());
}

#[test]
fn what_is_over_leaves_a_few_at_a_time_as_others_come() {
    let (table, start) = (AffinityTable::new(TIMEOUT, 32, 128, 1_000), Instant::now());
    for n in 0..=255 {
        table.remember(Ipv4Addr::new(192, 0, 2, n).into(), backend(1), start);
    }
    let later = start + TIMEOUT;
    table.remember(ip("203.0.113.1"), backend(1), later);
    assert_eq!(table.len(), 257 - FORGOTTEN_AT_ONCE);
    for n in 0..=255 {
        table.remember(Ipv4Addr::new(203, 0, 113, n).into(), backend(1), later);
    }
    assert_eq!(table.len(), 256, "only those of now are left");
    table.remember(ip("203.0.113.1"), backend(1), later + TIMEOUT);
    assert_eq!(table.len(), 256 - FORGOTTEN_AT_ONCE);
}

#[test]
fn a_listing_has_the_latest_first_and_nothing_that_is_over() {
    let (table, start) = (AffinityTable::new(TIMEOUT, 24, 64, 10), Instant::now());
    let minute = Duration::from_mins(1);
    for (minutes, client) in [(0, "192.0.2.1"), (1, "2001:db8::1"), (2, "203.0.113.9")] {
        table.remember(ip(client), backend(1), start + minute * minutes);
    }
    table.remember(ip("2001:db8::2"), backend(2), start + minute * 3);
    let network = |network: &str, backend, minutes| Affine {
        network: network.parse().unwrap(),
        backend,
        remaining: minute * minutes,
    };
    let all = [
        network("2001:db8::/64", backend(2), 4),
        network("203.0.113.0/24", backend(1), 3),
        network("192.0.2.0/24", backend(1), 1),
    ];
    let now = start + minute * 4;
    assert_eq!(table.entries(10, now), all);
    assert_eq!(table.entries(2, now), all[..2]);
    assert_eq!(table.entries(0, now), []);
    assert_eq!(table.entries(10, now + minute).len(), 2);
    assert_eq!(table.entries(10, now + minute * 4), []);
    assert_eq!(table.len(), 3, "a listing changes nothing");
}

#[test]
fn sessions_from_many_threads_lose_nothing() {
    let (table, now) = (AffinityTable::new(TIMEOUT, 32, 128, 10_000), Instant::now());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let table = &table;
            scope.spawn(move || {
                for n in 0..1_000_u16 {
                    let [high, low] = n.to_be_bytes();
                    let client = IpAddr::from([10, thread, high, low]);
                    table.remember(client, backend(thread), now);
                    assert_eq!(table.lookup(client, now), Some(backend(thread)));
                }
            });
        }
    });
    assert_eq!(table.len(), 4_000);
    let of_first = |affine: &Affine| affine.backend == backend(0);
    let listed = table.entries(usize::MAX, now);
    assert_eq!(
        listed.iter().filter(|affine| of_first(affine)).count(),
        1_000
    );
}

proptest! {
    /// The table against one that is obvious, and its memory against its bound.
    #[test]
    fn any_sequence_of_sessions_is_remembered_as_said_and_bounded(
        sessions in proptest::collection::vec((0..12u8, 0..4u8, 0..60u64), 0..300),
        entries in 0..8usize,
    ) {
        let table = AffinityTable::new(TIMEOUT, 32, 128, entries);
        let mut model: HashMap<IpAddr, (usize, Instant, SocketAddr)> = HashMap::new();
        let mut now = Instant::now();
        for (turn, (client, server, seconds)) in sessions.into_iter().enumerate() {
            now += Duration::from_secs(seconds);
            let client = IpAddr::from([192, 0, 2, client]);
            model.insert(client, (turn, now, backend(server)));
            model.retain(|_, (_, since, _)| now - *since < TIMEOUT);
            if model.len() > entries {
                let oldest = *model.iter().min_by_key(|(_, (turn, ..))| *turn).unwrap().0;
                model.remove(&oldest);
            }
            table.remember(client, backend(server), now);
            for n in 0..12 {
                let client = IpAddr::from([192, 0, 2, n]);
                prop_assert_eq!(table.lookup(client, now), model.get(&client).map(|known| known.2));
            }
            prop_assert!(table.len() <= entries);
            let listed: Vec<IpAddr> = table
                .entries(usize::MAX, now)
                .iter()
                .map(|affine| affine.network.addr())
                .collect();
            let mut expected: Vec<_> = model.iter().map(|(client, known)| (known.0, *client)).collect();
            expected.sort_unstable();
            let expected: Vec<IpAddr> = expected.into_iter().rev().map(|(_, client)| client).collect();
            prop_assert_eq!(listed, expected);
        }
    }
}
