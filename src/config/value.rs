//! How each kind of value is spelled: numbers, durations, sizes, addresses, words.
//!
//! Each function takes a value as written and gives its meaning, or the mistake in it with the way to
//! write it right.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::file::{Node, Value};
use super::problem::Mistake;
use crate::balance::Algorithm;

/// A closed set of words and what they stand for.
pub(super) type Words<T> = [(&'static str, T)];

/// `true` or `false`.
pub(super) fn boolean(node: &Node) -> Result<bool, Mistake> {
    match node.value {
        Value::Boolean(value) => Ok(value),
        ref value => Err(Mistake::new(
            format!("{value} is neither true nor false"),
            BOOLEAN,
        )),
    }
}

/// A whole number within `range`.
pub(super) fn count<T>(range: RangeInclusive<T>) -> impl Fn(&Node) -> Result<T, Mistake>
where
    T: Copy + Display + PartialOrd + TryFrom<i128>,
{
    move |node| {
        let hint = format!("a whole number from {} to {}", range.start(), range.end());
        match node.value {
            Value::Integer(number) => within(number, &range)
                .ok_or_else(|| Mistake::new(format!("{number} is out of range"), hint)),
            ref value => Err(Mistake::new(format!("{value} is no whole number"), hint)),
        }
    }
}

/// A number of bytes within `range`: `4096` or `"4KiB"`.
pub(super) fn size(range: RangeInclusive<usize>) -> impl Fn(&Node) -> Result<usize, Mistake> {
    move |node| {
        let [low, high] = [*range.start(), *range.end()].map(size_text);
        let hint = format!("a number of bytes, or such as \"64KiB\", from {low} to {high}");
        let bytes = match &node.value {
            Value::Integer(bytes) => Some(*bytes),
            Value::Text(text) => bytes(text),
            _ => None,
        };
        let Some(bytes) = bytes else {
            return Err(Mistake::new(format!("{} is no size", node.value), hint));
        };
        within(bytes, &range)
            .ok_or_else(|| Mistake::new(format!("{} is out of range", node.value), hint))
    }
}

/// A duration with its unit, within `range`: `"5s"`, `"1m 30s"`.
pub(super) fn duration(
    range: RangeInclusive<Duration>,
) -> impl Fn(&Node) -> Result<Duration, Mistake> {
    move |node| {
        let [low, high] = [*range.start(), *range.end()].map(humantime::format_duration);
        let hint =
            format!("a number with its unit, such as \"90s\" or \"5m\", from {low} to {high}");
        let Value::Text(text) = &node.value else {
            return Err(Mistake::new(format!("{} is no duration", node.value), hint));
        };
        match humantime::parse_duration(text) {
            Ok(duration) if range.contains(&duration) => Ok(duration),
            Ok(_) => Err(Mistake::new(format!("{text:?} is out of range"), hint)),
            Err(_) => Err(Mistake::new(format!("{text:?} is no duration"), hint)),
        }
    }
}

/// Text of one line that is not empty.
pub(super) fn text(node: &Node) -> Result<String, Mistake> {
    let Value::Text(text) = &node.value else {
        return Err(Mistake::new(
            format!("{} is no text", node.value),
            "write it in quotes",
        ));
    };
    if text.is_empty() {
        return Err(Mistake::new(
            "is empty",
            "write some text, or leave the key out",
        ));
    }
    // A line break in a user name would be a second command to the backend, in a pool's name a
    // second line of the log.
    if text.chars().any(char::is_control) {
        return Err(Mistake::new(
            format!("{text:?} contains a control character"),
            "take line breaks, tabs and the like out",
        ));
    }
    Ok(text.clone())
}

/// Text that no message may show.
pub(super) fn secret(node: &Node) -> Result<String, Mistake> {
    text(node).map_err(|mistake| Mistake::new("is no password", mistake.hint))
}

/// One of `words`.
pub(super) fn word<T: Copy>(words: &Words<T>) -> impl Fn(&Node) -> Result<T, Mistake> {
    move |node| {
        let chosen = match &node.value {
            Value::Text(text) => words.iter().find(|(word, _)| word == text),
            _ => None,
        };
        chosen.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let all: Vec<_> = words
                .iter()
                .map(|(word, _)| format!("\"{word}\""))
                .collect();
            let hint = format!("one of {}", all.join(", "));
            Mistake::new(format!("{} is not known here", node.value), hint)
        })
    }
}

/// The name of an algorithm, here or in ipvs.
pub(super) fn algorithm(node: &Node) -> Result<Algorithm, Mistake> {
    let algorithm = match &node.value {
        Value::Text(text) => Algorithm::parse(text),
        _ => None,
    };
    algorithm.ok_or_else(|| {
        let both = |one: Algorithm| format!("{} ({})", one.name(), one.ipvs_name());
        let hint = format!("one of {}", Algorithm::ALL.map(both).join(", "));
        Mistake::new(format!("{} is no algorithm", node.value), hint)
    })
}

/// A range of ports for passive data connections: `"10000-20000"`.
pub(super) fn passive_ports(node: &Node) -> Result<RangeInclusive<u16>, Mistake> {
    const HINT: &str = "the first and the last port, such as \"10000-20000\"";
    let ports = match &node.value {
        Value::Text(text) => text.split_once('-'),
        _ => None,
    };
    let ports = ports.and_then(|(first, last)| {
        Some((
            first.trim().parse::<u16>().ok()?,
            last.trim().parse::<u16>().ok()?,
        ))
    });
    let Some((first, last)) = ports else {
        return Err(Mistake::new(
            format!("{} is no range of ports", node.value),
            HINT,
        ));
    };
    if first > last {
        let hint = format!("write \"{last}-{first}\"");
        return Err(Mistake::new(
            format!("\"{first}-{last}\" ends before it begins"),
            hint,
        ));
    }
    if first < FIRST_PASSIVE_PORT {
        return Err(Mistake::new(
            format!("\"{first}-{last}\" begins below {FIRST_PASSIVE_PORT}"),
            "ports below 1024 belong to services (RFC 2577 section 3): such as \"10000-20000\"",
        ));
    }
    Ok(first..=last)
}

/// An IP address and port to listen on. Without a port, `port`. Port 0: the kernel chooses one.
pub(super) fn listen_address(port: u16) -> impl Fn(&Node) -> Result<SocketAddr, Mistake> {
    move |node| {
        let address = socket_address(node, port)?;
        let hint = "an address of this host, a virtual IP, 0.0.0.0 or [::]";
        if is_multicast_or_broadcast(address.ip()) {
            return Err(Mistake::new(
                format!("nobody can connect to {address}"),
                hint,
            ));
        }
        Ok(address)
    }
}

/// An IP address and port to connect to. Without a port, 21.
pub(super) fn backend_address(node: &Node) -> Result<SocketAddr, Mistake> {
    let address = socket_address(node, FTP_PORT)?;
    let ip = address.ip();
    if address.port() == 0 || ip.is_unspecified() || is_multicast_or_broadcast(ip) {
        let hint = "the address and port of one FTP server";
        return Err(Mistake::new(
            format!("nobody can connect to {address}"),
            hint,
        ));
    }
    Ok(address)
}

/// The IP address of a host.
pub(super) fn host(node: &Node) -> Result<IpAddr, Mistake> {
    let ip = match &node.value {
        Value::Text(text) => text.parse::<IpAddr>().ok(),
        _ => None,
    };
    let usable = |ip: &IpAddr| !ip.is_unspecified() && !is_multicast_or_broadcast(*ip);
    // V2: an IPv4-mapped IPv6 address is the IPv4 address.
    ip.map(|ip| ip.to_canonical())
        .filter(usable)
        .ok_or_else(|| {
            let hint = "the IP address of one host, without a port";
            Mistake::new(format!("{} is no address of a host", node.value), hint)
        })
}

/// The IPv4 address of a host.
pub(super) fn host_v4(node: &Node) -> Result<Ipv4Addr, Mistake> {
    match host(node)? {
        IpAddr::V4(ip) => Ok(ip),
        // P7: 227 has room for four octets.
        IpAddr::V6(ip) => {
            let hint = "the public IPv4 address; clients on IPv6 use EPSV, which names no address";
            Err(Mistake::new(format!("{ip} is an IPv6 address"), hint))
        }
    }
}

/// A number of bytes as people write it; [`size`] reads it back.
pub(super) fn size_text(bytes: usize) -> String {
    for (unit, factor) in UNITS {
        if bytes >= factor && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    bytes.to_string()
}

fn bytes(text: &str) -> Option<i128> {
    let (digits, factor) = UNITS
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))
        .unwrap_or((text, 1));
    digits
        .trim_end()
        .parse::<i128>()
        .ok()?
        .checked_mul(i128::try_from(factor).ok()?)
}

fn within<T: Copy + PartialOrd + TryFrom<i128>>(
    number: i128,
    range: &RangeInclusive<T>,
) -> Option<T> {
    T::try_from(number)
        .ok()
        .filter(|number| range.contains(number))
}

fn socket_address(node: &Node, port: u16) -> Result<SocketAddr, Mistake> {
    let mistake = |hint: &str| {
        let message = format!("{} is no address", node.value);
        Err(Mistake::new(
            message,
            format!("{hint}, such as \"192.0.2.1:{port}\""),
        ))
    };
    let Value::Text(text) = &node.value else {
        return mistake("an IP address and port, in quotes");
    };
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(match address.ip().to_canonical() {
            // V2: an IPv4-mapped IPv6 address is the IPv4 address.
            ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
            IpAddr::V6(_) => address,
        });
    }
    let bracketed = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let ip = match bracketed {
        Some(ip) => ip.parse().map(IpAddr::V6).ok(),
        None => text.parse().map(IpAddr::V4).ok(),
    };
    match ip {
        Some(ip) => Ok(SocketAddr::new(ip.to_canonical(), port)),
        // In 2001:db8::1:21 nobody can tell the port.
        None if text.matches(':').count() > 1 => mistake("an IPv6 address stands in brackets"),
        None if text.contains(|c: char| c.is_ascii_alphabetic()) => {
            mistake("names are not looked up: write the IP address")
        }
        None => mistake("an IP address and port"),
    }
}

fn is_multicast_or_broadcast(ip: IpAddr) -> bool {
    ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST)
}

/// The port of control connections (RFC 959 §8).
pub(super) const FTP_PORT: u16 = 21;

/// The ports below are for services (RFC 2577 §3).
const FIRST_PASSIVE_PORT: u16 = 1024;

const BOOLEAN: &str = "write true or false, without quotes";

const UNITS: [(&str, usize); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
