//! Addresses and ports: each is taken by one only.

use std::net::{IpAddr, SocketAddr};

use super::super::check::Surroundings;
use super::super::key::Key;
use super::super::problem::{Mistake, Problems};
use super::super::{ApiAddress, Config};
use super::{backend_key, listener_key, pool_key};

/// No two addresses that ftplb listens on may be in each other's way, nor may a backend be one of them.
pub(super) fn judge_bound_addresses(config: &Config, problems: &Problems<'_>) {
    let bound = bound_addresses(config);
    for (place, (key, address)) in bound.iter().enumerate() {
        let earlier = bound.iter().take(place);
        if let Some((other, _)) = earlier
            .into_iter()
            .find(|(_, other)| clash(*other, *address))
        {
            let hint = "give each its own IP address or port; a wildcard takes every address (K2)";
            let mistake = Mistake::new(format!("{address} is already taken by {other}"), hint);
            problems.error(key, mistake);
        }
    }
    for (key, address) in backend_addresses(config) {
        // A wildcard takes every address of this host; of those only the loopback is known here.
        let own = |bound: SocketAddr| {
            clash(bound, address) && (bound == address || address.ip().is_loopback())
        };
        if let Some((listener, _)) = bound.iter().find(|(_, bound)| own(*bound)) {
            let hint = "write the address of an FTP server, not ftplb's own";
            let message = format!("ftplb itself listens on {address}: {listener}");
            problems.error(&key, Mistake::new(message, hint));
        }
    }
}

pub(super) fn judge_passive_ports(
    config: &Config,
    surroundings: &Surroundings,
    problems: &Problems<'_>,
) {
    let bound = bound_addresses(config);
    for (index, listener) in config.listeners.iter().enumerate() {
        let key = listener_key(index, "passive_ports");
        let (first, last) = listener.passive_ports.clone().into_inner();
        for (taken_by, address) in &bound {
            let here = SocketAddr::new(listener.address.ip(), address.port());
            if listener.passive_ports.contains(&address.port()) && clash(here, *address) {
                let port = address.port();
                let message = format!("port {port} of \"{first}-{last}\" is that of {taken_by}");
                let hint = "choose a range without the ports that ftplb listens on";
                problems.error(&key, Mistake::new(message, hint));
            }
        }
        if let Some(ephemeral) = &surroundings.ephemeral_ports
            && (first.max(*ephemeral.start())..=last.min(*ephemeral.end())).any(|port| {
                !surroundings
                    .reserved_ports
                    .iter()
                    .any(|r| r.contains(&port))
            })
        {
            let (low, high) = (ephemeral.start(), ephemeral.end());
            let message = format!(
                "\"{first}-{last}\" overlaps {low}-{high}, from which the kernel gives ports to \
                 outgoing connections; those can not be leased then (K1)"
            );
            let hint = format!(
                "choose ports outside it, or sysctl -w \
                 net.ipv4.ip_local_reserved_ports={first}-{last}"
            );
            problems.warning(&key, Mistake::new(message, hint));
        }
    }
}

/// Every address that ftplb will listen on from its start, with its key.
fn bound_addresses(config: &Config) -> Vec<(Key, SocketAddr)> {
    let listeners = config.listeners.iter().enumerate();
    let admin = |name| Key::of("admin").field(name);
    let api = match config.admin.api {
        Some(ApiAddress::Loopback(address)) => Some(address),
        Some(ApiAddress::Unix(_)) | None => None,
    };
    listeners
        .map(|(index, listener)| (listener_key(index, "address"), listener.address))
        .chain(
            config
                .admin
                .address
                .map(|address| (admin("address"), address)),
        )
        .chain(api.map(|address| (admin("api"), address)))
        .collect()
}

/// Whether two sockets can not listen on both addresses. With port 0 the kernel finds a free port.
fn clash(a: SocketAddr, b: SocketAddr) -> bool {
    let same_family = a.is_ipv4() == b.is_ipv4();
    let wildcard = |ip: IpAddr| ip.is_unspecified();
    a.port() != 0
        && a.port() == b.port()
        && (a.ip() == b.ip() || (same_family && (wildcard(a.ip()) || wildcard(b.ip()))))
}

/// Every address of a backend that is written, with its key.
fn backend_addresses(config: &Config) -> impl Iterator<Item = (Key, SocketAddr)> {
    config.pools.iter().enumerate().flat_map(|(at, pool)| {
        let backends = pool.backends.iter().enumerate();
        let backends = backends.map(move |(index, backend)| {
            (backend_key(at, index).field("address"), backend.address)
        });
        let sorry = pool
            .sorry
            .map(|address| (pool_key(at).field("sorry"), address));
        backends.chain(sorry)
    })
}
