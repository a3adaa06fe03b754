//! How often clients may do what costs others something, and what the log is told of those who may not.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;

use crate::limits::{Buckets, Limits, Rate, Refusal};
use crate::telemetry::sources::Sources;

/// The rates of all clients, over all listeners.
#[derive(Debug, Default)]
pub struct Gate {
    /// Those of now: a reload holds for sessions that began before it, too.
    limits: ArcSwap<Limits>,
    connections: Mutex<Buckets>,
    passive: Mutex<Buckets>,
    told: Sources,
}

impl Gate {
    /// Goes on with these limits.
    pub fn configure(&self, limits: &Limits) {
        self.limits.store(Arc::new(limits.clone()));
    }

    /// Whether `client` may connect once more.
    pub(super) fn may_connect(&self, client: IpAddr, now: Instant) -> bool {
        let limits = self.limits.load();
        let client = limits.source(client);
        may(&self.connections, limits.connection_rate, client, now)
    }

    /// Whether `client` may ask for one more passive port (P19).
    pub(super) fn may_lease(&self, client: IpAddr, now: Instant) -> bool {
        let limits = self.limits.load();
        let client = limits.source(client);
        may(&self.passive, limits.passive_rate, client, now)
    }

    /// Tells the log, not too often, of a client that gets no session.
    pub(super) fn tell_refused(
        &self,
        client: SocketAddr,
        listener: &str,
        refusal: Refusal,
        now: Instant,
    ) {
        let (reason, key) = (refusal.label(), refusal.key());
        let Some(suppressed) = self.pass(client.ip(), reason, now) else {
            return;
        };
        if refusal == Refusal::Denied {
            // As it was ordered.
            tracing::info!(listener, %client, reason, key, suppressed, "client reset: the listener is not for it");
        } else {
            tracing::warn!(listener, %client, reason, key, suppressed, "session refused with 421: a limit of the configuration is reached");
        }
    }

    /// Tells the log, not too often, of a client that gets no passive port by its own doing.
    pub(super) fn tell_lease_refused(
        &self,
        session: u64,
        client: IpAddr,
        reason: &'static str,
        error: &dyn Display,
        now: Instant,
    ) {
        if let Some(suppressed) = self.pass(client, reason, now) {
            tracing::warn!(session, %client, reason, suppressed, %error, "PASV or EPSV refused with 425");
        }
    }

    /// Tells the log, not too often, of a client whose login a backend has refused (O7).
    pub(super) fn tell_login_refused(&self, session: u64, client: SocketAddr, now: Instant) {
        if let Some(suppressed) = self.pass(client.ip(), "login_refused", now) {
            tracing::info!(session, %client, suppressed, "login refused by the backend");
        }
    }

    /// Tells the log, not too often, of a client that wants TLS (X10).
    pub(super) fn tell_tls_refused(&self, session: u64, client: SocketAddr, now: Instant) {
        if let Some(suppressed) = self.pass(client.ip(), "tls_refused", now) {
            tracing::info!(
                session, %client, suppressed,
                "client asked for TLS and was answered 502: one that insists on it can not log in"
            );
        }
    }

    /// Tells the log, not too often, of a client that did not come to its passive port.
    pub(super) fn tell_port_unused(
        &self,
        session: u64,
        client: SocketAddr,
        port: SocketAddr,
        now: Instant,
    ) {
        if let Some(suppressed) = self.pass(client.ip(), "port_unused", now) {
            tracing::info!(
                session, %client, %port, suppressed,
                "a passive port was not used: if that is so for many clients, the range is closed on the way or \
                 `advertise` is wrong"
            );
        }
    }

    /// Tells the log what was kept out of it for a minute.
    pub fn tell_more(&self, now: Instant) {
        for more in self.told.sweep(now) {
            let events = more.events;
            match more.of {
                // The first of them was told as what it is.
                Some((client, reason)) => {
                    tracing::info!(%client, reason, events, "again and again: more of the same");
                }
                None => {
                    tracing::warn!(events, "more was refused, of too many clients to name each");
                }
            }
        }
    }

    fn pass(&self, client: IpAddr, what: &'static str, now: Instant) -> Option<u64> {
        let source = self.limits.load().source(client);
        self.told.pass(source, what, now)
    }
}

fn may(buckets: &Mutex<Buckets>, rate: Option<Rate>, client: IpAddr, now: Instant) -> bool {
    let Some(rate) = rate else { return true };
    let mut buckets = buckets.lock().unwrap_or_else(PoisonError::into_inner);
    buckets.take(client, rate, now).is_ok()
}
