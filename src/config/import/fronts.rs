//! Where the clients of the services connect, and how their pools are called.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::ledger::{Id, Ledger};
use super::service::Told;
use crate::config::problem::Mistake;
use crate::config::value::FTP_PORT;

/// The addresses of a service that have one port, and so one pool.
#[derive(Debug)]
pub(in crate::config) struct Front {
    /// The name of the pool; no other has it.
    pub(in crate::config) name: String,
    pub(in crate::config) port: u16,
    pub(in crate::config) listeners: Vec<Told<SocketAddr>>,
    /// The service takes every port, and needs affinity for that.
    pub(in crate::config) has_all_ports: bool,
}

/// The fronts of all services.
#[derive(Debug, Default)]
pub(in crate::config) struct Fronts {
    names: BTreeSet<String>,
    listeners: usize,
}

impl Front {
    /// Of a service whose address can not be read.
    pub(in crate::config) fn unknown(port: u16) -> Self {
        Self {
            name: "unknown".to_owned(),
            port: if port == 0 { FTP_PORT } else { port },
            listeners: Vec::new(),
            has_all_ports: port == 0,
        }
    }
}

impl Fronts {
    /// Addresses by their ports. They are called after `group`, or after the first address.
    pub(in crate::config) fn make(
        &mut self,
        group: Option<&str>,
        addresses: Vec<Told<SocketAddr>>,
        has_all_ports: bool,
        ledger: &mut Ledger,
    ) -> Vec<Front> {
        let mut by_port: BTreeMap<u16, Vec<Told<SocketAddr>>> = BTreeMap::new();
        for address in addresses {
            if self.room() == 0 {
                Self::report_too_many(address.by, ledger);
                break;
            }
            self.listeners += 1;
            let port = address.value.port();
            by_port.entry(port).or_default().push(address);
        }
        let fronts = by_port.into_iter().map(|(port, listeners)| {
            let first = listeners.first().map(|first| first.value.ip());
            let name = match (group, first) {
                (Some(group), _) => with_port(group.to_owned(), port),
                (None, Some(IpAddr::V6(ip))) if port != FTP_PORT => format!("[{ip}]:{port}"),
                (None, Some(ip)) => with_port(ip.to_string(), port),
                (None, None) => String::new(),
            };
            Front {
                name: self.unique(&name),
                port,
                listeners,
                has_all_ports,
            }
        });
        fronts.collect()
    }

    /// How many more addresses there may be.
    pub(in crate::config) fn room(&self) -> usize {
        MOST_LISTENERS.saturating_sub(self.listeners)
    }

    pub(in crate::config) fn report_too_many(id: Id, ledger: &mut Ledger) {
        let message = format!("more than {MOST_LISTENERS} addresses to listen on");
        let hint =
            "0.0.0.0 and [::] take every address of the host: write a listener of ftplb's own";
        ledger.mistake(id, Mistake::new(message, hint));
        ledger.leave_out();
    }

    /// `name`, or with a number behind it.
    fn unique(&mut self, name: &str) -> String {
        let numbered = (2_usize..).map(|number| format!("{name} ({number})"));
        let mut names = std::iter::once(name.to_owned()).chain(numbered);
        let name = names.find(|name| !self.names.contains(name));
        let name = name.unwrap_or_default();
        self.names.insert(name.clone());
        name
    }
}

fn with_port(name: String, port: u16) -> String {
    if port == FTP_PORT {
        name
    } else {
        format!("{name}:{port}")
    }
}

/// Each needs a socket. Nobody has more virtual IPs of FTP on a host.
const MOST_LISTENERS: usize = 1_024;
