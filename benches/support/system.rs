//! What is compared: nothing between clients and servers, ftplb, the relays that it is measured against, and the
//! kernel that it takes the place of.
//!
//! Each has servers of its own and an address of its own, all of them on loopback:
//!
//! ```text
//!   127.79.x.y        127.77.SYSTEM.1           127.78.SYSTEM.1 to .4
//!   clients     ───▶  virtual IP, port 2121 ──▶ servers, port 2121
//!               ───▶  passive ports         ──▶ data listeners, ports 10000 to 10255
//! ```
//! HAProxy and nginx do not read FTP: each server has a slice of the passive range, answers PASV with the
//! virtual IP and a port of its slice, and the relay passes that slice to that server, port by port.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum System {
    Direct,
    Ftplb,
    /// As it comes: every byte is read and written, 16 KiB at a time.
    Haproxy,
    /// Data connections are spliced, through pipes of 1 MiB.
    HaproxySplice,
    Nginx,
    /// The kernel's NAT with its FTP helper.
    Nat,
}

impl System {
    pub(crate) const ALL: [Self; 6] = [
        Self::Direct,
        Self::Ftplb,
        Self::Haproxy,
        Self::HaproxySplice,
        Self::Nginx,
        Self::Nat,
    ];

    /// Its column.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Ftplb => "ftplb",
            Self::Haproxy => "haproxy",
            Self::HaproxySplice => "splice",
            Self::Nginx => "nginx",
            Self::Nat => "nat",
        }
    }

    /// Its place among [`Self::ALL`], part of its addresses.
    pub(crate) fn number(self) -> u8 {
        self as u8
    }

    /// Where its clients connect. Direct clients connect to the servers.
    pub(crate) fn virtual_ip(self) -> Ipv4Addr {
        Ipv4Addr::new(127, 77, self.number(), 1)
    }

    /// The addresses of its servers.
    pub(crate) fn servers(self) -> impl Iterator<Item = Ipv4Addr> {
        (1..=SERVERS).map(move |server| Ipv4Addr::new(127, 78, self.number(), server))
    }

    /// The address that its servers name in replies to PASV, where that is not their own.
    pub(crate) fn announced(self) -> Option<Ipv4Addr> {
        match self {
            Self::Direct | Self::Ftplb | Self::Nat => None,
            Self::Haproxy | Self::HaproxySplice | Self::Nginx => Some(self.virtual_ip()),
        }
    }

    /// What its clients connect to.
    pub(crate) fn targets(self) -> Vec<SocketAddr> {
        match self {
            Self::Direct => self.servers().map(control).collect(),
            _ => vec![control(self.virtual_ip())],
        }
    }
}

/// Where control connections to `ip` go.
pub(crate) fn control(ip: Ipv4Addr) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(ip), CONTROL)
}

/// The passive ports of the server `number`, from 0.
pub(crate) fn slice(number: u8) -> RangeInclusive<u16> {
    let first = PASSIVE + u16::from(number) * SLICE;
    first..=first + SLICE - 1
}

/// Behind each system.
const SERVERS: u8 = 4;

/// 21 is for root.
const CONTROL: u16 = 2121;

const PASSIVE: u16 = 10_000;

/// Twice as many ports as there are sessions with a transfer, should one server get them all. A real range
/// is wider, and costs a relay with static listeners more.
const SLICE: u16 = 64;
