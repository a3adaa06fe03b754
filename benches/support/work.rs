//! The pieces of work that are compared, and what is shown of each.

use super::client::Way;
use super::system::System;
use super::table::{Goal, Measured, Round, Row, percentile};

/// What clients do through each system.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    Bulk(u8, Way),
    /// The same over a link that is slower than the processors.
    Linked(u8, Way),
    Sessions,
    Files,
    /// The same at a rate that leaves the processors time.
    PacedFiles,
    Noops,
}

pub(crate) const WORKS: [Work; 12] = [
    Work::Bulk(1, Way::Download),
    Work::Bulk(1, Way::Upload),
    Work::Bulk(8, Way::Download),
    Work::Bulk(8, Way::Upload),
    Work::Linked(1, Way::Download),
    Work::Linked(1, Way::Upload),
    Work::Linked(8, Way::Download),
    Work::Linked(8, Way::Upload),
    Work::Sessions,
    Work::Files,
    Work::PacedFiles,
    Work::Noops,
];

impl Work {
    pub(crate) fn name(self) -> String {
        let streams = |streams| match streams {
            1 => "1 stream".to_owned(),
            _ => format!("{streams} streams"),
        };
        let bulk = |way| match way {
            Way::Download => "bulk download",
            Way::Upload => "bulk upload",
        };
        match self {
            Self::Bulk(count, way) => format!("{}, {}", bulk(way), streams(count)),
            Self::Linked(count, way) => format!("{} by link, {}", bulk(way), streams(count)),
            Self::Sessions => format!("sessions, {SESSIONS} clients"),
            Self::Files => format!("files of 1-16 KiB, {FILES} clients"),
            Self::PacedFiles => format!("files of 1-16 KiB, {FILES_A_SECOND} /s"),
            Self::Noops => "NOOP, 1 client".to_owned(),
        }
    }

    /// In each round. A short wait depends on which processors the three happen to be on: many short turns
    /// say more than a few long ones.
    pub(crate) fn turns(self) -> usize {
        match self {
            Self::Noops => 5,
            _ => 1,
        }
    }

    pub(crate) fn rows(self, rounds: &[Round<Measured>]) -> String {
        let name = self.name();
        let best = Goal::ToHaproxy(1.0);
        match self {
            Self::Bulk(1, _) => bulk(&name, Goal::None, false, rounds),
            Self::Bulk(..) => bulk(&name, Goal::ToHaproxy(0.9), false, rounds),
            Self::Linked(..) => bulk(&name, Goal::None, true, rounds),
            Self::Sessions => counted(&name, best, Goal::None, rounds),
            Self::Files => counted(&name, Goal::None, Goal::ToHaproxy(0.6), rounds),
            Self::PacedFiles => counted(&name, Goal::None, best, rounds),
            Self::Noops => [
                Row::lower(&format!("{name}, p50, us"), Goal::None).text(rounds, latency(50)),
                Row::lower("  added, us", best).text(rounds, added),
            ]
            .join("\n"),
        }
    }
}

/// The rows of bulk. Where it is `linked` the kernel works beside the processes, too.
fn bulk(name: &str, cpu: Goal, linked: bool, rounds: &[Round<Measured>]) -> String {
    let speed = format!("{name}, GB/s");
    let mut rows = vec![
        Row::higher(&speed, Goal::ToDirect(0.95))
            .text(rounds, |measured, _, _| Some(measured.rate())),
        Row::lower("  CPU, s/GB", cpu).text(rounds, own_cpu),
        Row::lower("  CPU of load, s/GB", Goal::None)
            .text(rounds, |measured, _, _| Some(measured.load_cpu_each())),
    ];
    rows.push(if linked {
        Row::lower("  CPU of host, s/GB", Goal::None)
            .text(rounds, |measured, _, _| Some(measured.host_cpu_each()))
    } else {
        Row::lower("  CPU of all, s/GB", Goal::None)
            .text(rounds, |measured, _, _| Some(whole_cpu(measured)))
    });
    rows.join("\n")
}

/// The rows of work that is counted.
fn counted(name: &str, speed: Goal, p99: Goal, rounds: &[Round<Measured>]) -> String {
    [
        Row::higher(&format!("{name}, /s"), speed)
            .text(rounds, |measured, _, _| Some(measured.rate())),
        Row::lower("  p50, us", Goal::None).text(rounds, latency(50)),
        Row::lower("  p99, us", p99).text(rounds, latency(99)),
        Row::lower("  CPU, us", Goal::ToHaproxy(1.0)).text(rounds, |measured, system, round| {
            Some(own_cpu(measured, system, round)? * 1e6)
        }),
        Row::lower("  CPU of load, us", Goal::None).text(rounds, |measured, _, _| {
            Some(measured.load_cpu_each() * 1e6)
        }),
        Row::lower("  CPU of all, us", Goal::None)
            .text(rounds, |measured, _, _| Some(whole_cpu(measured) * 1e6)),
    ]
    .join("\n")
}

type Value = Option<f64>;

/// Seconds a unit, where there is a process between clients and servers.
fn own_cpu(measured: &Measured, system: System, _: &Round<Measured>) -> Value {
    let has_process = !matches!(system, System::Direct | System::Nat);
    has_process.then_some(measured.cpu / measured.done.units)
}

/// Seconds a unit, of clients, servers and what is between them.
fn whole_cpu(measured: &Measured) -> f64 {
    measured.cpu / measured.done.units + measured.load_cpu_each()
}

/// The time below which `percent` of the units stayed, in microseconds.
fn latency(percent: usize) -> impl Fn(&Measured, System, &Round<Measured>) -> Value {
    move |measured, _, _| percentile(&measured.done.latencies, percent)
}

/// To the median of the direct way in the same round, in microseconds.
fn added(measured: &Measured, system: System, round: &Round<Measured>) -> Value {
    let [Some(direct), ..] = round else {
        return None;
    };
    let whole = percentile(&measured.done.latencies, 50)?;
    (system != System::Direct).then_some(whole - percentile(&direct.done.latencies, 50)?)
}

/// At a time.
pub(crate) const SESSIONS: u8 = 16;

/// At a time.
pub(crate) const FILES: u8 = 32;

/// Of all clients together: a quarter of what they get through a balancer when they do not wait.
pub(crate) const FILES_A_SECOND: u16 = 2_000;

/// Moved over the link in one turn: most of a second.
pub(crate) const LINKED_BYTES: u64 = 832 << 20;
