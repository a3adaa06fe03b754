//! Sessions whose backend is chosen before they begin: checks that go through ftplb's own listener.

use std::net::SocketAddr;
use std::sync::Arc;

use dashmap::DashMap;

/// The clients that are given to one certain backend of a pool. As many as there are such checks.
#[derive(Debug, Default)]
pub struct Pins {
    backends: DashMap<SocketAddr, SocketAddr>,
}

/// A client that is pinned until this is dropped.
#[derive(Debug)]
#[must_use = "the client is pinned only while this lives"]
pub struct Pin {
    pins: Arc<Pins>,
    client: SocketAddr,
}

impl Pins {
    /// Pins the session that `client` is about to open to the backend at `backend`. Its address is nobody
    /// else's meanwhile.
    pub fn pin(self: &Arc<Self>, client: SocketAddr, backend: SocketAddr) -> Pin {
        self.backends.insert(client, backend);
        Pin {
            pins: Arc::clone(self),
            client,
        }
    }

    /// Whether `client` is pinned: it is a check of ftplb's own, and takes nobody's place.
    pub(super) fn has(&self, client: SocketAddr) -> bool {
        self.backends.contains_key(&client)
    }

    /// The backend that `client` is pinned to.
    pub(super) fn of(&self, client: SocketAddr) -> Option<SocketAddr> {
        self.backends.get(&client).map(|backend| *backend)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.pins.backends.remove(&self.client);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_pinned_until_its_pin_is_dropped_and_nobody_else_is() {
        let [client, neighbour, backend] =
            [2001, 2002, 21].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let pins = Arc::<Pins>::default();
        let pin = pins.pin(client, backend);
        assert_eq!(pins.of(client), Some(backend));
        assert!(pins.has(client) && !pins.has(neighbour));
        assert_eq!(pins.of(neighbour), None);
        drop(pin);
        assert!(!pins.has(client));
    }
}
