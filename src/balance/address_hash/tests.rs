use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use super::{SLOTS, slot_of};
use crate::balance::tests::{hashing, ids, session_of, snapshot, targets};
use crate::balance::{Algorithm, Memory, Request, Snapshot, Target};
use crate::health::Availability;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn pick(snapshot: &Snapshot, request: &Request<'_>, tried: &[usize]) -> Option<usize> {
    snapshot.pick(request, &ids(tried), &Memory::new(1), Instant::now())
}

/// The owners of the first slots, as letters.
fn spell(algorithm: Algorithm, targets: Vec<Target>) -> String {
    let snapshot = snapshot(algorithm, targets);
    let owners = snapshot.slots.as_ref().unwrap().owners();
    assert_eq!(owners.len(), 256);
    let letter = |owner: &u16| char::from(b'A' + u8::try_from(*owner).unwrap());
    owners.iter().take(12).map(letter).collect()
}

#[test]
fn slots_are_dealt_out_in_the_order_of_the_list() {
    let table: [(&[u32], &str, &str); 6] = [
        (&[1, 1, 1], "ABCABCABCABC", "ABCABCABCABC"),
        (&[3, 1, 2], "AAABCCAAABCC", "ABCABCABCABC"),
        (&[2, 0, 1], "AABCAABCAABC", "ABCABCABCABC"),
        (&[300, 1], "AAAAAAAAAAAA", "ABABABABABAB"),
        (&[u32::MAX, 1], "AAAAAAAAAAAA", "ABABABABABAB"),
        (&[7], "AAAAAAAAAAAA", "AAAAAAAAAAAA"),
    ];
    for (weights, by_weight, in_turn) in table {
        assert_eq!(
            spell(Algorithm::SourceHash, targets(weights)),
            by_weight,
            "{weights:?}"
        );
        assert_eq!(
            spell(Algorithm::DestinationHash, targets(weights)),
            in_turn,
            "{weights:?}"
        );
    }
}

#[test]
fn a_backend_that_is_down_has_no_slot_whatever_its_weight() {
    for weight in [0, 2] {
        let mut targets = targets(&[1, weight, 2]);
        targets[1].state = Availability::Down;
        assert_eq!(
            spell(Algorithm::SourceHash, targets.clone()),
            "ACCACCACCACC"
        );
        assert_eq!(spell(Algorithm::DestinationHash, targets), "ACACACACACAC");
    }
}

/// The values are those of a transcription of `ip_vs_sh_hashkey` and `ip_vs_sh_get_fallback` of Linux 6 in
/// another language, for backends of weights 3, 0, 1 and 2: the slot, its owner, or else the backend that is
/// next, and the next if the first backend was tried; and the same of `dh`.
#[test]
fn addresses_come_to_the_slots_and_backends_of_ipvs() {
    let table = [
        ("192.0.2.1", 0, 50, 0, 2, 2),
        ("192.0.2.2", 0, 148, 0, 3, 0),
        ("192.0.2.3", 0, 246, 0, 3, 2),
        ("198.51.100.7", 0, 171, 0, 2, 3),
        ("203.0.113.250", 0, 78, 0, 2, 2),
        ("10.1.2.3", 0, 2, 0, 2, 2),
        ("255.255.255.255", 0, 158, 2, 2, 2),
        ("0.0.0.0", 0, 0, 0, 2, 0),
        ("2001:db8::1", 0, 63, 0, 2, 3),
        ("2001:db8:1::abcd", 0, 151, 2, 2, 3),
        ("fe80::1", 0, 247, 0, 2, 3),
        ("192.0.2.1", 1_024, 84, 0, 2, 0),
        ("192.0.2.1", 65_535, 87, 3, 3, 3),
        ("255.255.255.255", 1, 0, 0, 2, 0),
        ("2001:db8::1", 40_000, 226, 0, 2, 2),
    ];
    let of = |algorithm| hashing(algorithm, true, targets(&[3, 0, 1, 2]));
    let by_source = of(Algorithm::SourceHash);
    let by_destination = of(Algorithm::DestinationHash);
    for (address, port, slot, first, next, of_destination) in table {
        let fact = format!("{address} {port}");
        assert_eq!(slot_of(ip(address), Some(port)), slot, "{fact}");
        let mut request = session_of(ip(address));
        request.client.set_port(port);
        assert_eq!(pick(&by_source, &request, &[]), Some(first), "{fact}");
        assert_eq!(pick(&by_source, &request, &[0]), Some(next), "{fact}");
        if port == 0 {
            request.vip.set_ip(ip(address));
            let picked = pick(&by_destination, &request, &[]);
            assert_eq!(picked, Some(of_destination), "{fact}");
        }
    }
}

#[test]
fn the_port_counts_only_where_it_is_to() {
    let client = ip("192.0.2.1");
    let backends = |hash_port| -> Vec<Option<usize>> {
        let snapshot = hashing(Algorithm::SourceHash, hash_port, targets(&[1; 8]));
        (50_000..50_050)
            .map(|port| {
                let mut request = session_of(client);
                request.client.set_port(port);
                pick(&snapshot, &request, &[])
            })
            .collect()
    };
    let (without, with) = (backends(false), backends(true));
    assert!(without.iter().all(|backend| *backend == without[0]));
    for backend in 0..8 {
        assert!(with.contains(&Some(backend)), "{with:?}");
    }
}

#[test]
fn v2_a_mapped_address_is_its_ipv4_self() {
    for n in 0..100 {
        let address = Ipv4Addr::new(192, 0, 2, n);
        let mapped = address.to_ipv6_mapped().into();
        assert_eq!(slot_of(mapped, None), slot_of(address.into(), None));
    }
}

#[test]
fn one_vip_has_one_backend_and_its_port_does_not_matter() {
    let snapshot = snapshot(Algorithm::DestinationHash, targets(&[1, 9, 3]));
    let first = pick(&snapshot, &session_of(ip("192.0.2.1")), &[]);
    for n in 0..=255 {
        let mut request = session_of(Ipv4Addr::new(203, 0, 113, n).into());
        request.vip.set_port(1_000 + u16::from(n));
        assert_eq!(pick(&snapshot, &request, &[]), first);
    }
}

#[test]
fn the_sessions_of_a_tried_backend_meet_another_until_all_were_tried() {
    for algorithm in [Algorithm::DestinationHash, Algorithm::SourceHash] {
        let snapshot = snapshot(algorithm, targets(&[1, 200, 3, 1]));
        for n in 0..=255 {
            let mut request = session_of(Ipv4Addr::new(192, 0, 2, n).into());
            request.vip = SocketAddr::from(([198, 51, 100, n], 21));
            let mut tried = Vec::new();
            while let Some(index) = pick(&snapshot, &request, &tried) {
                assert!(!tried.contains(&index));
                tried.push(index);
            }
            assert_eq!(tried.len(), 4, "{}", algorithm.name());
        }
    }
}

/// By Fibonacci hashing, neighbouring addresses fall so evenly that each slot has its 256th of them but
/// for a handful.
#[test]
fn neighbours_are_spread_evenly_over_the_slots() {
    let mut clients = [0_u32; SLOTS];
    for n in 0..100_000 {
        clients[slot_of(Ipv4Addr::from_bits(0x0a00_0000 + n).into(), None)] += 1;
    }
    let [least, most] = [clients.iter().min(), clients.iter().max()].map(|n| *n.unwrap());
    assert!(least >= 385 && most <= 396, "{least} to {most}");
}
