//! How a network is spelled: `"10.0.0.0/8"`, `"2001:db8::/32"`, or one address.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use super::super::file::{Node, Value};
use super::super::problem::Mistake;

/// The addresses of a network, or a single one.
pub(in crate::config) fn network(node: &Node) -> Result<IpNet, Mistake> {
    let hint = "an address and how many of its bits count, such as \"10.0.0.0/8\", or one address";
    let text = match &node.value {
        Value::Text(text) => text.as_str(),
        _ => "",
    };
    let single = || text.parse().ok().map(|ip: IpAddr| IpNet::from(ip));
    let Some(network) = text.parse().ok().or_else(single) else {
        return Err(Mistake::new(format!("{} is no network", node.value), hint));
    };
    let trunc = network.trunc();
    if trunc != network {
        // Somebody may mean the one address, or another network: guessing would let in or keep out others.
        let message = format!("{text:?} has bits beyond its prefix");
        let hint = format!(
            "write \"{trunc}\" for the network, or \"{}\" for the one",
            network.addr()
        );
        return Err(Mistake::new(message, hint));
    }
    Ok(normalised(network))
}

/// V2: an IPv4-mapped IPv6 network is the IPv4 network.
fn normalised(network: IpNet) -> IpNet {
    let IpNet::V6(mapped) = network else {
        return network;
    };
    let prefix = mapped.prefix_len().checked_sub(96);
    let ip = mapped.addr().to_ipv4_mapped();
    let v4 = prefix
        .zip(ip)
        .and_then(|(prefix, ip)| Ipv4Net::new(ip, prefix).ok());
    v4.map_or(network, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_network_is_the_ipv4_network_and_others_are_left() {
        for (written, expected) in [
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:192.0.2.1/128", "192.0.2.1/32"),
            ("::/0", "::/0"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("10.0.0.0/8", "10.0.0.0/8"),
        ] {
            let network = normalised(written.parse().unwrap());
            assert_eq!(network, expected.parse().unwrap(), "{written}");
        }
    }
}
