//! Picking a backend and dialling its control port, until one has taken the session.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::balance::{BackendId, NoPick, Pick, Request};
use crate::ftp::line::Framer;
use crate::net::connection::Connection;
use crate::net::stream::ControlStream;
use crate::net::{dial, host, socket};
use crate::proxy::control::Driver;
use crate::proxy::party::Party;
use crate::proxy::room::{Seat, Waiting};
use crate::proxy::wait::Event;
use crate::session::Picked;

/// The way of a session to its backend. Gone once that has greeted: an idle session pays a pointer for it.
#[derive(Default)]
pub(super) struct Approach {
    dialling: Option<Dialling>,
    /// Its place while it waits for a backend to have room, which few do.
    waiting: Option<Waiting>,
    /// Those that were picked so far.
    tried: Vec<BackendId>,
    /// When the backend's control connection stood.
    connected: Option<Instant>,
}

/// A backend's control port is being dialled.
struct Dialling {
    since: Instant,
    dial: Pin<Box<dyn Future<Output = io::Result<Connection>> + Send>>,
}

impl Driver {
    /// Picks a backend for the session, of the user whose name is waited for where it decides.
    pub(super) fn pick_backend(&mut self, user: Bytes, now: Instant) {
        self.backend = None;
        self.seat = None;
        let pick = match self.choose(&user, now) {
            Ok(pick) => pick,
            Err(NoPick::NoneUp) => return self.session.on_picked(Picked::None, now),
            Err(NoPick::Full) if self.is_waiting() => return,
            // What gets free from here on is heard of, what did before is found by a second look.
            Err(NoPick::Full) if self.enter_room(user.clone()) => {
                return self.pick_backend(user, now);
            }
            Err(NoPick::Full) => return self.session.on_picked(Picked::Full, now),
        };
        let dial = Box::pin(dial::control(pick.target.address, self.service.source));
        let approach = self.approach.get_or_insert_default();
        approach.waiting = None;
        approach.tried.push(pick.target.id);
        approach.dialling = Some(Dialling { since: now, dial });
        self.seat = Some(self.service.room.seat(pick));
    }

    fn choose(&self, user: &[u8], now: Instant) -> Result<Pick, NoPick> {
        let pool = &self.service.pool;
        let client = self.admission.entry.origin.client;
        let tried = { self.approach.as_ref() }.map_or(&[][..], |approach| &approach.tried);
        match self.service.pins.of(client) {
            Some(_) if !tried.is_empty() => Err(NoPick::NoneUp),
            Some(pinned) => pool.pick_exactly(pinned, now),
            None => {
                let request = Request {
                    client,
                    vip: self.admission.entry.origin.vip,
                    user,
                };
                pool.pick(&request, tried, now)
            }
        }
    }

    /// Whether there was a place to wait for room.
    fn enter_room(&mut self, user: Bytes) -> bool {
        let rule = self.service.waiting.as_ref();
        let place = rule.and_then(|rule| self.service.room.enter(rule, user));
        self.approach.get_or_insert_default().waiting = place;
        self.is_waiting()
    }

    /// Whether it waits for a backend to have room.
    pub(super) fn is_waiting(&self) -> bool {
        { self.approach.as_ref() }.is_some_and(|approach| approach.waiting.is_some())
    }

    fn waiting(&mut self) -> Option<&mut Waiting> {
        self.approach.as_mut()?.waiting.as_mut()
    }

    /// The backend's control port is connected or not, or there may be room at a backend that was full.
    pub(super) fn poll_approach(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let Some(approach) = &mut self.approach else {
            return Poll::Pending;
        };
        if let Some(dialling) = &mut approach.dialling
            && let Poll::Ready(result) = dialling.dial.as_mut().poll(cx)
        {
            return Poll::Ready(Event::Connected(result));
        }
        match &mut approach.waiting {
            Some(waiting) => waiting.poll_over(cx).map(|()| Event::Room),
            None => Poll::Pending,
        }
    }

    /// When the backend is to be connected.
    pub(super) fn dial_deadline(&self) -> Option<Instant> {
        let dialling = self.approach.as_ref()?.dialling.as_ref()?;
        Some(dialling.since + self.service.settings.timeouts.connect)
    }

    /// The backend has greeted, so long after it was connected.
    pub(super) fn end_approach(&mut self, now: Instant) -> Duration {
        let connected = { self.approach.take() }.and_then(|approach| approach.connected);
        connected.map_or(Duration::ZERO, |since| now - since)
    }

    /// There may be room, or the time to wait for it is over.
    pub(super) fn on_room(&mut self, now: Instant) {
        let Some(waiting) = self.waiting() else {
            return;
        };
        let (user, is_over) = (waiting.user.clone(), waiting.is_over());
        self.pick_backend(user, now);
        if is_over && self.is_waiting() {
            self.approach = None;
            self.session.on_picked(Picked::Full, now);
        }
    }

    pub(super) fn on_connected(&mut self, result: io::Result<Connection>, now: Instant) {
        let approach = self.approach.get_or_insert_default();
        let since = { approach.dialling.take() }.map_or(now, |dialling| dialling.since);
        let prepared = result.and_then(|stream| {
            socket::prepare_lines(&stream)?;
            let local = socket::normalise(stream.socket().local_addr()?.ip());
            Ok((stream, local))
        });
        match (prepared, &self.seat) {
            (Ok((stream, local)), Some(seat)) => {
                let peer = socket::normalise_socket(seat.pick.target.address);
                let framer = Framer::replies(self.service.settings.limits.reply_line_bytes);
                self.backend = Some(Party::new(ControlStream::Plain(stream), framer));
                approach.connected = Some(now);
                self.record.note_connected(&seat.pick, now - since);
                self.session
                    .on_picked(Picked::Connected { local, peer }, now);
            }
            (Ok(_), None) => self.session.on_picked(Picked::Failed, now),
            (Err(error), _) if host::is_short(&error) => {
                // Another backend may have a port left; this one is not worse for it.
                self.record.note_short(&error);
                self.session.on_picked(Picked::Failed, now);
            }
            (Err(error), _) => {
                self.on_backend_failed(&format!("cannot be connected: {error}"), now);
                self.session.on_picked(Picked::Failed, now);
            }
        }
    }

    /// The backend's connection has lived long enough to be worth what finds out that a backend has vanished
    /// (K5): five calls, which most sessions would make for nothing.
    pub(super) fn guard_backend(&mut self) {
        let Some(backend) = &mut self.backend else {
            return;
        };
        if let Err(error) = backend.guard(self.service.settings.timeouts.keepalive) {
            let session = self.admission.entry.id;
            tracing::debug!(session, %error, "no keepalive on the backend's control connection");
        }
    }

    /// Ejection and the log hear of a backend that could not take the session.
    pub(super) fn on_backend_failed(&mut self, what: &str, now: Instant) {
        if let Some(Seat { pick, .. }) = &self.seat {
            self.record.note_backend_failed(pick, what);
            let change = { &self.service.pool }.report_live(pick.target.id, false, now);
            self.record.note_availability(pick, change);
        }
    }
}

/// So long after its greeting a backend's control connection gets keepalive. Next to the silence before the first probe it is
/// little, and most sessions of scripts have ended by then.
pub(super) const YOUTH: Duration = Duration::from_secs(5);
