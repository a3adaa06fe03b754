use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use proptest::prelude::*;

use super::table;
use crate::balance::tests::{hashing, ids, session_of, targets};
use crate::balance::{Algorithm, Memory, Request, Snapshot, Target};

/// How many clients a distribution is judged by.
const CLIENTS: u32 = 100_000;

fn snapshot(targets: Vec<Target>) -> Snapshot {
    hashing(Algorithm::Maglev, false, targets)
}

fn slots_of(targets: &[Target]) -> Vec<u16> {
    table(targets.iter().enumerate()).unwrap().owners().to_vec()
}

/// The index of the backend of a session.
fn pick(snapshot: &Snapshot, request: &Request<'_>, tried: &[usize]) -> Option<usize> {
    snapshot.pick(request, &ids(tried), &Memory::new(1), Instant::now())
}

/// The backend of a client, by address.
fn backend(snapshot: &Snapshot, client: IpAddr, tried: &[usize]) -> Option<SocketAddr> {
    let index = pick(snapshot, &session_of(client), tried)?;
    Some(snapshot.targets()[index].address)
}

/// Neighbouring addresses, as clients have them.
fn clients() -> impl Iterator<Item = IpAddr> {
    (0..CLIENTS).map(|n| Ipv4Addr::from_bits(0x0a00_0000 + n).into())
}

/// The clients' backends, as indexes.
fn picks(snapshot: &Snapshot) -> Vec<usize> {
    clients()
        .filter_map(|client| pick(snapshot, &session_of(client), &[]))
        .collect()
}

fn share(weights: &[u32], index: usize) -> f64 {
    f64::from(weights[index]) / f64::from(weights.iter().sum::<u32>())
}

/// The values are those of another implementation of the module's words, made apart from this code.
#[test]
fn decision_16_a_client_meets_the_same_backend_for_ever() {
    let snapshot = snapshot(targets(&[1, 2, 3]));
    let golden = [
        ("192.0.2.1", 3),
        ("192.0.2.2", 1),
        ("198.51.100.7", 1),
        ("203.0.113.250", 3),
        ("10.1.2.3", 3),
        ("2001:db8::1", 3),
        ("2001:db8:1::abcd", 2),
        ("fe80::1", 2),
    ];
    for (client, last_octet) in golden {
        let expected = SocketAddr::from(([10, 0, 0, last_octet], 21));
        let client: IpAddr = client.parse().unwrap();
        assert_eq!(backend(&snapshot, client, &[]), Some(expected), "{client}");
    }
    let mut slots: HashMap<u16, u32> = HashMap::new();
    for slot in slots_of(&targets(&[1, 2, 3])) {
        *slots.entry(slot).or_default() += 1;
    }
    assert_eq!(
        [0, 1, 2].map(|index| slots[&index]),
        [10_923, 21_846, 32_768]
    );
}

/// The values are those of the same other implementation.
#[test]
fn decision_16_a_user_meets_the_same_backend_for_ever() {
    let snapshot = hashing(Algorithm::UserHash, false, targets(&[1, 2, 3]));
    let golden: [(&[u8], usize); 8] = [
        (b"anonymous", 2),
        (b"alice", 1),
        (b"scanner-017", 2),
        (b"partner@example", 0),
        (b"bob", 2),
        (b"", 2),
        ("jörg".as_bytes(), 2),
        (b"\xff\xfe", 0),
    ];
    for (user, index) in golden {
        for client in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
            let mut request = session_of(client.parse().unwrap());
            request.user = user;
            assert_eq!(pick(&snapshot, &request, &[]), Some(index), "{user:?}");
        }
    }
}

#[test]
fn every_byte_of_a_name_counts_and_so_does_case() {
    let snapshot = hashing(Algorithm::UserHash, false, targets(&[1; 20]));
    let backend = |user: &str| {
        let mut request = session_of(Ipv4Addr::LOCALHOST.into());
        request.user = user.as_bytes();
        pick(&snapshot, &request, &[])
    };
    for other in ["Backup", "backup ", "backu", "backup1"] {
        assert_ne!(backend("backup"), backend(other), "{other:?}");
    }
}

/// The values are those of the same other implementation.
#[test]
fn the_port_counts_only_where_it_is_to() {
    let golden = [
        ("192.0.2.1", 1_024, 2),
        ("192.0.2.1", 65_535, 0),
        ("2001:db8::1", 1_024, 1),
        ("2001:db8::1", 1_025, 2),
    ];
    let [with, without] =
        [true, false].map(|port| hashing(Algorithm::Maglev, port, targets(&[1, 2, 3])));
    for (client, port, index) in golden {
        let mut request = session_of(client.parse().unwrap());
        request.client.set_port(port);
        assert_eq!(pick(&with, &request, &[]), Some(index), "{client} {port}");
        assert_eq!(pick(&without, &request, &[]), Some(2), "{client} {port}");
    }
}

#[test]
fn decision_16_the_order_of_the_backends_does_not_matter() {
    let straight = targets(&[1, 2, 3, 4]);
    let mut turned = straight.clone();
    turned.rotate_left(1);
    turned.swap(0, 2);
    let owners = |targets: &[Target]| -> Vec<SocketAddr> {
        let owner = |slot: &u16| targets[usize::from(*slot)].address;
        slots_of(targets).iter().map(owner).collect()
    };
    assert!(owners(&straight) == owners(&turned));
}

#[test]
fn v2_a_mapped_client_is_its_ipv4_self() {
    let snapshot = snapshot(targets(&[1; 7]));
    for n in 0..100 {
        let client = Ipv4Addr::new(192, 0, 2, n);
        let mapped = client.to_ipv6_mapped();
        assert_eq!(
            backend(&snapshot, client.into(), &[]),
            backend(&snapshot, mapped.into(), &[])
        );
    }
}

#[test]
fn ipv6_clients_are_shared_out_by_their_last_bits_too() {
    let snapshot = snapshot(targets(&[1; 4]));
    let mut sessions = [0; 4];
    for n in 0..4_000 {
        let client = Ipv6Addr::from_bits(0x2001_0db8_0000_0000_0000_0000_0000_0000 + n);
        sessions[pick(&snapshot, &session_of(client.into()), &[]).unwrap()] += 1;
    }
    assert!(
        sessions
            .iter()
            .all(|sessions| (850..1_150).contains(sessions)),
        "{sessions:?}"
    );
}

#[test]
fn the_clients_of_a_tried_backend_are_shared_out_among_the_others() {
    let snapshot = snapshot(targets(&[1; 5]));
    let mut sessions = [0; 5];
    for client in clients().take(20_000) {
        let first = pick(&snapshot, &session_of(client), &[]).unwrap();
        let second = pick(&snapshot, &session_of(client), &[first]).unwrap();
        assert_ne!(first, second);
        if first == 0 {
            sessions[second] += 1;
        }
    }
    assert!(
        sessions[1..]
            .iter()
            .all(|sessions| (800..1_200).contains(sessions)),
        "{sessions:?}"
    );
}

#[test]
fn the_lightest_backend_has_clients_too() {
    assert!(slots_of(&targets(&[1, 1_000_000])).contains(&0));
}

proptest! {
    // A table takes long to make without optimisation.
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn every_backend_gets_its_share(weights in proptest::collection::vec(1..20u32, 1..10)) {
        let picks = picks(&snapshot(targets(&weights)));
        for index in 0..weights.len() {
            let sessions = picks.iter().filter(|pick| **pick == index).count();
            let (share, clients) = (share(&weights, index), f64::from(CLIENTS));
            // Six times the deviation of as many throws of a coin.
            let bound = 6.0 * (clients * share * (1.0 - share)).sqrt() + 1.0;
            let off = f64::from(u32::try_from(sessions).unwrap()) - clients * share;
            prop_assert!(off.abs() <= bound, "{weights:?}: {index} is off by {off}");
        }
    }

    #[test]
    fn a_backend_that_goes_moves_its_own_clients_and_few_others(
        weights in proptest::collection::vec(1..20u32, 2..10),
        gone in any::<prop::sample::Index>(),
    ) {
        let gone = gone.index(weights.len());
        let mut rest = targets(&weights);
        let before = picks(&snapshot(rest.clone()));
        rest[gone].weight = 0;
        let after = picks(&snapshot(rest));
        let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
        let moved = f64::from(u32::try_from(moved).unwrap()) / f64::from(CLIENTS);
        // Its share of the table is not exactly its share of these clients: half a percent.
        prop_assert!(moved <= share(&weights, gone) + 0.02 + 0.005, "{weights:?} without {gone}: {moved}");
    }
}
