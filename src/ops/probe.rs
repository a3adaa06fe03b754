//! Active health checks: connects to each backend in turn of its interval and reports what it found.
//!
//! What the results mean is decided in `health`; who is told, here.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::balance::Pool;
use crate::config::{HealthCheck, Probe};
use crate::ftp::line::{Frame, Framer};
use crate::ftp::reply::{Code, Place, Replies};
use crate::net::dial;
use crate::telemetry::metrics::BackendMetrics;
use crate::telemetry::pool::tell_availability;

/// The checks of one backend.
pub struct Checks {
    /// The pool that hears of the results.
    pub pool: Arc<Pool>,
    /// The backend's index in the pool.
    pub index: usize,
    /// Its control port.
    pub address: SocketAddr,
    /// Its name in logs.
    pub name: Arc<str>,
    /// The source address of connections to it, if not the kernel's choice.
    pub source: Option<IpAddr>,
    /// What is checked, how often.
    pub check: HealthCheck,
    /// Its counters.
    pub metrics: BackendMetrics,
}

/// Why a check failed.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The control port could not be connected.
    #[error("cannot be connected")]
    Connect(#[source] io::Error),
    /// The connection failed later.
    #[error("connection failed")]
    Io(#[from] io::Error),
    /// Something that is no FTP reply came.
    #[error("does not speak FTP")]
    Protocol,
    /// The backend said something else than it should.
    #[error("answered {code} to {asked}")]
    Refused {
        /// What was asked.
        asked: &'static str,
        /// What it said.
        code: u16,
    },
    /// It took too long.
    #[error("no answer to {asked} within {}", humantime::format_duration(*.limit))]
    Timeout {
        /// What was waited for.
        asked: &'static str,
        /// How long.
        limit: Duration,
    },
}

impl Checks {
    /// Checks until told to stop. The first check comes within a quarter of the interval at random, so
    /// that many backends are not all checked at once.
    pub async fn run(self, stop: CancellationToken) {
        let spread = rand::rng().random_range(0.0..0.25);
        let mut next = tokio::time::Instant::now() + self.check.interval.mul_f64(spread);
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = stop.cancelled() => return,
            }
            let started = tokio::time::Instant::now();
            let (limit, mut asked) = (self.check.timeout, "the connection attempt");
            let result = match tokio::time::timeout(limit, self.probe(&mut asked)).await {
                Ok(result) => result,
                Err(_) => Err(ProbeError::Timeout { asked, limit }),
            };
            self.report(&result);
            next = started + self.check.interval;
        }
    }

    fn report(&self, result: &Result<(), ProbeError>) {
        self.metrics.checked(result.is_ok());
        let change = self
            .pool
            .report_check(self.index, result.is_ok(), Instant::now());
        let (pool, backend) = (self.pool.name(), &self.name);
        tell_availability(&self.pool, Instant::now());
        if let Err(error) = result {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            let cause = cause.as_deref();
            tracing::debug!(%pool, %backend, %error, source = cause, "health check failed");
            if let Some(state) = change {
                tracing::warn!(%pool, %backend, state = state.label(), %error, source = cause, "backend state changed by its health check");
            }
        } else if let Some(state) = change {
            tracing::info!(%pool, %backend, state = state.label(), "backend state changed by its health check");
        }
    }

    /// `asked` is what is waited for at each moment.
    async fn probe(&self, asked: &mut &'static str) -> Result<(), ProbeError> {
        let stream = dial::control(self.address, self.source, self.check.timeout)
            .await
            .map_err(ProbeError::Connect)?;
        let mut talk = Talk::new(stream);
        if self.check.probe == Probe::Tcp {
            return Ok(());
        }
        // H9: 120 announces a delay, 421 is a refusal like any other.
        *asked = "the connection";
        talk.expect(asked, 220).await?;
        if let Probe::Login { user, password } = &self.check.probe {
            *asked = "USER";
            talk.send(&["USER ", user]).await?;
            let code = talk.reply().await?;
            if code.is(331) {
                *asked = "PASS";
                talk.send(&["PASS ", &password.0]).await?;
                talk.expect(asked, 230).await?;
            } else if !code.is(230) {
                return Err(ProbeError::Refused {
                    asked: "USER",
                    code: code.value(),
                });
            }
        }
        *asked = "QUIT";
        talk.send(&["QUIT"]).await?;
        // What it says to that is no sign of health; it is only not cut short.
        let _answered_or_gone = talk.reply().await;
        Ok(())
    }
}

/// A short conversation with a backend.
struct Talk {
    stream: TcpStream,
    framer: Framer,
    replies: Replies,
}

impl Talk {
    fn new(stream: TcpStream) -> Self {
        let replies = Replies::new(MAX_REPLY_LINES, MAX_REPLY_LINES * MAX_LINE_BYTES);
        Self {
            stream,
            framer: Framer::replies(MAX_LINE_BYTES),
            replies,
        }
    }

    async fn send(&mut self, parts: &[&str]) -> Result<(), ProbeError> {
        let line = parts.concat() + "\r\n";
        Ok(self.stream.write_all(line.as_bytes()).await?)
    }

    async fn expect(&mut self, asked: &'static str, wanted: u16) -> Result<(), ProbeError> {
        let code = self.reply().await?;
        if code.is(wanted) {
            Ok(())
        } else {
            Err(ProbeError::Refused {
                asked,
                code: code.value(),
            })
        }
    }

    /// The code of the next reply that is no 1yz.
    async fn reply(&mut self) -> Result<Code, ProbeError> {
        loop {
            while let Some(frame) = self.framer.next_frame() {
                match frame {
                    Frame::Line(line) => {
                        let line = self
                            .replies
                            .read(line.text)
                            .map_err(|_| ProbeError::Protocol)?;
                        if let Some(line) = line
                            && matches!(line.place, Place::Last | Place::Only)
                            && !line.code.is_preliminary()
                        {
                            return Ok(line.code);
                        }
                    }
                    Frame::Telnet(_) => {}
                    Frame::TooLong | Frame::Runaway => return Err(ProbeError::Protocol),
                }
            }
            self.stream.readable().await?;
            let mut buffer = [0; 1024];
            match self.stream.try_read(&mut buffer) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(read) => self.framer.push(buffer.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// A banner of more lines is no sign of health.
const MAX_REPLY_LINES: usize = 200;

/// As Python's `ftplib` has it (R9).
const MAX_LINE_BYTES: usize = 8192;
