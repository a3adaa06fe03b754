//! How many sessions each backend gets of very many, for each algorithm: within a bound that is said and
//! proved at each. `n` is the number of sessions, `w` a weight, `W` the sum of them.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use proptest::prelude::*;

use super::{CLIENT, session_of, snapshot, targets};
use crate::balance::{Algorithm, Memory, Request};

/// How many sessions a distribution is judged by.
const SESSIONS: u32 = 100_000;

/// What became of them.
struct Outcome {
    /// How many each backend got.
    sessions: Vec<f64>,
    refused: u32,
}

/// Asks for one session after the other. They stay until the end, or each is over before the next.
fn run(
    algorithm: Algorithm,
    weights: &[u32],
    stay: bool,
    request: impl Fn(u32) -> Request<'static>,
) -> Outcome {
    let targets = targets(weights);
    let snapshot = snapshot(algorithm, targets.clone());
    let (memory, now) = (Memory::new(1), Instant::now());
    let mut staying = Vec::new();
    let mut counts = vec![0_u32; weights.len()];
    let mut refused = 0;
    for n in 0..SESSIONS {
        let Some(index) = snapshot.pick(&request(n), &[], &memory, now) else {
            refused += 1;
            continue;
        };
        counts[index] += 1;
        if stay {
            staying.push(targets[index].load.enter());
        }
    }
    let sessions = counts.into_iter().map(f64::from).collect();
    Outcome { sessions, refused }
}

/// Sessions of always the same client.
fn of_one(_: u32) -> Request<'static> {
    session_of(CLIENT)
}

/// Sessions of neighbouring clients.
fn of_neighbours(n: u32) -> Request<'static> {
    session_of(neighbour(n))
}

fn neighbour(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + n).into()
}

/// Checks each number of sessions against what `bounds` says of its backend.
fn check(
    algorithm: Algorithm,
    weights: &[u32],
    outcome: &Outcome,
    bounds: impl Fn(usize) -> (f64, f64),
) -> Result<(), TestCaseError> {
    for (index, sessions) in outcome.sessions.iter().enumerate() {
        let (least, most) = bounds(index);
        prop_assert!(
            least <= *sessions && *sessions <= most,
            "{}, {weights:?}: {index} got {sessions}, not {least} to {most}",
            algorithm.name()
        );
    }
    Ok(())
}

fn count(weights: &[u32]) -> f64 {
    f64::from(u32::try_from(weights.len()).unwrap())
}

fn sum(weights: &[u32]) -> f64 {
    f64::from(weights.iter().sum::<u32>())
}

/// Six times the deviation of `SESSIONS` throws of which each hits with the chance `share`, and one for
/// rounding. One in five hundred million is beyond it.
fn by_chance(share: f64) -> (f64, f64) {
    let throws = f64::from(SESSIONS);
    let (mean, bound) = (
        throws * share,
        6.0 * (throws * share * (1.0 - share)).sqrt() + 1.0,
    );
    (mean - bound, mean + bound)
}

fn weights() -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::vec(1..30u32, 1..8)
}

proptest! {
    // 100,000 picks take long without optimisation.
    #![proptest_config(ProptestConfig::with_cases(4))]

    /// Round robin is a circle: no two differ by more than one. So does the weighted one within each round
    /// of `W / gcd` picks (`a_round_takes_each_backend_as_often_as_its_weight`); of the round that is not
    /// over a backend has nothing or all of its `w`.
    #[test]
    fn those_that_go_round_are_exact_to_a_round(weights in weights()) {
        let (n, count, sum) = (f64::from(SESSIONS), count(&weights), sum(&weights));
        let outcome = run(Algorithm::RoundRobin, &weights, false, of_one);
        check(Algorithm::RoundRobin, &weights, &outcome, |_| {
            ((n / count).floor(), (n / count).ceil())
        })?;
        let outcome = run(Algorithm::WeightedRoundRobin, &weights, false, of_one);
        check(Algorithm::WeightedRoundRobin, &weights, &outcome, |index| {
            let w = f64::from(weights[index]);
            let rounds = (n / sum).floor();
            (rounds * w, (rounds + 1.0) * w)
        })?;
    }

    /// Sessions stay. `lc` gives each to one that has the fewest, so no two differ by more than one.
    ///
    /// `wlc`: when a backend got its last one, `(a - 1) / w` was at most any other's `a / w`, which only
    /// grows. With `m` the least `a / w` of the end, each has `w m` to `w m + 1`, and the sum over all of them
    /// is `n`, so `m` is `(n - count) / W` to `n / W`. `lblcr` is the same once its set is the whole pool.
    ///
    /// `sed`: the same with `a / w` at most any other's `(a + 1) / w`. With `m` the least `(a + 1) / w`, each
    /// has `w m - 1` to `w m`, and `m` is `n / W` to `(n + count) / W`. `nq` is the same after the first one
    /// of each, which may be one that `sed` would not have given.
    #[test]
    fn those_that_look_for_the_least_are_exact_to_a_session_of_each(weights in weights()) {
        let (n, count, sum) = (f64::from(SESSIONS), count(&weights), sum(&weights));
        let outcome = run(Algorithm::LeastConnections, &weights, true, of_one);
        check(Algorithm::LeastConnections, &weights, &outcome, |_| {
            ((n / count).floor(), (n / count).ceil())
        })?;
        for algorithm in [
            Algorithm::WeightedLeastConnections,
            Algorithm::LocalityLeastConnectionsReplicated,
        ] {
            let outcome = run(algorithm, &weights, true, of_one);
            check(algorithm, &weights, &outcome, |index| {
                let w = f64::from(weights[index]);
                (w * (n - count) / sum, w * n / sum + 1.0)
            })?;
        }
        for (algorithm, first) in [
            (Algorithm::ShortestExpectedDelay, 0.0),
            (Algorithm::NeverQueue, count),
        ] {
            let outcome = run(algorithm, &weights, true, of_one);
            check(algorithm, &weights, &outcome, |index| {
                let w = f64::from(weights[index]);
                (w * (n - first) / sum - 1.0, (w * (n + count) / sum).max(1.0))
            })?;
        }
    }

    /// `fo` knows one backend. `ovf` gives each `w + 1` sessions and refuses the rest. `lblc` moves on from
    /// a backend with more than `w` as long as another has fewer than half; the one where it can not gets
    /// all that is left.
    #[test]
    fn those_that_keep_together_fill_one_after_the_other(weights in weights()) {
        let n = f64::from(SESSIONS);
        let greatest = *weights.iter().max().unwrap();
        let first = weights.iter().position(|weight| *weight == greatest).unwrap();
        let outcome = run(Algorithm::WeightedFailover, &weights, true, of_one);
        check(Algorithm::WeightedFailover, &weights, &outcome, |index| {
            if index == first { (n, n) } else { (0.0, 0.0) }
        })?;
        let outcome = run(Algorithm::WeightedOverflow, &weights, true, of_one);
        check(Algorithm::WeightedOverflow, &weights, &outcome, |index| {
            let room = f64::from(weights[index] + 1);
            (room, room)
        })?;
        let room: u32 = weights.iter().map(|weight| weight + 1).sum();
        prop_assert_eq!(outcome.refused, SESSIONS - room);
        let algorithm = Algorithm::LocalityLeastConnections;
        let outcome = run(algorithm, &weights, true, of_one);
        let most = outcome.sessions.iter().copied().reduce(f64::max).unwrap();
        check(algorithm, &weights, &outcome, |index| {
            let w = f64::from(weights[index]);
            let is_last = outcome.sessions[index] >= most;
            (w / 2.0, if is_last { n } else { w + 1.0 })
        })?;
    }

    /// Without load the first lot decides, each drawn by itself: throws. When sessions stay and all weights
    /// are equal, the fullest is over the mean by log₂ log₂ `count` and a constant however many sessions
    /// there are (Berenbrink et al., "Balanced Allocations: The Heavily Loaded Case", STOC 2000); 8 is
    /// ample for fewer than 8 backends, where one choice would be off by hundreds.
    #[test]
    fn two_choices_are_fair_by_chance_and_even_under_load(weights in weights()) {
        let algorithm = Algorithm::PowerOfTwoChoices;
        let outcome = run(algorithm, &weights, false, of_one);
        check(algorithm, &weights, &outcome, |index| {
            by_chance(f64::from(weights[index]) / sum(&weights))
        })?;
        let equal = vec![weights[0]; weights.len()];
        let outcome = run(algorithm, &equal, true, of_one);
        let mean = f64::from(SESSIONS) / count(&weights);
        check(algorithm, &equal, &outcome, |_| (mean - 8.0, mean + 8.0))?;
    }

    /// `sh` and `dh` deal 256 slots, so a share is exact to those of one round that is cut off. Of
    /// neighbouring addresses each slot has its 256th, but for 6 (`neighbours_are_spread_evenly_over_the_slots`).
    #[test]
    fn small_tables_are_exact_to_a_slot(weights in weights()) {
        let dealt = |in_a_row: &[u32]| -> Vec<f64> {
            let round: Vec<usize> = in_a_row
                .iter()
                .enumerate()
                .flat_map(|(index, weight)| vec![index; usize::try_from(*weight).unwrap()])
                .collect();
            let mut slots = vec![0.0; in_a_row.len()];
            for owner in round.into_iter().cycle().take(256) {
                slots[owner] += 1.0;
            }
            slots
        };
        let a_slot = f64::from(SESSIONS) / 256.0;
        let bounds = |slots: f64| (slots * (a_slot - 6.0), slots * (a_slot + 6.0));
        let outcome = run(Algorithm::SourceHash, &weights, false, of_neighbours);
        let slots = dealt(&weights);
        check(Algorithm::SourceHash, &weights, &outcome, |index| bounds(slots[index]))?;
        let vips = |n| Request { vip: (neighbour(n), 21).into(), ..of_one(n) };
        let outcome = run(Algorithm::DestinationHash, &weights, false, vips);
        let slots = dealt(&vec![1; weights.len()]);
        check(Algorithm::DestinationHash, &weights, &outcome, |index| bounds(slots[index]))?;
        let outcome = run(Algorithm::DestinationHash, &weights, false, of_neighbours);
        let all = f64::from(SESSIONS);
        prop_assert!(outcome.sessions.contains(&all), "one VIP, one backend");
    }

    /// A good hash throws keys into the slots of a table whose shares are right to a slot of 65,537: throws.
    #[test]
    fn maglev_is_fair_to_users_and_to_clients_by_chance(weights in weights()) {
        let names: Vec<String> = (0..SESSIONS).map(|n| format!("user{n}")).collect();
        let snapshot = snapshot(Algorithm::UserHash, targets(&weights));
        let (memory, now) = (Memory::new(1), Instant::now());
        let mut sessions = vec![0.0; weights.len()];
        for name in &names {
            let request = Request { user: name.as_bytes(), ..of_one(0) };
            sessions[snapshot.pick(&request, &[], &memory, now).unwrap()] += 1.0;
        }
        let of_users = Outcome { sessions, refused: 0 };
        let of_clients = run(Algorithm::Maglev, &weights, false, of_neighbours);
        for (algorithm, outcome) in [(Algorithm::UserHash, of_users), (Algorithm::Maglev, of_clients)] {
            check(algorithm, &weights, &outcome, |index| {
                by_chance(f64::from(weights[index]) / sum(&weights))
            })?;
        }
    }
}
