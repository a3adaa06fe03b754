//! Listening sockets, and why one can not be had.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;

use super::footing::Claims;
use crate::net::inherit::Shared;
use crate::net::socket;

/// A socket that listens and is not served yet.
#[derive(Debug)]
pub(super) struct Bound<S> {
    /// For whoever serves it.
    pub(super) socket: S,
    /// For another process.
    pub(super) shared: Shared,
    /// systemd has it as well: whoever waits when this process stops is its.
    pub(super) is_systemds: bool,
}

impl<S> Bound<S> {
    /// A socket of our own.
    pub(super) fn own(socket: S, shared: Shared) -> Self {
        Self {
            socket,
            shared,
            is_systemds: false,
        }
    }
}

/// Listens on `address`, by one of `claims` if there is one; connections get `keepalive`. ftplb itself listens
/// on `held` already.
pub(super) fn bind(
    address: SocketAddr,
    backlog: i32,
    keepalive: Duration,
    held: &[SocketAddr],
    claims: &mut Claims,
) -> anyhow::Result<Bound<TcpListener>> {
    let bound = claims.take(address).and_then(|claim| {
        if !claim.is_here {
            tracing::warn!(%address, "this host does not have the address (yet): clients come when it has");
        }
        let socket = socket::listen_for_control(claim.socket, backlog, keepalive)?;
        let shared = Shared::of(&socket, None)?;
        Ok(Bound {
            socket,
            shared,
            is_systemds: claim.is_systemds,
        })
    });
    let is_refused = bound
        .as_ref()
        .is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
    bound.with_context(|| match in_the_way(address, held) {
        Some(other) => format!(
            "cannot listen on {address} while ftplb listens on {other}: take that one out by one reload, and add this one by the next"
        ),
        None if is_refused => format!(
            "cannot listen on {address}: ports below 1024 need root or CAP_NET_BIND_SERVICE (process.privileged_ports = false gives both up)"
        ),
        None => format!(
            "cannot listen on {address}: is the address this host's, and the port free?"
        ),
    })
}

/// The one of `held` that keeps `address` from being had (K2).
fn in_the_way(address: SocketAddr, held: &[SocketAddr]) -> Option<SocketAddr> {
    let takes = |other: &&SocketAddr| {
        let same_family = other.is_ipv4() == address.is_ipv4();
        let is_wild = other.ip().is_unspecified() || address.ip().is_unspecified();
        other.port() == address.port() && same_family && (is_wild || other.ip() == address.ip())
    };
    held.iter().find(takes).copied()
}

/// Everything that several tries have failed by, as one error each.
pub(super) fn whole<T>(
    tries: impl Iterator<Item = anyhow::Result<T>>,
) -> Result<Vec<T>, Vec<anyhow::Error>> {
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for result in tries {
        match result {
            Ok(value) => done.push(value),
            Err(error) => failed.push(error),
        }
    }
    if failed.is_empty() {
        Ok(done)
    } else {
        Err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEPALIVE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn whoever_is_in_the_way_is_named() {
        let bind = |address, held: &[SocketAddr]| {
            bind(address, 1, KEEPALIVE, held, &mut Claims::default())
        };
        let taken = bind(([127, 0, 0, 1], 0).into(), &[]).unwrap();
        let address = taken.socket.local_addr().unwrap();
        let wild = SocketAddr::from(([0, 0, 0, 0], address.port()));
        let other_port = SocketAddr::from(([0, 0, 0, 0], address.port() ^ 1));
        let six = SocketAddr::from(([0; 8], address.port()));
        let said = |held: &[SocketAddr]| format!("{:#}", bind(address, held).unwrap_err());
        for (held, named) in [(vec![other_port, wild], wild), (vec![address], address)] {
            assert!(said(&held).contains(&format!("ftplb listens on {named}:")));
        }
        for held in [vec![], vec![other_port], vec![six]] {
            assert!(said(&held).contains("the port free"), "{held:?}");
        }
        let error = bind(address, &[]).unwrap_err();
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        assert_eq!(kind, Some(io::ErrorKind::AddrInUse));
    }
}
