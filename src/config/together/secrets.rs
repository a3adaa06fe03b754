//! Passwords that are in files: read here, so that a mistake in one is reported with all the others.

use super::super::check::Surroundings;
use super::super::key::Key;
use super::super::problem::{Mistake, Problems};
use super::super::secret::MOST_BYTES;
use super::super::{Config, HealthCheck, Probe, Secret};
use super::health::check_key;
use super::{backend_key, pool_key};

/// Reads each file, and reports those that can not be read or hold no password.
pub(super) fn read_secrets(config: &mut Config, here: &Surroundings, problems: &Problems<'_>) {
    for (index, pool) in config.pools.iter_mut().enumerate() {
        read_all(&pool_key(index), &mut pool.health, here, problems);
        for (at, backend) in pool.backends.iter_mut().enumerate() {
            let checks = backend.health.as_deref_mut().unwrap_or_default();
            read_all(&backend_key(index, at), checks, here, problems);
        }
    }
}

fn read_all(of: &Key, checks: &mut [HealthCheck], here: &Surroundings, problems: &Problems<'_>) {
    let health = of.field("health");
    for (at, check) in checks.iter_mut().enumerate() {
        if let Probe::Login { password, .. } | Probe::Transfer { password, .. } = &mut check.probe {
            let key = check_key(&health, at, problems).field("password_file");
            read(&key, password, here, problems);
        }
    }
}

fn read(key: &Key, secret: &mut Secret, here: &Surroundings, problems: &Problems<'_>) {
    let Some(path) = secret.file() else {
        return;
    };
    let name = path.display().to_string();
    let file = match (here.read_secret)(path) {
        Ok(file) => file,
        Err(error) => {
            let hint = "an absolute path, of a file that the user of ftplb may read";
            let mistake = Mistake::new(format!("{name} cannot be read: {error}"), hint);
            return problems.error(key, mistake);
        }
    };
    if !secret.take(file.bytes) {
        let hint =
            format!("one line of text, at most {MOST_BYTES} bytes, without control characters");
        problems.error(key, Mistake::new(format!("{name} holds no password"), hint));
    }
    if file.is_public {
        let message = format!("every user of this host may read or write {name}");
        let hint = format!("chmod o= {name}");
        problems.warning(key, Mistake::new(message, hint));
    }
}
