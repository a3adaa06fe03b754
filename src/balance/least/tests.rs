use proptest::prelude::*;

use crate::balance::tests::{CLIENT, Loaded};
use crate::balance::{Algorithm, Rotation};

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
    loaded.snapshot.pick(CLIENT, tried, &Rotation::default())
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

proptest! {
    #[test]
    fn no_candidate_has_less_to_do_for_its_weight_than_the_picked(
        backends in proptest::collection::vec((0..6u32, 0..6u32), 0..8),
    ) {
        let cost = |index: usize| f64::from(backends[index].1) / f64::from(backends[index].0);
        let picked = pick(Algorithm::WeightedLeastConnections, &backends, &[]);
        let candidates = || (0..backends.len()).filter(|index| backends[*index].0 > 0);
        let least = candidates().map(cost).reduce(f64::min);
        // Quotients of small numbers are equal exactly when their doubles are.
        let first = candidates().find(|index| Some(cost(*index)) == least);
        prop_assert_eq!(picked, first);
    }
}
