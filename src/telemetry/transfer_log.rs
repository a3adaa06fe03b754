//! The log of transfers: one line for each that has ended, for machines or in the format of xferlog(5).
//!
//! It is a log of its own, beside that of the process: nothing filters it, and its form is somebody else's.
//! It is written like that one, by a thread behind a bounded queue: no session waits for a disk.

mod json;
mod xferlog;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::file::AppendedFile;
use super::log::LogError;
use super::metrics::{DataMode, TransferDirection};
use super::queue::{Queue, Writer};
use crate::config::{self, TransferFormat};
use crate::ending::{Ending, Moved};
use crate::ftp::command::{Direction, Verb};
use crate::ftp::reply::Code;
use crate::ftp::representation::Representation;

/// Writes transfers down.
#[derive(Clone, Debug)]
pub struct TransferLog {
    queue: Arc<Queue>,
    format: TransferFormat,
    /// Of the times in an xferlog.
    zone: TimeZone,
}

/// What is known of a transfer that has ended. What a peer has sent is as it was sent.
#[derive(Clone, Debug)]
pub struct Transfer<'a> {
    /// The number of its session.
    pub session: u64,
    /// The client's control connection.
    pub client: SocketAddr,
    /// The name of the listener.
    pub listener: &'a str,
    /// The address that the client connected to.
    pub vip: SocketAddr,
    /// The name of the pool.
    pub pool: &'a str,
    /// The name of the backend; empty if there is none.
    pub backend: &'a str,
    /// Where that is.
    pub backend_address: Option<SocketAddr>,
    /// Who the client says it is, fit for a log.
    pub user: &'a str,
    /// The command; `None` if data moved without one.
    pub verb: Option<Verb>,
    /// The path as it was sent.
    pub path: &'a [u8],
    /// The same from the root, where that is known.
    pub file: Option<&'a [u8]>,
    /// Whether the data was translated.
    pub representation: Representation,
    /// How the data connection was made.
    pub mode: DataMode,
    /// What the command was for.
    pub direction: TransferDirection,
    /// What has crossed.
    pub moved: Moved,
    /// From the command to the end.
    pub time: Duration,
    /// The reply that ended it, if it came.
    pub reply: Option<Code>,
    /// Who ended it, when and why.
    pub ending: Ending,
}

/// Opens the log, if there is to be one. The lines that are queued are written when the [`Writer`] is dropped.
pub(super) fn start(log: &config::TransferLog) -> Result<Option<(TransferLog, Writer)>, LogError> {
    let Some(path) = &log.file else {
        return Ok(None);
    };
    let file = AppendedFile::open("transfer_log.file", path)?;
    let (queue, writer) = Queue::start("transfer log", file).map_err(LogError::Thread)?;
    let log = TransferLog {
        queue,
        format: log.format,
        zone: TimeZone::system(),
    };
    Ok(Some((log, writer)))
}

impl TransferLog {
    /// Writes a transfer down that ends now. Never waits; a line too many is dropped and counted.
    pub fn write(&self, transfer: &Transfer<'_>) {
        let line = self.line(transfer, Timestamp::now());
        if let Some(mut line) = line {
            line.push('\n');
            self.queue.push(line.as_bytes());
        }
    }

    /// Lines that were not written, in the life of the process.
    pub fn dropped(&self) -> u64 {
        self.queue.dropped()
    }

    /// What ends from now on goes to another file by the same name.
    pub(super) fn reopen(&self) {
        self.queue.reopen();
    }

    fn line(&self, transfer: &Transfer<'_>, now: Timestamp) -> Option<String> {
        match self.format {
            TransferFormat::Json => Some(json::line(transfer, now)),
            TransferFormat::Xferlog => xferlog::line(transfer, &now.to_zoned(self.zone.clone())),
        }
    }
}

impl Transfer<'_> {
    /// What has crossed in the direction of the command. Data without a command goes either way.
    fn bytes(&self) -> u64 {
        match self.verb.and_then(Verb::transfer) {
            Some(Direction::ToBackend) => self.moved.to_backend,
            Some(Direction::ToClient) => self.moved.to_client,
            None => self.moved.to_backend.saturating_add(self.moved.to_client),
        }
    }
}

#[cfg(test)]
mod tests;
