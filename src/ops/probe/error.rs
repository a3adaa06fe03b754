//! Why a check failed: what was asked, what came, and from whom.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::diagnosis::Diagnosis;
use crate::ftp::reply::ReplyError;
use crate::net::host;
use crate::ops::script::ScriptError;

/// Why a check failed. Text of the other side is escaped and bounded (O6).
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It closed the connection where an answer was due.
    #[error("{peer} closed the connection and did not answer {asked}")]
    Closed {
        /// Who.
        peer: SocketAddr,
        /// What was asked.
        asked: &'static str,
    },
    /// The port could not be connected.
    #[error("{peer} can not be connected")]
    Connect {
        /// Who.
        peer: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The data connection that the backend offered could not be made.
    #[error("the data port {peer} can not be connected")]
    DataConnect {
        /// The backend, and the port that it named.
        peer: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The data connection did not end in order.
    #[error("the data connection from {peer} failed after {bytes} bytes")]
    DataCut {
        /// The other end.
        peer: SocketAddr,
        /// How much had come.
        bytes: usize,
        /// Why.
        source: io::Error,
    },
    /// The data connection did not end at all.
    #[error("the data connection from {peer} did not end within {}: {bytes} bytes had come", humantime::format_duration(*.limit))]
    DataEndless {
        /// The other end.
        peer: SocketAddr,
        /// How much had come.
        bytes: usize,
        /// How long the whole check had.
        limit: Duration,
    },
    /// A script found the backend down.
    #[error("{program} exited with {code} and said \"{said}\"")]
    Exit {
        /// The script.
        program: String,
        /// The exit code.
        code: i32,
        /// What it had to say.
        said: String,
    },
    /// What came by HTTP is not what was wanted.
    #[error("{peer} answered {asked} with {answer}, not with {wanted}")]
    Http {
        /// Who.
        peer: SocketAddr,
        /// What was asked for.
        asked: String,
        /// What came.
        answer: String,
        /// What should have come.
        wanted: String,
    },
    /// What is to be asked for can not be.
    #[error("{path:?} can not be asked for by HTTP")]
    HttpPath {
        /// What.
        path: String,
    },
    /// The answer is none by HTTP.
    #[error("{peer} does not speak HTTP as it should")]
    HttpProtocol {
        /// Who.
        peer: SocketAddr,
        /// What is wrong.
        source: hyper::Error,
    },
    /// The connection failed later.
    #[error("the connection to {peer} failed before it answered {asked}")]
    Io {
        /// Who.
        peer: SocketAddr,
        /// What was asked.
        asked: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The answer to PASV or EPSV names no port that can be used (P4).
    #[error("{peer} named no usable port by \"{said}\"")]
    NoPort {
        /// Who.
        peer: SocketAddr,
        /// What it said.
        said: String,
    },
    /// Something that is no FTP reply came.
    #[error("{peer} does not speak FTP")]
    Protocol {
        /// Who.
        peer: SocketAddr,
        /// What is wrong; `None` is an endless line.
        source: Option<ReplyError>,
    },
    /// The backend said something else than it should.
    #[error("{peer} answered {asked} with \"{said}\"")]
    Refused {
        /// Who.
        peer: SocketAddr,
        /// What was asked.
        asked: &'static str,
        /// What it said. To a password, only the code.
        said: String,
        /// What that shows to be wrong with it.
        diagnosis: Option<Diagnosis>,
    },
    /// A script came to no exit code.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// It took too long.
    #[error("{peer} did not answer {asked} within {}", humantime::format_duration(*.limit))]
    Timeout {
        /// Who.
        peer: SocketAddr,
        /// What was asked.
        asked: &'static str,
        /// How long the whole check had.
        limit: Duration,
    },
}

impl ProbeError {
    /// Whether the check could not be made, for want of something that this host gives: then it has found
    /// nothing.
    pub fn is_of_this_host(&self) -> bool {
        match self {
            Self::Connect { source, .. }
            | Self::DataConnect { source, .. }
            | Self::Io { source, .. }
            | Self::Script(ScriptError::System { source, .. }) => host::is_short(source),
            _ => false,
        }
    }

    /// What it shows to be wrong with the backend, if that is known.
    pub fn diagnosis(&self) -> Option<Diagnosis> {
        match self {
            Self::NoPort { .. } => Some(Diagnosis::NoDataPort),
            Self::Protocol {
                source: Some(ReplyError::NotAReply),
                ..
            } => Some(Diagnosis::NotFtp),
            Self::Refused { diagnosis, .. } => *diagnosis,
            _ => None,
        }
    }
}
