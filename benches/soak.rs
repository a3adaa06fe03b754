//! Mixed work for long: `cargo bench --bench soak [-- --minutes 30]`.
//!
//! Sessions, small and large files both ways, passive and active, aborts, resets, passive ports that nobody
//! uses, clients that vanish. The exit code is 1 when a client sees something wrong, or when memory,
//! descriptors, leases or any gauge of `/metrics` does not end where it began.

#[expect(dead_code, reason = "each bench uses a part of it")]
mod support;

use std::env;
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Builder;

use crate::support::ftplb::{Ftplb, Setup};
use crate::support::network;
use crate::support::server::{self, Servers};
use crate::support::soak::{self, Plan};

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
    // Cargo says `--bench` in `cargo bench` only: with tests a look is enough.
    let in_full = arguments.iter().any(|argument| argument == "--bench");
    let minutes = arguments
        .iter()
        .skip_while(|argument| *argument != "--minutes")
        .nth(1)
        .map(|minutes| {
            minutes
                .parse::<u64>()
                .context("--minutes is followed by a number")
        })
        .transpose()?;
    let (warm_up, time) = match minutes {
        Some(minutes) => (MINUTE, MINUTE * u32::try_from(minutes)?),
        None if in_full => (MINUTE / 4, MINUTE),
        None => (Duration::from_secs(2), Duration::from_secs(3)),
    };
    run(warm_up, time)?;
    Ok(ExitCode::SUCCESS)
}

fn run(warm_up: Duration, time: Duration) -> anyhow::Result<()> {
    let clients = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let servers = Servers::start(&BACKENDS)?;
    let ftplb = Ftplb::start(Setup {
        ip: Ipv4Addr::new(127, 77, 2, 1),
        backends: servers.addresses(),
        listener: "",
        tables: "",
        descriptors: DESCRIPTORS,
        keeps_log: false,
    })?;
    print(&network::describe());
    let plan = Plan {
        subject: ftplb.subject(),
        target: ftplb.address(),
        warm_up,
        time,
        between_reports: MINUTE.min(time),
    };
    clients.block_on(soak::run(plan, print))?;
    print("every byte arrived, and all is as it was");
    Ok(())
}

/// Who does not want to read it to its end still gets the exit code.
fn print(text: &str) {
    let mut out = io::stdout();
    let _closed = writeln!(out, "{text}").and_then(|()| out.flush());
}

const MINUTE: Duration = Duration::from_mins(1);

const BACKENDS: [Ipv4Addr; 3] = [
    Ipv4Addr::new(127, 78, 2, 1),
    Ipv4Addr::new(127, 78, 2, 2),
    Ipv4Addr::new(127, 78, 2, 3),
];

/// Few: what leaks is noticed.
const DESCRIPTORS: u32 = 1_024;
