//! The data connections of a session: what the machine orders of them is done here.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::ending::{Moved, Side};
use crate::net::dial::{BackendListener, LegDial};
use crate::net::socket;
use crate::proxy::control::Driver;
use crate::proxy::data::DataConnection;
use crate::proxy::view::Origin;
use crate::proxy::wait::Event;
use crate::session::{DataEvent, DataId};

impl Driver {
    /// The client has ended its data with FIN. A process that dies ends both its connections within
    /// microseconds of each other, and its data by the same FIN as a whole file has: so the control
    /// connection is watched for a moment before the backend is told that the file is whole (decision 5).
    pub(super) fn on_client_end(&mut self, id: DataId, now: Instant) {
        let lasted = { self.session.transfer() }.map(|transfer| now - transfer.since);
        let timeouts = &self.service.settings.timeouts;
        let grace = timeouts.upload_doubt(lasted.unwrap_or_default());
        if let Some(connection) = self.connection(id) {
            if grace.is_zero() {
                connection.trust_end();
            } else {
                connection.doubt_end(grace);
            }
        }
    }

    /// The moment is over. What the client said meanwhile has been heard, unless it may say no more for
    /// now; whether it is there is asked of the kernel.
    pub(super) fn end_doubt(&mut self, id: DataId, now: Instant) {
        if let Some(connection) = self.connection(id) {
            connection.trust_end();
        }
        // If it has gone, the machine's word that the end counts for nothing comes last.
        if let Some(input) = self.client.note_if_gone() {
            self.session.on_client(input, now);
        }
    }

    pub(super) fn connection(&mut self, id: DataId) -> Option<&mut DataConnection> {
        self.data.iter_mut().find(|connection| connection.id == id)
    }

    pub(super) fn lease(&mut self, id: DataId, now: Instant) {
        let Origin { client, vip, .. } = self.admission.entry.origin;
        let ip = self.service.data_ip(vip.ip());
        let (ports, session) = (&self.service.ports, self.admission.entry.id);
        // Checks come from one address, and those of frozen backends must not stand in the others' way.
        let leased = if self.service.pins.has(client) {
            ports.lease_anyway(ip, client.ip(), session)
        } else if !self.service.gate.may_lease(client.ip(), now) {
            self.record.note_too_many_leases(client.ip(), now);
            return self.session.on_data(id, DataEvent::Unavailable, now);
        } else {
            ports.lease(ip, client.ip(), session)
        };
        let event = match leased {
            Ok(lease) => {
                let address = lease.address();
                let mut connection = DataConnection::leased(id, lease, now);
                if self.session.holds_lines() {
                    // Its transfer command may have been read already: it says nothing more that would be a sign.
                    connection.await_client();
                }
                self.data.push(connection);
                DataEvent::Ready(address)
            }
            Err(error) => {
                self.record.note_lease_refused(&error, now);
                DataEvent::Unavailable
            }
        };
        self.session.on_data(id, event, now);
    }

    /// Looks for a client that has connected to the port that it was promised. Done before what the client says is
    /// handled, so that its leg comes first at the backend too, and before a deadline finds that nobody has come.
    pub(super) fn meet_clients(&mut self, now: Instant, cx: &mut Context<'_>) {
        let mut meet = |connection: &mut DataConnection| {
            if !connection.await_client() {
                return None;
            }
            match connection.poll_event(cx) {
                Poll::Ready(happened) => Some(Event::of(connection.id, happened)),
                Poll::Pending => None,
            }
        };
        while let Some(event) = self.data.iter_mut().find_map(&mut meet) {
            self.handle(event, now);
        }
    }

    /// Gives up the dials that take too long.
    pub(super) fn give_up_dials(&mut self, now: Instant) {
        let mut give_up = |connection: &mut DataConnection| {
            let happened = connection.give_up_dial(now)?;
            Some(Event::of(connection.id, happened))
        };
        while let Some(event) = self.data.iter_mut().find_map(&mut give_up) {
            self.handle(event, now);
        }
    }

    pub(super) fn listen(&mut self, id: DataId, now: Instant) {
        let opened = match (&self.seat, self.session.backend_local()) {
            (Some(seat), Some(local)) => {
                let backend = socket::normalise(seat.pick.target.address.ip());
                let refused = Arc::clone(&self.service.backend_peers_refused);
                BackendListener::open(local, backend, refused)
            }
            _ => Err(io::ErrorKind::NotConnected.into()),
        };
        let event = match opened {
            Ok(listener) => {
                let address = listener.address();
                self.data.push(DataConnection::listening(id, listener, now));
                DataEvent::Ready(address)
            }
            Err(error) => {
                self.record.note_short_of_sockets(&error);
                DataEvent::Unavailable
            }
        };
        self.session.on_data(id, event, now);
    }

    pub(super) fn dial_backend(&mut self, id: DataId, port: u16, now: Instant) {
        let (Some(seat), Some(local)) = (&self.seat, self.session.backend_local()) else {
            return self.session.on_data(id, DataEvent::DialFailed, now);
        };
        let mut address = seat.pick.target.address;
        // P2: the address of the control connection, whatever the backend named.
        address.set_port(port);
        let until = now + self.service.settings.timeouts.data_dial;
        if self.connection(id).is_none() {
            self.data.push(DataConnection::new(id, now));
        }
        if let Some(connection) = self.connection(id) {
            let dial = LegDial::to_backend(address, local);
            connection.dial(Side::Backend, dial, until);
        }
    }

    pub(super) fn dial_client(&mut self, id: DataId, target: SocketAddr, now: Instant) {
        let mut source = self.admission.entry.origin.vip;
        // A7, RFC 959 §5.2: from the port below the one the client connected to, 20 for 21.
        source.set_port(source.port().saturating_sub(1));
        let until = now + self.service.settings.timeouts.data_dial;
        let strict = self.service.strict_port20;
        match self.connection(id) {
            Some(connection) => {
                let dial = LegDial::to_client(target, source, strict);
                connection.dial(Side::Client, dial, until);
            }
            None => self.session.on_data(id, DataEvent::DialFailed, now),
        }
    }

    pub(super) fn relay(&mut self, id: DataId, now: Instant) {
        let idle = self.service.data_idle();
        let running = self.record.running_transfer();
        if let Some(connection) = self.connection(id) {
            connection.relay(idle, running, now);
        }
    }

    /// Closes what there is of a data connection.
    pub(super) fn drop_connection(&mut self, id: DataId) {
        if let Some(index) = { self.data.iter() }.position(|connection| connection.id == id) {
            let connection = self.data.swap_remove(index);
            self.record.note_dropped(&connection);
        }
    }

    /// Closes what there is of all of them.
    pub(super) fn drop_all_connections(&mut self) {
        for connection in self.data.drain(..) {
            self.record.note_dropped(&connection);
        }
    }

    /// Shows how much the transfer under way has carried.
    pub(super) fn show_moved(&self) {
        let relaying = self
            .data
            .iter()
            .filter(|connection| connection.is_relaying());
        let moved = relaying.fold(None, |sum: Option<Moved>, connection| {
            let (sum, moved) = (sum.unwrap_or_default(), connection.moved());
            Some(Moved {
                to_client: sum.to_client + moved.to_client,
                to_backend: sum.to_backend + moved.to_backend,
            })
        });
        if let Some(moved) = moved
            && let Some(transfer) = &mut self.admission.entry.view().transfer
        {
            transfer.moved = moved;
        }
    }
}
