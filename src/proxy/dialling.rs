//! Picking a backend and dialling its control port, until one has taken the session.

use std::io;
use std::pin::Pin;
use std::time::Instant;

use tokio::net::TcpStream;

use crate::ftp::line::Framer;
use crate::net::stream::ControlStream;
use crate::net::{dial, socket};
use crate::proxy::control::Driver;
use crate::proxy::party::Party;
use crate::session::Picked;

/// A backend's control port is being dialled.
pub(super) struct Dialling {
    pub(super) since: Instant,
    pub(super) dial: Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>,
}

impl Driver {
    pub(super) fn pick_backend(&mut self) {
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

    pub(super) fn on_connected(&mut self, result: io::Result<TcpStream>, now: Instant) {
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
    pub(super) fn on_backend_failed(&mut self, what: &str, now: Instant) {
        if let Some(pick) = &self.pick {
            self.record.note_backend_failed(pick, what);
            let change = self.service.pool.report_live(pick.index, false, now);
            self.record.note_availability(pick, change);
        }
    }
}
