//! A pool, its backends, and what finds more of them.

use std::time::Duration;

use super::super::problem::Mistake;
use super::super::reader::Section;
use super::super::value::{self, boolean, count, duration, word};
use super::super::{
    Affinity, Backend, BackendActive, BackendPassive, Discovery, Ejection, Pool, Quorum, Record,
    Waiting,
};
use super::health::checks;
use super::script::notify;
use super::{DAY, MILLISECOND, MINUTE, SECOND, STAND_IN};
use crate::balance::Algorithm;

pub(super) fn pool(s: &mut Section<'_>) -> Pool {
    Pool {
        name: s.or("name", value::text, "default".to_owned()),
        algorithm: s.or("algorithm", value::algorithm, Algorithm::default()),
        hash_port: s.or("hash_port", boolean, false),
        backend_passive: s.or(
            "backend_passive",
            word(&BACKEND_PASSIVE),
            BackendPassive::Same,
        ),
        backend_active: s.or(
            "backend_active",
            word(&BACKEND_ACTIVE),
            BackendActive::Active,
        ),
        source: s.optional("source", value::host),
        affinity: s.switch("affinity", false, affinity),
        health: checks(s),
        alpha: s.or("alpha", boolean, false),
        quorum: s.table("quorum", quorum),
        sorry: s.optional("sorry", value::backend_address),
        notify: notify(s),
        omega: s.or("omega", boolean, false),
        slow_start: s.or("slow_start", duration(Duration::ZERO..=DAY), Duration::ZERO),
        waiting: s.switch("waiting", false, waiting),
        ejection: s.switch("ejection", true, ejection),
        backends: s.tables("backend", backend),
        discoveries: s.tables("discover", discovery),
    }
}

fn affinity(s: &mut Section<'_>) -> Affinity {
    Affinity {
        timeout: s.or("timeout", duration(MILLISECOND..=7 * DAY), 6 * MINUTE),
        prefix_v4: s.or("prefix_v4", count(0..=32), 32),
        prefix_v6: s.or("prefix_v6", count(0..=128), 128),
        entries: s.or("entries", count(1..=10_000_000), 1_000_000),
    }
}

fn quorum(s: &mut Section<'_>) -> Quorum {
    Quorum {
        weight: s.or("weight", count(1..=u32::MAX), 1),
        hysteresis: s.or("hysteresis", count(0..=u32::MAX), 0),
        notify: notify(s),
    }
}

fn waiting(s: &mut Section<'_>) -> Waiting {
    Waiting {
        time: s.or("time", duration(MILLISECOND..=DAY), 10 * SECOND),
        sessions: s.or("sessions", count(1..=1_000_000), 100),
    }
}

fn ejection(s: &mut Section<'_>) -> Ejection {
    Ejection {
        failures: s.or("failures", count(1..=1_000), 3),
        time: s.or("time", duration(MILLISECOND..=DAY), 30 * SECOND),
    }
}

fn backend(s: &mut Section<'_>) -> Backend {
    let example = "\"192.0.2.11:21\"";
    let address = s.required("address", value::backend_address, example, STAND_IN);
    let has_checks = s.has("health");
    let health = checks(s);
    Backend {
        address,
        weight: s.or("weight", count(0..=MOST_WEIGHT), 1),
        name: s.or("name", value::text, address.to_string()),
        max_sessions: s.or("max_sessions", count(0..=u32::MAX), 0),
        resume_sessions: s.or("resume_sessions", count(0..=u32::MAX), 0),
        health: has_checks.then_some(health),
        notify: notify(s),
    }
}

fn discovery(s: &mut Section<'_>) -> Discovery {
    let example = "\"ftp.example.com\"";
    let record = s.or("record", word(&RECORD), Record::Address);
    if record == Record::Srv {
        for key in ["port", "weight"] {
            if s.has(key) {
                let message = format!("has no use: each SRV record has a {key}");
                let hint = "leave it out, or write record = \"address\"";
                s.error(key, Mistake::new(message, hint));
            }
        }
    }
    Discovery {
        name: s.required("name", value::domain_name, example, String::new()),
        record,
        port: s.or("port", count(1..=u16::MAX), value::FTP_PORT),
        weight: s.or("weight", count(0..=MOST_WEIGHT), 1),
        max_sessions: s.or("max_sessions", count(0..=u32::MAX), 0),
        resume_sessions: s.or("resume_sessions", count(0..=u32::MAX), 0),
        min_interval: s.or("min_interval", duration(MILLISECOND..=DAY), 5 * SECOND),
        max_interval: s.or("max_interval", duration(MILLISECOND..=DAY), MINUTE),
        servers: s.list("servers", value::server_address).unwrap_or_default(),
    }
}

pub(in crate::config) const BACKEND_ACTIVE: [(&str, BackendActive); 2] = [
    ("active", BackendActive::Active),
    ("passive", BackendActive::Passive),
];

pub(in crate::config) const BACKEND_PASSIVE: [(&str, BackendPassive); 3] = [
    ("same", BackendPassive::Same),
    ("pasv", BackendPassive::Pasv),
    ("epsv", BackendPassive::Epsv),
];

pub(in crate::config) const RECORD: [(&str, Record); 2] =
    [("address", Record::Address), ("srv", Record::Srv)];

/// As in ipvs.
const MOST_WEIGHT: u32 = 65_535;
