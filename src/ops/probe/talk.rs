//! A short conversation with an FTP server: one command, one reply, a bounded amount of each.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{Deadline, ProbeError};
use crate::diagnosis::{Diagnosis, Step};
use crate::ftp::line::{Frame, Framer};
use crate::ftp::reply::{Code, Place, Replies};
use crate::ftp::text::Escaped;

/// A control connection of a check.
pub(super) struct Talk {
    stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) deadline: Deadline,
    /// Whether the peer is the backend itself, and nobody else sees what is wrong with it.
    pub(super) is_direct: bool,
    framer: Framer,
    replies: Replies,
    /// The lines of a reply whose last has not come.
    lines: Vec<Bytes>,
}

/// A whole reply.
pub(super) struct Reply {
    pub(super) code: Code,
    pub(super) lines: Vec<Bytes>,
}

impl Talk {
    /// Talks to `peer`, to which `stream` is connected.
    pub(super) fn new(stream: TcpStream, peer: SocketAddr, deadline: Deadline) -> Self {
        let replies = Replies::new(MAX_REPLY_LINES, MAX_REPLY_LINES * MAX_LINE_BYTES);
        Self {
            stream,
            peer,
            deadline,
            is_direct: true,
            framer: Framer::replies(MAX_LINE_BYTES),
            replies,
            lines: Vec::new(),
        }
    }

    /// The address that the server knows the check by.
    pub(super) fn local_ip(&self) -> io::Result<IpAddr> {
        Ok(self.stream.local_addr()?.ip())
    }

    /// H9: 120 announces a delay, 421 is a refusal like any other.
    pub(super) async fn greeting(&mut self) -> Result<(), ProbeError> {
        let asked = "the connection";
        let reply = self.final_reply(asked).await?;
        let is_wanted = |code: Code| code.is(220);
        self.judge(Step::Greeting, asked, reply, is_wanted)
            .map(drop)
    }

    pub(super) async fn log_in(&mut self, user: &str, password: &str) -> Result<(), ProbeError> {
        self.send("USER", Some(user)).await?;
        let reply = self.final_reply("USER").await?;
        let is_wanted = |code: Code| code.is(331) || code.is(230);
        let reply = self.judge(Step::Login, "USER", reply, is_wanted)?;
        if reply.code.is(230) {
            return Ok(());
        }
        self.send("PASS", Some(password)).await?;
        let reply = self.final_reply("PASS").await?;
        let is_wanted = |code: Code| code.is(230);
        let code = reply.code.to_string();
        let judged = self.judge(Step::Login, "PASS", reply, is_wanted);
        judged.map(drop).map_err(|mut error| {
            // O6: whatever stands in it, it is an answer to a password.
            if let ProbeError::Refused { said, .. } = &mut error {
                *said = code;
            }
            error
        })
    }

    /// Sends a command and waits for a positive reply to it.
    pub(super) async fn ask(
        &mut self,
        asked: &'static str,
        argument: Option<&str>,
    ) -> Result<Reply, ProbeError> {
        self.send(asked, argument).await?;
        let reply = self.final_reply(asked).await?;
        self.judge(Step::Data, asked, reply, Code::is_positive)
    }

    /// The reply, or the error that it is, if its code is not as wanted.
    pub(super) fn judge(
        &self,
        step: Step,
        asked: &'static str,
        reply: Reply,
        is_wanted: impl FnOnce(Code) -> bool,
    ) -> Result<Reply, ProbeError> {
        if is_wanted(reply.code) {
            return Ok(reply);
        }
        let shows = |line: &Bytes| Diagnosis::of_reply(step, reply.code, line);
        let mut lines = reply.lines.iter().filter(|_| self.is_direct);
        Err(ProbeError::Refused {
            peer: self.peer,
            asked,
            said: reply.said(),
            diagnosis: lines.find_map(shows),
        })
    }

    pub(super) async fn send(
        &mut self,
        asked: &'static str,
        argument: Option<&str>,
    ) -> Result<(), ProbeError> {
        let line = match argument {
            Some(argument) => format!("{asked} {argument}\r\n"),
            None => format!("{asked}\r\n"),
        };
        let (peer, deadline) = (self.peer, self.deadline);
        let written = async { self.stream.write_all(line.as_bytes()).await };
        let failed = |source| failed(peer, asked, source);
        let step = async { written.await.map_err(failed) };
        deadline.keep(peer, asked, step).await
    }

    /// The next reply that is no 1yz.
    pub(super) async fn final_reply(&mut self, asked: &'static str) -> Result<Reply, ProbeError> {
        loop {
            let reply = self.any_reply(asked).await?;
            if !reply.code.is_preliminary() {
                return Ok(reply);
            }
        }
    }

    /// The next reply. Dropped before it is complete, it can be waited for again.
    pub(super) async fn any_reply(&mut self, asked: &'static str) -> Result<Reply, ProbeError> {
        let (peer, deadline) = (self.peer, self.deadline);
        deadline.keep(peer, asked, self.read_reply(asked)).await
    }

    /// The same for as long as it takes.
    pub(super) async fn read_reply(&mut self, asked: &'static str) -> Result<Reply, ProbeError> {
        let peer = self.peer;
        let failed = |source| failed(peer, asked, source);
        loop {
            while let Some(frame) = self.framer.next_frame() {
                if let Some(reply) = self.take(frame)? {
                    return Ok(reply);
                }
            }
            self.stream.readable().await.map_err(failed)?;
            let mut buffer = [0; 1024];
            match self.stream.try_read(&mut buffer) {
                Ok(0) => return Err(ProbeError::Closed { peer, asked }),
                Ok(read) => self.framer.push(buffer.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Takes a part of a reply, and gives the whole if it is complete.
    fn take(&mut self, frame: Frame) -> Result<Option<Reply>, ProbeError> {
        let peer = self.peer;
        let wrong = |source| ProbeError::Protocol { peer, source };
        let line = match frame {
            Frame::Line(line) => line.text,
            Frame::Telnet(_) => return Ok(None),
            Frame::TooLong | Frame::Runaway => return Err(wrong(None)),
        };
        let read = self.replies.read(line);
        let Some(line) = read.map_err(|error| wrong(Some(error)))? else {
            return Ok(None);
        };
        self.lines.push(line.text);
        let is_complete = matches!(line.place, Place::Last | Place::Only);
        Ok(is_complete.then(|| Reply {
            code: line.code,
            lines: std::mem::take(&mut self.lines),
        }))
    }

    /// Says good-bye. What the server says to that is no sign of health; it is only not cut short.
    pub(super) async fn quit(mut self) {
        let farewell = async {
            self.deadline = Deadline::within(FAREWELL);
            self.send("QUIT", None).await?;
            self.final_reply("QUIT").await
        };
        let _answered_or_gone = farewell.await;
    }
}

impl Reply {
    /// Its last line, fit for a log.
    pub(super) fn said(&self) -> String {
        let last = self.lines.last().map_or(&[][..], |line| line);
        Escaped(last).to_string()
    }
}

fn failed(peer: SocketAddr, asked: &'static str, source: io::Error) -> ProbeError {
    ProbeError::Io {
        peer,
        asked,
        source,
    }
}

/// A banner of more lines is no sign of health.
const MAX_REPLY_LINES: usize = 200;

/// As Python's `ftplib` has it (R9).
const MAX_LINE_BYTES: usize = 8192;

/// For the answer to QUIT. A server that keeps it back delays its own next check and nothing else.
const FAREWELL: Duration = Duration::from_secs(1);
