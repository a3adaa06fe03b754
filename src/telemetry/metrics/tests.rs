use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{DataMode, LeaseRefusal, Leg, LookupResult, Metrics, PoolMetrics, TransferDirection};
use crate::balance::{Member, Pool, Settings, Target};
use crate::diagnosis::Diagnosis;
use crate::ending::{Cause, Ending, Phase, Side};
use crate::ftp::command::Direction;
use crate::limits::Refusal;

const ENDING: Ending = Ending::new(Side::Backend, Phase::Transfer, Cause::Reset);

fn member(name: &str, weight: u32) -> Member {
    Member {
        address: ([10, 0, 0, 1], 21).into(),
        name: name.into(),
        weight,
        max_sessions: 0,
        resume_sessions: 0,
        checks: Vec::new(),
    }
}

/// A backend that is up.
fn target() -> Target {
    let pool = Pool::new("files", 1, Instant::now());
    let now = Instant::now();
    let _no_news = pool.configure(vec![member("a", 7)], Settings::default(), now);
    Target::clone(&pool.snapshot(now).targets()[0])
}

/// Something of everything.
fn used() -> Arc<Metrics> {
    let metrics = Arc::new(Metrics::new());
    metrics.session_ended("public", "files", Some("a"), ENDING);
    metrics.session_ended("public", "files", None, ENDING);
    let backend = metrics.backend("files", "a");
    backend.publish(&target());
    let pool = PoolMetrics::new(Arc::clone(&metrics), "files".into());
    std::mem::forget(pool.discovery());
    std::mem::forget(pool);
    backend.connected(Duration::from_millis(2));
    backend.greeted(Duration::from_millis(700));
    backend.moved(Direction::ToClient, 1_000);
    backend.moved(Direction::ToClient, 24);
    backend.moved(Direction::ToBackend, 5);
    for code in [150, 226, 226, 550, 0, 99, 700, u16::MAX] {
        backend.replied(code);
    }
    backend.checked(true, Duration::from_millis(3));
    backend.ejected();
    backend.login_failed();
    assert_eq!(
        backend.diagnosed(Diagnosis::SlowGreeting, Instant::now()),
        Some(0)
    );
    backend.transfer_ended(TransferDirection::Download, DataMode::Passive, ENDING);
    let listener = metrics.listener("public");
    listener.session_refused(Refusal::ClientLimit);
    listener.lease_refused(LeaseRefusal::NoPort);
    listener.set_peers_refused(Leg::Client, 1);
    metrics
}

/// Name, type and labels of every family.
const FAMILIES: [(&str, &str, &[&str]); 44] = [
    (
        "ftplb_backend_check_seconds",
        "histogram",
        &["backend", "le", "pool"],
    ),
    (
        "ftplb_backend_checks_total",
        "counter",
        &["backend", "pool", "result"],
    ),
    (
        "ftplb_backend_connect_seconds",
        "histogram",
        &["backend", "le", "pool"],
    ),
    (
        "ftplb_backend_diagnoses_total",
        "counter",
        &["backend", "diagnosis", "pool"],
    ),
    (
        "ftplb_backend_ejections_total",
        "counter",
        &["backend", "pool"],
    ),
    (
        "ftplb_backend_greeting_seconds",
        "histogram",
        &["backend", "le", "pool"],
    ),
    (
        "ftplb_backend_standing",
        "gauge",
        &["backend", "pool", "standing"],
    ),
    ("ftplb_backend_up", "gauge", &["backend", "pool"]),
    ("ftplb_backend_weight", "gauge", &["backend", "pool"]),
    ("ftplb_build_info", "gauge", &["version"]),
    ("ftplb_commands_denied_total", "counter", &["listener"]),
    (
        "ftplb_config_last_reload_success_timestamp_seconds",
        "gauge",
        &[],
    ),
    ("ftplb_config_last_reload_successful", "gauge", &[]),
    ("ftplb_discovery_backends", "gauge", &["pool"]),
    (
        "ftplb_discovery_lookups_total",
        "counter",
        &["pool", "result"],
    ),
    ("ftplb_handovers_failed_total", "counter", &[]),
    ("ftplb_internal_errors_total", "counter", &[]),
    ("ftplb_leases_in_use", "gauge", &["listener"]),
    (
        "ftplb_leases_refused_total",
        "counter",
        &["listener", "reason"],
    ),
    ("ftplb_leases_unused_total", "counter", &["listener"]),
    ("ftplb_log_lines_dropped_total", "counter", &[]),
    (
        "ftplb_login_failures_total",
        "counter",
        &["backend", "pool"],
    ),
    ("ftplb_older_process_sessions", "gauge", &[]),
    ("ftplb_passive_ports", "gauge", &["listener"]),
    ("ftplb_passive_ports_taken", "gauge", &["listener"]),
    (
        "ftplb_peer_check_refusals_total",
        "counter",
        &["leg", "listener"],
    ),
    ("ftplb_pool_quorum", "gauge", &["pool"]),
    ("ftplb_rate_pauses_total", "counter", &["listener", "side"]),
    ("ftplb_reloads_total", "counter", &["result"]),
    (
        "ftplb_replies_total",
        "counter",
        &["backend", "class", "pool"],
    ),
    ("ftplb_sessions_active", "gauge", &["backend", "pool"]),
    ("ftplb_sessions_before_login", "gauge", &[]),
    (
        "ftplb_sessions_refused_total",
        "counter",
        &["listener", "reason"],
    ),
    (
        "ftplb_sessions_total",
        "counter",
        &["backend", "cause", "listener", "phase", "pool", "side"],
    ),
    ("ftplb_sessions_waiting", "gauge", &["pool"]),
    (
        "ftplb_transfer_bytes_total",
        "counter",
        &["backend", "direction", "pool"],
    ),
    ("ftplb_transfer_log_lines_dropped_total", "counter", &[]),
    ("ftplb_transfers_active", "gauge", &["backend", "pool"]),
    (
        "ftplb_transfers_total",
        "counter",
        &[
            "backend",
            "cause",
            "direction",
            "mode",
            "phase",
            "pool",
            "side",
        ],
    ),
    ("process_cpu_seconds_total", "counter", &[]),
    ("process_max_fds", "gauge", &[]),
    ("process_open_fds", "gauge", &[]),
    ("process_resident_memory_bytes", "gauge", &[]),
    ("process_start_time_seconds", "gauge", &[]),
];

/// Type and labels of the families of a rendering, by name. Checks the help text of each.
fn families(text: &str) -> BTreeMap<&str, (&str, BTreeSet<&str>)> {
    let mut families: BTreeMap<&str, (&str, BTreeSet<&str>)> = BTreeMap::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            assert!(help.len() > 15 && help.ends_with('.'), "{name}: {help:?}");
            assert!(
                families.insert(name, Default::default()).is_none(),
                "{name} is there twice"
            );
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            families.get_mut(name).unwrap().0 = kind;
        } else {
            let (series, _) = line.rsplit_once(' ').unwrap();
            let (name, rest) = series.split_once('{').unwrap_or((series, "}"));
            let suffixes = ["_bucket", "_sum", "_count"];
            let name = suffixes
                .iter()
                .find_map(|suffix| name.strip_suffix(suffix))
                .unwrap_or(name);
            let labels = rest.trim_end_matches('}').split(',');
            let keys = labels
                .filter_map(|label| label.split_once('='))
                .map(|(key, _)| key);
            families.get_mut(name).unwrap().1.extend(keys);
        }
    }
    families
}

#[test]
fn every_family_is_rendered_with_help_type_and_bounded_labels() {
    let text = used().render();
    let families = families(&text);
    assert!(
        families.keys().eq(FAMILIES.iter().map(|(name, ..)| name)),
        "{:?}",
        families.keys()
    );
    for (name, expected_kind, expected_labels) in FAMILIES {
        let (kind, labels) = &families[name];
        assert_eq!(*kind, expected_kind, "{name}");
        assert!(labels.iter().eq(expected_labels), "{name}: {labels:?}");
    }
}

#[test]
fn counts_are_found_where_they_belong() {
    let text = used().render();
    for line in [
        r#"ftplb_backend_up{backend="a",pool="files"} 1"#,
        r#"ftplb_backend_weight{backend="a",pool="files"} 7"#,
        r#"ftplb_backend_checks_total{backend="a",pool="files",result="ok"} 1"#,
        r#"ftplb_backend_checks_total{backend="a",pool="files",result="failed"} 0"#,
        r#"ftplb_backend_connect_seconds_bucket{backend="a",pool="files",le="0.001"} 0"#,
        r#"ftplb_backend_connect_seconds_bucket{backend="a",pool="files",le="0.0025"} 1"#,
        r#"ftplb_backend_greeting_seconds_bucket{backend="a",pool="files",le="0.5"} 0"#,
        r#"ftplb_backend_greeting_seconds_bucket{backend="a",pool="files",le="1"} 1"#,
        r#"ftplb_backend_diagnoses_total{backend="a",diagnosis="slow_greeting",pool="files"} 1"#,
        r#"ftplb_backend_diagnoses_total{backend="a",diagnosis="foreign_address",pool="files"} 0"#,
        r#"ftplb_replies_total{backend="a",class="1",pool="files"} 1"#,
        r#"ftplb_replies_total{backend="a",class="2",pool="files"} 2"#,
        r#"ftplb_replies_total{backend="a",class="5",pool="files"} 1"#,
        r#"ftplb_replies_total{backend="a",class="6",pool="files"} 0"#,
        r#"ftplb_transfer_bytes_total{backend="a",direction="to_client",pool="files"} 1024"#,
        r#"ftplb_transfer_bytes_total{backend="a",direction="to_backend",pool="files"} 5"#,
        r#"ftplb_transfers_total{backend="a",cause="reset",direction="download",mode="passive",phase="transfer",pool="files",side="backend"} 1"#,
        r#"ftplb_sessions_total{backend="a",cause="reset",listener="public",phase="transfer",pool="files",side="backend"} 1"#,
        r#"ftplb_sessions_total{backend="",cause="reset",listener="public",phase="transfer",pool="files",side="backend"} 1"#,
        r#"ftplb_sessions_refused_total{listener="public",reason="client_limit"} 1"#,
        r#"ftplb_sessions_refused_total{listener="public",reason="limit"} 0"#,
        r#"ftplb_leases_refused_total{listener="public",reason="no_port"} 1"#,
        r#"ftplb_peer_check_refusals_total{leg="client",listener="public"} 1"#,
    ] {
        assert!(
            text.lines().any(|rendered| rendered == line),
            "{line}\nis not in\n{text}"
        );
    }
}

#[test]
fn an_error_of_our_own_is_counted_in_a_series_that_was_there_before() {
    let metrics = Metrics::new();
    let backend = metrics.backend("files", "a");
    let is_counted = |count: u8| {
        let line = format!("ftplb_internal_errors_total {count}");
        metrics.render().lines().any(|rendered| rendered == line)
    };
    assert!(is_counted(0));
    let [ours, theirs] = [Cause::Internal, Cause::Reset]
        .map(|cause| Ending::new(Side::Balancer, Phase::Transfer, cause));
    for ending in [ours, theirs] {
        metrics.session_ended("public", "files", None, ending);
        backend.transfer_ended(TransferDirection::Upload, DataMode::Active, ending);
    }
    assert!(is_counted(2));
}

#[test]
fn what_runs_is_counted_until_it_is_dropped() {
    let metrics = Metrics::new();
    let (backend, listener) = (metrics.backend("files", "a"), metrics.listener("public"));
    let value = |name: &str| {
        let text = metrics.render();
        let line = text
            .lines()
            .find(|line| line.starts_with(name) && line.contains('{'))
            .unwrap();
        line.rsplit_once(' ').unwrap().1.to_owned()
    };
    listener.set_leases(1);
    let running = (backend.session(), backend.session(), backend.transfer());
    assert_eq!(value("ftplb_sessions_active"), "2");
    assert_eq!(value("ftplb_transfers_active"), "1");
    assert_eq!(value("ftplb_leases_in_use"), "1");
    drop(running);
    for gauge in ["ftplb_sessions_active", "ftplb_transfers_active"] {
        assert_eq!(value(gauge), "0", "{gauge}");
    }
}

#[test]
fn the_process_is_measured() {
    let text = Metrics::new().render();
    let value = |name: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    assert!(value("process_open_fds ") >= 3.0);
    assert!(value("process_max_fds ") >= value("process_open_fds "));
    assert!(value("process_resident_memory_bytes ") > 1e5);
    let now = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_secs_f64();
    let age = now - value("process_start_time_seconds ");
    assert!((-2.0..86_400.0).contains(&age), "started {age} seconds ago");
}

#[test]
fn a_backend_that_is_resolved_again_counts_on() {
    let metrics = Metrics::new();
    metrics.backend("files", "a").ejected();
    metrics.backend("files", "a").ejected();
    let line = r#"ftplb_backend_ejections_total{backend="a",pool="files"} 2"#;
    assert!(metrics.render().lines().any(|rendered| rendered == line));
}

/// The pool `files` with backends of these names, told apart by their addresses' last byte.
fn configured(pool: &Pool, backends: &[(u8, &str)]) {
    let member = |(address, name): &(u8, &str)| Member {
        address: ([10, 0, 0, *address], 21).into(),
        name: (*name).into(),
        ..member("", 1)
    };
    let members = backends.iter().map(member).collect();
    let _no_news = pool.configure(members, Settings::default(), Instant::now());
}

/// The names of the backends that have series, and which of them are up.
fn shown(metrics: &Metrics) -> (BTreeSet<String>, BTreeSet<String>) {
    let text = metrics.render();
    let names = |line: &str| {
        Some(
            line.split_once("backend=\"")?
                .1
                .split_once('"')?
                .0
                .to_owned(),
        )
    };
    let up = |line: &&str| line.starts_with("ftplb_backend_up{") && line.ends_with(" 1");
    let all = text
        .lines()
        .filter_map(names)
        .filter(|name| !name.is_empty());
    let those_up = text.lines().filter(up).filter_map(names);
    (all.collect(), those_up.collect())
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn series_follow_the_backends_and_their_names() {
    let (metrics, pool) = (
        Arc::new(Metrics::new()),
        Pool::new("files", 1, Instant::now()),
    );
    let of_pool = PoolMetrics::new(Arc::clone(&metrics), "files".into());
    let follow = || {
        let now = Instant::now();
        let _gone = pool.reap(now);
        of_pool.follow(&pool, now);
        of_pool.publish(&pool, 0, now);
    };
    for (backends, names) in [
        (&[(1, "a"), (2, "b")][..], &["a", "b"][..]),
        (&[(1, "b"), (2, "a")], &["a", "b"]),
        (&[(1, "b"), (2, "c")], &["b", "c"]),
        (&[(3, "b"), (2, "c")], &["b", "c"]),
        (&[(2, "c")], &["c"]),
        (&[], &[]),
    ] {
        configured(&pool, backends);
        follow();
        assert_eq!(shown(&metrics), (set(names), set(names)), "{backends:?}");
    }
    drop(of_pool);
    assert!(!metrics.render().contains("pool=\"files\""));
}

#[test]
fn the_series_of_a_name_stay_while_sessions_count_there() {
    let (metrics, pool) = (
        Arc::new(Metrics::new()),
        Pool::new("files", 1, Instant::now()),
    );
    let of_pool = Arc::new(PoolMetrics::new(Arc::clone(&metrics), "files".into()));
    let follow = || {
        let now = Instant::now();
        let _gone = pool.reap(now);
        of_pool.follow(&pool, now);
        of_pool.publish(&pool, 0, now);
    };
    configured(&pool, &[(1, "a")]);
    follow();
    let target = pool.snapshot(Instant::now()).targets()[0].clone();
    let (session, other) = (of_pool.backend(&target), of_pool.backend(&target));
    configured(&pool, &[(1, "b")]);
    follow();
    assert_eq!(shown(&metrics), (set(&["a", "b"]), set(&["b"])));
    // A session that picked the backend under its old name counts under the new one.
    assert_eq!(of_pool.backend(&target).name(), "b");
    configured(&pool, &[]);
    follow();
    drop(session);
    follow();
    assert_eq!(shown(&metrics), (set(&["a"]), set(&[])));
    assert!(!of_pool.is_unused());
    metrics.session_ended("public", "files", Some(other.name()), ENDING);
    drop(other);
    follow();
    assert_eq!(shown(&metrics), (set(&[]), set(&[])));
    assert!(of_pool.is_unused());
}

#[test]
fn a_removed_backend_does_not_speak_for_its_namesake() {
    let (metrics, pool) = (
        Arc::new(Metrics::new()),
        Pool::new("files", 1, Instant::now()),
    );
    let of_pool = PoolMetrics::new(Arc::clone(&metrics), "files".into());
    configured(&pool, &[(1, "a")]);
    let load = Arc::clone(&pool.snapshot(Instant::now()).targets()[0].load);
    let _session = load.enter();
    configured(&pool, &[(2, "a")]);
    of_pool.follow(&pool, Instant::now());
    of_pool.publish(&pool, 0, Instant::now());
    assert_eq!(pool.snapshot(Instant::now()).targets().len(), 2);
    let serving = r#"ftplb_backend_standing{backend="a",pool="files",standing="serving"} 1"#;
    assert!(metrics.render().contains(serving));
}

#[test]
fn a_listener_that_is_removed_is_shown_no_longer() {
    let metrics = used();
    metrics.forget_listener("public");
    let text = metrics.render();
    assert!(!text.contains("ftplb_leases_in_use{"), "{text}");
    assert!(text.contains("listener=\"public\""), "{text}");
    metrics.forget_listener_sessions("public");
    assert!(!metrics.render().contains("listener=\"public\""));
}

#[test]
fn the_series_of_a_discovery_are_there_while_it_is() {
    let metrics = Arc::new(Metrics::new());
    let of_pool = PoolMetrics::new(Arc::clone(&metrics), "files".into());
    let discovery = of_pool.discovery();
    discovery.looked_up(LookupResult::Found);
    discovery.set_backends(3);
    let text = metrics.render();
    for line in [
        r#"ftplb_discovery_lookups_total{pool="files",result="ok"} 1"#,
        r#"ftplb_discovery_lookups_total{pool="files",result="failed"} 0"#,
        r#"ftplb_discovery_backends{pool="files"} 3"#,
    ] {
        assert!(text.contains(line), "{text}");
    }
    drop(discovery);
    assert!(!metrics.render().contains("ftplb_discovery_backends{"));
}

#[test]
fn a_reload_that_fails_leaves_the_time_of_the_last_that_did_not() {
    let metrics = Metrics::new();
    let lines = || -> Vec<String> {
        let text = metrics.render();
        let all = text.lines().map(str::to_owned);
        all.filter(|line| line.contains("reload") && !line.starts_with('#'))
            .collect()
    };
    metrics.reloads.began();
    let began = lines();
    metrics.reloads.ended(false);
    let failed = lines();
    assert!(began.contains(&"ftplb_config_last_reload_successful 1".to_owned()));
    assert!(failed.contains(&"ftplb_config_last_reload_successful 0".to_owned()));
    assert!(failed.contains(&r#"ftplb_reloads_total{result="failed"} 1"#.to_owned()));
    assert_eq!(began[0], failed[0], "{began:?}");
    assert!(began[0].starts_with("ftplb_config_last_reload_success_timestamp_seconds 1"));
    metrics.reloads.ended(true);
    assert!(lines().contains(&"ftplb_config_last_reload_successful 1".to_owned()));
}
