//! Who may connect to a listener.

use std::net::IpAddr;

use ipnet::IpNet;

/// The networks whose clients a listener is for, and those that it is not for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Access {
    /// Whose clients may connect; everybody, if there is none.
    pub allow: Vec<IpNet>,
    /// Whose clients may not, whatever else is said.
    pub deny: Vec<IpNet>,
}

impl Access {
    /// Whether `client` may connect. Its address is normalised (V2).
    pub fn admits(&self, client: IpAddr) -> bool {
        let is_in = |networks: &[IpNet]| networks.iter().any(|of| of.contains(&client));
        !is_in(&self.deny) && (self.allow.is_empty() || is_in(&self.allow))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_denied_or_not_allowed_stays_out() {
        let networks = |texts: &[&str]| -> Vec<IpNet> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let (none, some) = (&[][..], &["10.0.0.0/8", "2001:db8::/32"][..]);
        let within = &["10.1.0.0/16"][..];
        for (allow, deny, client, is_in) in [
            (none, none, "192.0.2.1", true),
            (some, none, "10.9.9.9", true),
            (some, none, "2001:db8:1::1", true),
            (some, none, "192.0.2.1", false),
            (some, none, "2001:db9::1", false),
            (none, some, "10.9.9.9", false),
            (none, some, "192.0.2.1", true),
            (some, within, "10.1.2.3", false),
            (some, within, "10.2.2.3", true),
            // Who is denied is denied: the narrower network does not bring anybody back.
            (within, some, "10.1.2.3", false),
        ] {
            let access = Access {
                allow: networks(allow),
                deny: networks(deny),
            };
            assert_eq!(
                access.admits(client.parse().unwrap()),
                is_in,
                "{access:?} {client}"
            );
        }
    }
}
