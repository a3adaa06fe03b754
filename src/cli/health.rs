//! `ftplb health`: whether a running ftplb answers, for containers that have no shell and no curl.
//!
//! It asks the admin address, which it knows from the same configuration as `run`. A mistake in that is
//! no illness: a file that somebody is editing says nothing about the process that runs. Then the usual
//! address is asked.

use std::net::{AddrParseError, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use hyper::StatusCode;

use super::ask::{Api, AskError};
use super::source::Source;
use super::{complain, print};
use crate::config::Admin;

#[derive(clap::Args, Clone, Debug)]
pub(super) struct Options {
    /// Ask whether a new session would be served, and not only whether ftplb answers.
    #[arg(long)]
    ready: bool,
    #[command(flatten)]
    source: Source,
}

/// Why ftplb is not well, or why nobody knows.
#[derive(Debug, thiserror::Error)]
enum HealthError {
    /// No pages are served.
    #[error(
        "nobody can be asked: the configuration has no admin address; set [admin], or --admin or FTPLB_ADMIN"
    )]
    NoAddress,
    /// It was not told apart from an address.
    #[error("--admin {0}: not IP:PORT")]
    NoPlace(String),
    /// Nobody listens there.
    #[error("no ftplb answers at {at}: {source}")]
    Silent {
        at: SocketAddr,
        source: std::io::Error,
    },
    /// It says no.
    #[error("{at} answers {status}: {text}")]
    Unwell {
        at: SocketAddr,
        status: StatusCode,
        text: String,
    },
    /// Whoever answers is no ftplb, or it takes too long.
    #[error(transparent)]
    Unclear(AskError),
}

impl Options {
    /// Where the admin address is looked up, unless the command line or the environment has it.
    pub(super) fn source(&mut self) -> Option<&mut Source> {
        match self.source.said_admin() {
            Some(_) => None,
            None => Some(&mut self.source),
        }
    }
}

/// Exits with 0 or 1: Docker knows no other outcome of a check.
pub(super) fn run(options: Options) -> ExitCode {
    match ask(options) {
        Ok(answer) => {
            print(&answer);
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn ask(Options { ready, source }: Options) -> Result<String, HealthError> {
    let address = match source.said_admin() {
        Some(text) => parse(text)?,
        None => configured(source)?,
    };
    let at = reachable(address);
    let page = if ready { "/readyz" } else { "/healthz" };
    let asked = Api::pages(at).and_then(|api| api.page(page, PATIENCE));
    let (status, text) = asked.map_err(|error| match error {
        AskError::Unreachable { source, .. } => HealthError::Silent { at, source },
        error => HealthError::Unclear(error),
    })?;
    let text = String::from_utf8_lossy(&text).into_owned();
    match status {
        StatusCode::OK => Ok(text),
        _ => Err(HealthError::Unwell {
            at,
            status,
            text: text.trim_end().to_owned(),
        }),
    }
}

fn parse(text: &str) -> Result<SocketAddr, HealthError> {
    let ip = |_| Ok(SocketAddr::new(text.parse()?, Admin::USUAL_ADDRESS.port()));
    let address = text.parse().or_else(ip);
    address.map_err(|_: AddrParseError| HealthError::NoPlace(text.to_owned()))
}

fn configured(source: Source) -> Result<SocketAddr, HealthError> {
    match source.admin() {
        Ok(address) => address.ok_or(HealthError::NoAddress),
        Err(problems) => {
            for problem in problems {
                complain(&problem);
            }
            Ok(Admin::USUAL_ADDRESS)
        }
    }
}

/// An address to connect to: a wildcard is served at the loopback address as well.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        ip if ip.is_ipv4() => Ipv4Addr::LOCALHOST.into(),
        _ => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

/// Both pages are made of what is in memory. Below the 5 s that are usual for a whole check.
const PATIENCE: Duration = Duration::from_secs(3);
