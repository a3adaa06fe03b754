//! What the members of a pool are to be, by its configuration and by what was found.

use std::net::SocketAddr;
use std::sync::Arc;

use super::{Inner, Members};
use crate::balance::{self, AffinityRule, Algorithm, Member, QuorumRule};
use crate::config::{self, HealthCheck, Notify};
use crate::health::EjectionRule;
use crate::ops::checks::{Run, Subject, Through};
use crate::ops::discover::Question;

/// A member with what belongs to it outside of the pool.
pub(super) struct Wanted {
    pub(super) member: Member,
    pub(super) runs: Vec<Arc<Run>>,
    pub(super) notify: Notify,
}

impl Members {
    /// What the members are to be, in order. An address that is configured is not discovered again.
    pub(super) fn wanted(&self, inner: &Inner) -> Vec<Wanted> {
        let config = &inner.config;
        let configured = config.backends.iter().map(|backend| {
            let (on_up, on_down) = (&backend.notify.on_up, &backend.notify.on_down);
            let notify = Notify {
                on_up: on_up.clone().or_else(|| config.notify.on_up.clone()),
                on_down: on_down.clone().or_else(|| config.notify.on_down.clone()),
            };
            let health = backend.health.as_ref().unwrap_or(&config.health);
            let runs = self.runs(inner, backend.address, health);
            let member = Member {
                address: backend.address,
                name: backend.name.as_str().into(),
                weight: backend.weight,
                max_sessions: backend.max_sessions,
                resume_sessions: backend.resume_sessions,
                checks: runs.iter().map(|run| run.id).collect(),
            };
            Wanted {
                member,
                runs,
                notify,
            }
        });
        let mut wanted: Vec<_> = configured.collect();
        for discovery in &config.discoveries {
            let found = inner.found.get(&Question::of(discovery));
            for found in found.into_iter().flatten() {
                let (address, weight) = found.as_backend(discovery);
                let is_there = |wanted: &Wanted| wanted.member.address == address;
                if wanted.iter().any(is_there) {
                    continue;
                }
                let runs = self.runs(inner, address, &config.health);
                let member = Member {
                    address,
                    name: address.to_string().into(),
                    weight,
                    max_sessions: discovery.max_sessions,
                    resume_sessions: discovery.resume_sessions,
                    checks: runs.iter().map(|run| run.id).collect(),
                };
                wanted.push(Wanted {
                    member,
                    runs,
                    notify: config.notify.clone(),
                });
            }
        }
        wanted
    }

    fn runs(&self, inner: &Inner, backend: SocketAddr, health: &[HealthCheck]) -> Vec<Arc<Run>> {
        let run = |check: &HealthCheck| {
            let is_through = check.probe.is_via_listener();
            let listener = inner.surrounding.listener.filter(|_| is_through);
            let through = listener.map(|listener| Through {
                listener,
                pool: Arc::clone(self.parts.pool.name()),
                backend,
            });
            let subject = Subject {
                address: check.address.of(backend),
                source: inner.config.source,
                check: check.clone(),
                run_as: inner.surrounding.scripts.run_as.clone(),
                through,
            };
            let known = || self.parts.pool.verdict(backend);
            self.checks.of(subject, &self.parts.pins, known)
        };
        health.iter().map(run).collect()
    }
}

/// How a pool decides, by its configuration.
pub(super) fn settings(config: &config::Pool) -> balance::Settings {
    let affinity = config.affinity.as_ref().map(|affinity| AffinityRule {
        timeout: affinity.timeout,
        prefix_v4: affinity.prefix_v4,
        prefix_v6: affinity.prefix_v6,
        entries: affinity.entries,
    });
    balance::Settings {
        algorithm: config.algorithm,
        hash_port: config.hash_port,
        // By user name the user decides, not the address from which it comes.
        affinity: affinity.filter(|_| config.algorithm != Algorithm::UserHash),
        alpha: config.alpha,
        ejection: config.ejection.as_ref().map(|ejection| EjectionRule {
            failures: ejection.failures,
            time: ejection.time,
        }),
        quorum: QuorumRule {
            weight: config.quorum.weight,
            hysteresis: config.quorum.hysteresis,
        },
        sorry: config.sorry,
        slow_start: config.slow_start,
    }
}
