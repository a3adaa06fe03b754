//! One session's driver: feeds lines, data events and deadlines to the machine, and obeys its actions.
//!
//! ```text
//!          ┌──────────────────────────────────────────────┐
//!          ▼                                              │
//!   obey every action ──Close──▶ flush, FIN, drain, drop  │
//!          │                                              │
//!          └─▶ wait for one event ─▶ tell the machine ────┘
//! ```
//! One task owns everything of a session, its data connections included, so that whatever ends the task
//! ends all of it. It knows nothing of FTP; that is `session`.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::net::TcpStream;
use tokio::sync::futures::OwnedNotified;
use tokio::time::Sleep;

use crate::balance::Pick;
use crate::ending::{Cause, Ending, Side};
use crate::ftp::line::Framer;
use crate::net::dial::{self, BackendListener};
use crate::net::socket;
use crate::net::stream::ControlStream;
use crate::proxy::data::{DataConnection, Dial, Happened};
use crate::proxy::party::Party;
use crate::proxy::record::SessionRecord;
use crate::proxy::service::Service;
use crate::proxy::sessions::Admission;
use crate::session::{Action, DataEvent, DataId, Input, Order, Picked, Session, Tell};

/// Drives one session from its first byte to its ending.
pub(super) struct Driver {
    service: Arc<Service>,
    session: Session,
    client: Party,
    backend: Option<Party>,
    data: Vec<DataConnection>,
    dialling: Option<Dialling>,
    doubt: Option<Doubt>,
    pick: Option<Pick>,
    tried: Vec<usize>,
    /// When the backend's control connection stood, until it greeted.
    connected: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
    order: Pin<Box<OwnedNotified>>,
    record: SessionRecord,
    admission: Admission,
}

/// A backend's control port is being dialled.
struct Dialling {
    since: Instant,
    dial: Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>,
}

/// An upload has ended by the client's FIN, which is passed on when the time is up.
struct Doubt {
    id: DataId,
    until: Pin<Box<Sleep>>,
}

/// What a session waits for.
enum Event {
    AtClientEnd(DataId),
    Believe(DataId),
    Backend(Input),
    Client(Input),
    Connected(io::Result<TcpStream>),
    Data(DataId, DataEvent),
    Deadline,
    Order(Order),
}

impl Driver {
    /// A driver for the client behind `stream`, which connected to `vip`.
    pub(super) fn new(
        service: Arc<Service>,
        admission: Admission,
        stream: TcpStream,
        vip: std::net::SocketAddr,
    ) -> Self {
        let settings = Arc::clone(&service.settings);
        let framer = Framer::commands(settings.limits.command_line_bytes);
        let client = admission.entry.client;
        Self {
            session: Session::new(settings, client, vip, Instant::now()),
            client: Party::new(ControlStream::Plain(stream), framer),
            backend: None,
            data: Vec::new(),
            dialling: None,
            doubt: None,
            pick: None,
            tried: Vec::new(),
            connected: None,
            alarm: None,
            order: Box::pin(admission.entry.changed().notified_owned()),
            record: SessionRecord::new(Arc::clone(&service), admission.entry.id, client, vip),
            service,
            admission,
        }
    }

    /// Runs the session to its end.
    pub(super) async fn run(mut self) {
        let ending = loop {
            if let Some(ending) = self.obey() {
                break ending;
            }
            let event = std::future::poll_fn(|cx| self.poll_event(cx)).await;
            self.handle(event);
        };
        self.close(ending).await;
    }

    fn handle(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::AtClientEnd(id) => self.on_client_end(id, now),
            Event::Believe(id) => self.believe(id),
            Event::Backend(input) => self.session.on_backend(input, now),
            Event::Client(input) => self.session.on_client(input, now),
            Event::Connected(result) => self.on_connected(result, now),
            Event::Data(id, event) => {
                if matches!(event, DataEvent::Ended(_) | DataEvent::Cut { .. }) {
                    self.data.retain(|connection| connection.id != id);
                    self.record
                        .note_data(self.data.iter().filter(|c| c.is_relaying()).count());
                }
                self.session.on_data(id, event, now);
            }
            Event::Deadline => {
                let moved = self
                    .data
                    .iter()
                    .map(|c| c.moved().to_client + c.moved().to_backend);
                self.session.on_deadline(now, moved.sum());
            }
            Event::Order(order) => self.session.on_order(order, now),
        }
    }

    /// The client has ended its data with FIN. A process that dies closes its control connection first
    /// and its data connection by the same FIN as a whole file has: so the control connection is looked
    /// at, for a moment, before the backend is told that the file is whole (decision 5).
    fn on_client_end(&mut self, id: DataId, now: Instant) {
        let grace = self.service.settings.timeouts.upload_end;
        if self.client.note_if_closed() {
            self.session.on_client(Input::Eof, now);
        } else if self.doubt.is_none() && !grace.is_zero() {
            self.doubt = Some(Doubt {
                id,
                until: Box::pin(tokio::time::sleep(grace)),
            });
            return;
        }
        self.believe(id);
    }

    /// The client is still there, or the machine has said by now that its FIN counts for nothing.
    fn believe(&mut self, id: DataId) {
        self.doubt = None;
        if let Some(connection) = self.connection(id) {
            connection.trust_end();
        }
    }

    /// Waits for the first event. Data comes before control: where both are there, the end of a transfer
    /// is seen before the reply to it.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if let Poll::Ready(Err(_)) = self.client.poll_flush(cx) {
            return Poll::Ready(Event::Client(Input::Reset));
        }
        if let Some(backend) = &mut self.backend {
            // A backend that is gone may have left a last word; reading tells of its end.
            let _flushed_or_gone = backend.poll_flush(cx);
        }
        for connection in &mut self.data {
            match connection.poll_event(cx) {
                Poll::Ready(Happened::Event(event)) => {
                    return Poll::Ready(Event::Data(connection.id, event));
                }
                Poll::Ready(Happened::AtClientEnd) => {
                    return Poll::Ready(Event::AtClientEnd(connection.id));
                }
                Poll::Pending => {}
            }
        }
        if let Poll::Ready(order) = self.poll_order(cx) {
            return Poll::Ready(Event::Order(order));
        }
        if let Some(dialling) = &mut self.dialling
            && let Poll::Ready(result) = dialling.dial.as_mut().poll(cx)
        {
            return Poll::Ready(Event::Connected(result));
        }
        if let Poll::Ready(event) = self.poll_parties(cx) {
            return Poll::Ready(event);
        }
        // After the parties: a client that has gone by now is heard first.
        if let Some(doubt) = &mut self.doubt
            && doubt.until.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Event::Believe(doubt.id));
        }
        self.poll_alarm(cx).map(|()| Event::Deadline)
    }

    /// O5: a party is read only while what it says can be passed on.
    fn poll_parties(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let limit = self.service.settings.limits.queued_bytes;
        let client_has_room = self.client.outbox.len() < limit;
        let mut backend_has_room = true;
        if let Some(backend) = &mut self.backend {
            backend_has_room = backend.outbox.len() < limit;
            if client_has_room
                && self.session.wants_backend()
                && let Poll::Ready(input) = backend.poll_input(cx)
            {
                return Poll::Ready(Event::Backend(input));
            }
        }
        if client_has_room
            && backend_has_room
            && self.session.wants_client()
            && let Poll::Ready(input) = self.client.poll_input(cx)
        {
            return Poll::Ready(Event::Client(input));
        }
        // A refusal of a Telnet option may have been queued meanwhile.
        if !self.client.outbox.is_empty() && client_has_room {
            let _flushed_or_gone = self.client.poll_flush(cx);
        }
        Poll::Pending
    }

    fn poll_order(&mut self, cx: &mut Context<'_>) -> Poll<Order> {
        while self.order.as_mut().poll(cx).is_ready() {
            self.order = Box::pin(self.admission.entry.changed().notified_owned());
            if let Some(order) = self.admission.entry.current_order() {
                return Poll::Ready(order);
            }
        }
        Poll::Pending
    }

    /// The timer is not moved for every line: it is left to fire early, and set anew then.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        self.session.note_mid_line(self.client.is_mid_line(), now);
        let Some(deadline) = self.session.deadline() else {
            return Poll::Pending;
        };
        if deadline <= now {
            return Poll::Ready(());
        }
        let at = tokio::time::Instant::from_std(deadline);
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if alarm.deadline() > at || alarm.is_elapsed() {
            alarm.as_mut().reset(at);
        }
        while alarm.as_mut().poll(cx).is_ready() {
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(at);
        }
        Poll::Pending
    }

    /// Does what the machine says, until it has nothing more to say.
    fn obey(&mut self) -> Option<Ending> {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Pick => self.pick_backend(),
                Action::Send {
                    to: Side::Backend,
                    text,
                    alone,
                } => {
                    if let Some(backend) = &mut self.backend {
                        backend.outbox.push_line(&text, alone);
                    }
                }
                Action::Send { text, alone, .. } => self.client.outbox.push_line(&text, alone),
                Action::Interrupt => {
                    if let Some(backend) = &mut self.backend {
                        backend.outbox.push_interrupt();
                    }
                }
                Action::ShutdownBackend => {
                    if let Some(backend) = &mut self.backend {
                        backend.shut_after_flush();
                    }
                }
                Action::Lease(id) => self.lease(id),
                Action::Listen(id) => self.listen(id),
                Action::DialBackend(id, port) => self.dial_backend(id, port),
                Action::DialClient(id, target) => self.dial_client(id, target),
                Action::Relay(id) => self.relay(id),
                Action::DistrustEnd(id) => {
                    if let Some(connection) = self.connection(id) {
                        connection.distrust_end();
                    }
                }
                Action::Release(id) => self.data.retain(|connection| connection.id != id),
                Action::Tell(tell) => self.tell(tell),
                Action::Close(ending) => return Some(ending),
            }
        }
        None
    }

    fn connection(&mut self, id: DataId) -> Option<&mut DataConnection> {
        self.data.iter_mut().find(|connection| connection.id == id)
    }

    fn pick_backend(&mut self) {
        let now = Instant::now();
        self.backend = None;
        self.pick = None;
        let client = self.admission.entry.client.ip();
        let Some(pick) = self.service.pool.pick(client, &self.tried, now) else {
            return self.session.on_picked(Picked::None, now);
        };
        self.tried.push(pick.index);
        let timeout = self.service.settings.timeouts.connect;
        let dial = Box::pin(dial::control(
            pick.target.address,
            self.service.source,
            timeout,
        ));
        self.pick = Some(pick);
        self.dialling = Some(Dialling { since: now, dial });
    }

    fn on_connected(&mut self, result: io::Result<TcpStream>, now: Instant) {
        let since = self.dialling.take().map_or(now, |dialling| dialling.since);
        let prepared = result.and_then(|stream| {
            socket::prepare_control(&stream, self.service.settings.timeouts.keepalive)?;
            let local = socket::normalise(stream.local_addr()?.ip());
            let peer = socket::normalise_socket(stream.peer_addr()?);
            Ok((stream, local, peer))
        });
        match prepared {
            Ok((stream, local, peer)) => {
                let framer = Framer::replies(self.service.settings.limits.reply_line_bytes);
                self.backend = Some(Party::new(ControlStream::Plain(stream), framer));
                self.connected = Some(now);
                if let Some(pick) = &self.pick {
                    self.record.note_connected(pick, now - since);
                }
                self.session
                    .on_picked(Picked::Connected { local, peer }, now);
            }
            Err(error) => {
                self.on_backend_failed(&format!("cannot be connected: {error}"), now);
                self.session.on_picked(Picked::Failed, now);
            }
        }
    }

    /// Ejection and the log hear of a backend that could not take the session.
    fn on_backend_failed(&mut self, what: &str, now: Instant) {
        if let Some(pick) = &self.pick {
            self.record.note_backend_failed(pick, what);
            let change = self.service.pool.report_live(pick.index, false, now);
            self.record.note_availability(pick, change);
        }
    }

    fn lease(&mut self, id: DataId) {
        let (vip, client) = (self.record.vip().ip(), self.admission.entry.client.ip());
        let event = match self
            .service
            .ports
            .lease(vip, client, self.admission.entry.id)
        {
            Ok(lease) => {
                let address = lease.address();
                self.data.push(DataConnection::leased(id, lease));
                DataEvent::Ready(address)
            }
            Err(error) => {
                self.record.note_lease_refused(&error);
                DataEvent::Unavailable
            }
        };
        self.session.on_data(id, event, Instant::now());
    }

    fn listen(&mut self, id: DataId) {
        let opened = match &self.pick {
            Some(pick) => self.backend_local().and_then(|local| {
                let backend = socket::normalise(pick.target.address.ip());
                let refused = Arc::clone(&self.service.backend_peers_refused);
                BackendListener::open(local, backend, refused)
            }),
            None => Err(io::ErrorKind::NotConnected.into()),
        };
        let event = match opened {
            Ok(listener) => {
                let address = listener.address();
                self.data.push(DataConnection::listening(id, listener));
                DataEvent::Ready(address)
            }
            Err(error) => {
                tracing::error!(%error, "no port to listen on for a backend's data connection");
                DataEvent::Unavailable
            }
        };
        self.session.on_data(id, event, Instant::now());
    }

    /// The address that the backend knows this session by (P15, A5).
    fn backend_local(&self) -> io::Result<std::net::IpAddr> {
        let backend = self.backend.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        Ok(socket::normalise(backend.stream.local_addr()?.ip()))
    }

    fn dial_backend(&mut self, id: DataId, port: u16) {
        let (Some(pick), Ok(local)) = (&self.pick, self.backend_local()) else {
            return;
        };
        let mut address = pick.target.address;
        // P2: the address of the control connection, whatever the backend named.
        address.set_port(port);
        let timeout = self.service.settings.timeouts.data_dial;
        let dial: Dial = Box::pin(dial::backend_data(address, local, timeout));
        if self.connection(id).is_none() {
            self.data.push(DataConnection::new(id));
        }
        if let Some(connection) = self.connection(id) {
            connection.dial(Side::Backend, dial);
        }
    }

    fn dial_client(&mut self, id: DataId, target: std::net::SocketAddr) {
        let mut source = self.record.vip();
        // A7, RFC 959 §5.2: from the port below the one the client connected to, 20 for 21.
        source.set_port(source.port().saturating_sub(1));
        let timeout = self.service.settings.timeouts.data_dial;
        let strict = self.service.strict_port20;
        let dial: Dial = Box::pin(dial::client_data(target, source, strict, timeout));
        if let Some(connection) = self.connection(id) {
            connection.dial(Side::Client, dial);
        }
    }

    fn relay(&mut self, id: DataId) {
        let idle = self.service.data_idle();
        if let Some(connection) = self.connection(id) {
            connection.relay(idle);
        }
        self.record
            .note_data(self.data.iter().filter(|c| c.is_relaying()).count());
    }

    fn tell(&mut self, tell: Tell) {
        let now = Instant::now();
        match tell {
            Tell::Greeted => {
                if let Some(pick) = &self.pick {
                    let change = self.service.pool.report_live(pick.index, true, now);
                    self.record.note_availability(pick, change);
                    let waited = self.connected.take().map(|since| now - since);
                    self.record.note_greeted(pick, waited.unwrap_or_default());
                    // Set once: a session has one backend from its greeting on.
                    let _first = self.admission.entry.backend.set(pick.target.name.clone());
                }
            }
            Tell::BackendFailed(what) => self.on_backend_failed(what, now),
            Tell::Transfer(mut end) => {
                if let Some(id) = end.data
                    && let Some(connection) = self.connection(id)
                {
                    end.moved = connection.moved();
                }
                self.record.transfer(&end, now);
            }
            tell => self.record.note(&tell),
        }
    }

    /// Everything ends: data first, by reset where it was not over (S14).
    async fn close(mut self, ending: Ending) {
        self.record.end(ending);
        self.data.clear();
        self.backend = None;
        self.pick = None;
        if ending.side == Side::Client && ending.cause == Cause::Reset {
            return;
        }
        // D4, R8: the last word arrives only if FIN follows it and what the client still says is read.
        let client = &mut self.client;
        client.shut_after_flush();
        let farewell = std::future::poll_fn(|cx| {
            if std::task::ready!(client.poll_flush(cx)).is_err() {
                return Poll::Ready(());
            }
            client.poll_drain(cx)
        });
        if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
            tracing::debug!(
                session = self.admission.entry.id,
                "the client did not close in time"
            );
        }
    }
}

impl Drop for Driver {
    /// A session that panics or is cancelled ends like any other: once (design decision 10).
    fn drop(&mut self) {
        if self.record.has_ended() {
            return;
        }
        let phase = self.session.ending_phase();
        self.session.on_order(Order::Kill, Instant::now());
        while let Some(action) = self.session.poll_action() {
            if let Action::Tell(tell) = action {
                self.tell(tell);
            }
        }
        let cause = if std::thread::panicking() {
            Cause::Internal
        } else {
            Cause::Drain
        };
        self.record.end(Ending::new(Side::Balancer, phase, cause));
    }
}

/// How long a client may take to read its last reply and close, after the session has ended.
const FAREWELL: std::time::Duration = std::time::Duration::from_secs(5);
