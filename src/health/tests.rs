use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{Availability, EjectionRule, Health, LONGEST_EJECTION, Thresholds};

const THRESHOLDS: Thresholds = Thresholds { rise: 2, fall: 3 };
const RULE: EjectionRule = EjectionRule {
    failures: 2,
    time: Duration::from_secs(10),
};

/// Feeds `+` and `-` and spells what comes back: `u`p, `d`own, or `.` for no news.
fn spell(health: &mut Health, results: &str) -> String {
    let news = |result| match health.on_check(result == '+') {
        None => '.',
        Some(Availability::Up) => 'u',
        Some(Availability::Down) => 'd',
        Some(Availability::Ejected { .. }) => 'e',
    };
    results.chars().map(news).collect()
}

/// Fails until the backend is ejected and returns for how long.
fn eject(health: &mut Health, now: Instant) -> Duration {
    for _ in 0..RULE.failures {
        if let Some(Availability::Ejected { until }) = health.on_live_failure(now, true) {
            return until - now;
        }
    }
    panic!("{} failures in a row eject", RULE.failures);
}

#[test]
fn h9_checks_change_the_state_at_their_thresholds() {
    let table = [
        (2, 3, "+", "u", "the first result decides: ok"),
        (2, 3, "-", "d", "the first result decides: failed"),
        (
            2,
            3,
            "+--+--+",
            "u......",
            "fewer failures than `fall` in a row",
        ),
        (2, 3, "+---", "u..d", "`fall` failures in a row"),
        (2, 3, "-+-+-", "d....", "fewer oks than `rise` in a row"),
        (2, 3, "-++", "d.u", "`rise` oks in a row"),
        (2, 3, "+---++---", "u..d.u..d", "down, up and down again"),
        (
            1,
            2,
            "+--+",
            "u.du",
            "keepalived: retry 1, up at the first ok",
        ),
        (0, 0, "+-+", "udu", "0 counts as 1"),
    ];
    for (rise, fall, results, news, fact) in table {
        let mut health = Health::new(Thresholds { rise, fall }, None);
        assert_eq!(spell(&mut health, results), news, "{fact}");
    }
}

#[test]
fn a_backend_of_which_nothing_is_known_is_available() {
    let health = Health::new(THRESHOLDS, Some(RULE));
    assert_eq!(health.availability(Instant::now()), Availability::Up);
}

#[test]
fn live_failures_in_a_row_eject_for_a_while() {
    let now = Instant::now();
    let mut health = Health::new(THRESHOLDS, Some(RULE));
    assert_eq!(health.on_live_failure(now, true), None);
    health.on_live_success(now);
    assert_eq!(
        health.on_live_failure(now, true),
        None,
        "a success begins the row anew"
    );
    let until = now + RULE.time;
    assert_eq!(
        health.on_live_failure(now, true),
        Some(Availability::Ejected { until })
    );
    let just_before = until.checked_sub(Duration::from_nanos(1)).unwrap();
    assert_eq!(
        health.availability(just_before),
        Availability::Ejected { until }
    );
    assert_eq!(health.availability(until), Availability::Up);
}

#[test]
fn ejections_in_a_row_double_up_to_eightfold() {
    let mut now = Instant::now();
    let mut health = Health::new(THRESHOLDS, Some(RULE));
    for times in [1, 2, 4, 8, 8] {
        let time = eject(&mut health, now);
        assert_eq!(time, RULE.time * times);
        now += time;
    }
    health.on_live_success(now);
    assert_eq!(eject(&mut health, now), RULE.time, "a success ends the row");
}

#[test]
fn sessions_under_way_change_nothing_about_an_ejection() {
    let now = Instant::now();
    let mut health = Health::new(THRESHOLDS, Some(RULE));
    eject(&mut health, now);
    let ejected = health.availability(now);
    for _ in 0..10 {
        assert_eq!(health.on_live_failure(now, true), None);
        health.on_live_success(now);
        assert_eq!(health.availability(now), ejected);
    }
    assert_eq!(eject(&mut health, now + RULE.time), RULE.time * 2);
}

#[test]
fn the_last_backend_is_ejected_as_soon_as_there_is_another() {
    let now = Instant::now();
    let mut health = Health::new(THRESHOLDS, Some(RULE));
    for _ in 0..10 {
        assert_eq!(health.on_live_failure(now, false), None);
    }
    assert!(health.on_live_failure(now, true).is_some());
}

#[test]
fn a_backend_that_comes_up_starts_afresh() {
    let now = Instant::now();
    let mut health = Health::new(THRESHOLDS, Some(RULE));
    spell(&mut health, "+");
    eject(&mut health, now);
    spell(&mut health, "++");
    assert_ne!(
        health.availability(now),
        Availability::Up,
        "checks of a backend that is up end none"
    );
    spell(&mut health, "---");
    assert_eq!(health.availability(now), Availability::Down);
    assert_eq!(health.on_live_failure(now, true), None);
    spell(&mut health, "++");
    assert_eq!(health.availability(now), Availability::Up);
    assert_eq!(eject(&mut health, now), RULE.time);
}

#[test]
fn an_ejection_is_bounded_and_needs_a_rule() {
    let now = Instant::now();
    let endless = EjectionRule {
        failures: 0,
        time: Duration::MAX,
    };
    let until = now + LONGEST_EJECTION;
    let mut health = Health::new(THRESHOLDS, Some(endless));
    assert_eq!(
        health.on_live_failure(now, true),
        Some(Availability::Ejected { until })
    );
    let mut health = Health::new(THRESHOLDS, None);
    assert!((0..100).all(|_| health.on_live_failure(now, true).is_none()));
}

proptest! {
    #[test]
    fn checks_never_flap_faster_than_their_thresholds(
        rise in 1..5u32,
        fall in 1..5u32,
        results in proptest::collection::vec(any::<bool>(), 0..200),
    ) {
        let mut health = Health::new(Thresholds { rise, fall }, None);
        let (mut row, mut last, mut known) = (0, None, None);
        for ok in results {
            row = if last == Some(ok) { row + 1 } else { 1 };
            last = Some(ok);
            let news = health.on_check(ok);
            let needed = match known {
                None => 1,
                Some(_) if ok => rise,
                Some(_) => fall,
            };
            let due = known != Some(ok) && row >= needed;
            let expected = if ok { Availability::Up } else { Availability::Down };
            prop_assert_eq!(news, due.then_some(expected));
            if due {
                known = Some(ok);
            }
        }
    }

    #[test]
    fn a_backend_is_ejected_only_after_its_failures_and_returns_on_time(
        events in proptest::collection::vec((any::<bool>(), 0..8u64), 0..300),
    ) {
        let mut now = Instant::now();
        let mut health = Health::new(THRESHOLDS, Some(RULE));
        let (mut failures, mut back) = (0, now);
        for (ok, seconds) in events {
            now += Duration::from_secs(seconds);
            let out = now < back;
            prop_assert_eq!(health.availability(now) != Availability::Up, out);
            if ok {
                health.on_live_success(now);
                failures = if out { failures } else { 0 };
                continue;
            }
            failures += u32::from(!out);
            match health.on_live_failure(now, true) {
                Some(Availability::Ejected { until }) => {
                    prop_assert!(!out && failures == RULE.failures);
                    prop_assert!(until >= now + RULE.time && until <= now + RULE.time * 8);
                    (failures, back) = (0, until);
                }
                _ => prop_assert!(out || failures < RULE.failures),
            }
        }
    }
}
