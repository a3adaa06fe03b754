//! Sockets: what FTP asks of them, and how bytes get from one to another.
//!
//! Nothing here knows a command or a reply. Floor 2: the session's driver in `proxy` decides when to
//! lease, dial and relay; these modules only do it, and tell truthfully how it ended.

pub mod alarm;
pub mod connection;
pub mod dial;
pub mod host;
pub mod inherit;
pub mod leg;
pub mod passing;
pub mod ports;
mod pump;
pub mod relay;
pub mod socket;
mod splice;
pub mod stream;
pub mod turn;
pub mod unix;

#[cfg(test)]
mod testing;
