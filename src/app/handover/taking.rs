//! The newer process: gets the sockets before it gives up its privileges, and says when it serves.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::message::{LONGEST_LINE, Message, PROTOCOL, Rest, Who};
use crate::net::inherit::Inherited;
use crate::net::passing;

/// Why the sockets of a running ftplb can not be had.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// It is another user's.
    #[error(
        "a process of another user answers at {path}: start as its user or as root, or stop that one first"
    )]
    Forbidden {
        /// The socket.
        path: PathBuf,
    },
    /// It said why.
    #[error("the ftplb at {path} does not hand over: {reason}")]
    Refused {
        /// The socket.
        path: PathBuf,
        /// In its words.
        reason: String,
    },
    /// It does not answer, or not as an ftplb does.
    #[error("a process listens at {path}, and does not hand over: stop it first")]
    Strange {
        /// The socket.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

/// The sockets of a running ftplb, which goes on serving until it is told that we do.
#[derive(Debug)]
pub(crate) struct Takeover {
    path: PathBuf,
    stream: UnixStream,
    /// Which process that is.
    pub(crate) who: Who,
    /// What it listens on.
    sockets: Vec<OwnedFd>,
}

/// A process that we have taken over from, and that finishes its sessions.
pub(crate) struct Older {
    stream: BufReader<tokio::net::UnixStream>,
    pub(crate) who: Who,
}

impl Takeover {
    /// Asks whoever listens at `path`. `None` if nobody does. Blocks for [`PATIENCE`] at most at each step.
    pub(crate) fn ask(path: &Path) -> Result<Option<Self>, HandoverError> {
        let strange = |source| HandoverError::Strange {
            path: path.to_owned(),
            source,
        };
        let stream = match UnixStream::connect(path) {
            Ok(stream) => stream,
            Err(error) => {
                return match error.kind() {
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
                    io::ErrorKind::PermissionDenied => {
                        let path = path.to_owned();
                        Err(HandoverError::Forbidden { path })
                    }
                    _ => Err(strange(error)),
                };
            }
        };
        match Self::talk(path, stream).map_err(strange)? {
            Ok(takeover) => Ok(Some(takeover)),
            Err(reason) => Err(HandoverError::Refused {
                path: path.to_owned(),
                reason,
            }),
        }
    }

    fn talk(path: &Path, mut stream: UnixStream) -> io::Result<Result<Self, String>> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let ask = Message::Ask {
            protocol: PROTOCOL,
            who: Who::here(),
        };
        stream.write_all(&ask.line()?)?;
        let mut sockets = Vec::new();
        loop {
            let expected = sockets.len();
            let line = line(&stream, &mut sockets)?;
            match Message::parse(&line)? {
                Message::Offer {
                    who,
                    sockets: count,
                    more,
                } => {
                    if sockets.len() != expected + count {
                        let got = sockets.len() - expected;
                        let error = format!("{count} sockets were announced, and {got} came");
                        return Err(io::Error::other(error));
                    }
                    if !more {
                        return Ok(Ok(Self {
                            path: path.to_owned(),
                            stream,
                            who,
                            sockets,
                        }));
                    }
                }
                Message::Refusal { reason } => return Ok(Err(reason)),
                other => return Err(unexpected(&other)),
            }
        }
    }

    /// Adds its sockets to those that were `inherited`.
    pub(crate) fn give_to(&mut self, inherited: &mut Inherited) -> Result<(), HandoverError> {
        let mut sockets = std::mem::take(&mut self.sockets).into_iter();
        sockets
            .try_for_each(|socket| inherited.add(socket))
            .map_err(|source| HandoverError::Strange {
                path: self.path.clone(),
                source,
            })
    }

    /// Says that clients are served now, at the places that were `taken` as well. When this returns, the other
    /// process accepts nobody any more.
    pub(crate) async fn served(self, taken: Vec<String>) -> io::Result<(Older, Rest)> {
        self.stream.set_nonblocking(true)?;
        let stream = tokio::net::UnixStream::from_std(self.stream)?;
        let mut older = Older {
            stream: BufReader::new(stream),
            who: self.who,
        };
        let line = Message::Serving { taken }.line()?;
        let told = async {
            older.stream.get_mut().write_all(&line).await?;
            older.next().await
        };
        let rest = tokio::time::timeout(PATIENCE, told).await??;
        Ok((older, rest))
    }
}

impl Older {
    /// What is left of it, each time that it is something else; an error once it has ended.
    pub(crate) async fn next(&mut self) -> io::Result<Rest> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.stream).take(LONGEST_LINE);
        bounded.read_until(b'\n', &mut line).await?;
        match Message::parse(&line)? {
            Message::Leaving(rest) => Ok(rest),
            other => Err(unexpected(&other)),
        }
    }
}

/// Reads to the end of a line. What comes beside it is added to `sockets`.
fn line(stream: &UnixStream, sockets: &mut Vec<OwnedFd>) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    // Byte by byte: what belongs to the next line comes with the sockets of that.
    while line.last() != Some(&b'\n') {
        let mut byte = [0];
        if passing::receive(stream, &mut byte, sockets)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.extend(byte);
        if line.len() > LONGEST_OFFER {
            return Err(io::Error::other("its answer is too long"));
        }
    }
    Ok(line)
}

fn unexpected(message: &Message) -> io::Error {
    io::Error::other(format!("it said out of turn: {message:?}"))
}

/// Bytes of a line that comes with sockets or a refusal: it names none of them.
const LONGEST_OFFER: usize = 4 << 10;

/// For an answer of the other process, which has nothing to wait for.
const PATIENCE: Duration = Duration::from_secs(10);
