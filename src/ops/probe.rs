//! What a health check tries, once.
//!
//! When it is tried is decided in `checks`, what the results mean in `health`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::config::Probe;
use crate::ftp::line::{Frame, Framer};
use crate::ftp::reply::{Code, Place, Replies};
use crate::net::dial;
use crate::ops::checks::Subject;
use crate::proxy::pins::Pins;

/// What a check that succeeded has found.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Finding {
    /// The weight that the backend wants from now on.
    pub weight: Option<u32>,
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

/// Checks once, within the time that the check has.
pub async fn run(subject: &Subject, _pins: &Arc<Pins>) -> Result<Finding, ProbeError> {
    let (limit, mut asked) = (subject.check.timeout, "the connection attempt");
    match tokio::time::timeout(limit, probe(subject, &mut asked)).await {
        Ok(result) => result.map(|()| Finding::default()),
        Err(_) => Err(ProbeError::Timeout { asked, limit }),
    }
}

/// `asked` is what is waited for at each moment.
async fn probe(subject: &Subject, asked: &mut &'static str) -> Result<(), ProbeError> {
    let stream = dial::control(subject.address, subject.source, subject.check.timeout)
        .await
        .map_err(ProbeError::Connect)?;
    let mut talk = Talk::new(stream);
    if subject.check.probe == Probe::Tcp {
        return Ok(());
    }
    // H9: 120 announces a delay, 421 is a refusal like any other.
    *asked = "the connection";
    talk.expect(asked, 220).await?;
    if let Probe::Login { user, password } = &subject.check.probe {
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
