//! The API from the other side: asks a running ftplb, and understands its answers.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Runtime;

use super::{complain, exit};
use crate::ops::status::Refusal;

/// Which ftplb is meant.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Where {
    /// Where the running ftplb takes orders: the path of a Unix socket, or a loopback IP:PORT.
    #[arg(
        long,
        env = "FTPLB_API",
        value_name = "PATH",
        global = true,
        default_value = "/run/ftplb/api.sock"
    )]
    api: String,
}

/// Why there is no answer, or none that one would like.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// Nobody listens there.
    #[error(
        "no ftplb answers at {at}: is it running, and does its configuration have [admin] api = \"{at}\"?"
    )]
    Unreachable { at: String, source: io::Error },
    /// The socket is somebody else's.
    #[error("{at} may be asked only by the user that ftplb runs as, or root")]
    Forbidden { at: String },
    /// It was not told apart from a path or an address.
    #[error("--api {at}: neither an absolute path nor IP:PORT")]
    NoPlace { at: String },
    /// It was understood, and can not be done.
    #[error("{}", told(.0))]
    Refused(Refusal),
    /// The configuration was not taken.
    #[error("{}", told(.0))]
    Mistakes(Refusal),
    /// Whoever answers does not speak as ftplb does.
    #[error("{at} does not answer as an ftplb of this version does: {what}")]
    Strange { at: String, what: String },
    /// It was done, and what was waited for has not come.
    #[error("{0}")]
    NotYet(String),
    /// The command line names what is not there, or not one thing only.
    #[error("{0}")]
    Unclear(String),
    /// There is nothing to draw on.
    #[error("ftplb top draws on a terminal, and this is none: `ftplb status` prints the same once")]
    NoTerminal,
    /// The system refused something.
    #[error("cannot ask: {0}")]
    System(#[source] io::Error),
}

/// A running ftplb.
pub(super) struct Api {
    at: String,
    place: Place,
    runtime: Runtime,
}

#[derive(Debug, Eq, PartialEq)]
enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Where {
    /// The ftplb that is meant. It is not asked yet.
    pub(super) fn api(&self) -> Result<Api, AskError> {
        let at = self.api.clone();
        let place = if at.starts_with('/') {
            Place::Unix(PathBuf::from(&at))
        } else {
            let address = at.parse().map(Place::Tcp);
            address.map_err(|_| AskError::NoPlace { at: at.clone() })?
        };
        Api::at(at, place)
    }
}

impl Api {
    /// The ftplb that serves pages at `address`.
    pub(super) fn pages(address: SocketAddr) -> Result<Self, AskError> {
        Self::at(address.to_string(), Place::Tcp(address))
    }

    fn at(at: String, place: Place) -> Result<Self, AskError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        Ok(Self {
            at,
            place,
            runtime: runtime.map_err(AskError::System)?,
        })
    }

    /// The status and the text of a page, which must be there within `patience`.
    pub(super) fn page(
        &self,
        path: &str,
        patience: Duration,
    ) -> Result<(StatusCode, Bytes), AskError> {
        self.within(patience, self.exchange(Method::GET, path, None))
    }

    /// Asks for what is at `path`.
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, AskError> {
        self.ask(Method::GET, path, None)
    }

    /// Gives the order at `path`, with what it needs.
    pub(super) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<T, AskError> {
        self.ask(Method::POST, path, body)
    }

    /// Ends what is at `path`.
    pub(super) fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, AskError> {
        self.ask(Method::DELETE, path, None)
    }

    fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<T, AskError> {
        let (status, text) = self.within(PATIENCE, self.exchange(method, path, body))?;
        let not_json = |error| self.strange(format!("status {status}, {error}"));
        match status {
            StatusCode::OK => serde_json::from_slice(&text).map_err(not_json),
            StatusCode::UNPROCESSABLE_ENTITY => Err(AskError::Mistakes(
                serde_json::from_slice(&text).map_err(not_json)?,
            )),
            _ => Err(AskError::Refused(
                serde_json::from_slice(&text).map_err(not_json)?,
            )),
        }
    }

    fn within<T>(
        &self,
        patience: Duration,
        asked: impl Future<Output = Result<T, AskError>>,
    ) -> Result<T, AskError> {
        self.runtime.block_on(async {
            match tokio::time::timeout(patience, asked).await {
                Ok(answer) => answer,
                Err(_) => Err(self.strange(format!("nothing within {} s", patience.as_secs()))),
            }
        })
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<(StatusCode, Bytes), AskError> {
        let host = match &self.place {
            Place::Tcp(address) => address.to_string(),
            Place::Unix(_) => "localhost".to_owned(),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, host);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = { request.body(Full::from(body.unwrap_or_default())) }
            .map_err(|error| self.strange(error.to_string()))?;
        match &self.place {
            Place::Tcp(address) => {
                let stream = TcpStream::connect(address).await;
                self.send(stream.map_err(|error| self.unreachable(error))?, request)
                    .await
            }
            Place::Unix(path) => {
                let stream = UnixStream::connect(path).await;
                self.send(stream.map_err(|error| self.unreachable(error))?, request)
                    .await
            }
        }
    }

    async fn send<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
        &self,
        stream: S,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Bytes), AskError> {
        let broken = |error: hyper::Error| self.strange(error.to_string());
        let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = shaken.map_err(broken)?;
        // It ends with the stream; what goes wrong is told to whoever waits for the answer.
        tokio::spawn(connection);
        let answer = sender.send_request(request).await.map_err(broken)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LONGEST_ANSWER)
            .collect()
            .await;
        let body = body.map_err(|error| self.strange(error.to_string()))?;
        Ok((status, body.to_bytes()))
    }

    fn unreachable(&self, source: io::Error) -> AskError {
        let at = self.at.clone();
        match source.kind() {
            io::ErrorKind::PermissionDenied => AskError::Forbidden { at },
            _ => AskError::Unreachable { at, source },
        }
    }

    fn strange(&self, what: String) -> AskError {
        let at = self.at.clone();
        AskError::Strange { at, what }
    }
}

impl AskError {
    fn code(&self) -> u8 {
        match self {
            Self::NoPlace { .. } | Self::NoTerminal => exit::USAGE,
            Self::Refused(_) | Self::Unclear(_) => exit::DATAERR,
            Self::Unreachable { .. } => exit::UNAVAILABLE,
            Self::System(_) => exit::OSERR,
            Self::NotYet(_) => exit::TEMPFAIL,
            Self::Strange { .. } => exit::PROTOCOL,
            Self::Forbidden { .. } => exit::NOPERM,
            Self::Mistakes(_) => exit::CONFIG,
        }
    }
}

/// Says what went wrong, and what to exit with.
pub(super) fn end(result: Result<(), AskError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(error.code())
        }
    }
}

/// One part of a path or a query, spelled so that nothing in it means anything there.
pub(super) fn quoted(part: &str) -> String {
    utf8_percent_encode(part, NON_ALPHANUMERIC).to_string()
}

fn told(refusal: &Refusal) -> String {
    let details = refusal.details.iter().map(|detail| format!("\n  {detail}"));
    format!("{}{}", refusal.error, details.collect::<String>())
}

/// A reload that binds addresses and looks up names takes longer than anything else.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ten thousand sessions have some five megabytes.
const LONGEST_ANSWER: usize = 64 << 20;
