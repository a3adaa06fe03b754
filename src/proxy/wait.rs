//! What a session waits for, and in which order it looks.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use crate::ending::Side;
use crate::net::connection::Connection;
use crate::proxy::control::Driver;
use crate::proxy::data::Happened;
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
    DialFailed(DataId, Side, io::Error),
    EndDoubt(DataId),
    Order(Order),
    Room,
}

impl Driver {
    /// Waits for the first event. Data comes before control: where both are there, the end of a transfer
    /// is seen before the reply to it.
    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
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
                Poll::Ready(Happened::DialFailed(side, error)) => {
                    return Poll::Ready(Event::DialFailed(connection.id, side, error));
                }
                Poll::Pending => {}
            }
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
        for connection in &mut self.data {
            if connection.poll_doubt(cx).is_ready() {
                return Poll::Ready(Event::EndDoubt(connection.id));
            }
        }
        self.poll_alarm(cx)
    }

    /// O5: a party is read only while what it says can be passed on.
    fn poll_parties(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let limit = self.service.settings.limits.queued_bytes;
        let client_has_room = self.client.outbox.len() < limit;
        let mut backend_has_room = true;
        if let Some(backend) = &mut self.backend {
            backend_has_room = backend.outbox.len() < limit;
            if client_has_room
                && backend_has_room
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
        // Refusals of Telnet options may have been queued meanwhile.
        for party in [Some(&mut self.client), self.backend.as_mut()]
            .into_iter()
            .flatten()
        {
            let _flushed_or_gone = party.poll_flush(cx);
        }
        Poll::Pending
    }

    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if let Some(until) = self.dial_deadline() {
            ready!(self.alarm.poll(until.into(), cx));
            return Poll::Ready(Event::Connected(Err(io::ErrorKind::TimedOut.into())));
        }
        let is_mid_line = self.client.is_mid_line();
        self.session.note_mid_line(is_mid_line.then(Instant::now));
        if let Some(greeted) = self.session.greeted()
            && { self.backend.as_ref() }.is_some_and(|backend| !backend.is_guarded())
        {
            let until = greeted + YOUTH;
            let first = self.session.deadline().map_or(until, |at| at.min(until));
            ready!(self.alarm.poll(first.into(), cx));
            if first < until {
                return Poll::Ready(Event::Deadline);
            }
            self.guard_backend();
        }
        let Some(deadline) = self.session.deadline() else {
            return Poll::Pending;
        };
        self.alarm
            .poll(deadline.into(), cx)
            .map(|()| Event::Deadline)
    }
}
