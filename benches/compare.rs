//! ftplb beside HAProxy, nginx and the kernel's NAT: `cargo bench --bench compare [-- --quick] [PART-OF-A-NAME]`.
//!
//! The same clients do the same work against the same kind of servers, directly and through each balancer,
//! in turns. Every transfer is checked; the exit code is 1 when anything went wrong. Only ratios and
//! processor time say much: load, servers and balancer share the processors.

#[expect(dead_code, reason = "each bench uses a part of it")]
mod support;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use anyhow::Context as _;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};

use crate::support::balancer::{self, Balancer};
use crate::support::client::Way;
use crate::support::link::Link;
use crate::support::nat::Nat;
use crate::support::process::{cpu_seconds, idle_seconds, sockets};
use crate::support::system::System;
use crate::support::table::{self, Goal, Measured, Round, Row};
use crate::support::work::{FILES, FILES_A_SECOND, LINKED_BYTES, SESSIONS, WORKS, Work};
use crate::support::{load, network, payload, sink};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let says = |flag| arguments.iter().any(|argument| argument == flag);
    // Cargo says `--bench` in `cargo bench` only: with tests a short run is enough.
    let scale = if says("--bench") && !says("--quick") {
        Scale::FULL
    } else {
        Scale::QUICK
    };
    let wanted = arguments.iter().find(|argument| !argument.starts_with('-'));
    if let Some(status) = network::enter() {
        return ExitCode::from(u8::from(!status.success()));
    }
    match run(&scale, wanted.map_or("", String::as_str)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print(&format!("failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// How much is done.
struct Scale {
    rounds: usize,
    /// Of one piece of work of one system in one round.
    time: Duration,
    idle_sessions: u16,
    idle_rounds: usize,
}

impl Scale {
    const FULL: Self = Self {
        rounds: 7,
        time: Duration::from_millis(700),
        idle_sessions: 4_000,
        idle_rounds: 3,
    };
    const QUICK: Self = Self {
        rounds: 2,
        time: Duration::from_millis(250),
        idle_sessions: 1_000,
        idle_rounds: 1,
    };
}

fn run(scale: &Scale, wanted: &str) -> anyhow::Result<()> {
    limit_descriptors()?;
    let begin = Instant::now();
    let (servers, clients) = (runtime()?, runtime()?);
    {
        let _within = servers.enter();
        System::ALL.into_iter().try_for_each(sink::start)?;
    }
    print(&describe(scale)?);
    let idle = format!("idle session, of {}", scale.idle_sessions);
    if idle.contains(wanted) {
        let rounds = (0..scale.idle_rounds)
            .map(|_| idle_round(&clients, scale.idle_sessions))
            .collect::<anyhow::Result<Vec<_>>>()?;
        print(&idle_rows(&idle, &rounds));
    }
    let has_link = Link::is_available();
    let can_be_done = |work: &Work| has_link || !matches!(work, Work::Linked(..));
    let is_wanted = |work: &&Work| work.name().contains(wanted) && can_be_done(work);
    let works: Vec<Work> = WORKS.iter().filter(is_wanted).copied().collect();
    if !works.is_empty() {
        let bench = Bench::new(clients, scale.time)?;
        for work in works {
            let rounds = (0..scale.rounds * work.turns())
                .map(|number| bench.round(work, number))
                .collect::<anyhow::Result<Vec<_>>>()?;
            print(&work.rows(&rounds));
        }
        print(&bench.peaks()?);
    }
    let seconds = begin.elapsed().as_secs_f64();
    print(&format!("every byte arrived; {seconds:.0} s"));
    Ok(())
}

struct Bench {
    /// Of the clients. The servers have another, so that a wake-up between the two is a real one.
    runtime: Runtime,
    balancers: Round<Balancer>,
    has_nat: bool,
    /// What fills the time, for each system.
    bulk_bytes: [u64; System::ALL.len()],
    time: Duration,
}

impl Bench {
    fn new(runtime: Runtime, time: Duration) -> anyhow::Result<Self> {
        let mut bench = Self {
            runtime,
            balancers: try_each(Balancer::start)?,
            has_nat: Nat::is_available(),
            bulk_bytes: [0; System::ALL.len()],
            time,
        };
        bench.warm_up()?;
        Ok(bench)
    }

    /// Compares every byte of transfers both ways, and finds out how many bytes fill the time.
    fn warm_up(&mut self) -> anyhow::Result<()> {
        for (number, system) in System::ALL.into_iter().enumerate() {
            if !self.has(system) {
                continue;
            }
            let _rules = nat(system)?;
            let targets = system.targets();
            for way in [Way::Download, Way::Upload] {
                let bytes = payload::COMPARED;
                within(&self.runtime, load::bulk(&targets, 1, way, bytes))
                    .context(system.name())?;
            }
            let trial = 16 * payload::COMPARED;
            let done = load::bulk(&targets, 1, Way::Download, trial);
            let done = within(&self.runtime, done).context(system.name())?;
            let times = self.time.as_secs_f64() / done.seconds;
            let times = (1..64).take_while(|n| f64::from(*n) < times).count() as u64;
            if let Some(bytes) = self.bulk_bytes.get_mut(number) {
                *bytes = trial * times.max(1);
            }
        }
        Ok(())
    }

    /// Every system once, another one first each time.
    fn round(&self, work: Work, number: usize) -> anyhow::Result<Round<Measured>> {
        let mut round = Round::default();
        let count = System::ALL.len();
        for turn in 0..count {
            let place = (turn + number) % count;
            let system = System::ALL.get(place).copied().unwrap_or(System::Direct);
            if let Some(measured) = round.get_mut(place)
                && self.has(system)
            {
                *measured = Some(self.measure(work, system).context(system.name())?);
            }
        }
        Ok(round)
    }

    fn measure(&self, work: Work, system: System) -> anyhow::Result<Measured> {
        let balancer = self.balancer(system);
        let _rules = nat(system)?;
        let _link = { matches!(work, Work::Linked(..)) }
            .then(Link::new)
            .transpose()?;
        let used = || {
            let own = balancer.map(|balancer| balancer.process().cpu());
            anyhow::Ok((
                own.transpose()?.unwrap_or_default(),
                cpu_seconds(process::id())?,
                idle_seconds()?,
            ))
        };
        let targets = &system.targets();
        let (before, begin) = (used()?, Instant::now());
        let done = match work {
            Work::Bulk(streams, way) => {
                let bytes = self.bulk_bytes.get(usize::from(system.number()));
                let bytes = bytes.copied().unwrap_or_default();
                within(&self.runtime, load::bulk(targets, streams, way, bytes))
            }
            Work::Linked(streams, way) => within(
                &self.runtime,
                load::bulk(targets, streams, way, LINKED_BYTES),
            ),
            Work::PacedFiles => {
                let files = load::paced_files(targets, FILES, FILES_A_SECOND, self.time);
                within(&self.runtime, files)
            }
            Work::Sessions => within(&self.runtime, load::sessions(targets, SESSIONS, self.time)),
            Work::Files => within(&self.runtime, load::files(targets, FILES, self.time)),
            Work::Noops => within(&self.runtime, load::noops(targets, self.time / 8)),
        }?;
        let (after, seconds) = (used()?, begin.elapsed().as_secs_f64());
        Ok(Measured {
            done,
            cpu: after.0 - before.0,
            load_cpu: after.1 - before.1,
            host_cpu: seconds * processors()? - (after.2 - before.2),
        })
    }

    /// The row of memory at its peak, when all the work is done.
    fn peaks(&self) -> anyhow::Result<String> {
        let peaks = try_each(|system| {
            let peak = self
                .balancer(system)
                .map(|one| one.process().memory("VmHWM"));
            Ok(peak.transpose()?.map(|bytes| kibibytes(bytes) / 1024.0))
        })?;
        let row = Row::lower("memory at its peak, MiB", Goal::None);
        Ok(row.text(&[peaks], |peak, _, _| Some(*peak)))
    }

    fn balancer(&self, system: System) -> Option<&Balancer> {
        let balancer = self.balancers.get(usize::from(system.number()));
        balancer.and_then(Option::as_ref)
    }

    fn has(&self, system: System) -> bool {
        match system {
            System::Direct => true,
            System::Nat => self.has_nat,
            _ => self.balancer(system).is_some(),
        }
    }
}

/// What an idle session costs a balancer, in KiB.
struct Idle {
    resident: f64,
    /// Of the kernel, where that is counted.
    kernel: Option<f64>,
}

/// Of balancers that have done nothing before.
fn idle_round(clients: &Runtime, count: u16) -> anyhow::Result<Round<Idle>> {
    try_each(|system| {
        Balancer::start(system)?
            .map(|balancer| idle(clients, system, &balancer, count).context(system.name()))
            .transpose()
    })
}

fn idle(
    clients: &Runtime,
    system: System,
    balancer: &Balancer,
    count: u16,
) -> anyhow::Result<Idle> {
    let targets = &system.targets();
    drop(within(clients, load::idle(targets, WARM_SESSIONS))?);
    settle()?;
    let used = || {
        anyhow::Ok((
            balancer.process().memory("VmRSS")?,
            balancer.kernel_bytes()?,
        ))
    };
    let before = used()?;
    let sessions = within(clients, load::idle(targets, count))?;
    let after = used()?;
    drop(sessions);
    let each = |before, after| (kibibytes(after) - kibibytes(before)) / f64::from(count);
    Ok(Idle {
        resident: each(before.0, after.0),
        kernel: before
            .1
            .zip(after.1)
            .map(|(before, after)| each(before, after)),
    })
}

fn idle_rows(name: &str, rounds: &[Round<Idle>]) -> String {
    [
        Row::lower(&format!("{name}, KiB"), Goal::Of(2.2))
            .text(rounds, |idle, _, _| Some(idle.resident)),
        Row::lower("  with the kernel's part, KiB", Goal::Of(8.0))
            .text(rounds, |idle, _, _| Some(idle.resident + idle.kernel?)),
    ]
    .join("\n")
}

/// Waits until sessions that have ended are gone from the balancers as well.
fn settle() -> anyhow::Result<()> {
    let deadline = Instant::now() + DEADLINE;
    let mut last = (sockets()?, Instant::now());
    while last.1.elapsed() < QUIET {
        thread::sleep(Duration::from_millis(5));
        let now = sockets()?;
        if now != last.0 {
            last = (now, Instant::now());
        }
        anyhow::ensure!(Instant::now() < deadline, "sockets come and go for ever");
    }
    Ok(())
}

/// The rules of the kernel's NAT while that is measured.
fn nat(system: System) -> io::Result<Option<Nat>> {
    (system == System::Nat).then(Nat::new).transpose()
}

/// Where and with what this was measured.
fn describe(scale: &Scale) -> anyhow::Result<String> {
    let versions = [System::Ftplb, System::Haproxy, System::Nginx].map(|system| {
        let missing = || format!("{} is not installed", system.name());
        balancer::version(system).unwrap_or_else(missing)
    });
    let processor = fs::read_to_string("/proc/cpuinfo")?;
    let processor = processor
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("?", |name| name.trim_start_matches([':', ' ', '\t']));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(format!(
        "{processor}, {} processors for load, servers and balancer; Linux {}\n{}\n{} rounds, {}\n{}",
        thread::available_parallelism()?,
        kernel.trim(),
        versions.join("\n"),
        scale.rounds,
        network::describe(),
        table::header()
    ))
}

/// No work takes for ever.
fn within<T>(
    runtime: &Runtime,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    runtime
        .block_on(async { tokio::time::timeout(DEADLINE, work).await })
        .context("no end after 30 seconds")?
}

fn try_each<T>(of: impl Fn(System) -> anyhow::Result<Option<T>>) -> anyhow::Result<Round<T>> {
    let mut round = Round::default();
    for (place, system) in round.iter_mut().zip(System::ALL) {
        *place = of(system)?;
    }
    Ok(round)
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
}

/// The same for all: load and servers have a socket each for every session, a balancer has two.
fn limit_descriptors() -> nix::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let limit = hard.min(DESCRIPTORS);
    setrlimit(Resource::RLIMIT_NOFILE, limit, limit)
}

#[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 processors")]
fn processors() -> io::Result<f64> {
    Ok(thread::available_parallelism()?.get() as f64)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "nobody has 2^52 bytes of memory"
)]
fn kibibytes(bytes: u64) -> f64 {
    bytes as f64 / 1024.0
}

/// The table. Who does not want to read it to its end still gets the exit code.
fn print(text: &str) {
    let mut out = io::stdout();
    let _closed = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Before the idle ones are counted, so that what every program allocates once is not counted.
const WARM_SESSIONS: u16 = 64;

/// For so long no socket has come or gone when sessions have ended.
const QUIET: Duration = Duration::from_millis(100);

/// Of each process, as many as some hosts let it have at most.
const DESCRIPTORS: u64 = 20_000;

const DEADLINE: Duration = Duration::from_secs(30);
