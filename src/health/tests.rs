use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{
    Availability, CheckId, CheckState, EjectionRule, Health, LONGEST_EJECTION, Thresholds, Verdict,
};

const CHECK: CheckId = CheckId(1);
const OTHER: CheckId = CheckId(2);
const RULE: EjectionRule = EjectionRule {
    failures: 2,
    time: Duration::from_secs(10),
};

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
fn a_backend_of_which_nothing_is_known_is_available() {
    let health = Health::new(&[CHECK], false, Some(RULE));
    assert_eq!(health.availability(Instant::now()), Availability::Up);
}

#[test]
fn with_alpha_a_backend_waits_for_its_checks() {
    let now = Instant::now();
    let mut health = Health::new(&[CHECK, OTHER], true, None);
    assert_eq!(health.availability(now), Availability::Down);
    assert_eq!(health.on_verdict(CHECK, Verdict::Up), None);
    assert_eq!(health.availability(now), Availability::Down);
    let news = health.on_verdict(OTHER, Verdict::Up);
    assert_eq!(news, Some(Availability::Up));
    assert_eq!(health.availability(now), Availability::Up);
}

#[test]
fn one_check_that_fails_takes_a_backend_down_and_all_bring_it_up() {
    let now = Instant::now();
    let mut health = Health::new(&[CHECK, OTHER], false, None);
    let down = Some(Availability::Down);
    assert_eq!(health.on_verdict(OTHER, Verdict::Down), down);
    assert_eq!(health.on_verdict(CHECK, Verdict::Down), None, "no news");
    assert_eq!(health.on_verdict(OTHER, Verdict::Up), None, "one is down");
    assert_eq!(health.availability(now), Availability::Down);
    let up = Some(Availability::Up);
    assert_eq!(health.on_verdict(CHECK, Verdict::Up), up);
    assert_eq!(
        health.on_verdict(CheckId(9), Verdict::Down),
        None,
        "a stranger"
    );
}

#[test]
fn new_checks_begin_with_what_was_known() {
    let now = Instant::now();
    for (verdict, state) in [
        (Verdict::Up, Availability::Up),
        (Verdict::Down, Availability::Down),
    ] {
        let mut health = Health::new(&[CHECK], false, None);
        health.on_verdict(CHECK, verdict);
        health.reconfigure(&[OTHER], true, None);
        assert_eq!(health.availability(now), state);
        health.reconfigure(&[CHECK, OTHER], true, None);
        assert_eq!(health.availability(now), state);
    }
    let mut health = Health::new(&[CHECK], false, None);
    health.on_verdict(CHECK, Verdict::Down);
    health.reconfigure(&[], false, None);
    assert_eq!(
        health.availability(now),
        Availability::Up,
        "no check, no doubt"
    );
}

#[test]
fn alpha_waits_for_no_check_of_a_backend_that_serves_already() {
    let now = Instant::now();
    for before in [&[][..], &[CHECK]] {
        let mut health = Health::new(before, false, None);
        health.reconfigure(&[CHECK], true, None);
        assert_eq!(health.availability(now), Availability::Up, "{before:?}");
        health.on_verdict(CHECK, Verdict::Down);
        assert_eq!(health.availability(now), Availability::Down);
    }
    let mut awaited = Health::new(&[CHECK], true, None);
    awaited.reconfigure(&[CHECK, OTHER], true, None);
    assert_eq!(awaited.availability(now), Availability::Down);
}

#[test]
fn live_failures_in_a_row_eject_for_a_while() {
    let now = Instant::now();
    let mut health = Health::new(&[CHECK], false, Some(RULE));
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
    let mut health = Health::new(&[CHECK], false, Some(RULE));
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
    let mut health = Health::new(&[CHECK], false, Some(RULE));
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
    let mut health = Health::new(&[CHECK], false, Some(RULE));
    for _ in 0..10 {
        assert_eq!(health.on_live_failure(now, false), None);
    }
    assert!(health.on_live_failure(now, true).is_some());
}

#[test]
fn a_backend_that_comes_up_starts_afresh() {
    let now = Instant::now();
    let mut health = Health::new(&[CHECK], false, Some(RULE));
    health.on_verdict(CHECK, Verdict::Up);
    eject(&mut health, now);
    health.on_verdict(CHECK, Verdict::Up);
    assert_ne!(
        health.availability(now),
        Availability::Up,
        "checks of a backend that is up end none"
    );
    health.on_verdict(CHECK, Verdict::Down);
    assert_eq!(health.availability(now), Availability::Down);
    assert_eq!(health.on_live_failure(now, true), None);
    health.on_verdict(CHECK, Verdict::Up);
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
    let mut health = Health::new(&[CHECK], false, Some(endless));
    assert_eq!(
        health.on_live_failure(now, true),
        Some(Availability::Ejected { until })
    );
    let mut health = Health::new(&[CHECK], false, None);
    assert!((0..100).all(|_| health.on_live_failure(now, true).is_none()));
}

#[test]
fn checks_that_come_back_tell_what_they_find() {
    let now = Instant::now();
    let mut health = Health::new(&[CHECK], false, None);
    assert_eq!(
        health.on_verdict(CHECK, Verdict::Down),
        Some(Availability::Down)
    );
    health.reconfigure(&[], false, None);
    assert_eq!(health.availability(now), Availability::Up);
    assert_eq!(health.verdict(), Verdict::Unknown, "nobody checks");
    health.reconfigure(&[OTHER], false, None);
    assert_eq!(
        health.on_verdict(OTHER, Verdict::Down),
        Some(Availability::Down)
    );
    // One more that is added begins with what is known, and is no news.
    health.reconfigure(&[OTHER, CHECK], false, None);
    assert_eq!(health.verdict_of(CHECK), Some(Verdict::Down));
    assert_eq!(health.on_verdict(OTHER, Verdict::Up), None);
    assert_eq!(
        health.on_verdict(CHECK, Verdict::Up),
        Some(Availability::Up)
    );
}

proptest! {
    #[test]
    fn checks_never_flap_faster_than_their_thresholds(
        rise in 1..5u32,
        fall in 1..5u32,
        results in proptest::collection::vec(any::<bool>(), 0..200),
    ) {
        let mut check = CheckState::new(Thresholds { rise, fall }, Verdict::Unknown);
        let (mut row, mut last, mut known) = (0, None, None);
        for ok in results {
            row = if last == Some(ok) { row + 1 } else { 1 };
            last = Some(ok);
            let news = check.on_result(ok);
            let needed = match known {
                None => 1,
                Some(_) if ok => rise,
                Some(_) => fall,
            };
            let due = known != Some(ok) && row >= needed;
            let expected = if ok { Verdict::Up } else { Verdict::Down };
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
        let mut health = Health::new(&[CHECK], false, Some(RULE));
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
