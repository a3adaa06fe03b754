//! What a health check tries, once.
//!
//! When it is tried is decided in `checks`, what the results mean in `health`. A check by FTP is a short
//! conversation (`talk`), which may go on to a login and a `transfer`, at the backend itself or through
//! ftplb's own listener. `http` asks a server beside it, and a `script` of the operator's tries what it
//! likes.

mod error;
mod http;
mod talk;
mod transfer;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

pub use self::error::ProbeError;
use self::talk::Talk;
use crate::config::{Probe, Script, Via};
use crate::diagnosis::Diagnosis;
use crate::net::connection::Connection;
use crate::net::{alarm, dial};
use crate::ops::checks::{Subject, Through};
use crate::ops::script::Call;
use crate::proxy::pins::{Pin, Pins};

/// What a check that succeeded has found.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Finding {
    /// The weight that the backend wants from now on; `None` is the weight that it has.
    pub weight: Option<u32>,
    /// What is wrong with the backend although it serves.
    pub diagnosis: Option<Diagnosis>,
}

/// Checks once, within the time that the check has. `pins` are those of the pool whose listener it may go
/// through.
pub async fn run(subject: &Subject, pins: &Arc<Pins>) -> Result<Finding, ProbeError> {
    let deadline = Deadline::within(subject.check.timeout);
    match &subject.check.probe {
        Probe::Tcp => connect(subject, deadline).await.map(drop)?,
        Probe::Greeting => {
            let mut talk = begin(subject, deadline).await?;
            talk.greeting().await?;
            talk.quit().await;
        }
        Probe::Login { user, password } => {
            let mut talk = begin(subject, deadline).await?;
            talk.greeting().await?;
            talk.log_in(user, password.expose()).await?;
            talk.quit().await;
        }
        Probe::Transfer {
            user,
            password,
            file,
            via,
        } => {
            let (mut talk, pin) = match (via, &subject.through) {
                (Via::Listener, Some(through)) => begin_through(through, pins, deadline).await?,
                _ => (begin(subject, deadline).await?, None),
            };
            talk.greeting().await?;
            talk.log_in(user, password.expose()).await?;
            let finding = transfer::run(&mut talk, file.as_deref()).await?;
            // Before the connection ends, and with it the claim on its address.
            drop(pin);
            talk.quit().await;
            return Ok(finding);
        }
        Probe::Script {
            script,
            dynamic_weight,
        } => return run_script(subject, script, *dynamic_weight).await,
        Probe::Http(wanted) => {
            let stream = connect(subject, deadline).await?;
            http::run(wanted, subject.address, stream, deadline).await?;
        }
    }
    Ok(Finding::default())
}

async fn connect(subject: &Subject, deadline: Deadline) -> Result<TcpStream, ProbeError> {
    let (to, source) = (subject.address, subject.source);
    let dialled = dial::stream(to, source, deadline.limit);
    deadline.connect(to, dialled, unreachable).await
}

/// A conversation with the backend itself.
async fn begin(subject: &Subject, deadline: Deadline) -> Result<Talk, ProbeError> {
    let stream = connect(subject, deadline).await?;
    Ok(Talk::new(stream, subject.address, deadline))
}

/// A conversation with ftplb's own listener, which gives it to the backend that is to be checked: it knows
/// the address that the check comes from.
async fn begin_through(
    through: &Through,
    pins: &Arc<Pins>,
    deadline: Deadline,
) -> Result<(Talk, Option<Pin>), ProbeError> {
    let to = reachable(through.listener);
    let mut pin = None;
    let dialled = async {
        let (socket, client) = dial::bound(to.ip())?;
        pin = Some(pins.pin(client, through.backend));
        Connection::connect(socket, to).await?.into_stream()
    };
    let stream = deadline.connect(to, dialled, unreachable).await?;
    let mut talk = Talk::new(stream, to, deadline);
    // What the replies show the session of ftplb's own has seen already.
    talk.is_direct = false;
    Ok((talk, pin))
}

/// An address at which this host reaches a listener of its own.
fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        _ => return listener,
    };
    SocketAddr::new(ip, listener.port())
}

/// Exit codes mean what they do for keepalived's `MISC_CHECK`.
async fn run_script(
    subject: &Subject,
    script: &Script,
    dynamic_weight: bool,
) -> Result<Finding, ProbeError> {
    let call = Call {
        words: script.words.clone(),
        run_as: script.run_as.clone().or_else(|| subject.run_as.clone()),
        environment: vec![("FTPLB_ADDRESS", subject.address.to_string())],
        limit: subject.check.timeout,
    };
    let ended = call.run().await?;
    tracing::debug!(
        script = call.program(), address = %subject.address, code = ended.code,
        output = ended.said, "script run"
    );
    match u32::try_from(ended.code) {
        Ok(0) => Ok(Finding::default()),
        Ok(code @ 2..) if dynamic_weight => Ok(Finding {
            weight: Some(code - 2),
            diagnosis: None,
        }),
        _ => Err(ProbeError::Exit {
            program: call.program().to_owned(),
            code: ended.code,
            said: ended.said,
        }),
    }
}

/// By when a check must be done.
#[derive(Clone, Copy)]
struct Deadline {
    at: Instant,
    limit: Duration,
}

impl Deadline {
    fn within(limit: Duration) -> Self {
        let at = Instant::now() + limit;
        Self { at, limit }
    }

    /// Does one `step`, in which `peer` is to answer what is `asked`.
    async fn keep<T>(
        self,
        peer: SocketAddr,
        asked: &'static str,
        step: impl Future<Output = Result<T, ProbeError>>,
    ) -> Result<T, ProbeError> {
        let done = alarm::before(self.at, step).await;
        done.unwrap_or_else(|| Err(self.missed(peer, asked)))
    }

    /// Connects to `peer`. `failed` is how it is said that this can not be done.
    async fn connect(
        self,
        peer: SocketAddr,
        dialled: impl Future<Output = io::Result<TcpStream>>,
        failed: fn(SocketAddr, io::Error) -> ProbeError,
    ) -> Result<TcpStream, ProbeError> {
        let asked = "the connection attempt";
        let dialled = self.keep(peer, asked, async { Ok(dialled.await) });
        dialled.await?.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => self.missed(peer, asked),
            _ => failed(peer, error),
        })
    }

    fn missed(self, peer: SocketAddr, asked: &'static str) -> ProbeError {
        ProbeError::Timeout {
            peer,
            asked,
            limit: self.limit,
        }
    }
}

/// The check can not begin.
fn unreachable(peer: SocketAddr, source: io::Error) -> ProbeError {
    ProbeError::Connect { peer, source }
}

#[cfg(test)]
mod tests;
