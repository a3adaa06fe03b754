//! Whatever stands in a configuration, it is read and all is said that is wrong in it; and what is shown of
//! one that can be run is read back as the same.

use crate::config::check::{self, Surroundings};
use crate::config::{Config, Probe, Secret, show};

/// Tries `data` as a configuration.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match check::check(text, "x.toml", &Surroundings::default()) {
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                assert!(!problem.to_string().is_empty());
            }
        }
        Ok(checked) => {
            let shown = show::show(&checked.config);
            let again = check::check(&shown, "x.toml", &Surroundings::default());
            let again = again.unwrap_or_else(|found| panic!("{found:#?} of\n{shown}"));
            assert_eq!(again.config, masked(checked.config), "{shown}");
        }
    }
}

/// `config` as it is shown: without its passwords.
fn masked(mut config: Config) -> Config {
    for pool in &mut config.pools {
        let of_backends = pool.backends.iter_mut().filter_map(|b| b.health.as_mut());
        for check in pool.health.iter_mut().chain(of_backends.flatten()) {
            if let Probe::Login { password, .. } | Probe::Transfer { password, .. } =
                &mut check.probe
            {
                *password = Secret(Secret::MASK.to_owned());
            }
        }
    }
    config
}
