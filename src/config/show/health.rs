//! Health checks.

use super::super::sections::VIA;
use super::super::{CheckAddress, HealthCheck, HttpProbe, Probe, Secret};
use super::page::{duration, inline, name_of, number, text};
use super::script::script_fields;
use crate::health::Thresholds;

/// The value of a key `health`.
pub(super) fn health(checks: &[HealthCheck]) -> String {
    match checks {
        [] => false.to_string(),
        [check] => inline(&fields(check)),
        checks => {
            let tables: Vec<_> = checks.iter().map(|check| inline(&fields(check))).collect();
            format!("[\n    {},\n]", tables.join(",\n    "))
        }
    }
}

fn fields(check: &HealthCheck) -> Vec<(&'static str, String)> {
    let HealthCheck {
        probe,
        interval,
        timeout,
        retry_interval,
        warmup,
        thresholds: Thresholds { rise, fall },
        fast_recovery,
        address,
    } = check;
    let mut fields = probe_fields(probe);
    fields.extend([
        ("interval", duration(*interval)),
        ("timeout", duration(*timeout)),
        ("rise", number(rise)),
        ("fall", number(fall)),
        ("retry_interval", duration(*retry_interval)),
        ("warmup", duration(*warmup)),
        ("fast_recovery", number(fast_recovery)),
    ]);
    fields.extend(address_text(*address).map(|address| ("address", text(address))));
    fields
}

fn probe_fields(probe: &Probe) -> Vec<(&'static str, String)> {
    let name = |name: &str| ("probe", text(name));
    let login = |user: &str, password: &Secret| {
        let password = match password.file() {
            Some(path) => ("password_file", text(path.display())),
            None => ("password", text(Secret::MASK)),
        };
        [("user", text(user)), password]
    };
    match probe {
        Probe::Tcp => vec![name("tcp")],
        Probe::Greeting => vec![name("greeting")],
        Probe::Login { user, password } => {
            let mut fields = vec![name("login")];
            fields.extend(login(user, password));
            fields
        }
        Probe::Transfer {
            user,
            password,
            file,
            via,
        } => {
            let mut fields = vec![name("transfer")];
            fields.extend(login(user, password));
            fields.extend(file.as_ref().map(|file| ("file", text(file))));
            fields.push(("via", name_of(&VIA, *via)));
            fields
        }
        Probe::Script {
            script,
            dynamic_weight,
        } => {
            let mut fields = vec![name("script")];
            fields.extend(script_fields(script));
            fields.push(("dynamic_weight", number(dynamic_weight)));
            fields
        }
        Probe::Http(http) => {
            let mut fields = vec![name("http")];
            fields.extend(http_fields(http));
            fields
        }
    }
}

fn http_fields(http: &HttpProbe) -> Vec<(&'static str, String)> {
    let HttpProbe {
        path,
        host,
        status,
        digest,
        regex,
        regex_no_match,
    } = http;
    let codes: Vec<_> = status
        .iter()
        .map(|codes| match (codes.start(), codes.end()) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        })
        .collect();
    let mut fields = vec![("url", text(path)), ("status", text(codes.join(",")))];
    fields.extend(host.as_ref().map(|host| ("host", text(host))));
    fields.extend(digest.as_ref().map(|digest| ("digest", text(digest))));
    if let Some(regex) = regex {
        fields.push(("regex", text(regex)));
        fields.push(("regex_no_match", number(regex_no_match)));
    }
    fields
}

fn address_text(address: CheckAddress) -> Option<String> {
    match address {
        CheckAddress {
            ip: None,
            port: None,
        } => None,
        CheckAddress {
            ip: None,
            port: Some(port),
        } => Some(format!(":{port}")),
        CheckAddress {
            ip: Some(ip),
            port: Some(port),
        } => Some(std::net::SocketAddr::new(ip, port).to_string()),
        CheckAddress {
            ip: Some(ip),
            port: None,
        } if ip.is_ipv6() => Some(format!("[{ip}]")),
        CheckAddress {
            ip: Some(ip),
            port: None,
        } => Some(ip.to_string()),
    }
}
