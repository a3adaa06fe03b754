//! Where the clients of a virtual server connect, and whether that is FTP.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::group::{Member, What, mark};
use super::tree::Directive;
use super::values;
use crate::config::import::fronts::{Front, Fronts};
use crate::config::import::ipvs::ALL_PORTS;
use crate::config::import::ledger::{Id, Ledger};
use crate::config::import::service::Told;
use crate::config::import::targets::Targets;
use crate::config::problem::Mistake;
use crate::config::value::FTP_PORT;

/// What the head of a virtual server says.
pub(super) enum Head {
    /// Its clients speak FTP.
    Ftp(Vec<Front>),
    /// They do not: why.
    Other(String),
    /// It has a firewall mark, and nobody says which address is behind it.
    Marked(u32),
}

/// Judges the heads of virtual servers, one behind the other.
pub(super) struct Heads<'t> {
    pub(super) targets: &'t Targets,
    pub(super) groups: BTreeMap<String, Vec<Member>>,
    fronts: Fronts,
}

impl<'t> Heads<'t> {
    pub(super) fn new(targets: &'t Targets, groups: BTreeMap<String, Vec<Member>>) -> Self {
        Self {
            targets,
            groups,
            fronts: Fronts::default(),
        }
    }

    /// The firewall marks in groups.
    pub(super) fn marks(&self) -> impl Iterator<Item = u32> {
        let members = self.groups.values().flatten();
        members.filter_map(|member| match member.what {
            Ok(What::Mark(mark)) => Some(mark),
            _ => None,
        })
    }

    /// What the head of `server` says.
    pub(super) fn judge(&mut self, server: &Directive, ledger: &mut Ledger) -> Head {
        if let Some(protocol) = protocol(server)
            && ["UDP", "SCTP"].contains(&protocol.to_uppercase().as_str())
        {
            return Head::Other(format!("not FTP: protocol {protocol}"));
        }
        let second = server.arguments.get(1).map(String::as_str);
        match server.argument() {
            Some("group") => self.group(second, ledger),
            Some("fwmark") => match mark(second) {
                Ok(mark) => {
                    let addresses = self.targets.addresses_of(mark);
                    if addresses.is_empty() {
                        return Head::Marked(mark);
                    }
                    let told = addresses.iter().map(|ip| Told::by(server.id, *ip));
                    let told = told.collect();
                    Head::Ftp(self.fronts.make(None, told, false, ledger))
                }
                Err(mistake) => Head::Other(format!("keepalived ignores it: {}", mistake.message)),
            },
            ip => self.address(server, ip, second, ledger),
        }
    }

    fn address(
        &mut self,
        server: &Directive,
        ip: Option<&str>,
        port: Option<&str>,
        ledger: &mut Ledger,
    ) -> Head {
        let port = match values::port(port) {
            Ok(port) if self.targets.is_ftp(port) => port,
            Ok(port) => return Head::Other(format!("not FTP: port {port}")),
            Err(mistake) => return not_a_port(mistake, server.id, ledger),
        };
        if port == 0 {
            ledger.differs(server.id, ALL_PORTS);
        }
        match values::ip(ip) {
            Ok(ip) => {
                let address = SocketAddr::new(ip, if port == 0 { FTP_PORT } else { port });
                let told = vec![Told::by(server.id, address)];
                Head::Ftp(self.fronts.make(None, told, port == 0, ledger))
            }
            Err(mistake) => {
                ledger.mistake(server.id, mistake);
                ledger.leave_out();
                Head::Ftp(vec![Front::unknown(port)])
            }
        }
    }

    fn group(&mut self, name: Option<&str>, ledger: &mut Ledger) -> Head {
        let Some((name, members)) = name.and_then(|name| self.groups.get_key_value(name)) else {
            let name = name.unwrap_or_default();
            return Head::Other(format!("keepalived ignores it: there is no group {name:?}"));
        };
        let mut addresses = Vec::new();
        let (mut has_all_ports, mut unmapped) = (false, None);
        let (mut is_ftp, mut room) = (false, self.fronts.room());
        for member in members {
            match (&member.what, &member.port) {
                (Ok(What::Mark(mark)), _) => {
                    let found = self.targets.addresses_of(*mark);
                    if found.is_empty() {
                        let why = "not known to be FTP: --fwmark says which address is behind it";
                        ledger.not_applicable(member.id, why);
                        unmapped = Some(*mark);
                    } else {
                        ledger.taken_over(member.id);
                    }
                    addresses.extend(found.into_iter().map(|ip| Told::by(member.id, ip)));
                }
                (_, Ok(port)) if !self.targets.is_ftp(*port) => {
                    ledger.not_applicable(member.id, format!("not FTP: port {port}"));
                }
                (Ok(What::Addresses(range)), Ok(port)) => {
                    ledger.taken_over(member.id);
                    if *port == 0 {
                        ledger.differs(member.id, ALL_PORTS);
                        has_all_ports = true;
                    }
                    let port = if *port == 0 { FTP_PORT } else { *port };
                    if range.len() > u128::try_from(room).unwrap_or(0) {
                        Fronts::report_too_many(member.id, ledger);
                        continue;
                    }
                    let told = range
                        .addresses()
                        .map(|ip| Told::by(member.id, SocketAddr::new(ip, port)));
                    let before = addresses.len();
                    addresses.extend(told);
                    room -= addresses.len() - before;
                }
                (Err(mistake), Ok(_)) => {
                    is_ftp = true;
                    ledger.mistake(member.id, mistake.clone());
                    ledger.leave_out();
                }
                (_, Err(mistake)) => {
                    if let Head::Other(why) = not_a_port(mistake.clone(), member.id, ledger) {
                        ledger.not_applicable(member.id, why);
                    }
                }
            }
        }
        match unmapped {
            _ if !addresses.is_empty() || is_ftp => {
                Head::Ftp(
                    self.fronts
                        .make(Some(name), addresses, has_all_ports, ledger),
                )
            }
            Some(mark) => Head::Marked(mark),
            None => Head::Other("not FTP: no port of the group is".to_owned()),
        }
    }
}

/// The protocol that counts in the block of a virtual server.
pub(super) fn protocol(server: &Directive) -> Option<&str> {
    let lines = server.children().iter().rev();
    let mut protocols = lines.filter(|line| line.keyword == "protocol");
    protocols.find_map(Directive::argument)
}

/// keepalived takes numbers only. Whoever writes `ftp` means FTP.
fn not_a_port(mistake: Mistake, id: Id, ledger: &mut Ledger) -> Head {
    let why = format!("keepalived ignores it: {}", mistake.message);
    if mistake.message.starts_with("\"ftp\"") {
        ledger.mistake(id, mistake);
        ledger.leave_out();
    }
    Head::Other(why)
}
