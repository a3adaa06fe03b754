//! Logs: to standard error or a file, as text for people or JSON for machines.
//!
//! Lines are written by a thread of their own behind a bounded queue: whoever reads them, or a disk that
//! hangs, may stop without stopping a session. Lines that find the queue or the disk full are dropped and
//! counted.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::config::{Log, LogFormat};
use queue::{Queue, Writer};

mod clock;
mod fields;
mod queue;

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
    /// There is no thread for the log.
    #[error("cannot start a thread for the log")]
    Thread(#[source] io::Error),
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
    dropped: Dropped,
    filter: FilterSwitch,
    _writer: Writer,
}

/// Counts the lines that were dropped because nobody took them, or not fast enough.
#[derive(Clone, Debug, Default)]
pub struct Dropped(Arc<Queue>);

impl Dropped {
    /// So many in the life of the process.
    pub fn lines(&self) -> u64 {
        self.0.dropped()
    }
}

/// Changes what is logged while the process runs.
#[derive(Clone, Debug)]
pub struct FilterSwitch(reload::Handle<EnvFilter, Registry>);

/// What is logged.
#[derive(Debug)]
pub struct Filter(EnvFilter);

impl Logging {
    /// The count of the lines that were dropped.
    pub fn dropped(&self) -> Dropped {
        self.dropped.clone()
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
    let started = match &log.file {
        None => Queue::start(io::stderr()),
        Some(path) => Queue::start(open(path)?),
    };
    let (queue, writer) = started.map_err(LogError::Thread)?;
    let dropped = Dropped(Arc::clone(&queue));
    let is_terminal = log.file.is_none() && io::IsTerminal::is_terminal(&io::stderr());
    let lines = fmt::layer()
        .with_timer(clock::Utc)
        .with_writer(queue)
        .with_ansi(is_terminal)
        .with_target(false);
    let lines = match log.format {
        LogFormat::Text if is_terminal => lines.boxed(),
        LogFormat::Text => lines.fmt_fields(fields::Plain).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // Only a subscriber that was there before makes this fail, in tests.
    let _was_first = tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init();
    Ok(Logging {
        dropped,
        filter: FilterSwitch(switch),
        _writer: writer,
    })
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
