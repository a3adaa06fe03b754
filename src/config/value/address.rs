//! How addresses are spelled: of listeners, backends, checks, name servers and the API; ports and names.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::super::file::{Node, Value};
use super::super::problem::Mistake;
use super::super::{ApiAddress, CheckAddress};

/// A range of ports for passive data connections: `"10000-20000"`.
pub(in crate::config) fn passive_ports(node: &Node) -> Result<RangeInclusive<u16>, Mistake> {
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
pub(in crate::config) fn listen_address(
    port: u16,
) -> impl Fn(&Node) -> Result<SocketAddr, Mistake> {
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
pub(in crate::config) fn backend_address(node: &Node) -> Result<SocketAddr, Mistake> {
    address_of_one(node, FTP_PORT, "the address and port of one FTP server")
}

/// The IP address of a host.
pub(in crate::config) fn host(node: &Node) -> Result<IpAddr, Mistake> {
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
pub(in crate::config) fn host_v4(node: &Node) -> Result<Ipv4Addr, Mistake> {
    match host(node)? {
        IpAddr::V4(ip) => Ok(ip),
        // P7: 227 has room for four octets.
        IpAddr::V6(ip) => {
            let hint = "the public IPv4 address; clients on IPv6 use EPSV, which names no address";
            Err(Mistake::new(format!("{ip} is an IPv6 address"), hint))
        }
    }
}

/// An IP address and port of a name server. Without a port, 53.
pub(in crate::config) fn server_address(node: &Node) -> Result<SocketAddr, Mistake> {
    address_of_one(node, DNS_PORT, "the address of one name server")
}

/// What a check connects to in place of the backend's own address: `IP`, `IP:PORT` or `:PORT`.
pub(in crate::config) fn check_address(node: &Node) -> Result<CheckAddress, Mistake> {
    const HINT: &str =
        "an IP address, \"192.0.2.1\", a port, \":2121\", or both, \"192.0.2.1:2121\"";
    let mistake = || Mistake::new(format!("{} is no address to check", node.value), HINT);
    let Value::Text(text) = &node.value else {
        return Err(mistake());
    };
    if let Some(digits) = text.strip_prefix(':') {
        let port = digits.parse().ok().filter(|port| *port != 0);
        let port = Some(port.ok_or_else(mistake)?);
        return Ok(CheckAddress { ip: None, port });
    }
    let written = text
        .parse::<SocketAddr>()
        .ok()
        .map(|address| address.port());
    let ip = socket_address(node, 0).map_err(|_| mistake())?.ip();
    if written == Some(0) || ip.is_unspecified() || is_multicast_or_broadcast(ip) {
        return Err(mistake());
    }
    Ok(CheckAddress {
        ip: Some(ip),
        port: written,
    })
}

/// Where orders are taken: the absolute path of a Unix socket, or a loopback address. Without a port,
/// `port`.
pub(in crate::config) fn api_address(port: u16) -> impl Fn(&Node) -> Result<ApiAddress, Mistake> {
    move |node| {
        let hint = format!(
            "the absolute path of a Unix socket, or a loopback address, \"127.0.0.1:{port}\": whoever \
             reaches it commands ftplb"
        );
        let mistake = |message| Err(Mistake::new(message, hint.clone()));
        if let Value::Text(text) = &node.value
            && text.starts_with('/')
        {
            return path_of_socket(text).map_or_else(mistake, |path| Ok(ApiAddress::Unix(path)));
        }
        match socket_address(node, port) {
            Ok(address) if address.ip().is_loopback() => Ok(ApiAddress::Loopback(address)),
            Ok(address) => mistake(format!("{address} is not only this host's own")),
            Err(Mistake { message, .. }) => mistake(message),
        }
    }
}

/// The absolute path of a Unix socket.
pub(in crate::config) fn socket_path(node: &Node) -> Result<PathBuf, Mistake> {
    let path = match &node.value {
        Value::Text(text) if text.starts_with('/') => path_of_socket(text),
        other => Err(format!("{other} is no absolute path")),
    };
    path.map_err(|message| {
        let hint = "the absolute path of a Unix socket, \"/run/ftplb/handover.sock\"";
        Mistake::new(message, hint)
    })
}

/// An absolute path, or what keeps it from being one of a Unix socket.
fn path_of_socket(text: &str) -> Result<PathBuf, String> {
    match text.len() {
        _ if text.chars().any(char::is_control) => {
            Err(format!("{text:?} contains a control character"))
        }
        ..=LONGEST_SOCKET_PATH => Ok(PathBuf::from(text)),
        bytes => Err(format!(
            "{text:?} has {bytes} bytes, and the path of a Unix socket at most {LONGEST_SOCKET_PATH}"
        )),
    }
}

/// A name that is looked up in DNS (RFC 1035 §2.3.4; RFC 2782 for the underscores).
pub(in crate::config) fn domain_name(node: &Node) -> Result<String, Mistake> {
    let hint = "such as \"ftp.example.com\" or \"_ftp._tcp.example.com\"";
    let Value::Text(text) = &node.value else {
        return Err(Mistake::new(format!("{} is no name", node.value), hint));
    };
    if text.parse::<IpAddr>().is_ok() || text.parse::<SocketAddr>().is_ok() {
        return Err(Mistake::new(
            format!("{text:?} is an address, not a name"),
            "write [[pool.backend]] with it",
        ));
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let is_label = |label: &str| matches!(label.len(), 1..=63) && label.chars().all(is_letter);
    if name.len() > LONGEST_NAME || !name.split('.').all(is_label) {
        return Err(Mistake::new(format!("{text:?} is no name in DNS"), hint));
    }
    Ok(text.clone())
}

/// The address of one host that can be connected to. Without a port, `port`.
fn address_of_one(node: &Node, port: u16, hint: &str) -> Result<SocketAddr, Mistake> {
    let address = socket_address(node, port)?;
    let ip = address.ip();
    if address.port() == 0 || ip.is_unspecified() || is_multicast_or_broadcast(ip) {
        return Err(Mistake::new(
            format!("nobody can connect to {address}"),
            hint,
        ));
    }
    Ok(address)
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
pub(in crate::config) const FTP_PORT: u16 = 21;

/// The port of name servers (RFC 1035 §4.2).
const DNS_PORT: u16 = 53;

/// The ports below are for services (RFC 2577 §3).
const FIRST_PASSIVE_PORT: u16 = 1024;

/// Bytes of `sun_path` on Linux, without the NUL at its end.
const LONGEST_SOCKET_PATH: usize = 107;

/// Characters of a name as it is written without the last dot (RFC 1035 §2.3.4: 255 bytes on the wire).
const LONGEST_NAME: usize = 253;

#[cfg(test)]
mod tests;
