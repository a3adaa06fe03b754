//! The sessions in the columns of `ipvsadm -L -n -c`.
//!
//! A session appears once it has a backend. Its client's affinity is a row of its own with port 0, which
//! ipvs calls a template.

use std::net::{IpAddr, SocketAddr};

use super::super::table::whole;
use crate::ops::status::{AffinityList, AffinityStatus, SessionList, SessionStatus, Status};

/// Sessions, then client networks that are remembered.
pub(in crate::cli) fn connections(
    status: &Status,
    sessions: &SessionList,
    affinity: &AffinityList,
) -> String {
    let mut text = format!(
        "IPVS connection entries\npro expire {:<11} {:<18} {:<18} destination\n",
        "state", "source", "virtual"
    );
    for session in &sessions.sessions {
        let SessionStatus { client, vip, .. } = session;
        if let Some(backend) = session.backend_address {
            // While data moves the time to be silent stands still, all of it.
            let left = session.idle_left_seconds;
            let left = left.unwrap_or(status.timeouts.idle_seconds);
            text.push_str(&row(left, "ESTABLISHED", *client, *vip, backend));
        }
    }
    for entry in &affinity.entries {
        let AffinityStatus {
            seconds_left,
            backend_address,
            ..
        } = *entry;
        let listeners = { status.listeners.iter() }.filter(|of| of.pool == entry.pool);
        let network = entry.network.split('/').next().unwrap_or_default();
        let Ok(client) = network.parse::<IpAddr>() else {
            continue;
        };
        let [source, destination] = [client, backend_address.ip()].map(|ip| SocketAddr::new(ip, 0));
        for listener in listeners.filter(|of| of.address.is_ipv4() == client.is_ipv4()) {
            let virtual_service = SocketAddr::new(listener.address.ip(), 0);
            text.push_str(&row(
                seconds_left,
                "NONE",
                source,
                virtual_service,
                destination,
            ));
        }
    }
    text
}

fn row(
    seconds: f64,
    state: &str,
    source: SocketAddr,
    virtual_service: SocketAddr,
    destination: SocketAddr,
) -> String {
    let seconds = whole(seconds);
    let expire = format!("{:02}:{:02}", seconds / 60, seconds % 60);
    let [source, virtual_service] = [source, virtual_service].map(|address| address.to_string());
    format!("TCP {expire:<6} {state:<11} {source:<18} {virtual_service:<18} {destination}\n")
}
