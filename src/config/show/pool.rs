//! A pool, its backends, and what finds more of them.

use super::super::sections::{BACKEND_ACTIVE, BACKEND_PASSIVE, RECORD};
use super::super::{Affinity, Backend, Discovery, Ejection, Pool, Quorum, Record, Waiting};
use super::health::health;
use super::page::{Page, duration, inline, list, name_of, number, switch, text};
use super::script::{notify_fields, show_notify};

pub(super) fn show_pool(page: &mut Page, pool: &Pool) {
    let Pool {
        name,
        algorithm,
        hash_port,
        backends,
        discoveries,
        affinity,
        health: checks,
        alpha,
        quorum,
        sorry,
        notify,
        omega,
        slow_start,
        waiting,
        ejection,
        backend_passive,
        backend_active,
        source,
    } = pool;
    page.header("[[pool]]");
    page.line("name", text(name));
    page.line("algorithm", text(algorithm.name()));
    page.line("hash_port", hash_port);
    page.line(
        "backend_passive",
        name_of(&BACKEND_PASSIVE, *backend_passive),
    );
    page.line("backend_active", name_of(&BACKEND_ACTIVE, *backend_active));
    page.optional("source", source.map(text));
    page.line("affinity", switch(affinity.as_ref(), affinity_table));
    page.line("health", health(checks));
    page.line("alpha", alpha);
    page.line("quorum", quorum_table(quorum));
    page.optional("sorry", sorry.map(text));
    show_notify(page, notify);
    page.line("omega", omega);
    page.line("slow_start", duration(*slow_start));
    page.line("waiting", switch(waiting.as_ref(), waiting_table));
    page.line("ejection", switch(ejection.as_ref(), ejection_table));
    for backend in backends {
        show_backend(page, backend);
    }
    for discovery in discoveries {
        show_discovery(page, discovery);
    }
}

fn show_backend(page: &mut Page, backend: &Backend) {
    let Backend {
        address,
        name,
        weight,
        max_sessions,
        resume_sessions,
        health: checks,
        notify,
    } = backend;
    page.header("[[pool.backend]]");
    page.line("address", text(address));
    page.line("weight", weight);
    page.line("name", text(name));
    page.line("max_sessions", max_sessions);
    page.line("resume_sessions", resume_sessions);
    page.optional("health", checks.as_deref().map(health));
    show_notify(page, notify);
}

fn show_discovery(page: &mut Page, discovery: &Discovery) {
    let Discovery {
        name,
        record,
        port,
        weight,
        max_sessions,
        resume_sessions,
        min_interval,
        max_interval,
        servers,
    } = discovery;
    page.header("[[pool.discover]]");
    page.line("name", text(name));
    page.line("record", name_of(&RECORD, *record));
    // The records name both.
    if *record != Record::Srv {
        page.line("port", port);
        page.line("weight", weight);
    }
    page.line("max_sessions", max_sessions);
    page.line("resume_sessions", resume_sessions);
    page.line("min_interval", duration(*min_interval));
    page.line("max_interval", duration(*max_interval));
    let written = (!servers.is_empty()).then(|| list(servers.iter().map(text)));
    page.optional("servers", written);
}

fn affinity_table(affinity: &Affinity) -> String {
    let Affinity {
        timeout,
        prefix_v4,
        prefix_v6,
        entries,
    } = affinity;
    inline(&[
        ("timeout", duration(*timeout)),
        ("prefix_v4", number(prefix_v4)),
        ("prefix_v6", number(prefix_v6)),
        ("entries", number(entries)),
    ])
}

fn quorum_table(quorum: &Quorum) -> String {
    let Quorum {
        weight,
        hysteresis,
        notify,
    } = quorum;
    let mut fields = vec![
        ("weight", number(weight)),
        ("hysteresis", number(hysteresis)),
    ];
    fields.extend(notify_fields(notify));
    inline(&fields)
}

fn waiting_table(waiting: &Waiting) -> String {
    let Waiting { time, sessions } = waiting;
    inline(&[("time", duration(*time)), ("sessions", number(sessions))])
}

fn ejection_table(ejection: &Ejection) -> String {
    let Ejection { failures, time } = ejection;
    inline(&[("failures", number(failures)), ("time", duration(*time))])
}
