//! Health checks: what is tried, and when.

use std::time::Duration;

use super::super::problem::Mistake;
use super::super::reader::Section;
use super::super::value::{self, boolean, count, duration, word};
use super::super::{CheckAddress, HealthCheck, HttpProbe, Probe, Secret, Via};
use super::script::{demand_command, parts};
use super::{DAY, MILLISECOND, SECOND};
use crate::health::Thresholds;

/// The checks of a pool or a backend: one table, several, or what `true` and `false` stand for.
pub(super) fn checks(s: &mut Section<'_>) -> Vec<HealthCheck> {
    if !s.is_list("health") {
        return s.switch("health", true, check).into_iter().collect();
    }
    let checks = s.tables("health", check);
    if checks.is_empty() {
        let hint = "write false for no checks, or leave it out for the default";
        s.error("health", Mistake::new("is an empty list", hint));
    }
    checks
}

fn check(s: &mut Section<'_>) -> HealthCheck {
    let every = || duration(MILLISECOND..=DAY);
    let kind = s.or("probe", word(&PROBE), Kind::Greeting);
    let interval = s.or("interval", every(), 5 * SECOND);
    let thresholds = Thresholds::default();
    HealthCheck {
        interval,
        timeout: s.or("timeout", every(), 5 * SECOND),
        thresholds: Thresholds {
            rise: s.or("rise", count(1..=1_000), thresholds.rise),
            fall: s.or("fall", count(1..=1_000), thresholds.fall),
        },
        retry_interval: s.or("retry_interval", every(), interval),
        // So that many backends are not all checked at once.
        warmup: s.or("warmup", duration(Duration::ZERO..=DAY), interval / 4),
        fast_recovery: s.or("fast_recovery", boolean, false),
        address: s.or("address", value::check_address, CheckAddress::default()),
        probe: probe(s, kind),
    }
}

/// Reads every key that any probe has, so that all mistakes are found whatever the probe is.
fn probe(s: &mut Section<'_>, kind: Kind) -> Probe {
    judge_use(s, kind);
    let user = s.or("user", value::text, String::new());
    let password = password(s);
    let file = s.optional("file", value::text);
    let via = s.or("via", word(&VIA), Via::Backend);
    let script = parts(s);
    let dynamic_weight = s.or("dynamic_weight", boolean, false);
    let http = http(s);
    match kind {
        Kind::Greeting => Probe::Greeting,
        Kind::Http => Probe::Http(http),
        Kind::Login => Probe::Login { user, password },
        Kind::Script => Probe::Script {
            script,
            dynamic_weight,
        },
        Kind::Tcp => Probe::Tcp,
        Kind::Transfer => Probe::Transfer {
            user,
            password,
            file,
            via,
        },
    }
}

/// The password as written, or as it will be read from a file.
fn password(s: &mut Section<'_>) -> Secret {
    let written = s.optional("password", value::secret).map(Secret::written);
    let in_file = s.optional("password_file", value::secret_file);
    if s.has("password") && s.has("password_file") {
        let hint = "leave one of the two out";
        let mistake = Mistake::new("is there beside password", hint);
        s.error("password_file", mistake);
    }
    let in_file = in_file.map(Secret::in_file);
    in_file.or(written).unwrap_or_else(|| Secret::written(""))
}

fn http(s: &mut Section<'_>) -> HttpProbe {
    let http = HttpProbe {
        path: s.or("url", value::http_path, "/".to_owned()),
        host: s.optional("host", value::header_value),
        status: s.or("status", value::status_codes, vec![200..=299]),
        digest: s.optional("digest", value::digest),
        regex: s.optional("regex", value::pattern),
        regex_no_match: s.or("regex_no_match", boolean, false),
    };
    if http.regex_no_match && !s.has("regex") {
        let hint = "write the regex that must not match";
        let mistake = Mistake::new("has no use: there is no regex", hint);
        s.error("regex_no_match", mistake);
    }
    http
}

/// Reports the keys that the probe does not know what to do with, and those that it can not do without.
fn judge_use(s: &Section<'_>, kind: Kind) {
    for (kinds, keys, lack, hint) in USES {
        for key in keys.iter().filter(|key| s.has(key)) {
            if !kinds.contains(&kind) {
                let message = format!("has no use: the probe does not {lack}");
                s.error(key, Mistake::new(message, hint));
            }
        }
    }
    if matches!(kind, Kind::Login | Kind::Transfer) {
        let has_password = s.has("password") || s.has("password_file");
        for (key, has) in [("user", s.has("user")), ("password", has_password)] {
            if !has {
                s.missing(key, Mistake::new("is missing", LOGIN));
            }
        }
    }
    if kind == Kind::Script {
        demand_command(s);
    }
}

/// [`Probe`] without what each of them needs.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    Greeting,
    Http,
    Login,
    Script,
    Tcp,
    Transfer,
}

const PROBE: [(&str, Kind); 6] = [
    ("greeting", Kind::Greeting),
    ("http", Kind::Http),
    ("login", Kind::Login),
    ("script", Kind::Script),
    ("tcp", Kind::Tcp),
    ("transfer", Kind::Transfer),
];

pub(in crate::config) const VIA: [(&str, Via); 2] =
    [("backend", Via::Backend), ("listener", Via::Listener)];

/// Which probes have a use for which keys; what the others do not do; what to do about it.
const USES: [(&[Kind], &[&str], &str, &str); 4] = [
    (
        &[Kind::Login, Kind::Transfer],
        &["user", "password", "password_file"],
        "log in",
        LOGIN,
    ),
    (
        &[Kind::Transfer],
        &["file", "via"],
        "transfer anything",
        "leave it out, or write probe = \"transfer\"",
    ),
    (
        &[Kind::Script],
        &["command", "run_as", "dynamic_weight"],
        "run a script",
        "leave it out, or write probe = \"script\"",
    ),
    (
        &[Kind::Http],
        &["url", "host", "status", "digest", "regex", "regex_no_match"],
        "speak HTTP",
        "leave it out, or write probe = \"http\"",
    ),
];

const LOGIN: &str = "the probes \"login\" and \"transfer\" have both a user and a password";
