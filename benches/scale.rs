//! Many sessions at the same moment: `cargo bench --bench scale [-- --quick]`.
//!
//! Clients, servers and ftplb are processes of their own, and none of them may have more than 20,000
//! descriptors. Every transfer is checked byte for byte. The exit code is 1 when anything went wrong, when the
//! memory of ftplb grows although its sessions do not, or when it does not end as it began.

#[expect(dead_code, reason = "each bench uses a part of it")]
mod support;

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, thread};

use anyhow::ensure;
use tokio::runtime::{Builder, Runtime};

use crate::support::client::Client;
use crate::support::crowd::{self, Hold};
use crate::support::ftplb::{Ftplb, Setup};
use crate::support::server::{self, Servers};
use crate::support::subject::{MIB, Sample, Subject, Watch};
use crate::support::{network, payload};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match start(&arguments) {
        Ok(code) => code,
        Err(error) => {
            print(&format!("failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: &[String]) -> anyhow::Result<ExitCode> {
    if server::serve_until_told(arguments)? {
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(status) = network::enter() {
        return Ok(ExitCode::from(u8::from(!status.success())));
    }
    let says = |flag| arguments.iter().any(|argument| argument == flag);
    // Cargo says `--bench` in `cargo bench` only: with tests a short run is enough.
    let size = if says("--bench") && !says("--quick") {
        Size::FULL
    } else {
        Size::QUICK
    };
    run(&size)?;
    Ok(ExitCode::SUCCESS)
}

/// How much is done.
struct Size {
    /// Sessions at which the cost of one more is measured, ascending.
    curve: [u16; 3],
    /// Of one measurement.
    time: Duration,
    /// Transfers at the same moment, among as many sessions as the curve ends with.
    transfers: u16,
    /// Bytes of each.
    file: u64,
    /// Clients that have a passive port at the same moment.
    leases: u16,
    /// The passive ports that these share.
    ports: u16,
}

impl Size {
    const FULL: Self = Self {
        curve: [100, 1_000, 8_000],
        time: Duration::from_millis(1_500),
        transfers: 500,
        file: payload::COMPARED,
        leases: 500,
        ports: 50,
    };
    const QUICK: Self = Self {
        curve: [20, 100, 400],
        time: Duration::from_millis(300),
        transfers: 50,
        file: 1 << 20,
        leases: 100,
        ports: 10,
    };

    fn sessions(&self) -> u16 {
        self.curve.into_iter().max().unwrap_or_default()
    }
}

fn run(size: &Size) -> anyhow::Result<()> {
    let begin = Instant::now();
    let clients = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let servers = Servers::start(&BACKENDS)?;
    print(&format!(
        "{}; at most {DESCRIPTORS} descriptors a process",
        network::describe()
    ));
    many_sessions(size, &clients, servers.addresses())?;
    shared_ports(size, &clients, servers.addresses())?;
    print(&format!(
        "every byte arrived; {:.0} s",
        begin.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// The curve, then transfers at its end, then nothing again.
fn many_sessions(size: &Size, clients: &Runtime, backends: &[SocketAddr]) -> anyhow::Result<()> {
    // Half of the sessions is what one network may have otherwise, and a small crowd is of one.
    let most = size.sessions() + SPARE;
    let tables = format!("[limits]\nsessions = {most}\nsessions_per_network = {most}\n");
    let ftplb = Ftplb::start(Setup {
        ip: Ipv4Addr::new(127, 77, 1, 1),
        backends,
        listener: "",
        tables: &tables,
        descriptors: DESCRIPTORS,
        keeps_log: true,
    })?;
    let subject = ftplb.subject();
    let new = subject.sample()?;
    // What a first session brings into memory is not the cost of one.
    clients.block_on(crowd::visit(ftplb.address(), size.time))?;
    let fresh = when_idle(subject, new.sockets)?;
    print(&row("before the first", fresh));
    let fresh = (fresh, kernel_bytes(&ftplb)?);
    print(CURVE);
    let mut crowd = Vec::new();
    for sessions in size.curve {
        crowd = step(size, clients, &ftplb, crowd, sessions, fresh)?;
    }
    let mut memory = Vec::new();
    for _ in 0..ROUNDS {
        crowd = transfers(size, clients, subject, crowd)?;
        let sample = subject.sample()?;
        print(&row("  afterwards", sample));
        memory.push(sample.memory);
    }
    clients.block_on(crowd::disperse(crowd))?;
    let ended = when_idle(subject, new.sockets)?;
    print(&row("after the last", ended));
    let grown = memory.last().unwrap_or(&0.0) - memory.first().unwrap_or(&0.0);
    ensure!(
        grown <= STEADY,
        "memory grew by {:.1} MiB, and sessions did not",
        grown / MIB
    );
    Ok(())
}

/// Adds silent sessions up to `sessions`, and measures what they and a visitor among them cost.
fn step(
    size: &Size,
    clients: &Runtime,
    ftplb: &Ftplb,
    mut crowd: Vec<Client>,
    sessions: u16,
    fresh: (Sample, f64),
) -> anyhow::Result<Vec<Client>> {
    let there = u16::try_from(crowd.len())?;
    let newcomers = crowd::gather(ftplb.address(), there, sessions - there);
    crowd.extend(clients.block_on(newcomers)?);
    let (sample, kernel) = (ftplb.subject().sample()?, kernel_bytes(ftplb)?);
    let (mut costs, mut rates) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let before = ftplb.cpu()?;
        let visits = clients.block_on(crowd::visit(ftplb.address(), size.time))?;
        costs.push((ftplb.cpu()? - before) / visits.count * 1e6);
        rates.push(visits.count / visits.seconds);
    }
    let each = |bytes: f64| bytes / 1024.0 / f64::from(sessions);
    print(&format!(
        "{sessions:>8} {:>10.0} us {:>9.0} /s {:>14.2} KiB {:>9.2} KiB {:>13}",
        median(costs),
        median(rates),
        each(sample.memory - fresh.0.memory),
        each(kernel - fresh.1),
        sample.descriptors(),
    ));
    Ok(crowd)
}

/// Transfers at the same moment, among all of the crowd.
fn transfers(
    size: &Size,
    clients: &Runtime,
    subject: Subject,
    mut crowd: Vec<Client>,
) -> anyhow::Result<Vec<Client>> {
    let sessions = crowd.len();
    let mut silent = crowd.split_off(size.transfers.into());
    let (begin, watch) = (Instant::now(), Watch::start(subject));
    let together = crowd::transfer_together(crowd, Hold::Begun, size.file, || {
        subject.admin.sum("ftplb_transfers_active")
    });
    let (members, active) = clients.block_on(together)?;
    let (most, seconds) = (watch.stop()?, begin.elapsed().as_secs_f64());
    let name = format!("{sessions} sessions, {active} transfers");
    print(&format!("{}, {seconds:.1} s", row(&name, most)));
    ensure!(
        active >= f64::from(size.transfers),
        "{active} transfers ran at the same moment"
    );
    // Others have their turn in the next round.
    silent.extend(members.into_iter().map(|member| member.client));
    Ok(silent)
}

/// More clients with a passive port than there are ports.
fn shared_ports(size: &Size, clients: &Runtime, backends: &[SocketAddr]) -> anyhow::Result<()> {
    let last = FIRST_PORT + size.ports - 1;
    let ftplb = Ftplb::start(Setup {
        ip: Ipv4Addr::new(127, 77, 1, 2),
        backends,
        listener: &format!("passive_ports = \"{FIRST_PORT}-{last}\""),
        tables: "",
        descriptors: DESCRIPTORS,
        keeps_log: true,
    })?;
    let admin = ftplb.subject().admin;
    let crowd = clients.block_on(crowd::gather(ftplb.address(), 0, size.leases))?;
    let together = crowd::transfer_together(crowd, Hold::Leased, SHARED_FILE, || {
        admin.sum("ftplb_leases_in_use")
    });
    let (members, leases) = clients.block_on(together)?;
    let ports: BTreeSet<u16> = members.iter().map(|member| member.port).collect();
    print(&format!(
        "{leases} clients had a passive port at the same moment, of {} ports",
        ports.len()
    ));
    ensure!(
        leases >= f64::from(size.leases),
        "not all had one at the same moment"
    );
    ensure!(
        ports.iter().all(|port| (FIRST_PORT..=last).contains(port)),
        "ports beyond the range"
    );
    let crowd = members.into_iter().map(|member| member.client);
    clients.block_on(crowd::disperse(crowd.collect()))
}

/// When no more than `sockets` are left.
fn when_idle(subject: Subject, sockets: usize) -> anyhow::Result<Sample> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let sample = subject.sample()?;
        if sample.sockets <= sockets && subject.admin.sum("ftplb_sessions_active")? == 0.0 {
            return Ok(sample);
        }
        let left = sample.sockets.saturating_sub(sockets);
        ensure!(Instant::now() < deadline, "{left} sockets are left over");
        thread::sleep(Duration::from_millis(10));
    }
}

/// What the kernel has for it: not a number where this user may not know.
fn kernel_bytes(ftplb: &Ftplb) -> anyhow::Result<f64> {
    Ok(match ftplb.kernel_bytes()? {
        Some(bytes) => f64::from(u32::try_from(bytes)?),
        None => f64::NAN,
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn row(name: &str, sample: Sample) -> String {
    format!("{name:<34}{}", sample.text())
}

/// Who does not want to read it to its end still gets the exit code.
fn print(text: &str) {
    let mut out = io::stdout();
    let _closed = writeln!(out, "{text}").and_then(|()| out.flush());
}

const CURVE: &str = "\
    idle       CPU of       visits   resident, each   kernel, each   descriptors
sessions      a visit      a second     idle session   idle session";

const BACKENDS: [Ipv4Addr; 4] = [
    Ipv4Addr::new(127, 78, 1, 1),
    Ipv4Addr::new(127, 78, 1, 2),
    Ipv4Addr::new(127, 78, 1, 3),
    Ipv4Addr::new(127, 78, 1, 4),
];

/// Of each process: what hosts commonly allow.
const DESCRIPTORS: u32 = 20_000;

/// Sessions of visitors and checks, beside those that stay.
const SPARE: u16 = 100;

const ROUNDS: usize = 3;

/// By how much memory may differ between rounds of the same transfers.
const STEADY: f64 = 2.0 * MIB;

const FIRST_PORT: u16 = 10_000;

/// Bytes of a file over a shared port.
const SHARED_FILE: u64 = 256 << 10;
