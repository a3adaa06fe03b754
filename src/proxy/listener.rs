//! Accepts clients, admits or refuses them, and gives each its driver.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use socket2::SockRef;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::limits::Refusal;
use crate::net::connection::{Connection, Listener};
use crate::net::socket;
use crate::proxy::control::Driver;
use crate::proxy::service::Service;
use crate::proxy::view::Origin;
use crate::proxy::workers::Workers;

/// How a listener is told to accept nobody any more.
#[derive(Clone, Debug, Default)]
pub struct Halt {
    /// But whoever the kernel has let in already.
    pub close: CancellationToken,
    /// Nor those: another process accepts them from the same queue.
    pub hand_over: CancellationToken,
}

/// Accepts until told to stop. Each session is of the service of its moment. Sessions run on among `workers`.
pub async fn serve(
    listener: TcpListener,
    service: Arc<ArcSwap<Service>>,
    workers: Workers,
    halt: Halt,
) {
    let listener = match Listener::adopt(listener) {
        Ok(listener) => listener,
        Err(error) => {
            let service = service.load();
            tracing::error!(listener = %service.name(), %error, "cannot accept clients: this host is short of memory");
            return;
        }
    };
    let mut door = Door::new(&listener, &service.load());
    loop {
        let accepted = tokio::select! {
            biased;
            () = halt.hand_over.cancelled() => return,
            () = halt.close.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let begun = accepted.and_then(|(stream, client)| {
            let service = service.load_full();
            match door.receive(&listener, &stream, &service) {
                Ok(vip) => admit(stream, client, vip, &service, &workers),
                Err(_gone) => Ok(()),
            }
        });
        match begun {
            Ok(()) => {}
            Err(error) => {
                tell_short(&service.load(), &error);
                // Whoever waits in the backlog is not lost; trying at once would only burn CPU.
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    // A connection in the backlog has been made; closing it would be a reset.
    let accept = || {
        let (stream, client) = listener.accept_now()?;
        let vip = door.vip(&stream)?;
        Ok::<_, io::Error>((stream, client, vip))
    };
    let waiting = std::iter::from_fn(|| accept().ok()).take(MOST_AT_THE_END);
    for (stream, client, vip) in waiting {
        let service = service.load_full();
        if let Err(error) = admit(stream, client, vip, &service, &workers) {
            tell_short(&service, &error);
        }
    }
}

fn tell_short(service: &Service, error: &io::Error) {
    if let Some(suppressed) = service.shortages.pass(Instant::now()) {
        tracing::error!(
            listener = %service.name(), %error, suppressed,
            "cannot accept clients, they wait; if there are too many open files, raise the limit or lower \
             limits.sessions"
        );
    }
}

/// What is known of a listening socket's connections without asking the kernel for each.
struct Door {
    /// What they are born with; a reload may change it.
    keepalive: Duration,
    /// Where they connected to, unless the listener is at a wildcard address.
    vip: Option<SocketAddr>,
}

impl Door {
    fn new(listener: &Listener, service: &Service) -> Self {
        let is_one = |address: &SocketAddr| !address.ip().is_unspecified();
        Self {
            keepalive: service.settings.timeouts.keepalive,
            vip: listener.local_addr().ok().filter(is_one),
        }
    }

    /// The virtual IP of a new connection, which is prepared then. An error means that the client is gone.
    fn receive(
        &mut self,
        listener: &Listener,
        stream: &TcpStream,
        service: &Service,
    ) -> io::Result<SocketAddr> {
        let wanted = service.settings.timeouts.keepalive;
        if self.keepalive != wanted {
            socket::prepare_control(listener, wanted)?;
            socket::prepare_control(stream, wanted)?;
            self.keepalive = wanted;
        }
        self.vip(stream)
    }

    fn vip(&self, stream: &TcpStream) -> io::Result<SocketAddr> {
        self.vip.map_or_else(|| stream.local_addr(), Ok)
    }
}

/// Gives the client a session, or refuses it: those first whose refusal costs least.
fn admit(
    stream: TcpStream,
    client: SocketAddr,
    vip: SocketAddr,
    service: &Arc<Service>,
    workers: &Workers,
) -> io::Result<()> {
    let client = socket::normalise_socket(client);
    let (limits, now) = (&service.settings.limits, Instant::now());
    let is_check = service.pins.has(client);
    let refusal = if is_check {
        None
    } else if !service.access.admits(client.ip()) {
        Some(Refusal::Denied)
    } else if !service.gate.may_connect(client.ip(), now) {
        Some(Refusal::ClientRate)
    } else {
        None
    };
    if let Some(refusal) = refusal {
        refuse(&stream, client, service, refusal, now);
        return Ok(());
    }
    let origin = Origin {
        client,
        vip: socket::normalise_socket(vip),
        names: Arc::clone(&service.names),
    };
    let admitted = if is_check {
        Ok(service.sessions.admit_anyway(origin, limits))
    } else {
        service.sessions.admit(origin, limits)
    };
    match admitted {
        Ok(admission) => workers.spawn(|| {
            let stream = Connection::new(stream)?;
            Ok(Driver::new(Arc::clone(service), admission, stream))
        }),
        Err(refusal) => {
            refuse(&stream, client, service, refusal, now);
            Ok(())
        }
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
    { &service.gate }.tell_refused(client, service.name(), refusal, now);
    let parting = if refusal == Refusal::Denied {
        SockRef::from(stream).set_linger(Some(Duration::ZERO))
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
