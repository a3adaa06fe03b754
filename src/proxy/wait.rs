//! What a session waits for, and in which order it looks.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use crate::net::connection::Connection;
use crate::proxy::control::Driver;
use crate::proxy::data::{DataConnection, DialFailure, Happened};
use crate::proxy::dialling::YOUTH;
use crate::session::{DataEvent, DataId, Input, Order};

/// What a session waits for.
pub(super) enum Event {
    AtClientEnd(DataId),
    Backend(Input),
    Client(Input),
    Connected(io::Result<Connection>),
    Data(DataId, DataEvent),
    Deadline,
    DialFailed(DataId, DialFailure),
    EndDoubt(DataId),
    /// It is time for something of a data connection's.
    DataDue,
    /// The backend's control connection is to be kept alive.
    GuardBackend,
    Order(Order),
    Room,
}

/// Whether there is room for what a party says.
#[derive(Clone, Copy)]
struct Room {
    for_backend: bool,
    for_client: bool,
}

impl Event {
    pub(super) fn of(id: DataId, happened: Happened) -> Self {
        match happened {
            Happened::Event(event) => Self::Data(id, event),
            Happened::AtClientEnd => Self::AtClientEnd(id),
            Happened::DialFailed(failure) => Self::DialFailed(id, failure),
        }
    }
}

impl Driver {
    /// Waits for the first event. Data comes before control: where both are there, the end of a transfer
    /// is seen before the reply to it.
    ///
    /// Commands are written at once. Replies are when nothing more is there to be written with them: the lines of one
    /// are one segment, and so are a small file's 150 and 226. They do not wait beside a long transfer, which moves a lot
    /// in each turn, nor for the client to be connected to.
    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        self.poll_flush_backend(cx);
        if self.data.iter().any(DataConnection::comes_after_replies)
            && let Poll::Ready(event) = self.poll_flush(cx)
        {
            return Poll::Ready(event);
        }
        if let Poll::Ready(event) = self.poll_data(cx) {
            return Poll::Ready(event);
        }
        self.show_moved();
        if let Poll::Ready(order) = self.admission.entry.poll_order(cx) {
            return Poll::Ready(Event::Order(order));
        }
        if let Poll::Ready(event) = self.poll_approach(cx) {
            return Poll::Ready(event);
        }
        if let Poll::Ready(event) = self.poll_parties(cx) {
            return Poll::Ready(event);
        }
        // After the parties: what the client has said by now is heard first.
        self.poll_timers(cx)
    }

    /// What it is time for.
    fn poll_timers(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        for connection in &mut self.data {
            if connection.poll_doubt(cx).is_ready() {
                return Poll::Ready(Event::EndDoubt(connection.id));
            }
        }
        self.poll_alarm(cx)
    }

    /// What comes before anything is read: parties that never stop to speak use up the turn of this task, and leave none
    /// for writing to them and for what it is time for.
    pub(super) fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if let Poll::Ready(event) = self.poll_flush(cx) {
            return Poll::Ready(event);
        }
        if self.alarm.is_owed() {
            return self.poll_timers(cx);
        }
        Poll::Pending
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        for connection in &mut self.data {
            if let Poll::Ready(happened) = connection.poll_event(cx) {
                return Poll::Ready(Event::of(connection.id, happened));
            }
        }
        Poll::Pending
    }

    /// Listens to the parties, then writes what waits for them. When that makes room, there is more to be heard.
    fn poll_parties(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        loop {
            let had = self.room();
            if let Poll::Ready(event) = self.poll_inputs(had, cx) {
                return Poll::Ready(event);
            }
            if let Poll::Ready(event) = self.poll_flush(cx) {
                return Poll::Ready(event);
            }
            let has = self.room();
            if (had.for_backend || !has.for_backend) && (had.for_client || !has.for_client) {
                return Poll::Pending;
            }
        }
    }

    /// O5: a party is read only while what it says can be passed on, and answered.
    ///
    /// A backend that writes until it is read, and reads only then, must be read although commands wait for it. What
    /// answers it itself is little, and may take as much again as they.
    fn room(&self) -> Room {
        let limit = self.service.settings.limits.queued_bytes;
        let to_client = self.client.outbox.len();
        let to_backend = { self.backend.as_ref() }.map_or(0, |backend| backend.outbox.len());
        Room {
            for_backend: to_client < limit && to_backend < 2 * limit,
            for_client: to_client < limit && to_backend < limit,
        }
    }

    fn poll_inputs(&mut self, room: Room, cx: &mut Context<'_>) -> Poll<Event> {
        if let Some(backend) = &mut self.backend
            && room.for_backend
            && self.session.wants_backend()
            && let Poll::Ready(input) = backend.poll_input(cx)
        {
            return Poll::Ready(Event::Backend(input));
        }
        if room.for_client
            && self.session.wants_client()
            && let Poll::Ready(input) = self.client.poll_input(cx)
        {
            return Poll::Ready(Event::Client(input));
        }
        Poll::Pending
    }

    #[inline]
    fn poll_flush_backend(&mut self, cx: &mut Context<'_>) {
        if let Some(backend) = &mut self.backend {
            // A backend that is gone may have left a last word; reading tells of its end.
            let _flushed_or_gone = backend.poll_flush(cx);
        }
    }

    /// Writes what waits for the parties. Ready when the client is found to have gone.
    #[inline]
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        self.poll_flush_backend(cx);
        match self.client.poll_flush(cx) {
            Poll::Ready(Err(_)) => Poll::Ready(Event::Client(Input::Reset)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        }
    }

    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if let Some(until) = self.dial_deadline() {
            ready!(self.alarm.poll(until.into(), cx));
            return Poll::Ready(Event::Connected(Err(io::ErrorKind::TimedOut.into())));
        }
        let is_mid_line = self.client.is_mid_line();
        self.session.note_mid_line(is_mid_line.then(Instant::now));
        let unguarded = { self.backend.as_ref() }.is_some_and(|backend| !backend.is_guarded());
        let guard = { self.session.greeted() }.filter(|_| unguarded);
        let guard = guard.map(|greeted| greeted + YOUTH);
        let data = { self.data.iter() }.filter_map(DataConnection::due).min();
        let session = self.session.deadline();
        let Some(first) = [session, guard, data].into_iter().flatten().min() else {
            return Poll::Pending;
        };
        ready!(self.alarm.poll(first.into(), cx));
        Poll::Ready(if session == Some(first) {
            Event::Deadline
        } else if guard == Some(first) {
            Event::GuardBackend
        } else {
            Event::DataDue
        })
    }
}
