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

/// The pick among backends of these weights and sessions.
fn pick(algorithm: Algorithm, backends: &[(u32, u32)], tried: &[usize]) -> Option<usize> {
    let loaded = Loaded::new(algorithm, backends);
    let (request, memory) = (session_of(CLIENT), Memory::new(1));
    loaded
        .snapshot
        .pick(&request, &ids(tried), &memory, Instant::now())
}

#[test]
fn least_connections_counts_sessions_and_ignores_weights() {
    let table: [Row; 7] = [
        (
            &[(1, 3), (1, 1), (1, 2)],
            &[],
            Some(1),
            "the fewest sessions",
        ),
        (
            &[(1, 2), (1, 1), (1, 1)],
            &[],
            Some(1),
            "a tie keeps the earlier",
        ),
        (&[(1, 0), (1, 0)], &[], Some(0), "also when all are idle"),
        (&[(1, 2), (100, 3)], &[], Some(0), "whatever the weights"),
        (&[(0, 0), (1, 9)], &[], Some(1), "weight 0 is never picked"),
        (&[(1, 0), (1, 9)], &[0], Some(1), "nor one that was tried"),
        (&[(1, 0), (0, 0)], &[0], None, "nobody is left"),
    ];
    for (backends, tried, picked, fact) in table {
        assert_eq!(
            pick(Algorithm::LeastConnections, backends, tried),
            picked,
            "{fact}"
        );
    }
}

#[test]
fn weighted_least_connections_counts_sessions_for_a_weight() {
    let table: [Row; 9] = [
        (&[(1, 2), (2, 3)], &[], Some(1), "3/2 is less than 2/1"),
        (
            &[(1, 1), (2, 2), (3, 3)],
            &[],
            Some(0),
            "a tie keeps the earlier",
        ),
        (
            &[(3, 2), (2, 1), (4, 2)],
            &[],
            Some(1),
            "as it does in the middle",
        ),
        (
            &[(1, 0), (9, 0)],
            &[],
            Some(0),
            "idle ones tie whatever their weights",
        ),
        (&[(0, 0), (1, 9)], &[], Some(1), "weight 0 is never picked"),
        (&[(1, 9), (0, 0)], &[], Some(0), "wherever it is"),
        (&[(1, 0), (1, 9)], &[0], Some(1), "nor one that was tried"),
        (
            &[(u32::MAX, 2), (u32::MAX - 1, 1)],
            &[],
            Some(1),
            "no weight overflows",
        ),
        (&[], &[], None, "nobody is there"),
    ];
    for (backends, tried, picked, fact) in table {
        assert_eq!(
            pick(Algorithm::WeightedLeastConnections, backends, tried),
            picked,
            "{fact}"
        );
    }
}

#[test]
fn shortest_expected_delay_counts_the_session_to_come() {
    let table: [Row; 8] = [
        (
            &[(1, 0), (3, 0)],
            &[],
            Some(1),
            "1/3 is less than 1/1: of idle ones the heaviest",
        ),
        (&[(1, 0), (3, 2)], &[], Some(0), "1/1 and 3/3 tie"),
        (&[(1, 0), (3, 3)], &[], Some(0), "1/1 is less than 4/3"),
        (&[(2, 1), (3, 2)], &[], Some(0), "2/2 and 3/3 tie"),
        (&[(2, 2), (3, 2)], &[], Some(1), "3/3 is less than 3/2"),
        (&[(0, 0), (1, 9)], &[], Some(1), "weight 0 is never picked"),
        (&[(1, 0), (1, 9)], &[0], Some(1), "nor one that was tried"),
        (&[(0, 0)], &[], None, "nobody is left"),
    ];
    for (backends, tried, picked, fact) in table {
        assert_eq!(
            pick(Algorithm::ShortestExpectedDelay, backends, tried),
            picked,
            "{fact}"
        );
    }
}

#[test]
fn never_queue_takes_the_first_idle_one_and_else_the_shortest_delay() {
    let table: [Row; 7] = [
        (
            &[(1, 0), (9, 0)],
            &[],
            Some(0),
            "the first, not the heaviest",
        ),
        (
            &[(100, 1), (1, 0)],
            &[],
            Some(1),
            "idle, though 2/100 is less than 1/1",
        ),
        (
            &[(1, 1), (3, 1)],
            &[],
            Some(1),
            "none is idle: 2/3 is less than 2/1",
        ),
        (&[(2, 1), (4, 3)], &[], Some(0), "2/2 and 4/4 tie"),
        (&[(0, 0), (1, 9)], &[], Some(1), "weight 0 is never picked"),
        (
            &[(1, 0), (1, 9), (1, 0)],
            &[0],
            Some(2),
            "nor one that was tried",
        ),
        (&[(0, 0)], &[], None, "nobody is left"),
    ];
    for (backends, tried, picked, fact) in table {
        assert_eq!(
            pick(Algorithm::NeverQueue, backends, tried),
            picked,
            "{fact}"
        );
    }
}

#[test]
fn a_backend_in_slow_start_counts_by_its_share() {
    let table = [
        (Algorithm::WeightedLeastConnections, Some(1)),
        (Algorithm::ShortestExpectedDelay, Some(1)),
        (Algorithm::NeverQueue, Some(1)),
        (Algorithm::LeastConnections, Some(0)),
    ];
    for (algorithm, picked) in table {
        let mut targets = targets(&[10, 10]);
        let _sessions = [0, 1, 1].map(|index: usize| targets[index].load.enter());
        targets[0].share = 4;
        let request = session_of(CLIENT);
        let index =
            snapshot(algorithm, targets).pick(&request, &[], &Memory::new(1), Instant::now());
        assert_eq!(index, picked, "{}", algorithm.name());
    }
}

/// The cost of a backend: the overhead that the kernel counts, an active connection as 256 of one that is
/// closing, of which there are none.
type Cost = fn(u32, u32) -> f64;

const RULES: [(Algorithm, Cost); 3] = [
    (Algorithm::LeastConnections, |_, active| {
        f64::from(256 * active)
    }),
    (Algorithm::WeightedLeastConnections, |weight, active| {
        f64::from(256 * active) / f64::from(weight)
    }),
    (Algorithm::ShortestExpectedDelay, |weight, active| {
        f64::from(active + 1) / f64::from(weight)
    }),
];

proptest! {
    /// Quotients of small numbers are equal exactly when their doubles are.
    #[test]
    fn the_first_of_the_least_cost_is_picked(
        (algorithm, cost) in proptest::sample::select(&RULES[..]),
        backends in proptest::collection::vec((0..6u32, 0..6u32), 0..8),
    ) {
        let cost = |index: usize| cost(backends[index].0, backends[index].1);
        let candidates = || (0..backends.len()).filter(|index| backends[*index].0 > 0);
        let least = candidates().map(cost).reduce(f64::min);
        let first = candidates().find(|index| Some(cost(*index)) == least);
        prop_assert_eq!(pick(algorithm, &backends, &[]), first);
    }
}
