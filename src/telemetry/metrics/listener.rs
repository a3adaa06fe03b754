//! What is counted for a listener: admission, commands, leases.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::{Each, Families, Labels, forget};
use crate::ending::Side;
use crate::limits::Refusal;

/// The counters of one listener.
#[derive(Clone, Debug)]
pub struct ListenerMetrics {
    sessions_refused: Each<Refusal>,
    leases: IntGauge,
    passive_ports: IntGauge,
    passive_ports_taken: IntGauge,
    leases_refused: Each<LeaseRefusal>,
    leases_unused: IntCounter,
    peers_refused: Each<Leg>,
    commands_denied: IntCounter,
    pauses: Each<Side>,
}

/// Why a session got no passive port.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum LeaseRefusal {
    /// Its client address has as many leases as one may have (P19).
    ClientLimit,
    /// Its client asks for ports more often than one may (P19).
    ClientRate,
    /// No port of the range was free for this client.
    NoPort,
}

/// One of the two connections that make a data connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Leg {
    /// Between ftplb and the backend.
    Backend,
    /// Between the client and ftplb.
    Client,
}

impl ListenerMetrics {
    /// Counts a client that got no session.
    pub fn session_refused(&self, reason: Refusal) {
        self.sessions_refused.add(reason, 1);
    }

    /// Says how many passive ports are promised now.
    pub fn set_leases(&self, leases: usize) {
        self.leases.set(i64::try_from(leases).unwrap_or(i64::MAX));
    }

    /// Says how many passive ports there are, and how many of them the client who has the most can not have.
    pub fn set_passive_ports(&self, all: usize, taken: usize) {
        for (gauge, ports) in [
            (&self.passive_ports, all),
            (&self.passive_ports_taken, taken),
        ] {
            gauge.set(i64::try_from(ports).unwrap_or(i64::MAX));
        }
    }

    /// Says how many passive ports were promised and given back without a connection, in all.
    pub fn set_leases_unused(&self, total: u64) {
        self.leases_unused
            .inc_by(total.saturating_sub(self.leases_unused.get()));
    }

    /// Counts a passive port that could not be promised.
    pub fn lease_refused(&self, reason: LeaseRefusal) {
        self.leases_refused.add(reason, 1);
    }

    /// Says how many data connections came from an address that may not have them (P12, A6), in all.
    pub fn set_peers_refused(&self, leg: Leg, total: u64) {
        self.peers_refused.raise(leg, total);
    }

    /// Counts a command that the configuration denies (F13).
    pub fn command_denied(&self) {
        self.commands_denied.inc();
    }

    /// Counts a pause in reading `side`, which sends more lines than its rate allows.
    pub fn paused(&self, side: Side) {
        self.pauses.add(side, 1);
    }
}

impl LeaseRefusal {
    const ALL: [Self; 3] = [Self::ClientLimit, Self::ClientRate, Self::NoPort];

    /// The label in metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::ClientLimit => "client_limit",
            Self::ClientRate => "client_rate",
            Self::NoPort => "no_port",
        }
    }
}

impl Leg {
    const ALL: [Self; 2] = [Self::Backend, Self::Client];

    const fn label(self) -> &'static str {
        match self {
            Self::Backend => "backend",
            Self::Client => "client",
        }
    }
}

/// The families of which [`ListenerMetrics`] are one listener's part.
#[derive(Debug)]
pub(super) struct ListenerFamilies {
    sessions_refused: IntCounterVec,
    leases: IntGaugeVec,
    passive_ports: IntGaugeVec,
    passive_ports_taken: IntGaugeVec,
    leases_refused: IntCounterVec,
    leases_unused: IntCounterVec,
    peers_refused: IntCounterVec,
    commands_denied: IntCounterVec,
    pauses: IntCounterVec,
}

impl ListenerFamilies {
    pub(super) fn new(families: Families<'_>) -> Self {
        Self {
            sessions_refused: families.counters(
                "ftplb_sessions_refused_total",
                "Clients that got no session, by reason. Those that are denied are reset, others answered 421.",
                &["listener", "reason"],
            ),
            leases: families.gauges(
                "ftplb_leases_in_use",
                "Passive ports that are promised to a client now.",
                &["listener"],
            ),
            passive_ports: families.gauges(
                "ftplb_passive_ports",
                "Passive ports of the range.",
                &["listener"],
            ),
            passive_ports_taken: families.gauges(
                "ftplb_passive_ports_taken",
                "Passive ports that the client who has the most of them can not be promised now.",
                &["listener"],
            ),
            leases_refused: families.counters(
                "ftplb_leases_refused_total",
                "Passive ports that could not be promised (425), by reason.",
                &["listener", "reason"],
            ),
            leases_unused: families.counters(
                "ftplb_leases_unused_total",
                "Passive ports that were promised and to which nobody connected.",
                &["listener"],
            ),
            peers_refused: families.counters(
                "ftplb_peer_check_refusals_total",
                "Data connections from an address that may not have them, by leg.",
                &["listener", "leg"],
            ),
            commands_denied: families.counters(
                "ftplb_commands_denied_total",
                "Commands that the configuration denies: answered 502, and not forwarded.",
                &["listener"],
            ),
            pauses: families.counters(
                "ftplb_rate_pauses_total",
                "Times that a side of a session was not read for a while, as it sent more lines than its rate allows.",
                &["listener", "side"],
            ),
        }
    }

    /// Drops every series of these labels.
    pub(super) fn forget(&self, labels: &Labels<'_>) {
        for gauges in [&self.leases, &self.passive_ports, &self.passive_ports_taken] {
            forget(gauges, labels);
        }
        for counters in [
            &self.sessions_refused,
            &self.leases_refused,
            &self.leases_unused,
            &self.peers_refused,
            &self.commands_denied,
            &self.pauses,
        ] {
            forget(counters, labels);
        }
    }

    pub(super) fn resolve(&self, listener: &str) -> ListenerMetrics {
        let counter = |family: &IntCounterVec, label| family.with_label_values(&[listener, label]);
        ListenerMetrics {
            sessions_refused: Each::new(&Refusal::ALL, |reason| {
                counter(&self.sessions_refused, reason.label())
            }),
            leases: self.leases.with_label_values(&[listener]),
            passive_ports: self.passive_ports.with_label_values(&[listener]),
            passive_ports_taken: self.passive_ports_taken.with_label_values(&[listener]),
            leases_refused: Each::new(&LeaseRefusal::ALL, |reason| {
                counter(&self.leases_refused, reason.label())
            }),
            leases_unused: self.leases_unused.with_label_values(&[listener]),
            peers_refused: Each::new(&Leg::ALL, |leg| counter(&self.peers_refused, leg.label())),
            commands_denied: self.commands_denied.with_label_values(&[listener]),
            pauses: Each::new(&[Side::Backend, Side::Client], |side| {
                counter(&self.pauses, side.label())
            }),
        }
    }
}
