//! Logs: to standard error or a file, as text for people or JSON for machines.
//!
//! Lines are written by a thread of their own behind a bounded queue: whoever reads them, or a disk that
//! hangs or is full, may stop without stopping a session. Lines that find the queue or the disk full are
//! dropped and counted.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::config::{Log, LogFormat};
use crate::telemetry::sink::{LostLines, Sink};

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file can not be opened for appending.
    #[error("log file {path} cannot be opened")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// `log.filter` is not in the syntax of `EnvFilter`.
    #[error("log filter `{filter}` is not understood; try `info` or `ftplb=debug`")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
}

/// The log of a process, while it lives. What is queued is written when it is dropped.
#[must_use = "the last lines are lost without it"]
pub struct Logging {
    lost: LostLines,
    filter: FilterSwitch,
    _writer: WorkerGuard,
}

/// Changes what is logged while the process runs.
#[derive(Clone, Debug)]
pub struct FilterSwitch(reload::Handle<EnvFilter, Registry>);

/// What is logged.
#[derive(Debug)]
pub struct Filter(EnvFilter);

impl Logging {
    /// Counts the lines that were dropped because nobody took them fast enough, or at all.
    pub fn lost(&self) -> LostLines {
        self.lost.clone()
    }

    /// The switch of what is logged.
    pub fn filter(&self) -> FilterSwitch {
        self.filter.clone()
    }
}

impl FilterSwitch {
    /// Logs by `filter` from now on.
    pub fn set(&self, filter: Filter) {
        // Where another subscriber was there first, in tests, this one does not filter anything.
        let _changed_or_unused = self.0.reload(filter.0);
    }
}

impl Filter {
    /// Reads `filter` in the syntax of [`Log::filter`].
    pub fn parse(filter: &str) -> Result<Self, LogError> {
        let parsed = EnvFilter::try_new(filter).map_err(|source| LogError::Filter {
            filter: filter.to_owned(),
            source,
        })?;
        Ok(Self(parsed))
    }
}

/// Sends everything that is traced from now on to where `log` says. Once in a process; a second call
/// changes nothing.
pub fn start(log: &Log) -> Result<Logging, LogError> {
    let (filter, switch) = reload::Layer::new(Filter::parse(&log.filter)?.0);
    let (writer, guard, lost) = match &log.file {
        None => behind_queue(io::stderr()),
        Some(path) => behind_queue(open(path)?),
    };
    let is_terminal = log.file.is_none() && io::IsTerminal::is_terminal(&io::stderr());
    let lines = fmt::layer()
        .with_writer(writer)
        .with_ansi(is_terminal)
        .with_target(false);
    let lines = match log.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // Only a subscriber that was there before makes this fail, in tests.
    let _was_first = tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init();
    Ok(Logging {
        lost,
        filter: FilterSwitch(switch),
        _writer: guard,
    })
}

/// A queue before `writer`, the thread that empties it, and the count of what gets lost in either.
fn behind_queue(writer: impl Write + Send + 'static) -> (NonBlocking, WorkerGuard, LostLines) {
    let sink = Sink::new(writer);
    let lost = sink.lost();
    let (queue, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(QUEUED_LINES)
        .finish(sink);
    let lost = LostLines::new(queue.error_counter(), lost);
    (queue, guard, lost)
}

fn open(path: &PathBuf) -> Result<File, LogError> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|source| LogError::File {
            path: path.clone(),
            source,
        })
}

/// Some seconds of a busy balancer, in a few MiB.
const QUEUED_LINES: usize = 16_384;
