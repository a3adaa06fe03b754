//! The data connections of a session: what the machine orders of them is done here.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use tokio::time::Sleep;

use crate::ending::Side;
use crate::net::dial::{self, BackendListener};
use crate::net::socket;
use crate::proxy::control::Driver;
use crate::proxy::data::{DataConnection, Dial};
use crate::session::{DataEvent, DataId, Input};

/// An upload has ended by the client's FIN, which is passed on when the time is up.
pub(super) struct Doubt {
    pub(super) id: DataId,
    pub(super) until: Pin<Box<Sleep>>,
}

impl Driver {
    /// The client has ended its data with FIN. A process that dies closes its control connection first
    /// and its data connection by the same FIN as a whole file has: so the control connection is looked
    /// at, for a moment, before the backend is told that the file is whole (decision 5).
    pub(super) fn on_client_end(&mut self, id: DataId, now: Instant) {
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
    pub(super) fn believe(&mut self, id: DataId) {
        self.doubt = None;
        if let Some(connection) = self.connection(id) {
            connection.trust_end();
        }
    }

    pub(super) fn connection(&mut self, id: DataId) -> Option<&mut DataConnection> {
        self.data.iter_mut().find(|connection| connection.id == id)
    }

    pub(super) fn lease(&mut self, id: DataId) {
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

    pub(super) fn listen(&mut self, id: DataId) {
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
    pub(super) fn backend_local(&self) -> io::Result<IpAddr> {
        let backend = self.backend.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        Ok(socket::normalise(backend.stream.local_addr()?.ip()))
    }

    pub(super) fn dial_backend(&mut self, id: DataId, port: u16) {
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

    pub(super) fn dial_client(&mut self, id: DataId, target: SocketAddr) {
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

    pub(super) fn relay(&mut self, id: DataId) {
        let idle = self.service.data_idle();
        if let Some(connection) = self.connection(id) {
            connection.relay(idle);
        }
        self.record
            .note_data(self.data.iter().filter(|c| c.is_relaying()).count());
    }
}
