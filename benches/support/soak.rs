//! Mixed work for a long time, at whose end ftplb must be as it was at the beginning.
//!
//! ```text
//!   gauges, sockets ─▶ work ─▶ idle ─▶ memory ─▶ work ─▶ idle ─▶ gauges, sockets and memory again
//!        first       warm-up          warm       soak                      last
//! ```
//! Memory is compared with what it was after the warm-up: allocators keep what they were once given.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rand::distr::{Distribution as _, weighted::WeightedIndex};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::task::JoinSet;

use super::deed::Deed;
use super::subject::{Gauges, MIB, Sample, Subject};

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) subject: Subject,
    pub(crate) target: SocketAddr,
    pub(crate) warm_up: Duration,
    pub(crate) time: Duration,
    /// From one report to the next.
    pub(crate) between_reports: Duration,
}

/// How often each deed was done, in the order of [`Deed::ALL`], and the bytes of whole files.
#[derive(Debug, Default)]
struct Tally {
    deeds: [AtomicU64; Deed::ALL.len()],
    bytes: AtomicU64,
}

/// Works as planned. `report` gets a few lines now and then. An error when a client saw something wrong, or
/// ftplb did not end as it began.
pub(crate) async fn run(plan: Plan, mut report: impl FnMut(&str)) -> anyhow::Result<()> {
    let subject = plan.subject;
    let (gauges, new) = (constant(subject.admin.gauges()?), subject.sample()?);
    work(plan, plan.warm_up, &Arc::default(), &mut report).await?;
    let warm = idle(subject, &gauges, new).await?;
    report(&format!("warm:  {}", warm.text()));

    let tally = Arc::default();
    work(plan, plan.time, &tally, &mut report).await?;
    let last = idle(subject, &gauges, new).await?;
    report(&format!("idle:  {}\n{}", last.text(), tally.text()));
    let errors = subject.admin.sum_of("ftplb_sessions_total", INTERNAL)?
        + subject.admin.sum_of("ftplb_transfers_total", INTERNAL)?;
    ensure!(errors < 1.0, "{errors} errors of ftplb's own");
    let grown = last.memory - warm.memory;
    ensure!(
        grown <= STEADY,
        "memory grew by {:.1} MiB, more than {:.0}",
        grown / MIB,
        STEADY / MIB
    );
    Ok(())
}

/// Lets all workers work for `time`.
async fn work(
    plan: Plan,
    time: Duration,
    tally: &Arc<Tally>,
    report: &mut impl FnMut(&str),
) -> anyhow::Result<()> {
    let begin = Instant::now();
    let mut workers = JoinSet::new();
    for number in 0..WORKERS {
        workers.spawn(worker(plan.target, number, begin + time, Arc::clone(tally)));
    }
    let mut next = tokio::time::interval(plan.between_reports);
    next.tick().await;
    loop {
        tokio::select! {
            ended = workers.join_next() => match ended {
                Some(ended) => ended??,
                None => return Ok(()),
            },
            _ = next.tick() => report(&progress(plan.subject, begin.elapsed(), tally)?),
        }
    }
}

async fn worker(
    target: SocketAddr,
    number: u8,
    until: Instant,
    tally: Arc<Tally>,
) -> anyhow::Result<()> {
    let mut random = StdRng::seed_from_u64(number.into());
    let choice = WeightedIndex::new(Deed::ALL.map(|(_, weight)| weight))?;
    while Instant::now() < until {
        let place = choice.sample(&mut random);
        let (Some((deed, _)), Some(count)) = (Deed::ALL.get(place), tally.deeds.get(place)) else {
            bail!("no such deed");
        };
        let source = Ipv4Addr::new(127, 81, number, random.random());
        let act = deed.act(target, source, random.random());
        let moved = tokio::time::timeout(PATIENCE, act)
            .await
            .with_context(|| format!("{deed:?} does not end"))?
            .with_context(|| format!("{deed:?}"))?;
        count.fetch_add(1, Ordering::Relaxed);
        tally.bytes.fetch_add(moved, Ordering::Relaxed);
        tokio::time::sleep(PAUSE.mul_f64(random.random())).await;
    }
    Ok(())
}

/// Waits until gauges and sockets are as they were.
async fn idle(subject: Subject, gauges: &Gauges, sample: Sample) -> anyhow::Result<Sample> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = subject.sample()?;
        let differences = differences(gauges, &constant(subject.admin.gauges()?));
        if differences.is_empty() && now.sockets <= sample.sockets && now.pipes <= POOLED {
            return Ok(now);
        }
        ensure!(
            Instant::now() < deadline,
            "not as in the beginning:{differences} sockets {} to {}, pipes {} to {}",
            sample.sockets,
            now.sockets,
            sample.pipes,
            now.pipes
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The gauges that must be again what they were: not what this process uses at the moment, nor the ports that
/// rest for half a minute because nobody came to them.
fn constant(mut gauges: Gauges) -> Gauges {
    gauges.retain(|series, _| !PASSING.iter().any(|passing| series.starts_with(passing)));
    gauges
}

/// A series that is not there is 0.
fn differences(before: &Gauges, after: &Gauges) -> String {
    let mut text = String::new();
    for series in before
        .keys()
        .chain(after.keys().filter(|key| !before.contains_key(*key)))
    {
        let [old, new] = [before, after].map(|all| all.get(series).copied().unwrap_or_default());
        if (old - new).abs() > f64::EPSILON {
            let _never_fails = write!(text, " {series} {old} to {new},");
        }
    }
    text
}

fn progress(subject: Subject, time: Duration, tally: &Tally) -> anyhow::Result<String> {
    let [sessions, transfers, leases] = [
        "ftplb_sessions_active",
        "ftplb_transfers_active",
        "ftplb_leases_in_use",
    ]
    .map(|gauge| subject.admin.sum(gauge));
    let deeds = tally
        .deeds
        .iter()
        .map(|count| count.load(Ordering::Relaxed));
    Ok(format!(
        "{:>5} s {:>8} deeds {:>7} MB   now {:>3} sessions {:>3} transfers {:>3} leases {}",
        time.as_secs(),
        deeds.sum::<u64>(),
        tally.bytes.load(Ordering::Relaxed) / 1_000_000,
        sessions?,
        transfers?,
        leases?,
        subject.sample()?.text()
    ))
}

impl Tally {
    fn text(&self) -> String {
        let rows = Deed::ALL.iter().zip(&self.deeds);
        let rows = rows.map(|((deed, _), count)| {
            let name = format!("{deed:?}");
            format!("  {name:<20} {:>8}", count.load(Ordering::Relaxed))
        });
        rows.collect::<Vec<_>>().join("\n")
    }
}

/// At a time.
const WORKERS: u8 = 24;

/// The longest between two deeds of a worker: below full load, as it is in most places.
const PAUSE: Duration = Duration::from_millis(20);

/// With a deed, or with what is to become idle.
const PATIENCE: Duration = Duration::from_secs(30);

/// Descriptors of pipes that are kept for the next transfers (`net::splice`).
const POOLED: usize = 128;

/// By how many bytes memory may differ between two idle moments.
const STEADY: f64 = 4.0 * MIB;

/// Gauges that may differ.
const PASSING: [&str; 3] = [
    "process_open_fds",
    "process_resident_memory_bytes",
    "ftplb_passive_ports_taken",
];

const INTERNAL: &str = "cause=\"internal\"";
