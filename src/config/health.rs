//! Active health checks as configured. What the results mean is decided in [`crate::health`].

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::script::Script;
use super::secret::Secret;
use crate::health::Thresholds;

/// One active health check of a backend.
///
/// Equal checks of one address need not be run twice, hence [`Hash`].
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct HealthCheck {
    /// What is tried.
    pub probe: Probe,
    /// From one check to the next.
    pub interval: Duration,
    /// A check that takes longer has failed.
    pub timeout: Duration,
    /// From a failed check of a backend that is up to the next one (keepalived's `delay_before_retry`).
    pub retry_interval: Duration,
    /// The first check comes at a random time within it. Zero: at once.
    pub warmup: Duration,
    /// How many results in a row change the state.
    pub thresholds: Thresholds,
    /// Whether a backend that is coming up is checked at `retry_interval` as well.
    pub fast_recovery: bool,
    /// Where the check connects in place of the backend's own address.
    pub address: CheckAddress,
}

/// What of a backend's address is replaced for its check (keepalived's `connect_ip`, `connect_port`).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct CheckAddress {
    /// In place of the backend's IP address.
    pub ip: Option<IpAddr>,
    /// In place of its port.
    pub port: Option<u16>,
}

impl CheckAddress {
    /// Where a check of `backend` connects.
    pub fn of(self, backend: SocketAddr) -> SocketAddr {
        let ip = self.ip.unwrap_or(backend.ip());
        SocketAddr::new(ip, self.port.unwrap_or(backend.port()))
    }
}

/// What a health check tries.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Probe {
    /// A TCP connection.
    Tcp,
    /// A TCP connection and a 220 greeting (H9).
    Greeting,
    /// The same, and a login.
    Login {
        /// The user name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// The same, and a file or a list of names over a passive data connection.
    Transfer {
        /// The user name.
        user: String,
        /// The password.
        password: Secret,
        /// The file that is retrieved; else the names in the directory are listed.
        file: Option<String>,
        /// Whom the check connects to.
        via: Via,
    },
    /// A program of the operator's: exit 0 is a success.
    Script {
        /// What is run.
        script: Script,
        /// Whether exit 2 to 255 is a success too and sets the backend's weight, to 2 less.
        dynamic_weight: bool,
    },
    /// A request to an HTTP server, plain, beside the FTP server.
    Http(HttpProbe),
}

impl Probe {
    /// Whether it goes through ftplb's own listener.
    pub fn is_via_listener(&self) -> bool {
        matches!(
            self,
            Self::Transfer {
                via: Via::Listener,
                ..
            }
        )
    }
}

/// Whom the check by transfer connects to.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Via {
    /// The backend.
    Backend,
    /// ftplb's own listener, which takes the session to the backend.
    Listener,
}

/// What is asked of an HTTP server, and which answer is a success.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct HttpProbe {
    /// What is asked for: begins with `/`.
    pub path: String,
    /// The `Host` header; else the address.
    pub host: Option<String>,
    /// The codes of success.
    pub status: Vec<RangeInclusive<u16>>,
    /// The MD5 digest that the body must have: 32 hexadecimal digits in lower case.
    pub digest: Option<String>,
    /// A regular expression of the crate `regex`, which compiles, that the body must match.
    pub regex: Option<String>,
    /// Whether the body must not match it.
    pub regex_no_match: bool,
}
