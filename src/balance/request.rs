//! What is known of a session that needs a backend.

use std::net::SocketAddr;

/// Whom a backend is picked for. Which part of it counts is the algorithm's decision.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The client's end of the control connection.
    pub client: SocketAddr,
    /// The address and port that the client connected to.
    pub vip: SocketAddr,
    /// The name that it logs in by, byte for byte. Empty where the pick does not wait for it.
    pub user: &'a [u8],
}
