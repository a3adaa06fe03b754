//! Where the clients of a virtual server connect, and whether that is FTP.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::group::{Member, What, mark};
use super::tree::Directive;
use super::values::{self, Range};
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
    /// How many virtual servers use a group so far.
    uses: BTreeMap<String, usize>,
    fronts: Fronts,
}

impl<'t> Heads<'t> {
    pub(super) fn new(targets: &'t Targets, groups: BTreeMap<String, Vec<Member>>) -> Self {
        Self {
            targets,
            groups,
            uses: BTreeMap::new(),
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
        // Of marks keepalived ignores it.
        if server.argument() != Some("fwmark")
            && let Some(protocol) = protocol(server)
            && ["UDP", "SCTP"].contains(&protocol.to_uppercase().as_str())
        {
            return Head::Other(format!("not FTP: protocol {protocol}"));
        }
        let second = server.arguments.get(1).map(String::as_str);
        match server.argument() {
            Some("group") => self.group(server, second, ledger),
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

    fn group(&mut self, server: &Directive, name: Option<&str>, ledger: &mut Ledger) -> Head {
        let Some((name, members)) = name.and_then(|name| self.groups.get_key_value(name)) else {
            let name = name.unwrap_or_default();
            return Head::Other(format!("keepalived ignores it: there is no group {name:?}"));
        };
        let uses = self.uses.entry(name.clone()).or_default();
        *uses += 1;
        if *uses > MOST_USES {
            let message = format!("more than {MOST_USES} virtual servers use the group {name:?}");
            let hint = "keepalived takes one of each protocol";
            ledger.mistake(server.id, Mistake::new(message, hint));
            ledger.leave_out();
            return Head::Other("too many virtual servers use the group".to_owned());
        }
        let mut found = Found {
            addresses: Vec::new(),
            room: self.fronts.room(),
            has_all_ports: false,
            is_ftp: false,
            unmapped: None,
        };
        for member in members {
            found.add(member, self.targets, ledger);
        }
        if found.is_ftp {
            let Found {
                addresses,
                has_all_ports,
                ..
            } = found;
            let fronts = &mut self.fronts;
            return Head::Ftp(fronts.make(Some(name), addresses, has_all_ports, ledger));
        }
        match found.unmapped {
            Some(mark) => Head::Marked(mark),
            None => Head::Other("not FTP: no port of the group is".to_owned()),
        }
    }
}

/// What is found of FTP in a group.
struct Found {
    addresses: Vec<Told<SocketAddr>>,
    /// For how many more addresses.
    room: usize,
    has_all_ports: bool,
    /// Some member is FTP, even if its address can not be read.
    is_ftp: bool,
    /// A firewall mark without an address.
    unmapped: Option<u32>,
}

impl Found {
    fn add(&mut self, member: &Member, targets: &Targets, ledger: &mut Ledger) {
        let id = member.id;
        match (&member.what, &member.port) {
            (Ok(What::Mark(mark)), _) => self.add_mark(id, *mark, targets, ledger),
            (_, Ok(port)) if !targets.is_ftp(*port) => {
                ledger.not_applicable(id, format!("not FTP: port {port}"));
            }
            (Ok(What::Addresses(range)), Ok(port)) => {
                self.add_range(id, *range, *port, ledger);
            }
            (Err(mistake), Ok(_)) => {
                self.is_ftp = true;
                ledger.mistake(id, mistake.clone());
                ledger.leave_out();
            }
            (_, Err(mistake)) => {
                if let Head::Other(why) = not_a_port(mistake.clone(), id, ledger) {
                    ledger.not_applicable(id, why);
                }
            }
        }
    }

    fn add_mark(&mut self, id: Id, mark: u32, targets: &Targets, ledger: &mut Ledger) {
        let addresses = targets.addresses_of(mark);
        if addresses.is_empty() {
            let why = "not known to be FTP: --fwmark says which address is behind it";
            ledger.not_applicable(id, why);
            self.unmapped = Some(mark);
            return;
        }
        ledger.taken_over(id);
        self.is_ftp = true;
        let told = addresses.into_iter().map(|ip| Told::by(id, ip));
        self.addresses.extend(told);
    }

    fn add_range(&mut self, id: Id, range: Range, port: u16, ledger: &mut Ledger) {
        ledger.taken_over(id);
        self.is_ftp = true;
        if port == 0 {
            ledger.differs(id, ALL_PORTS);
            self.has_all_ports = true;
        }
        let Some(room) = usize::try_from(range.len())
            .ok()
            .and_then(|count| self.room.checked_sub(count))
        else {
            return Fronts::report_too_many(id, ledger);
        };
        self.room = room;
        let port = if port == 0 { FTP_PORT } else { port };
        let addresses = range.addresses();
        let told = addresses.map(|ip| Told::by(id, SocketAddr::new(ip, port)));
        self.addresses.extend(told);
    }
}

/// The protocol that counts in the block of a virtual server.
fn protocol(server: &Directive) -> Option<&str> {
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

/// Of one group. Each member is judged for each.
const MOST_USES: usize = 16;
