//! The command line: which command, from which configuration.

mod ask;
mod backend;
#[cfg(feature = "demo")]
mod demo;
#[cfg(test)]
mod fixtures;
mod health;
mod import;
mod listing;
mod reload;
mod session;
mod source;
mod status;
mod table;
mod top;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use self::source::{Source, unknown_variables, warn_of};
use crate::app::{App, Footing, Load, Stop};
use crate::config::check::{Checked, Surroundings};
use crate::config::problem::Problem;
use crate::config::{Config, secret, show};
use crate::net::host;
use crate::ops::fleet::Fleet;
use crate::telemetry::log::{self, Logging, Reopener};

/// One FTP address in front of a pool of FTP servers.
#[derive(Debug, Parser)]
#[command(name = "ftplb", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Balance: accept clients and give each session to a backend.
    Run(Source),
    /// Say everything that is wrong with a configuration. Exits with 78 if anything is.
    Check(Source),
    /// Print the whole effective configuration with its defaults.
    ShowConfig(Source),
    /// Say whether a running ftplb answers: 0 if it does, else 1. For containers and orchestrators.
    Health(health::Options),
    /// Print a keepalived.conf, or the rules of ipvsadm, as a configuration of ftplb's own.
    Import(import::Import),
    /// Show how a running ftplb does, in the form of `ipvsadm -Ln`.
    Status(status::Options),
    /// Watch a running ftplb in a terminal: backends, sessions, transfers and how fast they are.
    Top(top::Options),
    /// List the backends of a running ftplb; drain, disable or resume one, or change its weight.
    Backend(backend::Options),
    /// List the sessions of a running ftplb, or end one.
    Session(session::Options),
    /// Make a running ftplb go on with its configuration as it is now.
    Reload(ask::Where),
    /// Try it: three small FTP servers and the balancer in front of them, on this machine.
    #[cfg(feature = "demo")]
    Demo(demo::Options),
}

/// What the process exits with, after `sysexits.h`.
mod exit {
    /// Wrong command line.
    pub(super) const USAGE: u8 = 64;
    /// What was asked of a running ftplb can not be done.
    pub(super) const DATAERR: u8 = 65;
    /// No ftplb runs there.
    pub(super) const UNAVAILABLE: u8 = 69;
    /// The system refused something: an address, a port, a file.
    pub(super) const OSERR: u8 = 71;
    /// It is not done yet: try again later.
    pub(super) const TEMPFAIL: u8 = 75;
    /// Something else than ftplb answers there.
    pub(super) const PROTOCOL: u8 = 76;
    /// The user may not do that.
    pub(super) const NOPERM: u8 = 77;
    /// The configuration has mistakes.
    pub(super) const CONFIG: u8 = 78;
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { exit::USAGE } else { 0 };
            // A closed pipe behind `--help` is nobody's error.
            let _printed = error.print();
            return ExitCode::from(code);
        }
    };
    match cli.command {
        Command::Run(source) => {
            let again = source.clone();
            source.with_config(|checked| run(checked, again))
        }
        Command::Check(source) => source.with_config(|checked| {
            for variable in unknown_variables() {
                complain(&format!(
                    "warning: no variable {variable} is known, it changes nothing"
                ));
            }
            report(&checked.warnings);
            print("the configuration is good\n");
            ExitCode::SUCCESS
        }),
        Command::ShowConfig(source) => source.with_config(|checked| {
            report(&checked.warnings);
            print(&show::show(&checked.config));
            ExitCode::SUCCESS
        }),
        Command::Health(options) => health::run(options),
        Command::Import(import) => import.run(),
        Command::Status(options) => ask::end(status::run(&options)),
        Command::Top(options) => ask::end(top::run(&options)),
        Command::Backend(options) => ask::end(backend::run(&options)),
        Command::Session(options) => ask::end(session::run(&options)),
        Command::Reload(at) => ask::end(reload::run(&at)),
        #[cfg(feature = "demo")]
        Command::Demo(options) => demo::run(&options),
    }
}

fn parse() -> Result<Cli, clap::Error> {
    let matches = Cli::command().try_get_matches()?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    let source = match &mut cli.command {
        Command::Run(source) | Command::Check(source) | Command::ShowConfig(source) => Some(source),
        Command::Health(options) => options.source(),
        _ => None,
    };
    if let Some(source) = source
        && let Some((_, matches)) = matches.subcommand()
    {
        source.choose(matches)?;
    }
    Ok(cli)
}

fn surroundings() -> Surroundings {
    Surroundings {
        ephemeral_ports: host::ephemeral_ports(),
        reserved_ports: host::reserved_ports(),
        descriptors: host::raise_descriptor_limit(),
        read_secret: secret::read,
    }
}

fn run(Checked { config, warnings }: Checked, source: Source) -> ExitCode {
    // Before there are threads: each would keep what it began with.
    let footing = match Footing::prepare(&config) {
        Ok(footing) => footing,
        Err(error) => {
            complain(&format!("{:#}", anyhow::Error::new(error)));
            return ExitCode::from(exit::OSERR);
        }
    };
    match log::start(&config) {
        Ok(logging) => {
            warn_of(&warnings);
            footing.confinement().tell();
            if footing.confinement().is_another_user() {
                source.warn_unless_it_can_be_read_again();
            }
            let load = Arc::new(move || source.load());
            serve(config, load, &logging, footing, || {})
        }
        Err(error) => {
            complain(&format!("{:#}", anyhow::Error::new(error)));
            ExitCode::from(exit::CONFIG)
        }
    }
}

/// Builds and runs the balancer until SIGTERM or SIGINT. `ready` is called once clients can connect.
fn serve(
    config: Config,
    load: Load,
    logging: &Logging,
    footing: Footing,
    ready: impl FnOnce(),
) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start threads");
            return ExitCode::from(exit::OSERR);
        }
    };
    let result = runtime.block_on(async {
        // First of all: to take over may last, and whoever rotates does not know who is ready.
        tokio::spawn(reopen_logs(logging.reopener())?);
        let app = App::build(config, logging, footing)?;
        let stop = Stop::default();
        tokio::spawn(obey_signals(stop.clone(), app.fleet())?);
        ready();
        app.run(stop, load).await
    });
    // A configuration that is being read from a disk that hangs keeps nobody.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::from(exit::OSERR)
        }
    }
}

/// SIGUSR1: the files of the logs were renamed.
fn reopen_logs(logs: Reopener) -> std::io::Result<impl Future<Output = ()>> {
    let mut rotated = signal(SignalKind::user_defined1())?;
    Ok(async move {
        while rotated.recv().await.is_some() {
            logs.reopen();
        }
    })
}

/// SIGTERM and SIGINT drain; a second one ends what is left. SIGHUP reloads.
fn obey_signals(stop: Stop, fleet: Arc<Fleet>) -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            // What came of it is logged by whoever does it.
            let _told = fleet.reload().await;
        }
    });
    Ok(async move {
        for token in [stop.drain, stop.kill] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            token.cancel();
        }
    })
}

fn report(problems: &[Problem]) {
    for problem in problems {
        complain(&problem.to_string());
    }
}

#[expect(
    clippy::print_stderr,
    reason = "there is no log before there is a configuration"
)]
fn complain(text: &str) {
    eprintln!("{text}");
}

/// Whoever closes the pipe before the end has read what it wanted.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _written_or_closed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
