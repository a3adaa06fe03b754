use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{
    AffinityTable, Algorithm, Entered, Member, Pool, Rotation, Settings, Snapshot, Target,
};
use crate::health::{Availability, EjectionRule, Thresholds};

pub(super) const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// A snapshot whose backends have sessions.
pub(super) struct Loaded {
    pub(super) snapshot: Snapshot,
    _sessions: Vec<Entered>,
}

impl Loaded {
    /// Of backends with these weights and numbers of sessions.
    pub(super) fn new(algorithm: Algorithm, backends: &[(u32, u32)]) -> Self {
        let weights: Vec<_> = backends.iter().map(|(weight, _)| *weight).collect();
        let targets = targets(&weights);
        let enter = |(target, (_, active)): (&Target, &(u32, u32))| -> Vec<Entered> {
            (0..*active).map(|_| target.load.enter()).collect()
        };
        let sessions = targets.iter().zip(backends).flat_map(enter).collect();
        Self {
            snapshot: Snapshot::new(algorithm, targets),
            _sessions: sessions,
        }
    }
}

/// Idle backends of these weights that are up.
pub(super) fn targets(weights: &[u32]) -> Vec<Target> {
    let target = |member: Member| Target {
        address: member.address,
        name: member.name,
        weight: member.weight,
        state: Availability::Up,
        load: Arc::default(),
    };
    members(weights).into_iter().map(target).collect()
}

fn members(weights: &[u32]) -> Vec<Member> {
    let member = |(n, weight): (u8, &u32)| {
        let address = SocketAddr::from(([10, 0, 0, n], 21));
        Member {
            address,
            name: address.to_string().into(),
            weight: *weight,
        }
    };
    (1..).zip(weights).map(member).collect()
}

fn pool(weights: &[u32], settings: Settings) -> Pool {
    Pool::new("files", members(weights), settings)
}

fn affinity() -> AffinityTable {
    AffinityTable::new(Duration::from_mins(5), 32, 128, 100)
}

/// Ejects at the second failure.
const RULE: EjectionRule = EjectionRule {
    failures: 2,
    time: Duration::from_secs(10),
};

/// Weights and states of backends.
type States<'a> = &'a [(u32, Availability)];

fn picked(pool: &Pool, tried: &[usize], now: Instant) -> Option<usize> {
    pool.pick(CLIENT, tried, now).map(|pick| pick.index)
}

#[test]
fn only_a_backend_that_is_up_and_has_a_weight_is_available() {
    let ejected = Availability::Ejected {
        until: Instant::now(),
    };
    let (down, up) = (Availability::Down, Availability::Up);
    let table: [(States<'_>, &[usize], &str); 6] = [
        (
            &[(1, up), (1, down), (1, ejected)],
            &[0],
            "those that are up",
        ),
        (&[(0, up), (1, up)], &[1], "with a weight"),
        (
            &[(1, down), (1, ejected)],
            &[1],
            "ejection is advice: there is no other",
        ),
        (
            &[(0, up), (1, ejected)],
            &[1],
            "a drained backend is no other",
        ),
        (&[(1, down), (0, ejected)], &[], "drained is drained"),
        (&[], &[], "no backend at all"),
    ];
    for algorithm in Algorithm::ALL {
        for (backends, available, fact) in table {
            let mut targets = targets(&vec![0; backends.len()]);
            for (target, (weight, state)) in targets.iter_mut().zip(backends) {
                (target.weight, target.state) = (*weight, *state);
            }
            let snapshot = Snapshot::new(algorithm, targets);
            let (mut tried, rotation) = (Vec::new(), Rotation::default());
            while let Some(index) = snapshot.pick(CLIENT, &tried, &rotation) {
                tried.push(index);
            }
            tried.sort_unstable();
            assert_eq!(tried, available, "{}: {fact}", algorithm.name());
            assert_eq!(snapshot.is_available(), !available.is_empty(), "{fact}");
        }
    }
}

#[test]
fn a_session_is_load_until_its_pick_is_dropped() {
    let (pool, now) = (pool(&[1, 1], Settings::default()), Instant::now());
    let first = pool.pick(CLIENT, &[], now).unwrap();
    let second = pool.pick(CLIENT, &[], now).unwrap();
    assert_eq!((first.index, second.index), (0, 1));
    drop(first);
    assert_eq!(picked(&pool, &[], now), Some(0));
    pool.set_weight(0, 5, now);
    pool.report_check(0, true, now);
    let active = |index: usize| pool.snapshot(now).targets()[index].load.active();
    assert_eq!(
        (active(0), active(1)),
        (0, 1),
        "a new snapshot forgets no session"
    );
}

#[test]
fn a_client_comes_back_to_its_backend() {
    let settings = Settings {
        algorithm: Algorithm::RoundRobin,
        affinity: Some(affinity()),
        ..Settings::default()
    };
    let (pool, start) = (pool(&[1, 1, 1], settings), Instant::now());
    let other = IpAddr::from([192, 0, 2, 2]);
    let first = picked(&pool, &[], start);
    assert_eq!(pool.pick(other, &[], start).map(|pick| pick.index), Some(1));
    let mut now = start;
    for _ in 0..3 {
        now += Duration::from_mins(4);
        assert_eq!(picked(&pool, &[], now), first);
    }
    let later = now + Duration::from_mins(5);
    assert_eq!(
        pool.pick(CLIENT, &[], later).map(|pick| pick.index),
        Some(2),
        "and is forgotten in time"
    );
}

#[test]
fn h9_a_drained_or_dead_backend_does_not_keep_its_clients() {
    type Leave = fn(&Pool, Instant);
    let table: [(Leave, &str); 3] = [
        (
            |pool, now| assert_eq!(pool.set_weight(0, 0, now), Some(1)),
            "drained",
        ),
        (
            |pool, now| assert_eq!(pool.report_check(0, false, now), Some(Availability::Down)),
            "down",
        ),
        (
            |pool, now| {
                pool.report_live(0, false, now);
                assert!(pool.report_live(0, false, now).is_some());
            },
            "ejected",
        ),
    ];
    for (leave, fact) in table {
        let settings = Settings {
            affinity: Some(affinity()),
            ejection: Some(RULE),
            ..Settings::default()
        };
        let (pool, now) = (pool(&[1, 1], settings), Instant::now());
        let session = pool.pick(CLIENT, &[], now).unwrap();
        assert_eq!(session.index, 0);
        leave(&pool, now);
        assert_eq!(picked(&pool, &[], now), Some(1), "{fact}");
        assert_eq!(
            session.target.load.active(),
            1,
            "{fact}: the session lives on"
        );
    }
}

#[test]
fn s16_a_retry_takes_another_backend_and_the_client_comes_back_to_that() {
    let settings = Settings {
        affinity: Some(affinity()),
        ..Settings::default()
    };
    let (pool, now) = (pool(&[1, 1], settings), Instant::now());
    assert_eq!(picked(&pool, &[], now), Some(0));
    assert_eq!(picked(&pool, &[0], now), Some(1));
    assert_eq!(picked(&pool, &[], now), Some(1));
    assert_eq!(picked(&pool, &[0, 1], now), None);
}

#[test]
fn h9_checks_take_a_backend_out_and_bring_it_back() {
    let settings = Settings {
        thresholds: Thresholds { rise: 1, fall: 2 },
        ..Settings::default()
    };
    let (pool, now) = (pool(&[1, 1], settings), Instant::now());
    assert_eq!(pool.report_check(0, true, now), Some(Availability::Up));
    assert_eq!(pool.report_check(0, false, now), None);
    assert_eq!(picked(&pool, &[], now), Some(0));
    assert_eq!(pool.report_check(0, false, now), Some(Availability::Down));
    assert_eq!(picked(&pool, &[], now), Some(1));
    assert_eq!(pool.report_check(1, false, now), Some(Availability::Down));
    assert_eq!(
        picked(&pool, &[], now),
        None,
        "checks may take the last one"
    );
    assert_eq!(pool.report_check(0, true, now), Some(Availability::Up));
    assert_eq!(picked(&pool, &[], now), Some(0));
}

#[test]
fn an_ejected_backend_returns_by_itself() {
    for algorithm in Algorithm::ALL {
        let settings = Settings {
            algorithm,
            ejection: Some(RULE),
            ..Settings::default()
        };
        let (pool, now) = (pool(&[1, 1], settings), Instant::now());
        pool.report_live(0, false, now);
        let until = now + RULE.time;
        assert_eq!(
            pool.report_live(0, false, now),
            Some(Availability::Ejected { until })
        );
        let just_before = now + RULE.time.saturating_sub(Duration::from_nanos(1));
        assert_eq!(
            picked(&pool, &[1], just_before),
            None,
            "{}",
            algorithm.name()
        );
        assert_eq!(picked(&pool, &[1], until), Some(0), "{}", algorithm.name());
        assert_eq!(pool.snapshot(until).next_change(), None);
    }
}

#[test]
fn the_last_available_backend_is_never_ejected() {
    let settings = Settings {
        ejection: Some(RULE),
        ..Settings::default()
    };
    let (pool, now) = (pool(&[1, 0, 1], settings), Instant::now());
    pool.report_check(2, false, now);
    for _ in 0..10 {
        assert_eq!(pool.report_live(0, false, now), None);
    }
    pool.set_weight(1, 1, now);
    assert!(
        pool.report_live(0, false, now).is_some(),
        "as soon as there is another"
    );
    assert_eq!(picked(&pool, &[], now), Some(1));
    assert_eq!(pool.report_live(1, false, now), None);
    assert_eq!(
        pool.report_live(1, false, now),
        None,
        "the other is the last one now"
    );
}

#[test]
fn a_backend_that_greets_is_not_ejected() {
    let settings = Settings {
        ejection: Some(RULE),
        ..Settings::default()
    };
    let (pool, now) = (pool(&[1, 1], settings), Instant::now());
    for _ in 0..5 {
        assert_eq!(pool.report_live(0, false, now), None);
        assert_eq!(pool.report_live(0, true, now), None);
    }
}

#[test]
fn an_index_that_is_not_there_changes_nothing() {
    let (pool, now) = (pool(&[1], Settings::default()), Instant::now());
    assert_eq!(pool.report_check(1, false, now), None);
    assert_eq!(pool.report_live(1, true, now), None);
    assert_eq!(pool.report_live(1, false, now), None);
    assert_eq!(pool.set_weight(1, 0, now), None);
    assert_eq!(picked(&pool, &[], now), Some(0));
}

#[test]
fn sessions_and_changes_from_many_threads_lose_nothing() {
    for algorithm in [
        Algorithm::WeightedLeastConnections,
        Algorithm::WeightedRoundRobin,
    ] {
        let settings = Settings {
            algorithm,
            affinity: Some(affinity()),
            ..Settings::default()
        };
        let (pool, now) = (pool(&[1, 2, 3], settings), Instant::now());
        std::thread::scope(|scope| {
            for thread in 0..3u8 {
                let pool = &pool;
                scope.spawn(move || {
                    for turn in 0..200u8 {
                        let index = usize::from(thread);
                        let session = pool.pick([192, 0, thread, turn].into(), &[], now);
                        pool.set_weight(index, 1 + u32::from(turn), now);
                        pool.report_check(index, !(turn / 4).is_multiple_of(2), now);
                        drop(session);
                    }
                });
            }
        });
        for target in pool.snapshot(now).targets() {
            assert_eq!((target.weight, target.load.active()), (200, 0));
            assert_eq!(target.state, Availability::Up, "the last results were ok");
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Check(usize, bool),
    Live(usize, bool),
    Pick(u8, usize),
    Weight(usize, u32),
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0..4usize, any::<bool>()).prop_map(|(index, ok)| Event::Check(index, ok)),
        (0..4usize, any::<bool>()).prop_map(|(index, ok)| Event::Live(index, ok)),
        (any::<u8>(), 0..4usize).prop_map(|(client, tried)| Event::Pick(client, tried)),
        (0..4usize, 0..3u32).prop_map(|(index, weight)| Event::Weight(index, weight)),
        (0..20u64).prop_map(Event::Wait),
    ]
}

proptest! {
    /// Whatever happens: a pick is available and was not tried, there is one when there can be, and the
    /// ejections alone never leave a pool without.
    #[test]
    fn every_pick_is_right_at_its_time(
        algorithm in proptest::sample::select(&[
            Algorithm::LeastConnections,
            Algorithm::RoundRobin,
            Algorithm::WeightedLeastConnections,
            Algorithm::WeightedRoundRobin,
        ][..]),
        has_affinity in any::<bool>(),
        events in proptest::collection::vec(event(), 0..100),
    ) {
        let affinity = has_affinity.then(affinity);
        let settings = Settings { algorithm, affinity, ejection: Some(RULE), ..Settings::default() };
        let pool = pool(&[1, 1, 2, 3], settings);
        let mut now = Instant::now();
        for event in events {
            match event {
                Event::Check(index, ok) => drop(pool.report_check(index, ok, now)),
                Event::Live(index, ok) => drop(pool.report_live(index, ok, now)),
                Event::Weight(index, weight) => drop(pool.set_weight(index, weight, now)),
                Event::Wait(seconds) => now += Duration::from_secs(seconds),
                Event::Pick(client, tried) => {
                    let pick = pool.pick([192, 0, 2, client].into(), &[tried], now);
                    let snapshot = pool.snapshot(now);
                    let is_up = |target: &Target| target.weight > 0 && target.state == Availability::Up;
                    let some_up = snapshot.targets().iter().any(is_up);
                    let usable = |index: usize| {
                        let target = &snapshot.targets()[index];
                        let spare = !some_up && target.weight > 0 && target.state != Availability::Down;
                        index != tried && (is_up(target) || spare)
                    };
                    match pick {
                        Some(pick) => prop_assert!(usable(pick.index)),
                        None => prop_assert!(!(0..4).any(usable)),
                    }
                }
            }
        }
    }
}
