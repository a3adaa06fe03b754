//! Accepts clients, admits or refuses them, and gives each its driver.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

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
    let mut door = Door::new(&listener, &service.load());
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, client)) => {
                let service = service.load_full();
                if let Ok(vip) = door.receive(&listener, &stream, &service) {
                    admit(stream, client, vip, &service, &tasks);
                }
            }
            // The client was gone before its turn came.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                let service = service.load();
                if let Some(suppressed) = service.shortages.pass(Instant::now()) {
                    tracing::error!(
                        listener = %service.name, %error, suppressed,
                        "cannot accept clients, they wait; if there are too many open files, raise the \
                         limit or lower limits.sessions"
                    );
                }
                drop(service);
                // Whoever waits in the backlog is not lost; trying at once would only burn CPU.
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    // A connection in the backlog has been made; closing it would be a reset.
    if let Ok(listener) = listener.into_std() {
        let accept = || {
            let (stream, client) = listener.accept()?;
            stream.set_nonblocking(true)?;
            let stream = TcpStream::from_std(stream)?;
            let vip = door.vip(&stream)?;
            Ok::<_, io::Error>((stream, client, vip))
        };
        let waiting = std::iter::from_fn(|| accept().ok()).take(MOST_AT_THE_END);
        for (stream, client, vip) in waiting {
            admit(stream, client, vip, &service.load_full(), &tasks);
        }
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
    fn new(listener: &TcpListener, service: &Service) -> Self {
        let is_one = |address: &SocketAddr| !address.ip().is_unspecified();
        Self {
            keepalive: service.settings.timeouts.keepalive,
            vip: listener.local_addr().ok().filter(is_one),
        }
    }

    /// The virtual IP of a new connection, which is prepared then. An error means that the client is gone.
    fn receive(
        &mut self,
        listener: &TcpListener,
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

fn admit(
    stream: TcpStream,
    client: SocketAddr,
    vip: SocketAddr,
    service: &Arc<Service>,
    tasks: &TaskTracker,
) {
    let (client, vip) = (
        socket::normalise_socket(client),
        socket::normalise_socket(vip),
    );
    let limits = &service.settings.limits;
    // A balancer that is full must not find its backends down for that.
    let (all, per_client) = if service.pins.has(client) {
        (usize::MAX, usize::MAX)
    } else {
        (limits.sessions, limits.sessions_per_client)
    };
    let origin = Origin {
        client,
        vip,
        listener: Arc::clone(&service.name),
        pool: Arc::clone(service.pool.name()),
    };
    match service.sessions.admit(origin, all, per_client) {
        Ok(admission) => {
            let driver = Driver::new(Arc::clone(service), admission, stream);
            tasks.spawn(driver.run());
        }
        Err(refusal) => {
            if let Some(suppressed) = service.refused_sessions.pass(Instant::now()) {
                tracing::warn!(
                    listener = %service.name, %client, limit = refusal.label(), suppressed,
                    "session refused with 421: a limit of the configuration is reached"
                );
            }
            service.listener.session_refused(refusal);
            // O1. The socket is new: its buffer takes the line, and nothing unread makes a reset of it.
            if stream.try_write(TOO_MANY).is_ok() {
                drop(stream);
            }
        }
    }
}

const TOO_MANY: &[u8] = b"421 Too many connections, try again later.\r\n";

/// A flood of clients must not keep a listener from ending: no more than a backlog has.
const MOST_AT_THE_END: usize = 1024;

/// Between tries to accept while something is short.
const PAUSE: Duration = Duration::from_millis(100);
