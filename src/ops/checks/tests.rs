use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::errno::Errno;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::{Checks, Prober, Probing, Report, Run, Subject, Subscription};
use crate::config::{CheckAddress, HealthCheck, Probe};
use crate::health::{Thresholds, Verdict};
use crate::ops::probe::{Finding, ProbeError};
use crate::ops::script::ScriptError;
use crate::proxy::pins::Pins;

/// What the runs of a check are to find: `+` and `-`, `?` where they can not be made; then they hang.
struct Scene {
    checks: Checks,
    begun: Instant,
    /// When each run has begun, in seconds since the beginning.
    runs: watch::Receiver<Vec<f64>>,
}

impl Scene {
    fn new(results: &str) -> Self {
        Self::taking(Duration::ZERO, results)
    }

    /// Each run takes so long.
    fn taking(time: Duration, results: &str) -> Self {
        let begun = Instant::now();
        let (log, runs) = watch::channel(Vec::new());
        let results: Mutex<VecDeque<char>> = Mutex::new(results.chars().collect());
        let prober: Prober = Arc::new(move |_, _| {
            log.send_modify(|runs| runs.push(begun.elapsed().as_secs_f64()));
            let result = results.lock().unwrap().pop_front();
            Box::pin(async move {
                sleep(time).await;
                match result {
                    Some('+') => Ok(Finding::default()),
                    Some('?') => Err(short()),
                    Some(_) => Err(failure()),
                    None => pending().await,
                }
            }) as Probing
        });
        Self {
            checks: Checks::by(prober),
            begun,
            runs,
        }
    }

    fn run(&self, check: HealthCheck) -> Arc<Run> {
        self.checks
            .of(subject(21, check), &Arc::<Pins>::default(), || {
                Verdict::Unknown
            })
    }

    /// When the runs of `check` have begun, once there were `count`.
    async fn times(mut self, check: HealthCheck, count: usize) -> Vec<f64> {
        let (_subscription, _heard) = subscribe(&self.run(check));
        let runs = self.runs.wait_for(|runs| runs.len() >= count).await;
        runs.unwrap().clone()
    }

    fn count(&self) -> usize {
        self.runs.borrow().len()
    }
}

type Heard = Arc<Mutex<Vec<(Option<Verdict>, Option<bool>)>>>;

/// Hears of the news and the results of a check.
fn subscribe(run: &Arc<Run>) -> (Subscription, Heard) {
    let heard = Heard::default();
    let notes = Arc::clone(&heard);
    let note = move |report: &Report<'_>| {
        let result = report.result.map(Result::is_ok);
        notes.lock().unwrap().push((report.news, result));
    };
    (run.subscribe(Arc::new(note)), heard)
}

fn failure() -> ProbeError {
    ProbeError::Script(ScriptError::Signal {
        program: "x".to_owned(),
        signal: 9,
    })
}

/// No descriptor is left to ask with.
fn short() -> ProbeError {
    ProbeError::Connect {
        peer: ([127, 0, 0, 1], 21).into(),
        source: Errno::EMFILE.into(),
    }
}

/// Every 5 s, in doubt every second; 2 up, 3 down.
fn check() -> HealthCheck {
    HealthCheck {
        probe: Probe::Greeting,
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(5),
        retry_interval: Duration::from_secs(1),
        warmup: Duration::ZERO,
        thresholds: Thresholds { rise: 2, fall: 3 },
        fast_recovery: false,
        address: CheckAddress::default(),
    }
}

fn subject(port: u16, check: HealthCheck) -> Subject {
    Subject {
        address: ([127, 0, 0, 1], port).into(),
        source: None,
        check,
        run_as: None,
        through: None,
    }
}

/// The times as whole seconds; the clock of tokio counts in milliseconds.
fn assert_times(found: &[f64], expected: &[f64], fact: &str) {
    let near = |(a, b): (&f64, &f64)| (a - b).abs() < 0.1;
    let is_same = found.len() == expected.len() && found.iter().zip(expected).all(near);
    assert!(is_same, "{fact}: {found:?}, not {expected:?}");
}

#[tokio::test(start_paused = true)]
async fn checks_run_in_time_and_sooner_while_the_verdict_is_in_doubt() {
    for (results, fast_recovery, times, fact) in [
        ("+++", false, &[0., 5., 10., 15.][..], "up: every interval"),
        ("---", false, &[0., 5., 10., 15.], "down: every interval"),
        (
            "+---",
            false,
            &[0., 5., 6., 7., 12.],
            "up and failing: retried, until it is down",
        ),
        (
            "+-+",
            false,
            &[0., 5., 6., 11.],
            "up and failed once: retried once",
        ),
        (
            "-++",
            false,
            &[0., 5., 10., 15.],
            "coming up: every interval",
        ),
        (
            "-++",
            true,
            &[0., 5., 6., 11.],
            "coming up fast: retried, until it is up",
        ),
    ] {
        let check = HealthCheck {
            fast_recovery,
            ..check()
        };
        let found = Scene::new(results).times(check, times.len()).await;
        assert_times(&found, times, fact);
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_that_this_host_can_not_make_says_nothing() {
    let mut scene = Scene::new("+???????-");
    let (_subscription, heard) = subscribe(&scene.run(check()));
    scene.runs.wait_for(|runs| runs.len() == 10).await.unwrap();
    let expected = [(Some(Verdict::Up), Some(true)), (None, Some(false))];
    assert_eq!(*heard.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn the_first_run_comes_at_a_random_time_within_the_warmup() {
    let warmup = Duration::from_secs(100);
    let mut firsts = Vec::new();
    for _ in 0..50 {
        let check = HealthCheck { warmup, ..check() };
        firsts.extend(Scene::new("").times(check, 1).await);
    }
    assert!(firsts.iter().all(|first| (0.0..=100.1).contains(first)));
    // One in 10^15 that all fifty are in one half.
    assert!(firsts.iter().any(|first| *first < 50.0), "{firsts:?}");
    assert!(firsts.iter().any(|first| *first > 50.0), "{firsts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_takes_longer_than_the_interval_is_not_overtaken() {
    let scene = Scene::taking(Duration::from_secs(7), "++");
    let found = scene.times(check(), 3).await;
    assert_times(&found, &[0., 7., 14.], "one at a time");
}

#[tokio::test(start_paused = true)]
async fn equal_checks_of_one_address_are_one_and_others_are_not() {
    let mut scene = Scene::new("++");
    let other = HealthCheck {
        fast_recovery: true,
        ..check()
    };
    let runs = [scene.run(check()), scene.run(check())];
    assert_eq!(runs[0].id, runs[1].id);
    assert_ne!(runs[0].id, scene.run(other).id);
    let elsewhere =
        { &scene.checks }.of(subject(22, check()), &Arc::default(), || Verdict::Unknown);
    assert_ne!(runs[0].id, elsewhere.id);

    let subscribed = runs.each_ref().map(subscribe);
    scene.runs.wait_for(|runs| runs.len() == 3).await.unwrap();
    assert_times(&scene.runs.borrow().clone(), &[0., 5., 10.], "not twice");
    let expected = [(Some(Verdict::Up), Some(true)), (None, Some(true))];
    for (_, heard) in &subscribed {
        assert_eq!(*heard.lock().unwrap(), expected, "each hears all");
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_that_nobody_wants_any_more_stops() {
    let mut scene = Scene::new("++++++");
    let run = scene.run(check());
    let (first, _) = subscribe(&run);
    let (second, heard) = subscribe(&run);
    drop(run);
    scene.runs.wait_for(|runs| runs.len() == 2).await.unwrap();
    drop(second);
    let told = heard.lock().unwrap().len();
    scene.runs.wait_for(|runs| runs.len() == 4).await.unwrap();
    assert_eq!(heard.lock().unwrap().len(), told, "no word after the end");
    drop(first);
    sleep(Duration::from_hours(1)).await;
    assert_eq!(scene.count(), 4);
    // Who wants it later begins anew.
    let again = scene.run(check());
    let (_subscription, heard) = subscribe(&again);
    scene.runs.wait_for(|runs| runs.len() == 6).await.unwrap();
    let first = heard.lock().unwrap()[0];
    assert_eq!(first, (Some(Verdict::Up), Some(true)));
}

#[tokio::test(start_paused = true)]
async fn who_comes_later_is_told_what_is_known() {
    let mut scene = Scene::new("-");
    let run = scene.run(check());
    let (first, heard) = subscribe(&run);
    first.known().tell();
    assert!(heard.lock().unwrap().is_empty(), "nothing is known");
    scene.runs.wait_for(|runs| runs.len() == 2).await.unwrap();
    let (second, heard) = subscribe(&run);
    second.known().tell();
    assert_eq!(*heard.lock().unwrap(), [(Some(Verdict::Down), None)]);
    let known = second.known();
    drop(second);
    known.tell();
    assert_eq!(heard.lock().unwrap().len(), 1, "who has gone is not told");
}

#[tokio::test(start_paused = true)]
async fn no_check_runs_after_the_order_to_stop() {
    let mut scene = Scene::new("++++++");
    let run = scene.run(check());
    let _subscribed = subscribe(&run);
    scene.runs.wait_for(|runs| runs.len() == 2).await.unwrap();
    scene.checks.stop();
    let other = HealthCheck {
        fast_recovery: true,
        ..check()
    };
    let _other = subscribe(&scene.run(other));
    sleep(Duration::from_hours(1)).await;
    assert_eq!(scene.count(), 2);
    assert!(scene.begun.elapsed() >= Duration::from_hours(1));
}
