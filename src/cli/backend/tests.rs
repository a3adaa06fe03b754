//! Which backend is meant, and how the list reads.

use super::*;
use crate::balance::Standing;
use crate::cli::fixtures::{backend, pool, status};

/// A balancer with these pools.
fn serving(pools: &[(&str, Vec<BackendStatus>)]) -> Status {
    let pools = pools
        .iter()
        .map(|(name, backends)| pool(name, backends.clone()));
    status(Vec::new(), pools.collect())
}

#[test]
fn a_backend_is_named_as_shortly_as_is_clear() {
    let status = serving(&[
        (
            "files",
            vec![backend("a", "10.0.0.1:21"), backend("b", "10.0.0.2:21")],
        ),
        (
            "more files",
            vec![
                backend("a", "10.0.0.3:21"),
                backend("c", "[2001:db8::1]:21"),
            ],
        ),
    ]);
    let path = |spec: &str| resolve(&status, spec).map(|meant| meant.path);
    let [first, second] =
        ["files", "more%20files"].map(|pool| format!("/v1/pools/{pool}/backends/"));
    for (spec, expected) in [
        ("b", format!("{first}10%2E0%2E0%2E2%3A21")),
        ("10.0.0.2:21", format!("{first}10%2E0%2E0%2E2%3A21")),
        ("files/a", format!("{first}10%2E0%2E0%2E1%3A21")),
        (
            "more files/10.0.0.3:21",
            format!("{second}10%2E0%2E0%2E3%3A21"),
        ),
        ("c", format!("{second}%5B2001%3Adb8%3A%3A1%5D%3A21")),
    ] {
        assert_eq!(path(spec), Ok(expected), "{spec}");
    }
    assert_eq!(
        path("a").unwrap_err(),
        "a is not one backend but several: files/a, more files/a"
    );
    assert_eq!(
        path("files/c").unwrap_err(),
        "there is no backend files/c; there are files/a, files/b, more files/a, more files/c"
    );
}

#[test]
fn the_list_says_why_a_backend_is_down() {
    let down = BackendStatus {
        state: State::Down,
        since_seconds: 12.0,
        checks: vec![
            CheckStatus {
                seconds_ago: 1.0,
                took_seconds: 0.002,
                error: None,
            },
            CheckStatus {
                seconds_ago: 3.5,
                took_seconds: 0.000_31,
                error: Some("cannot be connected: refused".into()),
            },
        ],
        ..backend("a", "10.0.0.1:21")
    };
    let busy = BackendStatus {
        weight: 5,
        sessions: 19,
        max_sessions: 20,
        transfers: 3,
        to_client_bytes: 5_250_000,
        ..backend("beta", "10.0.0.2:21")
    };
    let expected = "\
POOL  BACKEND  ADDRESS      STATE  SINCE  WEIGHT    SESSIONS  TRANSFERS  TO CLIENT  TO BACKEND  LAST CHECK
p     a        10.0.0.1:21  down   12s    1         0         0          0          0           cannot be connected: refused (0.3 ms, 3s ago)
p     beta     10.0.0.2:21  up     1h01m  5 (of 1)  19/20     3          5.2M       0           -
";
    assert_eq!(list(&serving(&[("p", vec![down, busy])])), expected);
}

#[test]
fn an_order_is_answered_by_how_the_backend_is_then() {
    let draining = BackendStatus {
        standing: Standing::Draining,
        sessions: 1,
        transfers: 2,
        ..backend("a", "10.0.0.1:21")
    };
    assert_eq!(
        sentence("p", &draining),
        "backend p/a: draining, weight 1, 1 session, 2 transfers"
    );
}

#[test]
fn a_weight_is_a_number_or_the_default() {
    assert_eq!(parse_weight("0"), Ok(Weight(Some(0))));
    assert_eq!(parse_weight("default"), Ok(Weight(None)));
    for wrong in ["", "-1", "1.5", "Default", "4294967296"] {
        assert!(parse_weight(wrong).is_err(), "{wrong}");
    }
}
