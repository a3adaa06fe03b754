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

use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use crate::ending::{Cause, Ending, Side};
use crate::ftp::line::Framer;
use crate::net::alarm::Alarm;
use crate::net::connection::Connection;
use crate::net::stream::ControlStream;
use crate::proxy::data::DataConnection;
use crate::proxy::dialling::Approach;
use crate::proxy::party::Party;
use crate::proxy::record::SessionRecord;
use crate::proxy::room::Seat;
use crate::proxy::service::Service;
use crate::proxy::sessions::{Admission, Pinned};
use crate::proxy::view::Origin;
use crate::proxy::wait::Event;
use crate::session::{Action, DataEvent, Order, Session, Tell, Workspace};

/// Drives one session from its first byte to its ending.
pub(super) struct Driver {
    pub(super) service: Arc<Service>,
    pub(super) session: Session,
    pub(super) client: Party,
    pub(super) backend: Option<Party>,
    pub(super) data: Vec<DataConnection>,
    pub(super) approach: Option<Box<Approach>>,
    pub(super) seat: Option<Seat>,
    /// Until when the client is waited for, once the session has ended.
    farewell: Option<Instant>,
    pub(super) alarm: Alarm,
    pub(super) record: SessionRecord,
    pub(super) admission: Admission,
}

impl Driver {
    /// A driver for the client behind `stream`.
    pub(super) fn new(
        service: Arc<Service>,
        admission: Admission,
        stream: Connection,
    ) -> Box<Self> {
        let settings = Arc::clone(&service.settings);
        let framer = Framer::commands(settings.limits.command_line_bytes);
        let Origin { client, vip, .. } = admission.entry.origin;
        Box::new(Self {
            session: Session::new(settings, client, vip.ip(), WORKSPACE.take(), Instant::now()),
            client: Party::new(ControlStream::Plain(stream), framer),
            backend: None,
            data: Vec::new(),
            approach: None,
            seat: None,
            farewell: None,
            alarm: Alarm::default(),
            record: SessionRecord::new(Arc::clone(&service), Arc::clone(&admission.entry)),
            service,
            admission,
        })
    }

    /// An event has ended the session's rest.
    fn take(&mut self, event: Event, cx: &mut Context<'_>) {
        let now = Instant::now();
        self.session.resume(WORKSPACE.take());
        if matches!(event, Event::Client(_) | Event::Deadline) {
            self.meet_clients(now, cx);
        }
        self.handle(event, now);
        // After every event: a party that never stops to speak keeps the alarm from being asked.
        for connection in &mut self.data {
            connection.grow_up(now);
        }
        self.go_on(now);
    }

    /// Does what follows from the last event. The session waits then, or has ended.
    fn go_on(&mut self, now: Instant) {
        if let Some(ending) = self.obey(now) {
            return self.end(ending);
        }
        for connection in self.data.iter_mut().filter(|one| one.is_relaying()) {
            connection.expect_upload(self.session.is_upload(connection.id));
        }
        self.show();
        WORKSPACE.set(self.session.rest());
    }

    /// Brings what others see of the session up to date.
    fn show(&mut self) {
        let has_logged_in = self.session.has_logged_in();
        self.admission.set_logged_in(has_logged_in);
        let is_waiting = self.is_waiting();
        let session = &self.session;
        let mut view = self.admission.entry.view();
        view.phase = session.ending_phase();
        view.is_waiting = is_waiting;
        view.last_activity = session.last_activity();
        view.idle_until = session.idle_until();
        view.set_transfer(session.transfer());
    }

    pub(super) fn handle(&mut self, event: Event, now: Instant) {
        match event {
            Event::AtClientEnd(id) => self.on_client_end(id, now),
            Event::EndDoubt(id) => self.end_doubt(id, now),
            Event::DialFailed(id, failure) => {
                self.record.note_dial_failed(&failure);
                self.session.on_data(id, DataEvent::DialFailed, now);
            }
            Event::Backend(input) => self.session.on_backend(input, now),
            Event::Client(input) => self.session.on_client(input, now),
            Event::Connected(result) => self.on_connected(result, now),
            Event::Data(id, event) => {
                if matches!(event, DataEvent::Ended(_) | DataEvent::Cut { .. }) {
                    self.drop_connection(id);
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
            Event::DataDue => self.give_up_dials(now),
            Event::GuardBackend => self.guard_backend(),
            Event::Room => self.on_room(now),
            Event::Order(order) => self.session.on_order(order, now),
        }
    }

    /// Does what the machine says, until it has nothing more to say.
    fn obey(&mut self, now: Instant) -> Option<Ending> {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Pick { user } => self.pick_backend(user, now),
                Action::Send { to, text, alone } => self.send(to, &text, alone),
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
                Action::Lease(id) => self.lease(id, now),
                Action::Listen(id) => self.listen(id, now),
                Action::DialBackend(id, port) => self.dial_backend(id, port, now),
                Action::DialClient(id, target) => self.dial_client(id, target, now),
                Action::Relay(id) => self.relay(id, now),
                Action::DistrustEnd(id) => {
                    if let Some(connection) = self.connection(id) {
                        connection.distrust_end();
                    }
                }
                Action::Release(id) => self.drop_connection(id),
                Action::Tell(tell) => self.tell(tell, now),
                Action::Close(ending) => return Some(ending),
            }
        }
        None
    }

    fn send(&mut self, to: Side, text: &[u8], alone: bool) {
        if tracing::enabled!(tracing::Level::TRACE) {
            self.record.trace_line(to, text);
        }
        match (to, &mut self.backend) {
            (Side::Backend, Some(backend)) => backend.outbox.push_line(text, alone),
            (Side::Backend, None) => {}
            _ => self.client.outbox.push_line(text, alone),
        }
    }

    fn tell(&mut self, tell: Tell, now: Instant) {
        match tell {
            Tell::Greeted => {
                let waited = self.end_approach(now);
                if let Some(Seat { pick, .. }) = &self.seat {
                    let id = pick.target.id;
                    let change = self.service.pool.report_live(id, true, now);
                    self.record.note_availability(pick, change);
                    self.record.note_greeted(pick, waited);
                    // Set once: a session has one backend from its greeting on.
                    let _first = self.admission.entry.pinned.set(Pinned {
                        backend: id,
                        name: Arc::clone(&pick.target.name),
                    });
                }
            }
            Tell::BackendFailed(what) => self.on_backend_failed(what, now),
            Tell::Diagnosis(diagnosis) => {
                if let Some(Seat { pick, .. }) = &self.seat {
                    self.record.note_diagnosis(pick, diagnosis, now);
                }
            }
            Tell::Transfer(mut end) => {
                if let Some(id) = end.data
                    && let Some(connection) = self.connection(id)
                {
                    end.moved = connection.moved();
                }
                self.record.transfer(&end, self.session.backend_peer(), now);
            }
            tell => self.record.note(&tell),
        }
    }

    /// Everything ends: data first, by reset where it was not over (S14).
    fn end(&mut self, ending: Ending) {
        // Whoever is told of the end may count on the place.
        self.approach = None;
        self.seat = None;
        self.drop_all_connections();
        self.record.end(ending);
        self.backend = None;
        WORKSPACE.set(self.session.rest());
        if ending.side == Side::Client && ending.cause == Cause::Reset {
            self.client.give_up();
        } else {
            self.client.shut_after_flush();
        }
    }

    /// D4, R8: the last word arrives only if FIN follows it and what the client still says is read.
    ///
    /// The timer is asked before the client is read: one that goes on sending uses up the turn of this task, and
    /// would put the timer off for as long.
    fn poll_farewell(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let until = *{ &mut self.farewell }.get_or_insert_with(|| Instant::now() + FAREWELL);
        if self.alarm.poll(until.into(), cx).is_ready() {
            let session = self.admission.entry.id;
            tracing::debug!(session, "the client did not close in time");
            return Poll::Ready(());
        }
        match ready!(self.client.poll_flush(cx)) {
            Ok(()) => self.client.poll_drain(cx),
            Err(_) => Poll::Ready(()),
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.record.has_ended()
            && let Poll::Ready(event) = self.poll_first(cx)
        {
            self.take(event, cx);
        }
        for _ in 0..TURN {
            if self.record.has_ended() {
                return self.poll_farewell(cx);
            }
            if self.session.is_at_rest() {
                let event = ready!(self.poll_event(cx));
                self.take(event, cx);
            } else {
                // One that has just begun is at work: a backend is to be picked.
                self.go_on(Instant::now());
            }
        }
        // A read holds hundreds of lines: other sessions first.
        self.alarm.pass_over();
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Driver {
    /// A session that panics or is cancelled ends like any other: once (design decision 10).
    fn drop(&mut self) {
        if self.record.has_ended() {
            return;
        }
        self.seat = None;
        let phase = self.session.ending_phase();
        if std::thread::panicking() {
            // Whatever panicked is not asked again.
            let ending = Ending::new(Side::Balancer, phase, Cause::Internal);
            self.record.end_shown_transfer(ending, Instant::now());
            self.record.end(ending);
            return;
        }
        let now = Instant::now();
        self.session.on_order(Order::Kill, now);
        while let Some(action) = self.session.poll_action() {
            if let Action::Tell(tell) = action {
                self.tell(tell, now);
            }
        }
        self.record
            .end(Ending::new(Side::Balancer, phase, Cause::Drain));
    }
}

thread_local! {
    /// What the session needs that runs now: one for each thread.
    static WORKSPACE: Cell<Option<Box<Workspace>>> = const { Cell::new(None) };
}

/// Events in one poll: more than a client has of its own at a time.
const TURN: usize = 64;

/// How long a client may take to read its last reply and close, after the session has ended.
const FAREWELL: std::time::Duration = std::time::Duration::from_secs(5);

/// What an idle session costs beside the kernel's sockets, its task and what others see of it: buffers exist only while bytes are
/// in them (design decision 11). Raise it knowingly.
const SESSION_BYTES: usize = 696;
const _: () = assert!(size_of::<Driver>() <= SESSION_BYTES);

#[cfg(test)]
mod tests;
