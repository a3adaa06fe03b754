use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{
    AffinityRule, Algorithm, BackendId, Entered, Member, Memory, News, NoPick, Pick, Pool,
    QuorumRule, Request, Settings, Snapshot, Standing, Target,
};
use crate::health::{Availability, CheckId, EjectionRule, Verdict};

pub(super) const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

mod distribution;
mod replicas;

/// The check of every backend.
const CHECK: CheckId = CheckId(1);

pub(super) const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 21));

/// A session of `client` with the VIP.
pub(super) fn session_of(client: IpAddr) -> Request<'static> {
    Request {
        client: (client, 50_000).into(),
        vip: (VIP, 21).into(),
        user: b"anonymous",
    }
}

/// What [`targets`] and a pool call the backends at these places.
pub(super) fn ids(places: &[usize]) -> Vec<BackendId> {
    let id = |place: &usize| BackendId(u32::try_from(*place).unwrap() + 1);
    places.iter().map(id).collect()
}

fn id(place: usize) -> BackendId {
    ids(&[place])[0]
}

/// The place of the backend that was picked.
fn place(pick: &Pick) -> usize {
    pick.target.id.0 as usize - 1
}

/// A snapshot that hashes no ports, with quorum.
pub(super) fn snapshot(algorithm: Algorithm, targets: Vec<Target>) -> Snapshot {
    hashing(algorithm, false, targets)
}

/// A snapshot with quorum.
pub(super) fn hashing(algorithm: Algorithm, hash_port: bool, targets: Vec<Target>) -> Snapshot {
    Snapshot::new(algorithm, hash_port, targets, true, None)
}

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
            (0..*active).map_while(|_| target.load.enter()).collect()
        };
        let sessions = targets.iter().zip(backends).flat_map(enter).collect();
        Self {
            snapshot: snapshot(algorithm, targets),
            _sessions: sessions,
        }
    }
}

/// Idle backends of these weights that are up.
pub(super) fn targets(weights: &[u32]) -> Vec<Target> {
    let target = |(place, member): (usize, Member)| Target {
        id: id(place),
        address: member.address,
        name: member.name,
        weight: member.weight,
        share: member.weight,
        standing: Standing::Serving,
        state: Availability::Up,
        is_sorry: false,
        load: Arc::default(),
    };
    members(weights)
        .into_iter()
        .enumerate()
        .map(target)
        .collect()
}

fn members(weights: &[u32]) -> Vec<Member> {
    let member = |(n, weight): (u16, &u32)| {
        let [high, low] = n.to_be_bytes();
        let address = SocketAddr::from(([10, 0, high, low], 21));
        Member {
            address,
            name: address.to_string().into(),
            weight: *weight,
            max_sessions: 0,
            resume_sessions: 0,
            checks: vec![CHECK],
        }
    };
    (1..).zip(weights).map(member).collect()
}

fn pool(weights: &[u32], settings: Settings) -> Pool {
    let pool = Pool::new("files", 1, Instant::now());
    pool.configure(members(weights), settings, Instant::now());
    pool
}

/// Takes the verdict of the check of the backend at `place`. Returns its new state, if there is one.
fn report(pool: &Pool, place: usize, ok: bool, now: Instant) -> Option<Availability> {
    let verdict = if ok { Verdict::Up } else { Verdict::Down };
    let news = pool.report_check(id(place), CHECK, Some(verdict), None, now);
    news.iter().find_map(|news| match news {
        News::Backend { state, .. } => Some(*state),
        News::Quorum { .. } => None,
    })
}

fn affinity() -> AffinityRule {
    AffinityRule {
        timeout: Duration::from_mins(5),
        prefix_v4: 32,
        prefix_v6: 128,
        entries: 100,
    }
}

/// Ejects at the second failure.
const RULE: EjectionRule = EjectionRule {
    failures: 2,
    time: Duration::from_secs(10),
};

/// Weights and states of backends.
type States<'a> = &'a [(u32, Availability)];

fn picked(pool: &Pool, tried: &[usize], now: Instant) -> Option<usize> {
    let pick = pool.pick(&session_of(CLIENT), &ids(tried), now);
    pick.ok().as_ref().map(place)
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
            let snapshot = snapshot(algorithm, targets);
            let (mut tried, memory) = (Vec::new(), Memory::new(1));
            while let Some(index) =
                snapshot.pick(&session_of(CLIENT), &ids(&tried), &memory, Instant::now())
            {
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
    let first = pool.pick(&session_of(CLIENT), &[], now).unwrap();
    let second = pool.pick(&session_of(CLIENT), &[], now).unwrap();
    assert_eq!((place(&first), place(&second)), (0, 1));
    drop(first);
    assert_eq!(picked(&pool, &[], now), Some(0));
    pool.set_weight(id(0), Some(5), now);
    report(&pool, 0, true, now);
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
    let of_other = pool.pick(&session_of(other), &[], start).unwrap();
    assert_eq!(place(&of_other), 1);
    let mut now = start;
    for _ in 0..3 {
        now += Duration::from_mins(4);
        assert_eq!(picked(&pool, &[], now), first);
    }
    let later = now + Duration::from_mins(5);
    assert_eq!(
        picked(&pool, &[], later),
        Some(2),
        "and is forgotten in time"
    );
}

#[test]
fn a_client_is_remembered_while_it_has_a_session_where_it_was_last() {
    let settings = Settings {
        algorithm: Algorithm::RoundRobin,
        affinity: Some(affinity()),
        ..Settings::default()
    };
    let (pool, start) = (pool(&[1, 1, 1], settings), Instant::now());
    assert_eq!(picked(&pool, &[], start), Some(0));
    let mut now = start;
    for _ in 0..4 {
        now += Duration::from_mins(4);
        pool.renew(&[(CLIENT, id(0)), (CLIENT, id(2))], now);
    }
    assert_eq!(picked(&pool, &[], now), Some(0));
    now += Duration::from_mins(5);
    pool.renew(&[(CLIENT, id(0))], now);
    assert_eq!(picked(&pool, &[], now), Some(1), "too late");
}

#[test]
fn h9_a_drained_or_dead_backend_does_not_keep_its_clients() {
    type Leave = fn(&Pool, Instant);
    let table: [(Leave, &str); 3] = [
        (
            |pool, now| assert!(pool.set_weight(id(0), Some(0), now).is_some()),
            "drained",
        ),
        (
            |pool, now| assert_eq!(report(pool, 0, false, now), Some(Availability::Down)),
            "down",
        ),
        (
            |pool, now| {
                pool.report_live(id(0), false, now);
                assert!(pool.report_live(id(0), false, now).is_some());
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
        let session = pool.pick(&session_of(CLIENT), &[], now).unwrap();
        assert_eq!(place(&session), 0);
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
    let (pool, now) = (pool(&[1, 1], Settings::default()), Instant::now());
    let (up, down) = (Some(Availability::Up), Some(Availability::Down));
    assert_eq!(report(&pool, 0, true, now), up);
    assert_eq!(report(&pool, 0, true, now), None, "no news");
    assert_eq!(report(&pool, 0, false, now), down);
    assert_eq!(picked(&pool, &[], now), Some(1));
    assert_eq!(report(&pool, 1, false, now), down);
    assert_eq!(
        picked(&pool, &[], now),
        None,
        "checks may take the last one"
    );
    assert_eq!(report(&pool, 0, true, now), up);
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
        pool.report_live(id(0), false, now);
        let until = now + RULE.time;
        assert_eq!(
            pool.report_live(id(0), false, now),
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
    report(&pool, 2, false, now);
    for _ in 0..10 {
        assert_eq!(pool.report_live(id(0), false, now), None);
    }
    pool.set_weight(id(1), Some(1), now);
    assert!(
        pool.report_live(id(0), false, now).is_some(),
        "as soon as there is another"
    );
    assert_eq!(picked(&pool, &[], now), Some(1));
    assert_eq!(pool.report_live(id(1), false, now), None);
    assert_eq!(
        pool.report_live(id(1), false, now),
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
        assert_eq!(pool.report_live(id(0), false, now), None);
        assert_eq!(pool.report_live(id(0), true, now), None);
    }
}

#[test]
fn a_backend_that_is_not_there_changes_nothing() {
    let (pool, now) = (pool(&[1], Settings::default()), Instant::now());
    assert_eq!(report(&pool, 1, false, now), None);
    assert_eq!(pool.report_live(id(1), true, now), None);
    assert_eq!(pool.report_live(id(1), false, now), None);
    assert!(pool.set_weight(id(1), Some(0), now).is_none());
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
                        let client = session_of([192, 0, thread, turn].into());
                        let session = pool.pick(&client, &[], now);
                        pool.set_weight(id(index), Some(1 + u32::from(turn)), now);
                        report(pool, index, !(turn / 4).is_multiple_of(2), now);
                        drop(session);
                    }
                });
            }
        });
        for target in pool.snapshot(now).targets() {
            assert_eq!((target.weight, target.share), (200, 200));
            assert_eq!(target.load.active(), 0);
            assert_eq!(target.state, Availability::Up, "the last results were ok");
        }
    }
}

/// How often each backend is picked in so many sessions that stay.
fn shares(pool: &Pool, sessions: usize, now: Instant) -> Vec<usize> {
    let mut shares = vec![0; pool.snapshot(now).targets().len()];
    let picks: Vec<_> = (0..sessions)
        .map(|_| pool.pick(&session_of(CLIENT), &[], now).unwrap())
        .collect();
    for pick in &picks {
        shares[place(pick)] += 1;
    }
    shares
}

#[test]
fn a_drained_or_disabled_backend_gets_no_sessions_until_it_is_resumed() {
    let (pool, now) = (pool(&[1, 1], Settings::default()), Instant::now());
    let session = pool.pick(&session_of(CLIENT), &[], now).unwrap();
    for standing in [Standing::Draining, Standing::Disabled] {
        assert!(pool.set_standing(id(0), standing, now).is_some());
        assert_eq!(picked(&pool, &[1], now), None, "{}", standing.label());
        assert_eq!(session.target.load.active(), 1, "its session lives on");
        assert!(pool.set_standing(id(0), Standing::Serving, now).is_some());
        assert_eq!(picked(&pool, &[1], now), Some(0));
    }
}

#[test]
fn a_check_s_weight_counts_until_the_operator_says_otherwise() {
    let (pool, now) = (pool(&[5, 1], Settings::default()), Instant::now());
    let weight = || pool.snapshot(now).targets()[0].weight;
    assert_eq!(weight(), 5);
    pool.report_check(id(0), CHECK, None, Some(7), now);
    assert_eq!(weight(), 7);
    pool.set_weight(id(0), Some(2), now);
    pool.report_check(id(0), CHECK, None, Some(9), now);
    assert_eq!(weight(), 2);
    pool.set_weight(id(0), None, now);
    assert_eq!(weight(), 9);
}

#[test]
fn a_check_s_weight_goes_with_the_check() {
    let now = Instant::now();
    let pool = pool(&[1], Settings::default());
    let weight = || pool.snapshot(now).targets()[0].weight;
    pool.report_check(id(0), CheckId(99), None, Some(5), now);
    assert_eq!(weight(), 1, "it is no check of this backend");
    pool.report_check(id(0), CHECK, None, Some(7), now);
    let mut members = members(&[1]);
    pool.configure(members.clone(), Settings::default(), now);
    assert_eq!(weight(), 7, "the check is still there");
    members[0].checks.clear();
    pool.configure(members, Settings::default(), now);
    assert_eq!(weight(), 1);
}

#[test]
fn a_full_backend_is_left_out_and_a_full_pool_says_so() {
    let (pool, now) = (Pool::new("files", 1, Instant::now()), Instant::now());
    let mut members = members(&[1, 1]);
    members[0].max_sessions = 1;
    members[1].max_sessions = 2;
    let settings = Settings {
        affinity: Some(affinity()),
        ..Settings::default()
    };
    pool.configure(members, settings, now);
    let sessions: Vec<_> = (0..3)
        .map(|_| pool.pick(&session_of(CLIENT), &[], now).unwrap())
        .collect();
    let places: Vec<_> = sessions.iter().map(place).collect();
    assert_eq!(places, [0, 1, 1], "not even for who comes back");
    let refused = |tried: &[usize]| {
        let pick = pool.pick(&session_of(CLIENT), &ids(tried), now);
        pick.map(|pick| place(&pick)).unwrap_err()
    };
    assert_eq!(refused(&[]), NoPick::Full);
    assert_eq!(refused(&[0]), NoPick::Full, "the other may have room yet");
    assert_eq!(
        refused(&[0, 1]),
        NoPick::NoneUp,
        "nobody is left to wait for"
    );
    report(&pool, 0, false, now);
    report(&pool, 1, false, now);
    assert_eq!(refused(&[]), NoPick::NoneUp, "room is no help");
    let exactly = pool.pick_exactly(([10, 0, 0, 1], 21).into(), now).unwrap();
    assert_eq!(place(&exactly), 0, "a check of the way is let in");
    report(&pool, 0, true, now);
    drop(sessions);
    assert_eq!(picked(&pool, &[], now), Some(0), "and takes nobody's place");
}

#[test]
fn while_the_quorum_is_lost_the_sorry_server_stands_in() {
    let sorry: SocketAddr = ([10, 0, 0, 99], 21).into();
    let settings = Settings {
        quorum: QuorumRule {
            weight: 2,
            hysteresis: 0,
        },
        sorry: Some(sorry),
        affinity: Some(affinity()),
        ..Settings::default()
    };
    let (pool, now) = (pool(&[1, 1], settings), Instant::now());
    let address = |client: [u8; 4]| {
        let pick = pool.pick(&session_of(client.into()), &[], now);
        pick.map(|pick| pick.target.address.ip()).ok()
    };
    let first = address([192, 0, 2, 1]);
    assert_ne!(first, Some(sorry.ip()), "not without need");
    let quorum = |place, verdict| {
        let news = pool.report_check(id(place), CHECK, Some(verdict), None, now);
        let quorum = |news: &News| match news {
            News::Quorum { is_held, is_sorry } => Some((*is_held, *is_sorry)),
            News::Backend { .. } => None,
        };
        news.iter().find_map(quorum)
    };
    assert_eq!(quorum(1, Verdict::Up), None);
    assert_eq!(quorum(1, Verdict::Down), Some((false, true)));
    assert!(pool.snapshot(now).is_available() && !pool.snapshot(now).has_quorum());
    assert_eq!(address([192, 0, 2, 1]), Some(sorry.ip()), "for all");
    assert_eq!(address([192, 0, 2, 2]), Some(sorry.ip()));
    assert_eq!(quorum(1, Verdict::Up), Some((true, false)));
    assert_eq!(address([192, 0, 2, 1]), first, "it keeps no clients");
}

#[test]
fn without_a_sorry_server_a_lost_quorum_takes_no_backend_away() {
    let settings = Settings {
        quorum: QuorumRule {
            weight: 2,
            hysteresis: 0,
        },
        ..Settings::default()
    };
    let (pool, now) = (pool(&[1, 1], settings), Instant::now());
    report(&pool, 0, false, now);
    assert!(!pool.snapshot(now).has_quorum());
    assert_eq!(picked(&pool, &[], now), Some(1));
}

#[test]
fn the_share_of_a_backend_that_comes_back_grows() {
    let settings = Settings {
        slow_start: Duration::from_secs(10),
        ..Settings::default()
    };
    let (pool, now) = (pool(&[1, 1], settings), Instant::now());
    assert_eq!(shares(&pool, 100, now), [50, 50], "none at the start");
    report(&pool, 0, false, now);
    report(&pool, 0, true, now);
    assert_eq!(shares(&pool, 110, now), [10, 100]);
    let half = now + Duration::from_secs(5);
    assert_eq!(shares(&pool, 160, half), [60, 100]);
    let whole = now + Duration::from_secs(10);
    assert_eq!(shares(&pool, 100, whole), [50, 50]);
    assert_eq!(pool.snapshot(whole).next_change(), None);
    pool.set_standing(id(1), Standing::Draining, whole);
    pool.set_standing(id(1), Standing::Serving, whole);
    assert_eq!(
        shares(&pool, 110, whole),
        [100, 10],
        "resumed, it ramps too"
    );
}

#[test]
fn a_reload_keeps_what_is_known_of_the_backends_that_stay() {
    let settings = Settings {
        affinity: Some(affinity()),
        ..Settings::default()
    };
    let (pool, now) = (pool(&[1, 1, 1], settings.clone()), Instant::now());
    let session = pool.pick(&session_of(CLIENT), &[], now).unwrap();
    assert_eq!(place(&session), 0);
    report(&pool, 1, false, now);
    pool.set_standing(id(2), Standing::Draining, now);
    pool.set_weight(id(0), Some(4), now);
    let mut fewer = members(&[1, 1, 1, 1]);
    fewer.rotate_left(1);
    fewer[3].name = "renamed".into();
    pool.configure(fewer, settings.clone(), now);
    let targets = pool.snapshot(now).targets().to_vec();
    let found: Vec<_> = { targets.iter() }
        .map(|t| (t.id.0, t.weight, t.standing, t.state, t.load.active()))
        .collect();
    let (up, down) = (Availability::Up, Availability::Down);
    let (serving, draining) = (Standing::Serving, Standing::Draining);
    assert_eq!(
        found,
        [
            (2, 1, serving, down, 0),
            (3, 1, draining, up, 0),
            (4, 1, serving, up, 0),
            (1, 4, serving, up, 1),
        ]
    );
    assert_eq!(&*targets[3].name, "renamed");
    assert_eq!(picked(&pool, &[], now), Some(0), "affinity too");
    let other_weight = members(&[7, 1, 1]);
    pool.configure(other_weight, settings, now);
    assert_eq!(
        pool.snapshot(now).targets()[0].weight,
        7,
        "the configuration has the last word when it speaks"
    );
}

#[test]
fn a_removed_backend_goes_with_its_last_session_and_may_come_back() {
    let (pool, now) = (pool(&[1, 1], Settings::default()), Instant::now());
    let session = pool.pick(&session_of(CLIENT), &[], now).unwrap();
    let stays = members(&[1, 1]).split_off(1);
    pool.configure(stays.clone(), Settings::default(), now);
    assert_eq!(picked(&pool, &[], now), Some(1));
    assert!(pool.reap(now).is_empty(), "it has a session");
    assert!(
        pool.set_standing(id(0), Standing::Serving, now).is_none(),
        "it is not the operator's to bring back"
    );
    pool.configure(members(&[1, 1]), Settings::default(), now);
    assert_eq!(picked(&pool, &[1], now), Some(0), "the same as before");
    pool.configure(stays, Settings::default(), now);
    drop(session);
    let gone: Vec<_> = pool.reap(now).iter().map(|target| target.id).collect();
    assert_eq!(gone, ids(&[0]));
    pool.configure(members(&[1, 1]), Settings::default(), now);
    assert_eq!(
        pool.snapshot(now).targets()[0].id,
        id(2),
        "whoever comes later is another"
    );
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
        // The others make tables, which takes long without optimisation.
        algorithm in proptest::sample::select(Algorithm::ALL.to_vec())
            .prop_filter("makes a table", |algorithm| {
                !matches!(algorithm, Algorithm::Maglev | Algorithm::UserHash)
            }),
        has_affinity in any::<bool>(),
        events in proptest::collection::vec(event(), 0..100),
    ) {
        let affinity = has_affinity.then(affinity);
        let settings = Settings { algorithm, affinity, ejection: Some(RULE), ..Settings::default() };
        let pool = pool(&[1, 1, 2, 3], settings);
        let mut now = Instant::now();
        for event in events {
            match event {
                Event::Check(index, ok) => drop(report(&pool, index, ok, now)),
                Event::Live(index, ok) => drop(pool.report_live(id(index), ok, now)),
                Event::Weight(index, weight) => drop(pool.set_weight(id(index), Some(weight), now)),
                Event::Wait(seconds) => now += Duration::from_secs(seconds),
                Event::Pick(client, tried) => {
                    let pick = pool.pick(&session_of([192, 0, 2, client].into()), &ids(&[tried]), now);
                    let snapshot = pool.snapshot(now);
                    let is_up = |target: &Arc<Target>| target.weight > 0 && target.state == Availability::Up;
                    let some_up = snapshot.targets().iter().any(is_up);
                    let usable = |index: usize| {
                        let target = &snapshot.targets()[index];
                        let spare = !some_up && target.weight > 0 && target.state != Availability::Down;
                        index != tried && (is_up(target) || spare)
                    };
                    match pick {
                        Ok(pick) => prop_assert!(usable(place(&pick))),
                        Err(_) => prop_assert!(!(0..4).any(usable)),
                    }
                }
            }
        }
    }
}
