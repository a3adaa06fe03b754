use std::time::Instant;

use super::less_busy_of_two;
use crate::balance::tests::{CLIENT, Loaded, ids, session_of};
use crate::balance::{Algorithm, Memory};

const TWOS: Algorithm = Algorithm::PowerOfTwoChoices;

/// The pick with these lots.
fn pick(backends: &Loaded, tried: &[usize], lots: [u64; 2]) -> Option<usize> {
    let mut lots = lots.into_iter();
    let tried = ids(tried);
    let candidates = backends.snapshot.candidates(&tried);
    less_busy_of_two(candidates, |_| lots.next().unwrap())
}

#[test]
fn every_pair_of_lots_gives_the_less_busy_of_two_drawn_by_share() {
    // Weights 2, 0, 1 and 3: lots 0 and 1 are of the first, 2 of the third, 3 to 5 of the fourth.
    let owner = [0, 0, 2, 3, 3, 3];
    let weights = [2, 0, 1, 3];
    for sessions in [[0, 0, 0, 0], [2, 0, 2, 2], [1, 5, 1, 1], [4, 0, 1, 9]] {
        let backends = weights.into_iter().zip(sessions).collect::<Vec<_>>();
        let loaded = Loaded::new(TWOS, &backends);
        let cost = |index: usize| f64::from(sessions[index]) / f64::from(weights[index]);
        for first in 0..6 {
            for second in 0..6 {
                let (one, other) = (owner[first], owner[second]);
                let expected = if cost(other) < cost(one) { other } else { one };
                let lots = [first as u64, second as u64];
                assert_eq!(
                    pick(&loaded, &[], lots),
                    Some(expected),
                    "{sessions:?} {lots:?}"
                );
            }
        }
    }
}

#[test]
fn lots_are_drawn_among_those_that_can_take_the_session() {
    let loaded = Loaded::new(TWOS, &[(2, 0), (0, 0), (1, 0), (3, 0)]);
    let mut ends = Vec::new();
    let tried = ids(&[0]);
    let candidates = loaded.snapshot.candidates(&tried);
    let index = less_busy_of_two(candidates, |end| {
        ends.push(end);
        0
    });
    assert_eq!((index, ends), (Some(2), vec![4, 4]));
    assert_eq!(pick(&loaded, &[0, 2, 3], [0, 0]), None, "nobody is left");
}

#[test]
fn a_backend_in_slow_start_is_drawn_by_its_share() {
    let mut targets = crate::balance::tests::targets(&[10, 10]);
    targets[0].share = 2;
    let snapshot = crate::balance::tests::snapshot(TWOS, targets);
    let pick = |lot| less_busy_of_two(snapshot.candidates(&[]), |_| lot);
    assert_eq!((pick(1), pick(2), pick(11)), (Some(0), Some(1), Some(1)));
}

#[test]
fn a_seed_repeats_its_picks() {
    let loaded = Loaded::new(TWOS, &[(1, 0), (1, 0), (1, 0)]);
    let picks = |seed| {
        let (memory, request, now) = (Memory::new(seed), session_of(CLIENT), Instant::now());
        [0; 50].map(|_| loaded.snapshot.pick(&request, &[], &memory, now))
    };
    assert_eq!(picks(1), picks(1));
    assert_ne!(picks(1), picks(2));
}
