use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::AffinityTable;

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
    assert!(table.networks.is_empty());
}

#[test]
fn what_is_over_does_not_stay_in_memory() {
    let (table, now) = (AffinityTable::new(TIMEOUT, 32, 128, 1_000), Instant::now());
    for n in 0..=255 {
        table.remember(Ipv4Addr::new(192, 0, 2, n).into(), backend(1), now);
    }
    table.remember(ip("203.0.113.1"), backend(1), now + TIMEOUT);
    assert_eq!(table.networks.len(), 1);
    assert_eq!(table.order.lock().unwrap().places.len(), 1);
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
            prop_assert!(table.networks.len() <= entries);
            prop_assert!(table.order.lock().unwrap().places.len() <= 2 * entries + 1);
        }
    }
}
