//! Health checks and the scripts that are told of changes.

use super::super::key::Key;
use super::super::problem::{Mistake, Problems};
use super::super::{CheckAddress, Config, HealthCheck, Pool, Probe, Secret};
use super::{backend_key, pool_key};

pub(super) fn judge_checks(config: &Config, problems: &Problems<'_>) {
    for (index, pool) in config.pools.iter().enumerate() {
        let has_listener = config.listeners.iter().any(|of| of.pool == index);
        let of_backends = pool
            .backends
            .iter()
            .enumerate()
            .filter_map(|(at, backend)| {
                let key = backend_key(index, at).field("health");
                Some((key, backend.health.as_deref()?))
            });
        let of_pool = (pool_key(index).field("health"), pool.health.as_slice());
        for (key, checks) in std::iter::once(of_pool).chain(of_backends) {
            for (at, check) in checks.iter().enumerate() {
                let key = check_key(&key, at, problems);
                judge_password(&key, check, problems);
                judge_address(&key, check, problems);
                judge_listener(&key, check, has_listener, problems);
            }
            judge_dynamic_weights(&key, checks, problems);
        }
        judge_alpha(index, pool, problems);
        judge_omega(index, pool, problems);
    }
}

/// What `show-config` prints is no password: a file made of that would fail every login.
fn judge_password(key: &Key, check: &HealthCheck, problems: &Problems<'_>) {
    if let Probe::Login { password, .. } | Probe::Transfer { password, .. } = &check.probe
        && password.expose() == Secret::MASK
    {
        let message = "is what show-config prints in place of a password";
        let hint = "write the password of the user that the check logs in as";
        problems.warning(&key.field("password"), Mistake::new(message, hint));
    }
}

fn judge_address(key: &Key, check: &HealthCheck, problems: &Problems<'_>) {
    if matches!(check.probe, Probe::Http(_)) && check.address.port.is_none() {
        let message = "asks the control port of FTP by HTTP";
        let hint = "write the port of the HTTP server: address = \":80\"";
        problems.warning(&key.field("address"), Mistake::new(message, hint));
    }
}

/// A check through the listener goes where clients go.
fn judge_listener(key: &Key, check: &HealthCheck, has_listener: bool, problems: &Problems<'_>) {
    if !check.probe.is_via_listener() {
        return;
    }
    if !has_listener {
        let hint = "write via = \"backend\", or give the pool a listener";
        let mistake = Mistake::new("no listener has this pool", hint);
        problems.error(&key.field("via"), mistake);
    }
    if check.address != CheckAddress::default() {
        let hint = "leave it out, or write via = \"backend\"";
        let message = "has no use: the check goes through the listener";
        problems.error(&key.field("address"), Mistake::new(message, hint));
    }
}

fn judge_dynamic_weights(key: &Key, checks: &[HealthCheck], problems: &Problems<'_>) {
    let sets_weight = |check: &HealthCheck| {
        matches!(
            check.probe,
            Probe::Script {
                dynamic_weight: true,
                ..
            }
        )
    };
    let setting = checks
        .iter()
        .enumerate()
        .filter(|(_, check)| sets_weight(check));
    for (at, _) in setting.skip(1) {
        let message =
            "another check sets the weight of the backend as well: they overrule each other";
        let hint = "let one check of a backend set its weight";
        let key = check_key(key, at, problems).field("dynamic_weight");
        problems.warning(&key, Mistake::new(message, hint));
    }
}

fn judge_alpha(index: usize, pool: &Pool, problems: &Problems<'_>) {
    let mut of_backends = pool.backends.iter();
    let has_checks = !pool.health.is_empty()
        || of_backends.any(|backend| backend.health.as_ref().is_some_and(|of| !of.is_empty()));
    if pool.alpha && !has_checks {
        let hint = "leave it out, or write health checks";
        let mistake = Mistake::new("has no use: no backend has a health check", hint);
        problems.warning(&pool_key(index).field("alpha"), mistake);
    }
}

fn judge_omega(index: usize, pool: &Pool, problems: &Problems<'_>) {
    let of_backends = pool.backends.iter().map(|backend| &backend.notify);
    let mut all = of_backends.chain([&pool.notify, &pool.quorum.notify]);
    if pool.omega && all.all(|notify| notify.on_down.is_none()) {
        let hint = "leave it out, or write the on_down that is run at shutdown";
        let mistake = Mistake::new("has no use: there is no on_down", hint);
        problems.warning(&pool_key(index).field("omega"), mistake);
    }
}

/// The key of one check, in the list or by itself, as it is written.
pub(super) fn check_key(health: &Key, at: usize, problems: &Problems<'_>) -> Key {
    if problems.document().is_list(health) {
        health.index(at)
    } else {
        health.clone()
    }
}
