//! What is told of a session: its log lines and its metrics, each end exactly once (design decision 10).

use std::fmt::Display;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::balance::Pick;
use crate::diagnosis::Diagnosis;
use crate::ending::{Cause, Ending, Phase, Side};
use crate::ftp::command::{self, Direction, Verb};
use crate::ftp::reply::Code;
use crate::ftp::text::Escaped;
use crate::health::Availability;
use crate::net::ports::LeaseError;
use crate::proxy::data::{DataConnection, DialFailure};
use crate::proxy::service::Service;
use crate::proxy::sessions::Entry;
use crate::proxy::view::Current;
use crate::session::{Mode, Tell, TransferEnd};
use crate::telemetry::address::InOnePiece;
use crate::telemetry::metrics::{
    BackendMetrics, DataMode, LeaseRefusal, Running, TransferDirection,
};
use crate::telemetry::pool::tell_availability;
use crate::telemetry::transfer_log::Transfer;

/// The record of one session, from its admission to its ending.
pub(super) struct SessionRecord {
    service: Arc<Service>,
    entry: Arc<Entry>,
    /// The backend that greeted.
    backend: Option<Arc<BackendMetrics>>,
    /// Counts the session at its backend while it lives.
    running: Option<Running>,
    /// Up to 65,535, as every session has room for it.
    login_failures: u16,
    unused_ports: u16,
    has_ended: bool,
}

impl SessionRecord {
    pub(super) fn new(service: Arc<Service>, entry: Arc<Entry>) -> Self {
        Self {
            service,
            entry,
            backend: None,
            running: None,
            login_failures: 0,
            unused_ports: 0,
            has_ended: false,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// A line that is passed on, for whoever looks into one session. Passwords are not shown (O6).
    pub(super) fn trace_line(&self, to: Side, text: &[u8]) {
        match (to, command::parse(text)) {
            (Side::Backend, Ok(command)) => {
                tracing::trace!(session = self.entry.id, %command, "to the backend");
            }
            (Side::Backend, Err(_)) => {}
            _ => tracing::trace!(session = self.entry.id, reply = %Escaped(text), "to the client"),
        }
    }

    /// A backend's control port was connected in `time`.
    pub(super) fn note_connected(&self, pick: &Pick, time: Duration) {
        self.metrics_of(pick).connected(time);
    }

    /// The backend greeted, `time` after it was connected: the session is pinned to it.
    pub(super) fn note_greeted(&mut self, pick: &Pick, time: Duration) {
        let metrics = self.metrics_of(pick);
        metrics.greeted(time);
        self.running = Some(metrics.session());
        self.backend = Some(metrics);
        tracing::debug!(
            session = self.entry.id, client = %self.entry.origin.client, pool = %self.service.pool.name(),
            backend = %pick.target.name, "session pinned to backend"
        );
    }

    /// A backend could not take the session; another one is tried, if there is one.
    pub(super) fn note_backend_failed(&self, pick: &Pick, what: &str) {
        if let Some(suppressed) = self.service.failed_backends.pass(Instant::now()) {
            tracing::warn!(
                session = self.entry.id, pool = %self.service.pool.name(), backend = %pick.target.name,
                what, suppressed, "backend did not take a session"
            );
        }
    }

    /// Nobody could be connected, for want of something that this host gives.
    pub(super) fn note_short(&self, error: &io::Error) {
        if let Some(suppressed) = self.service.shortages.pass(Instant::now()) {
            tracing::error!(
                session = self.entry.id, %error, suppressed,
                "cannot connect to any backend: this host is short of it; lower limits.sessions, or raise the \
                 limit on open files, net.ipv4.ip_local_port_range or memory, whichever the error names"
            );
        }
    }

    /// What a session shows to be wrong with a backend. Its advice is given once an hour, however many
    /// sessions show it.
    pub(super) fn note_diagnosis(&self, pick: &Pick, diagnosis: Diagnosis, now: Instant) {
        let (session, client, label) = (self.entry.id, self.entry.origin.client, diagnosis.label());
        let (pool, backend) = (self.service.pool.name(), &pick.target.name);
        tracing::debug!(session, %client, %pool, %backend, diagnosis = label, "backend diagnosed");
        if let Some(suppressed) = self.metrics_of(pick).diagnosed(diagnosis, now) {
            let advice = diagnosis.advice();
            tracing::warn!(session, %client, %pool, %backend, diagnosis = label, suppressed, "{advice}");
        }
    }

    /// What live traffic has made of a backend's availability.
    pub(super) fn note_availability(&self, pick: &Pick, change: Option<Availability>) {
        tell_availability(&self.service.pool, Instant::now());
        let Some(state) = change else { return };
        if matches!(state, Availability::Ejected { .. }) {
            self.metrics_of(pick).ejected();
        }
        tracing::warn!(
            pool = %self.service.pool.name(), backend = %pick.target.name, state = state.label(),
            "backend state changed by live traffic"
        );
    }

    /// No passive port could be promised (P5).
    pub(super) fn note_lease_refused(&self, error: &LeaseError, now: Instant) {
        match error {
            LeaseError::ClientLimit { client, .. } => {
                self.note_own_lease_refused(LeaseRefusal::ClientLimit, *client, error, now);
            }
            LeaseError::RangeExhausted { .. } | LeaseError::Bind { .. } => {
                self.service.listener.lease_refused(LeaseRefusal::NoPort);
                if let Some(suppressed) = self.service.refused_leases.pass(now) {
                    tracing::error!(session = self.entry.id, %error, suppressed, "PASV or EPSV refused with 425");
                }
            }
        }
    }

    /// A client asks for passive ports too often (P19).
    pub(super) fn note_too_many_leases(&self, client: IpAddr, now: Instant) {
        let error = format!(
            "client {client} asks for passive ports more often than `limits.passive_rate` allows"
        );
        self.note_own_lease_refused(LeaseRefusal::ClientRate, client, &error, now);
    }

    fn note_own_lease_refused(
        &self,
        reason: LeaseRefusal,
        client: IpAddr,
        error: &dyn Display,
        now: Instant,
    ) {
        self.service.listener.lease_refused(reason);
        let (gate, session) = (&self.service.gate, self.entry.id);
        gate.tell_lease_refused(session, client, reason.label(), error, now);
    }

    /// A leg of a data connection could not be made; the transfer's line says what became of it.
    pub(super) fn note_dial_failed(&self, failure: &DialFailure) {
        let (session, client, backend) =
            (self.entry.id, self.entry.origin.client, self.backend_name());
        let DialFailure { side, peer, error } = failure;
        let to = peer.map(tracing::field::display);
        match side {
            Side::Client => {
                tracing::debug!(session, %client, backend, to, %error, "cannot connect to the client's data port");
            }
            Side::Backend => {
                tracing::warn!(session, %client, backend, to, %error, "cannot connect to the backend's data port");
            }
            Side::Balancer => self.note_short_of_sockets(error),
        }
    }

    /// This host does not give what a data connection takes.
    pub(super) fn note_short_of_sockets(&self, error: &io::Error) {
        if let Some(suppressed) = self.service.shortages.pass(Instant::now()) {
            let (session, client, backend) =
                (self.entry.id, self.entry.origin.client, self.backend_name());
            tracing::error!(session, %client, backend, %error, suppressed,
                "cannot make a data connection, for want of descriptors, ports or memory of this host");
        }
    }

    /// A data connection is dropped. The commonest fault of all is a passive range that is closed on the
    /// way, and a client that waits for it in vain leaves without a word.
    pub(super) fn note_dropped(&mut self, connection: &DataConnection) {
        if let Some(port) = connection.promised_port() {
            self.unused_ports = self.unused_ports.saturating_add(1);
            let (session, client) = (self.entry.id, self.entry.origin.client);
            { &self.service.gate }.tell_port_unused(session, client, port, Instant::now());
        }
    }

    /// What counts a transfer at the backend from now on.
    pub(super) fn running_transfer(&self) -> Option<Running> {
        self.metrics().map(BackendMetrics::transfer)
    }

    /// What the machine has to tell and needs nothing else for.
    pub(super) fn note(&mut self, tell: &Tell) {
        match tell {
            Tell::Reply(code) => {
                if let Some(metrics) = self.metrics() {
                    metrics.replied(code.value());
                }
            }
            Tell::User(name) => self.entry.view().user = Escaped(name).to_string().into(),
            Tell::LoginFailed => {
                self.login_failures = self.login_failures.saturating_add(1);
                if let Some(metrics) = self.metrics() {
                    metrics.login_failed();
                }
                let (session, client) = (self.entry.id, self.entry.origin.client);
                { &self.service.gate }.tell_login_refused(session, client, Instant::now());
            }
            Tell::Denied => self.service.listener.command_denied(),
            Tell::TlsRefused => {
                let (session, client) = (self.entry.id, self.entry.origin.client);
                { &self.service.gate }.tell_tls_refused(session, client, Instant::now());
            }
            Tell::Paused(side) => self.service.listener.paused(*side),
            Tell::Greeted | Tell::BackendFailed(_) | Tell::Diagnosis(_) | Tell::Transfer(_) => {}
        }
    }

    /// A transfer has ended.
    pub(super) fn transfer(
        &mut self,
        end: &TransferEnd,
        backend_address: Option<SocketAddr>,
        now: Instant,
    ) {
        let &TransferEnd {
            verb,
            mode,
            moved,
            since,
            code,
            ending,
            ..
        } = end;
        let user = {
            let mut view = self.entry.view();
            view.end_transfer(moved);
            Arc::clone(&view.user)
        };
        if let Some(metrics) = self.metrics() {
            metrics.moved(Direction::ToClient, moved.to_client);
            metrics.moved(Direction::ToBackend, moved.to_backend);
            metrics.transfer_ended(direction(verb), data_mode(mode), ending);
        }
        let seconds = rounded(now - since);
        tracing::info!(
            session = self.entry.id,
            client = %InOnePiece(self.entry.origin.client),
            pool = %self.service.pool.name(),
            backend = self.backend_name(),
            user = &*user,
            verb = verb.map_or("none", Verb::label),
            mode = mode.map_or("none", Mode::label),
            side = ending.side.label(),
            phase = ending.phase.label(),
            cause = ending.cause.label(),
            reply = code.map(Code::value),
            to_client_bytes = moved.to_client,
            to_backend_bytes = moved.to_backend,
            seconds,
            "transfer ended"
        );
        self.write_down(end, &user, backend_address, now);
    }

    /// In the transfer log, if there is one.
    fn write_down(
        &self,
        end: &TransferEnd,
        user: &str,
        backend_address: Option<SocketAddr>,
        now: Instant,
    ) {
        let Some(transfers) = &self.service.transfers else {
            return;
        };
        let (subject, origin) = (end.subject.as_deref(), &self.entry.origin);
        transfers.write(&Transfer {
            session: self.entry.id,
            client: origin.client,
            listener: self.service.name(),
            vip: origin.vip,
            pool: self.service.pool.name(),
            backend: self.backend_name(),
            backend_address,
            user,
            verb: end.verb,
            path: subject.map_or(&[], |subject| &subject.path),
            file: subject.and_then(|subject| subject.file.as_deref()),
            representation: subject.map(|of| of.representation).unwrap_or_default(),
            mode: data_mode(end.mode),
            direction: direction(end.verb),
            moved: end.moved,
            time: now - end.since,
            reply: end.code,
            ending: end.ending,
        });
    }

    /// The transfer that others see under way has ended, and there is nobody to ask what more is known of it.
    pub(super) fn end_shown_transfer(&mut self, ending: Ending, now: Instant) {
        let shown = self.entry.view().transfer.take();
        if let Some(Current {
            verb, since, moved, ..
        }) = shown.map(|shown| *shown)
        {
            let end = TransferEnd {
                verb: Some(verb),
                mode: None,
                data: None,
                moved,
                since,
                code: None,
                ending: Ending {
                    phase: Phase::Transfer,
                    ..ending
                },
                subject: None,
            };
            self.transfer(&end, None, now);
        }
    }

    /// The session has ended.
    pub(super) fn end(&mut self, ending: Ending) {
        if std::mem::replace(&mut self.has_ended, true) {
            return;
        }
        self.running = None;
        let pool = self.service.pool.name();
        match (ending.side, ending.cause) {
            (_, Cause::NoBackend) => {
                if let Some(suppressed) = self.service.without_backend.pass(Instant::now()) {
                    tracing::error!(%pool, suppressed, "no backend could take a session: the client got 421");
                }
            }
            (Side::Backend, Cause::Limit) => {
                if let Some(suppressed) = self.service.without_room.pass(Instant::now()) {
                    tracing::warn!(%pool, suppressed,
                        "every backend that is up has its max_sessions: the client got 421");
                }
            }
            _ => {}
        }
        let backend = self.metrics().map(BackendMetrics::name);
        let view = self.entry.view().clone();
        self.service
            .metrics
            .session_ended(self.service.name(), pool, backend, ending);
        tracing::info!(
            session = self.entry.id,
            client = %InOnePiece(self.entry.origin.client),
            listener = %self.service.name(),
            vip = %InOnePiece(self.entry.origin.vip),
            pool = %pool,
            backend = self.backend_name(),
            user = &*view.user,
            side = ending.side.label(),
            phase = ending.phase.label(),
            cause = ending.cause.label(),
            login_failures = self.login_failures,
            unused_ports = self.unused_ports,
            transfers = view.transfers,
            to_client_bytes = view.moved.to_client,
            to_backend_bytes = view.moved.to_backend,
            seconds = rounded(self.entry.since.elapsed()),
            "session ended"
        );
        if ending.side == Side::Balancer && ending.cause == Cause::Internal {
            tracing::error!(
                session = self.entry.id,
                "a session ended by an error of ftplb's own: please report it"
            );
        }
    }

    fn metrics(&self) -> Option<&BackendMetrics> {
        self.backend.as_deref()
    }

    fn metrics_of(&self, pick: &Pick) -> Arc<BackendMetrics> {
        self.service.backends.backend(&pick.target)
    }

    fn backend_name(&self) -> &str {
        self.metrics().map_or("", BackendMetrics::name)
    }
}

/// In seconds, to the millisecond.
fn rounded(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

fn direction(verb: Option<Verb>) -> TransferDirection {
    match verb.map(|verb| (verb, verb.transfer())) {
        Some((Verb::Retr, _)) => TransferDirection::Download,
        Some((_, Some(Direction::ToClient))) => TransferDirection::List,
        Some((_, Some(Direction::ToBackend))) => TransferDirection::Upload,
        _ => TransferDirection::None,
    }
}

fn data_mode(mode: Option<Mode>) -> DataMode {
    match mode {
        Some(Mode::Active) => DataMode::Active,
        Some(Mode::Passive) => DataMode::Passive,
        None => DataMode::None,
    }
}
