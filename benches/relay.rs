//! What ftplb costs end to end: `cargo bench --bench relay [-- --quick] [PART-OF-A-NAME]`.
//!
//! The same clients do the same work against the same servers, directly and through the release program
//! of ftplb, in turns. Every transfer is checked; the exit code is 1 when anything went wrong. Only ratios
//! and processor time say much about ftplb: load, servers and balancer share the processors.

#[expect(dead_code, reason = "each bench uses a part of it")]
mod support;

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, process, thread};

use anyhow::Context as _;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};

use crate::support::balancer::Balancer;
use crate::support::client::Way;
use crate::support::load;
use crate::support::process::{cpu_seconds, memory_bytes};
use crate::support::table::{self, Measured, Round};
use crate::support::{network, payload, sink};

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
    /// Of one piece of work in one round.
    time: Duration,
    idle_sessions: u32,
}

impl Scale {
    const FULL: Self = Self {
        rounds: 5,
        time: Duration::from_millis(700),
        idle_sessions: 2_000,
    };
    const QUICK: Self = Self {
        rounds: 2,
        time: Duration::from_millis(250),
        idle_sessions: 500,
    };
}

#[derive(Clone, Copy)]
enum Work {
    Bulk(u8, Way),
    Sessions,
    Files,
    Noops,
}

const WORKS: [Work; 7] = [
    Work::Bulk(1, Way::Download),
    Work::Bulk(1, Way::Upload),
    Work::Bulk(8, Way::Download),
    Work::Bulk(8, Way::Upload),
    Work::Sessions,
    Work::Files,
    Work::Noops,
];

fn run(scale: &Scale, wanted: &str) -> anyhow::Result<()> {
    raise_descriptor_limit()?;
    let begin = Instant::now();
    let (servers, clients) = (runtime()?, runtime()?);
    let backends = {
        let _within = servers.enter();
        sink::start(BACKENDS)?
    };
    let balancer = Balancer::start(&backends)?;
    let bench = Bench {
        runtime: clients,
        balanced: [balancer.address()],
        balancer: balancer.id(),
        direct: backends,
        time: scale.time,
    };
    let bulk_bytes = bench.warm_up()?;
    print(&format!(
        "{} rounds, {}; {} processors for load, servers and balancer\n{}",
        scale.rounds,
        network::describe(),
        thread::available_parallelism()?,
        table::HEADER
    ));
    for work in WORKS.iter().filter(|work| work.name().contains(wanted)) {
        let rounds = (0..scale.rounds * work.turns())
            .map(|number| bench.round(*work, bulk_bytes, number))
            .collect::<anyhow::Result<Vec<_>>>()?;
        print(&work.rows(&rounds));
    }
    let peak = memory_bytes(balancer.id(), "VmHWM")? >> 20;
    print(&table::alone("memory at its peak", &format!("{peak} MiB")));
    let name = format!("idle session, of {}", scale.idle_sessions);
    if name.contains(wanted) {
        let each = bench.idle_memory(scale.idle_sessions)?;
        print(&table::alone(&name, &format!("{each:.2} KiB")));
    }
    print(&format!(
        "every byte arrived; {:.0} s",
        begin.elapsed().as_secs_f64()
    ));
    Ok(())
}

struct Bench {
    /// Of the clients. The servers have another, so that a wake-up between the two is a real one.
    runtime: Runtime,
    direct: Vec<SocketAddr>,
    balanced: [SocketAddr; 1],
    balancer: u32,
    time: Duration,
}

impl Bench {
    /// Compares every byte of transfers both ways, and finds out how many bytes fill the time.
    fn warm_up(&self) -> anyhow::Result<u64> {
        for way in [Way::Download, Way::Upload] {
            for targets in [&self.direct[..], &self.balanced] {
                self.within(load::bulk(targets, 1, way, payload::COMPARED))?;
            }
        }
        let trial = 16 * payload::COMPARED;
        let done = self.within(load::bulk(&self.direct, 1, Way::Download, trial))?;
        let times = self.time.as_secs_f64() / done.seconds;
        let bytes = (1..64).take_while(|n| f64::from(*n) < times).count() as u64;
        Ok(trial * bytes.max(1))
    }

    /// Direct first in even rounds, last in odd ones.
    fn round(&self, work: Work, bulk_bytes: u64, number: usize) -> anyhow::Result<Round> {
        let direct = || self.measure(work, &self.direct, bulk_bytes);
        let balanced = || self.measure(work, &self.balanced, bulk_bytes);
        Ok(if number.is_multiple_of(2) {
            let direct = direct()?;
            let balanced = balanced()?;
            Round { direct, balanced }
        } else {
            let balanced = balanced()?;
            let direct = direct()?;
            Round { direct, balanced }
        })
    }

    fn measure(
        &self,
        work: Work,
        targets: &[SocketAddr],
        bulk_bytes: u64,
    ) -> anyhow::Result<Measured> {
        let used = || anyhow::Ok((cpu_seconds(self.balancer)?, cpu_seconds(process::id())?));
        let before = used()?;
        let done = match work {
            Work::Bulk(streams, way) => {
                self.within(load::bulk(targets, streams, way, bulk_bytes))?
            }
            Work::Sessions => self.within(load::sessions(targets, SESSIONS, self.time))?,
            Work::Files => self.within(load::files(targets, FILES, FILE_BYTES, self.time))?,
            Work::Noops => self.within(load::noops(targets, self.time / 8))?,
        };
        let after = used()?;
        Ok(Measured {
            done,
            balancer_cpu: after.0 - before.0,
            load_cpu: after.1 - before.1,
        })
    }

    /// KiB of resident memory for each session, of a balancer that has done nothing before.
    fn idle_memory(&self, count: u32) -> anyhow::Result<f64> {
        let balancer = Balancer::start(&self.direct)?;
        self.within(load::sessions(&[balancer.address()], 1, Duration::ZERO))?;
        let resident = || memory_bytes(balancer.id(), "VmRSS");
        let before = resident()?;
        let sessions = self.within(load::idle(balancer.address(), count))?;
        let grown = resident()?.saturating_sub(before) / 1024;
        drop(sessions);
        Ok(f64::from(u32::try_from(grown)?) / f64::from(count))
    }

    /// No work takes for ever.
    fn within<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        self.runtime
            .block_on(async { tokio::time::timeout(DEADLINE, work).await })
            .context("no end after 30 seconds")?
    }
}

impl Work {
    fn name(self) -> String {
        match self {
            Self::Bulk(streams, Way::Download) => format!("bulk download, {streams} at a time"),
            Self::Bulk(streams, Way::Upload) => format!("bulk upload, {streams} at a time"),
            Self::Sessions => format!("sessions, {SESSIONS} at a time"),
            Self::Files => format!("files of 4 KiB, {FILES} clients"),
            Self::Noops => "NOOP, 1 client, p50".to_owned(),
        }
    }

    /// In each round. A short wait depends on which processors the three happen to be on: many short turns
    /// say more than a few long ones.
    fn turns(self) -> usize {
        match self {
            Self::Noops => 5,
            _ => 1,
        }
    }

    fn rows(self, rounds: &[Round]) -> String {
        let name = self.name();
        match self {
            Self::Bulk(..) => table::bulk(&name, rounds),
            Self::Sessions | Self::Files => [
                table::counted(&name, rounds),
                table::latency("  p50", rounds, 50),
                table::latency("  p99", rounds, 99),
            ]
            .join("\n"),
            Self::Noops => table::latency(&name, rounds, 50),
        }
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
}

/// Load and servers have a socket each for every session; so has the balancer, which inherits the limit.
fn raise_descriptor_limit() -> nix::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
}

/// The table. Who does not want to read it to its end still gets the exit code.
fn print(text: &str) {
    let mut out = io::stdout();
    let _closed = writeln!(out, "{text}").and_then(|()| out.flush());
}

const BACKENDS: u8 = 4;

/// At a time.
const SESSIONS: u8 = 16;

/// At a time.
const FILES: u8 = 32;

const FILE_BYTES: u64 = 4096;

const DEADLINE: Duration = Duration::from_secs(30);
