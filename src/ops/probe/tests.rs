mod ftp;
mod http;
mod script;
mod server;

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::{Finding, ProbeError};
use crate::config::{CheckAddress, HealthCheck, Probe, Secret, Via};
use crate::health::Thresholds;
use crate::ops::checks::Subject;
use crate::proxy::pins::Pins;

/// A check of `address` that has so long.
fn subject(address: SocketAddr, probe: Probe, timeout: Duration) -> Subject {
    Subject {
        address,
        source: None,
        check: HealthCheck {
            probe,
            interval: Duration::from_secs(5),
            timeout,
            retry_interval: Duration::from_secs(1),
            warmup: Duration::ZERO,
            thresholds: Thresholds::default(),
            fast_recovery: false,
            address: CheckAddress::default(),
        },
        run_as: None,
        through: None,
    }
}

async fn run(subject: &Subject) -> Result<Finding, ProbeError> {
    super::run(subject, &Arc::<Pins>::default()).await
}

/// Checks, and gives the error with what is behind it, and the diagnosis. Ports of the system's choice are
/// left out.
async fn check(address: SocketAddr, probe: Probe, timeout: Duration) -> String {
    let (text, diagnosis) = match run(&subject(address, probe, timeout)).await {
        Ok(Finding { weight, diagnosis }) => {
            assert_eq!(weight, None);
            ("ok".to_owned(), diagnosis)
        }
        Err(error) => {
            let source = error.source().map(|source| format!(" ({source})"));
            let text = format!("{error}{}", source.unwrap_or_default());
            (text, error.diagnosis())
        }
    };
    let label = diagnosis.map(|diagnosis| format!(" [{}]", diagnosis.label()));
    text.replace(&address.to_string(), "IT") + &label.unwrap_or_default()
}

fn transfer(file: Option<&str>) -> Probe {
    Probe::Transfer {
        user: "ftp".to_owned(),
        password: secret(),
        file: file.map(str::to_owned),
        via: Via::Backend,
    }
}

fn login() -> Probe {
    Probe::Login {
        user: "ftp".to_owned(),
        password: secret(),
    }
}

fn secret() -> Secret {
    Secret::written("hunter2")
}

const LOCALHOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// Far more than anything here takes.
const LONG: Duration = Duration::from_secs(20);

/// For a check that is to wait in vain.
const SHORT: Duration = Duration::from_millis(300);
