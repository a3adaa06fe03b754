//! Logs: to standard error or a file, as text for people or JSON for machines.
//!
//! Lines are written by a thread of their own behind a bounded queue: whoever reads them, or a disk that
//! hangs, may stop without stopping a session. Lines that find the queue or the disk full are dropped and
//! counted.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use super::file::AppendedFile;
use super::queue::{Output, Queue, Writer};
use super::transfer_log::{self, TransferLog};
use crate::config::{Config, LogFormat};

mod clock;
mod fields;

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file can not be opened for appending.
    #[error("{key}: {path} cannot be opened for writing at its end")]
    File {
        /// The key of the configuration that names it.
        key: &'static str,
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

/// The logs of a process, while it lives. What is queued is written when it is dropped.
#[must_use = "the last lines are lost without it"]
pub struct Logging {
    dropped: Dropped,
    filter: FilterSwitch,
    transfers: Option<TransferLog>,
    _writers: (Writer, Option<Writer>),
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

/// Has the files of the logs opened anew, once they were renamed.
#[derive(Clone, Debug)]
pub struct Reopener {
    log: Arc<Queue>,
    transfers: Option<TransferLog>,
}

impl Reopener {
    /// What is logged from now on goes to files by the configured names. Does not wait for it.
    pub fn reopen(&self) {
        self.log.reopen();
        if let Some(transfers) = &self.transfers {
            transfers.reopen();
        }
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

    /// Where transfers are written down, if anywhere.
    pub fn transfers(&self) -> Option<TransferLog> {
        self.transfers.clone()
    }

    /// For whoever rotates the files.
    pub fn reopener(&self) -> Reopener {
        Reopener {
            log: Arc::clone(&self.dropped.0),
            transfers: self.transfers.clone(),
        }
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
    /// Reads `filter` in the syntax of [`crate::config::Log::filter`].
    pub fn parse(filter: &str) -> Result<Self, LogError> {
        let parsed = EnvFilter::try_new(filter).map_err(|source| LogError::Filter {
            filter: filter.to_owned(),
            source,
        })?;
        Ok(Self(parsed))
    }
}

/// Sends everything that is traced from now on to where `config` says, once in a process; a second call
/// changes nothing of that. And opens the log of the transfers.
pub fn start(config: &Config) -> Result<Logging, LogError> {
    let log = &config.log;
    let (transfers, of_transfers) = transfer_log::start(&config.transfer_log)?.unzip();
    let (filter, switch) = reload::Layer::new(Filter::parse(&log.filter)?.0);
    let started = match &log.file {
        None => Queue::start("log", io::stderr()),
        Some(path) => Queue::start("log", AppendedFile::open("log.file", path)?),
    };
    let (queue, of_log) = started.map_err(LogError::Thread)?;
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
        transfers,
        _writers: (of_log, of_transfers),
    })
}

impl Output for io::Stderr {}
