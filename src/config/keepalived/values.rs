//! Addresses, ports, ranges and masks as keepalived writes them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::problem::Mistake;

/// An address.
pub(super) fn ip(text: Option<&str>) -> Result<IpAddr, Mistake> {
    const HINT: &str = "an IPv4 or IPv6 address; a port stands behind it, after a blank";
    let text = text.ok_or_else(|| Mistake::new("has no IP address", HINT))?;
    text.parse()
        .map_err(|_| Mistake::new(format!("{text:?} is no IP address"), HINT))
}

/// A port; 0 if it is not written.
pub(super) fn port(text: Option<&str>) -> Result<u16, Mistake> {
    let Some(text) = text else { return Ok(0) };
    text.parse().map_err(|_| {
        let hint = "a number from 1 to 65535: names are not looked up";
        Mistake::new(format!("{text:?} is no port"), hint)
    })
}

/// One address or several of one family, one behind the other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Range {
    pub(super) first: IpAddr,
    pub(super) last: IpAddr,
}

impl Range {
    /// `IP`, `IP-LAST`, `IP1-IP2` or `NET/BITS`.
    pub(super) fn parse(text: &str) -> Result<Self, Mistake> {
        if let Some((first, end)) = text.split_once('-') {
            let first = ip(Some(first))?;
            let last = end_of_range(first, end).ok_or_else(|| {
                let hint = "the last address, or what differs of it: 10.0.0.1-9, 2001:db8::1-9";
                Mistake::new(format!("{end:?} ends no range from {first}"), hint)
            })?;
            if last <= first {
                let hint = "the lower address comes first";
                let message = format!("{text:?} ends where it begins, or before");
                return Err(Mistake::new(message, hint));
            }
            return Ok(Self { first, last });
        }
        if let Some((network, bits)) = text.split_once('/') {
            let first = ip(Some(network))?;
            return network_of(first, bits).ok_or_else(|| {
                let hint = "the first address of a network and the bits of its prefix: 10.0.0.8/29";
                Mistake::new(format!("{text:?} is no network"), hint)
            });
        }
        let ip = ip(Some(text))?;
        Ok(Self {
            first: ip,
            last: ip,
        })
    }

    /// How many addresses there are; as many as can be counted, if more.
    pub(super) fn len(self) -> u128 {
        number(self.last)
            .saturating_sub(number(self.first))
            .saturating_add(1)
    }

    /// The addresses.
    pub(super) fn addresses(self) -> impl Iterator<Item = IpAddr> {
        let is_ipv4 = self.first.is_ipv4();
        (number(self.first)..=number(self.last)).map(move |number| address(number, is_ipv4))
    }
}

/// Behind the dash stands an address, or the last part of one: of IPv6 16 bits, in hexadecimal.
fn end_of_range(first: IpAddr, end: &str) -> Option<IpAddr> {
    match first {
        IpAddr::V4(ip) if !end.contains('.') => {
            let [a, b, c, _] = ip.octets();
            Some(Ipv4Addr::new(a, b, c, end.parse().ok()?).into())
        }
        IpAddr::V6(ip) if !end.contains(':') => {
            let last = u16::from_str_radix(end, 16).ok()?;
            let start = u128::from(ip) & !u128::from(u16::MAX);
            Some(Ipv6Addr::from(start | u128::from(last)).into())
        }
        _ => {
            let last: IpAddr = end.parse().ok()?;
            (last.is_ipv4() == first.is_ipv4()).then_some(last)
        }
    }
}

fn network_of(first: IpAddr, bits: &str) -> Option<Range> {
    let bits: u8 = bits.parse().ok().filter(|bits| *bits > 0)?;
    let network = ipnet::IpNet::new(first, bits).ok()?;
    (network.network() == first).then(|| Range {
        first,
        last: network.broadcast(),
    })
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip),
    }
}

/// The address that [`number`] was made from.
fn address(number: u128, is_ipv4: bool) -> IpAddr {
    match u32::try_from(number) {
        Ok(number) if is_ipv4 => Ipv4Addr::from(number).into(),
        _ => Ipv6Addr::from(number).into(),
    }
}

#[cfg(test)]
mod tests;
