//! The older process: hears who wants to take over, and gives what it listens on.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::{Uid, geteuid};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Interest};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::message::{LONGEST_LINE, Message, PROTOCOL, Rest, Who};
use crate::net::passing;
use crate::net::ports::Key;
use crate::net::unix::UnixSocket;
use crate::ops::fleet::Fleet;

/// What is wanted of the balancer.
pub(crate) enum Request {
    /// All that it listens on, for another process. It goes on as before.
    Offer {
        reply: oneshot::Sender<Vec<OwnedFd>>,
    },
    /// The other process serves, also at the places that it has `taken`: it is to leave.
    Leave {
        taken: Vec<String>,
        successor: Successor,
    },
}

/// The newer process.
pub(crate) struct Successor {
    stream: BufReader<UnixStream>,
    who: Who,
}

/// Hears one newer process at a time, until one has taken over or there is nobody to ask any more.
pub(crate) async fn serve(
    socket: UnixSocket,
    fleet: Arc<Fleet>,
    balancer: mpsc::Sender<Request>,
    stop: CancellationToken,
) {
    let (listener, _file) = socket.into_parts();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::error!(%error, "cannot hear who wants to take over");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        match stop.run_until_cancelled(hear(stream, &balancer)).await {
            Some(Ok(Some(request))) => {
                // It waits for nothing else, and the order to leave is its last.
                let _heard_or_over = balancer.send(request).await;
                // The listener is closed with everything else that listens.
                stop.cancelled().await;
            }
            Some(Ok(None)) => {}
            Some(Err(error)) => {
                fleet.process.metrics.handovers.failed();
                tracing::error!(
                    %error,
                    "the process that was to take over did not come to serve: going on as before"
                );
            }
            None => return,
        }
    }
}

/// Speaks with a newer process up to the moment when it serves. `None` if it is refused.
async fn hear(stream: UnixStream, balancer: &mpsc::Sender<Request>) -> io::Result<Option<Request>> {
    let uid = Uid::from_raw(stream.peer_cred()?.uid());
    let mut stream = BufReader::new(stream);
    let (protocol, who) = match timeout(QUESTION, hear_line(&mut stream)).await?? {
        Message::Ask { protocol, who } => (protocol, who),
        other => return Err(io::Error::other(format!("it began by {other:?}"))),
    };
    let mut successor = Successor { stream, who };
    let Who { version, pid } = &successor.who;
    tracing::info!(%uid, pid, %version, "another ftplb asks to take over");
    if let Some(reason) = refusal(uid, protocol) {
        tracing::warn!(%uid, pid, %version, "handover refused: {reason}");
        timeout(QUESTION, successor.say(&Message::Refusal { reason })).await??;
        return Ok(None);
    }
    let (reply, offer) = oneshot::channel();
    let over = || io::Error::other("this process is stopping");
    { balancer.send(Request::Offer { reply }).await }.map_err(|_| over())?;
    let sockets = offer.await.map_err(|_| over())?;
    timeout(QUESTION, successor.give(&sockets)).await??;
    drop(sockets);
    match timeout(TRIAL, hear_line(&mut successor.stream)).await?? {
        Message::Serving { taken } => Ok(Some(Request::Leave { taken, successor })),
        other => Err(io::Error::other(format!("it said out of turn: {other:?}"))),
    }
}

async fn hear_line(stream: &mut BufReader<UnixStream>) -> io::Result<Message> {
    let mut line = Vec::new();
    let mut bounded = stream.take(LONGEST_LINE);
    bounded.read_until(b'\n', &mut line).await?;
    Message::parse(&line)
}

fn refusal(uid: Uid, protocol: u32) -> Option<String> {
    if !uid.is_root() && uid != geteuid() {
        return Some(format!("user {uid} is neither its own nor root"));
    }
    (protocol != PROTOCOL).then(|| {
        let version = env!("CARGO_PKG_VERSION");
        format!(
            "version {version} hands over by protocol {PROTOCOL}, and was asked by {protocol}: restart it instead"
        )
    })
}

impl Successor {
    /// Which process that is.
    pub(crate) fn who(&self) -> &Who {
        &self.who
    }

    /// Says that nobody is accepted here any more, and what is left. An error if the newer process does not
    /// listen.
    pub(crate) async fn tell(&mut self, rest: Rest) -> io::Result<()> {
        let Rest { sessions, given_up } = rest;
        let mut parts: Vec<Vec<Key>> = given_up.chunks(PORTS).map(<[Key]>::to_vec).collect();
        if parts.is_empty() {
            parts.push(Vec::new());
        }
        for given_up in parts {
            let rest = Rest { sessions, given_up };
            timeout(QUESTION, self.say(&Message::Leaving(rest))).await??;
        }
        Ok(())
    }

    async fn say(&mut self, message: &Message) -> io::Result<()> {
        let line = message.line()?;
        self.stream.get_mut().write_all(&line).await
    }

    async fn give(&mut self, sockets: &[OwnedFd]) -> io::Result<()> {
        let stream = self.stream.get_mut();
        let mut left = sockets;
        loop {
            let (some, more) = left.split_at(left.len().min(passing::MOST));
            left = more;
            let offer = Message::Offer {
                who: Who::here(),
                sockets: some.len(),
                more: !left.is_empty(),
            };
            let line = offer.line()?;
            let descriptors: Vec<BorrowedFd<'_>> = some.iter().map(OwnedFd::as_fd).collect();
            let send = || passing::send(&*stream, &line, &descriptors);
            let bytes = stream.async_io(Interest::WRITABLE, send).await?;
            // The socket's buffer is a hundred times as large.
            if bytes < line.len() {
                return Err(io::ErrorKind::WriteZero.into());
            }
            if left.is_empty() {
                return Ok(());
            }
        }
    }
}

/// For a line of the other process that it has nothing to wait for.
const QUESTION: Duration = Duration::from_secs(5);

/// From the sockets to the other process's first client: it opens its log and builds everything.
const TRIAL: Duration = Duration::from_secs(60);

/// Ports in one message, each some 80 bytes.
const PORTS: usize = 256;

/// Between tries to accept while something is short.
const PAUSE: Duration = Duration::from_secs(1);
