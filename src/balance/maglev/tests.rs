use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use proptest::prelude::*;

use super::Maglev;
use crate::balance::tests::targets;
use crate::balance::{Algorithm, Rotation, Snapshot, Target};

/// How many clients a distribution is judged by.
const CLIENTS: u32 = 100_000;

fn snapshot(targets: Vec<Target>) -> Snapshot {
    Snapshot::new(Algorithm::SourceHash, targets)
}

fn slots_of(targets: &[Target]) -> Box<[u16]> {
    Maglev::new(targets.iter().enumerate()).unwrap().slots
}

/// The backend of a client, by address.
fn backend(snapshot: &Snapshot, client: IpAddr, tried: &[usize]) -> Option<SocketAddr> {
    let index = snapshot.pick(client, tried, &Rotation::default())?;
    Some(snapshot.targets()[index].address)
}

/// Neighbouring addresses, as clients have them.
fn clients() -> impl Iterator<Item = IpAddr> {
    (0..CLIENTS).map(|n| Ipv4Addr::from_bits(0x0a00_0000 + n).into())
}

/// The clients' backends, as indexes.
fn picks(snapshot: &Snapshot) -> Vec<usize> {
    let rotation = Rotation::default();
    clients()
        .filter_map(|client| snapshot.pick(client, &[], &rotation))
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
        sessions[snapshot
            .pick(client.into(), &[], &Rotation::default())
            .unwrap()] += 1;
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
        let first = snapshot.pick(client, &[], &Rotation::default()).unwrap();
        let second = snapshot
            .pick(client, &[first], &Rotation::default())
            .unwrap();
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
