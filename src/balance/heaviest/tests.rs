use std::time::Instant;

use proptest::prelude::*;

use crate::balance::tests::{CLIENT, Loaded, ids, session_of, snapshot, targets};
use crate::balance::{Algorithm, Memory};

/// Weights and sessions of backends, those that were tried, the pick, and why.
type Row = (
    &'static [(u32, u32)],
    &'static [usize],
    Option<usize>,
    &'static str,
);

fn pick(algorithm: Algorithm, backends: &[(u32, u32)], tried: &[usize]) -> Option<usize> {
    let loaded = Loaded::new(algorithm, backends);
    let (request, memory) = (session_of(CLIENT), Memory::new(1));
    loaded
        .snapshot
        .pick(&request, &ids(tried), &memory, Instant::now())
}

#[test]
fn failover_keeps_to_the_greatest_weight() {
    let table: [Row; 6] = [
        (
            &[(1, 0), (3, 9), (2, 0)],
            &[],
            Some(1),
            "whatever it has to do",
        ),
        (&[(2, 0), (2, 0)], &[], Some(0), "a tie keeps the earlier"),
        (&[(1, 0), (3, 0), (2, 0)], &[1], Some(2), "then the next"),
        (&[(1, 0), (3, 0), (2, 0)], &[1, 2], Some(0), "and the next"),
        (&[(0, 0), (1, 0)], &[], Some(1), "weight 0 is never picked"),
        (&[(0, 0), (1, 0)], &[1], None, "nobody is left"),
    ];
    for (backends, tried, picked, fact) in table {
        assert_eq!(
            pick(Algorithm::WeightedFailover, backends, tried),
            picked,
            "{fact}"
        );
    }
}

#[test]
fn overflow_goes_to_the_next_when_a_backend_has_more_sessions_than_its_weight() {
    let table: [Row; 7] = [
        (&[(1, 0), (3, 0)], &[], Some(1), "the greatest weight"),
        (&[(1, 0), (3, 3)], &[], Some(1), "one more than the weight"),
        (&[(1, 0), (3, 4)], &[], Some(0), "and no more"),
        (&[(1, 2), (3, 4)], &[], None, "all have enough"),
        (&[(2, 0), (2, 0)], &[], Some(0), "a tie keeps the earlier"),
        (&[(0, 0), (1, 2)], &[], None, "weight 0 is never picked"),
        (&[(1, 0), (3, 0)], &[1], Some(0), "nor one that was tried"),
    ];
    for (backends, tried, picked, fact) in table {
        assert_eq!(
            pick(Algorithm::WeightedOverflow, backends, tried),
            picked,
            "{fact}"
        );
    }
}

#[test]
fn overflow_fills_one_after_the_other_and_then_refuses() {
    let targets = targets(&[2, 4, 0, 3]);
    let snapshot = snapshot(Algorithm::WeightedOverflow, targets.clone());
    let (request, memory, now) = (session_of(CLIENT), Memory::new(1), Instant::now());
    let mut sessions = Vec::new();
    let mut picks = Vec::new();
    while let Some(index) = snapshot.pick(&request, &[], &memory, now) {
        sessions.push(targets[index].load.enter());
        picks.push(index);
    }
    assert_eq!(picks, [1, 1, 1, 1, 1, 3, 3, 3, 3, 0, 0, 0]);
    drop(sessions.remove(6));
    assert_eq!(snapshot.pick(&request, &[], &memory, now), Some(3));
}

#[test]
fn slow_start_does_not_change_the_order() {
    for algorithm in [Algorithm::WeightedFailover, Algorithm::WeightedOverflow] {
        let mut targets = targets(&[1, 10]);
        targets[1].share = 1;
        let _session = targets[1].load.enter();
        let index = snapshot(algorithm, targets).pick(
            &session_of(CLIENT),
            &[],
            &Memory::new(1),
            Instant::now(),
        );
        assert_eq!(index, Some(1), "{}", algorithm.name());
    }
}

proptest! {
    #[test]
    fn nobody_who_could_take_the_session_weighs_more(
        backends in proptest::collection::vec((0..5u32, 0..5u32), 0..8),
    ) {
        let first_of = |may: fn(&(u32, u32)) -> bool| {
            let weights = backends.iter().filter(|backend| backend.0 > 0 && may(backend));
            let greatest = weights.map(|backend| backend.0).max();
            backends.iter().position(|backend| may(backend) && Some(backend.0) == greatest)
        };
        let failover = first_of(|_| true);
        prop_assert_eq!(pick(Algorithm::WeightedFailover, &backends, &[]), failover);
        let overflow = first_of(|(weight, sessions)| sessions <= weight);
        prop_assert_eq!(pick(Algorithm::WeightedOverflow, &backends, &[]), overflow);
    }
}
