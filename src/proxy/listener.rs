//! Accepts clients, admits or refuses them, and gives each its driver.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::limits::Refusal;
use crate::net::socket;
use crate::proxy::control::Driver;
use crate::proxy::service::Service;
use crate::proxy::view::Origin;

/// Accepts until told to stop, and then whoever the kernel has let in already. Each session is of the
/// service of its moment. Sessions run on in `tasks`.
pub async fn serve(
    listener: TcpListener,
    service: Arc<ArcSwap<Service>>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => admit(stream, peer, &service.load_full(), &tasks),
            // The client was gone before its turn came.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::error!(
                    listener = %service.load().name, %error,
                    "cannot accept clients; if there are too many open files, raise the limit or \
                     lower limits.sessions"
                );
                // Whoever waits in the backlog is not lost; trying at once would only burn CPU.
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    // A connection in the backlog has been made; closing it would be a reset.
    if let Ok(listener) = listener.into_std() {
        let accept = || {
            let (stream, peer) = listener.accept()?;
            stream.set_nonblocking(true)?;
            Ok::<_, io::Error>((TcpStream::from_std(stream)?, peer))
        };
        let waiting = std::iter::from_fn(|| accept().ok()).take(MOST_AT_THE_END);
        for (stream, peer) in waiting {
            admit(stream, peer, &service.load_full(), &tasks);
        }
    }
}

/// Gives the client at `peer` a session, or refuses it: those first whose refusal costs least.
fn admit(stream: TcpStream, peer: SocketAddr, service: &Arc<Service>, tasks: &TaskTracker) {
    let client = socket::normalise_socket(peer);
    let (limits, now) = (&service.settings.limits, Instant::now());
    let is_check = service.pins.has(client);
    if !is_check && !service.access.admits(client.ip()) {
        return refuse(&stream, client, service, Refusal::Denied, now);
    }
    if !is_check && !service.gate.may_connect(client.ip(), now) {
        return refuse(&stream, client, service, Refusal::ClientRate, now);
    }
    // A client that is gone already needs no session.
    let Ok(local) = stream.local_addr() else {
        return;
    };
    let origin = Origin {
        client,
        vip: socket::normalise_socket(local),
        listener: Arc::clone(&service.name),
        pool: Arc::clone(service.pool.name()),
    };
    let admitted = if is_check {
        Ok(service.sessions.admit_anyway(origin, limits))
    } else {
        service.sessions.admit(origin, limits)
    };
    match admitted {
        Ok(admission) => {
            let keepalive = service.settings.timeouts.keepalive;
            if socket::prepare_control(&stream, keepalive).is_ok() {
                let driver = Driver::new(Arc::clone(service), admission, stream);
                tasks.spawn(driver.run());
            }
        }
        Err(refusal) => refuse(&stream, client, service, refusal, now),
    }
}

/// O1: one line and FIN. Whom the listener is not for gets no word, and leaves nothing behind.
fn refuse(
    stream: &TcpStream,
    client: SocketAddr,
    service: &Service,
    refusal: Refusal,
    now: Instant,
) {
    service.listener.session_refused(refusal);
    { &service.gate }.tell_refused(client, &service.name, refusal, now);
    let parting = if refusal == Refusal::Denied {
        stream.set_zero_linger()
    } else {
        // The socket is new: its buffer takes the line, and nothing unread makes a reset of it.
        socket::send_at_once(stream, TOO_MANY)
    };
    if let Err(error) = parting {
        tracing::debug!(%client, %error, "the client was gone before it was refused");
    }
}

const TOO_MANY: &[u8] = b"421 Too many connections, try again later.\r\n";

/// A flood of clients must not keep a listener from ending: no more than a backlog has.
const MOST_AT_THE_END: usize = 4096;

/// Between tries to accept while something is short.
const PAUSE: Duration = Duration::from_millis(100);
