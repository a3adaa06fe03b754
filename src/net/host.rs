//! What this host gives a process: ports and descriptors, and whether it has run out of them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The ports that the kernel gives to outgoing connections, or `None` if it does not say (K1).
pub fn ephemeral_ports() -> Option<RangeInclusive<u16>> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut ports = text.split_whitespace().map_while(|port| port.parse().ok());
    Some(ports.next()?..=ports.next()?)
}

/// The ports among the ephemeral ones that are kept from outgoing connections.
pub fn reserved_ports() -> Vec<RangeInclusive<u16>> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_reserved_ports");
    let ranges = text.unwrap_or_default();
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    };
    ranges.split(',').filter_map(range).collect()
}

/// Raises the soft limit on open files to the hard one, and says how many there may be. A session takes
/// up to seven.
pub fn raise_descriptor_limit() -> Option<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => Some(hard),
        Err(_) => Some(soft),
    }
}

/// Whether an address is one of this host's. No packet is sent: what a host sends to an address of its own
/// comes from that address.
pub fn has(ip: Ipv4Addr) -> bool {
    let source = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect((ip, DISCARD))?;
        socket.local_addr()
    };
    source().is_ok_and(|source: SocketAddr| source.ip() == ip)
}

/// Whether something failed because this host or process has too few descriptors, ports for outgoing
/// connections, or memory. That says nothing of the peer, whom nobody has asked.
pub fn is_short(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::EADDRNOTAVAIL | Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM)
    )
}

/// A port that must be named, and does not matter.
const DISCARD: u16 = 9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_knows_its_own_addresses() {
        assert!(has(Ipv4Addr::LOCALHOST));
        assert!(has(Ipv4Addr::new(127, 1, 2, 3)));
        // A broadcast address, and one for documentation.
        assert!(!has(Ipv4Addr::BROADCAST));
        assert!(!has(Ipv4Addr::new(192, 0, 2, 1)));
    }
}
