use std::time::Instant;

use proptest::prelude::*;

use crate::balance::tests::{CLIENT, Loaded, hashing, ids, session_of, targets};
use crate::balance::{Algorithm, Memory, Snapshot};

/// A snapshot of idle backends of these weights.
fn snapshot(algorithm: Algorithm, weights: &[u32]) -> Snapshot {
    let backends: Vec<_> = weights.iter().map(|weight| (*weight, 0)).collect();
    Loaded::new(algorithm, &backends).snapshot
}

/// The next picks as letters, `-` for none.
fn spell(snapshot: &Snapshot, tried: &[usize], memory: &Memory, picks: usize) -> String {
    let letter = |index| char::from(b'A' + u8::try_from(index).unwrap());
    let (request, now) = (session_of(CLIENT), Instant::now());
    let pick = |_| {
        snapshot
            .pick(&request, &ids(tried), memory, now)
            .map_or('-', letter)
    };
    (0..picks).map(pick).collect()
}

#[test]
fn round_robin_takes_the_next_available_after_the_last_pick() {
    let table: [(&[u32], &[usize], &str); 6] = [
        (&[1, 1, 1], &[], "ABCABC"),
        (&[5, 1, 3], &[], "ABCABC"),
        (&[1, 0, 1], &[], "ACACAC"),
        (&[1, 1, 1], &[0], "BCBCBC"),
        (&[0, 0, 1], &[], "CCCCCC"),
        (&[1, 0], &[0], "------"),
    ];
    for (weights, tried, picks) in table {
        let snapshot = snapshot(Algorithm::RoundRobin, weights);
        assert_eq!(
            spell(&snapshot, tried, &Memory::new(1), 6),
            picks,
            "{weights:?}"
        );
    }
}

/// The sequences are those of a transcription of the rule in `ip_vs_wrr.c`, made apart from this code.
#[test]
fn weighted_round_robin_goes_round_as_ipvs_does() {
    let table: [(&[u32], &[usize], &str); 9] = [
        (&[3, 1], &[], "AAABAAABAAAB"),
        (&[1, 3], &[], "BBABBBABBBAB"),
        (&[4, 3, 2], &[], "AABABCABCAAB"),
        (&[4, 2, 6], &[], "CACABCCACABC"),
        (&[1, 1, 1], &[], "ABCABCABCABC"),
        (&[7], &[], "AAAAAAAAAAAA"),
        (&[1, 0, 2], &[], "CACCACCACCAC"),
        (&[65_535, 1], &[0], "BBBBBBBBBBBB"),
        (&[0, 0], &[], "------------"),
    ];
    for (weights, tried, picks) in table {
        let snapshot = snapshot(Algorithm::WeightedRoundRobin, weights);
        assert_eq!(
            spell(&snapshot, tried, &Memory::new(1), 12),
            picks,
            "{weights:?}"
        );
    }
}

#[test]
fn a_retry_goes_on_from_the_failed_pick() {
    let memory = Memory::new(1);
    let round_robin = snapshot(Algorithm::RoundRobin, &[1, 1, 1]);
    assert_eq!(spell(&round_robin, &[], &memory, 1), "A");
    assert_eq!(spell(&round_robin, &[0], &memory, 1), "B");
    assert_eq!(spell(&round_robin, &[], &memory, 2), "CA");
}

#[test]
fn the_round_goes_on_when_the_backends_change() {
    type Change = (&'static [u32], &'static str);
    let table: [(Algorithm, &[Change]); 2] = [
        (
            Algorithm::RoundRobin,
            &[
                (&[1, 1, 1], "AB"),
                (&[1], "AA"),
                (&[1, 1, 1, 1], "BCD"),
                (&[1, 1], "AB"),
                (&[], "-"),
            ],
        ),
        (
            Algorithm::WeightedRoundRobin,
            &[
                (&[3, 1], "AAABA"),
                (&[8, 4], "BAABA"),
                (&[0, 1, 1], "BCBC"),
                (&[], "-"),
            ],
        ),
    ];
    for (algorithm, changes) in table {
        let memory = Memory::new(1);
        for (weights, picks) in changes {
            let snapshot = snapshot(algorithm, weights);
            assert_eq!(
                &spell(&snapshot, &[], &memory, picks.len()),
                picks,
                "{weights:?}"
            );
        }
    }
}

#[test]
fn a_backend_in_slow_start_is_taken_as_often_as_its_share() {
    let memory = Memory::new(1);
    for (share, picks) in [(1, "AAAAAB"), (3, "AAABABAB"), (5, "ABABABABAB")] {
        let mut targets = targets(&[5, 5]);
        targets[1].share = share;
        let snapshot = hashing(Algorithm::WeightedRoundRobin, false, targets);
        assert_eq!(spell(&snapshot, &[], &memory, picks.len()), picks);
    }
}

proptest! {
    #[test]
    fn a_round_takes_each_backend_as_often_as_its_weight(
        weights in proptest::collection::vec(0..12u32, 1..6),
        scale in 1..4u32,
        before in proptest::collection::vec(0..12u32, 1..6),
        picks_before in 0..30usize,
    ) {
        let memory = Memory::new(1);
        spell(&snapshot(Algorithm::WeightedRoundRobin, &before), &[], &memory, picks_before);
        let scaled: Vec<_> = weights.iter().map(|weight| weight * scale).collect();
        let snapshot = snapshot(Algorithm::WeightedRoundRobin, &scaled);
        let sum: u32 = scaled.iter().sum();
        let picks = spell(&snapshot, &[], &memory, usize::try_from(sum).unwrap());
        for (letter, weight) in ('A'..).zip(&scaled) {
            let times = picks.chars().filter(|pick| *pick == letter).count();
            prop_assert_eq!(u32::try_from(times).unwrap(), *weight);
        }
    }
}
