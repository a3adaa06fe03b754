//! The table of services that the rules make, as the kernel has it at the end.

use std::net::SocketAddr;

use super::options::Command;
use super::rule::{self, Netmask, Persistence, Protocol, Rule, Service};
use crate::config::import::fronts::{Front, Fronts};
use crate::config::import::ipvs::{self, PROXIED};
use crate::config::import::ledger::{Id, Ledger};
use crate::config::import::service::{self, Affinity, Backend, Quorum, Told};
use crate::config::import::targets::Targets;
use crate::config::problem::Mistake;

/// The services so far.
#[derive(Debug, Default)]
pub(super) struct Rules(Vec<Entry>);

/// A service, and the rule that says of it what counts.
#[derive(Debug)]
struct Entry {
    id: Id,
    service: Service,
    rule: Rule,
    servers: Vec<(Id, Rule)>,
}

impl Rules {
    /// Does what a rule says.
    pub(super) fn obey(&mut self, id: Id, rule: Rule, ledger: &mut Ledger) {
        ledger.taken_over(id);
        let Some(command) = rule.command else { return };
        match command {
            Command::Clear => {
                for entry in self.0.drain(..) {
                    entry.forget(id, ledger);
                }
                return;
            }
            Command::Other => return ledger.not_applicable(id, "it changes no service"),
            _ => {}
        }
        let Some(service) = rule.service.clone() else {
            let hint = "-t IP:PORT, -u IP:PORT or -f MARK";
            return reject(id, "names no service", hint, ledger);
        };
        let place = self.0.iter().position(|entry| entry.service == service);
        let entry = place.and_then(|place| self.0.get_mut(place));
        match (command, entry) {
            (Command::AddService, None) => self.0.push(Entry {
                id,
                service,
                rule,
                servers: Vec::new(),
            }),
            (Command::AddService, Some(_)) => {
                reject(id, "the service exists already", "-E changes it", ledger);
            }
            (_, None) => {
                let hint = "-A begins a service, on a line above";
                reject(id, "there is no such service", hint, ledger);
            }
            (Command::EditService, Some(entry)) => {
                overrule(entry.id, id, ledger);
                (entry.id, entry.rule) = (id, rule);
            }
            (Command::DeleteService, Some(_)) => {
                if let Some(place) = place {
                    self.0.remove(place).forget(id, ledger);
                }
            }
            (_, Some(entry)) => entry.obey(command, id, rule, ledger),
        }
    }

    /// Whether a service has this firewall mark.
    pub(super) fn has_mark(&self, mark: u32) -> bool {
        let mut marks = self.0.iter().filter_map(|entry| entry.service.mark());
        marks.any(|other| other == mark)
    }

    /// The services that are FTP.
    pub(super) fn services(&self, targets: &Targets, ledger: &mut Ledger) -> Vec<service::Service> {
        let mut fronts = Fronts::default();
        let (mut services, mut marked) = (Vec::new(), Vec::new());
        for entry in &self.0 {
            match entry.addresses(targets) {
                Addresses::Ftp(addresses, has_all_ports) => {
                    entry.complain(ledger);
                    let told = addresses.into_iter().map(|ip| Told::by(entry.id, ip));
                    for front in fronts.make(None, told.collect(), has_all_ports, ledger) {
                        services.extend(entry.translate(front, ledger));
                    }
                }
                Addresses::Wrong(mistake) => {
                    entry.complain(ledger);
                    ledger.mistake(entry.id, mistake);
                    ledger.leave_out();
                }
                Addresses::Other(why) => entry.dismiss(&why, ledger),
                Addresses::Marked(mark) => {
                    let why = format!("not known to be FTP: --fwmark {mark}=IP:PORT says so");
                    entry.dismiss(&why, ledger);
                    marked.push((entry.id, mark));
                }
            }
        }
        // Without any other service of FTP, a mark is most likely that of FTP.
        if services.is_empty() {
            for (id, mark) in marked {
                let message =
                    format!("nobody says which address is behind the firewall mark {mark}");
                let hint = format!(
                    "if it is that of FTP: --fwmark {mark}=VIP:21, with the virtual IP that \
                     clients connect to"
                );
                ledger.mistake(id, Mistake::new(message, hint));
                ledger.leave_out();
            }
        }
        services
    }
}

/// Where the clients of a service connect.
enum Addresses {
    /// Whether every port is meant, beside.
    Ftp(Vec<SocketAddr>, bool),
    Marked(u32),
    Other(String),
    Wrong(Mistake),
}

impl Entry {
    fn addresses(&self, targets: &Targets) -> Addresses {
        let (service, port) = (&self.service, self.service.port());
        match service.protocol {
            Protocol::Udp => return Addresses::Other("not FTP: protocol UDP".to_owned()),
            Protocol::Sctp => return Addresses::Other("not FTP: protocol SCTP".to_owned()),
            Protocol::Mark => {
                let Some(mark) = service.mark() else {
                    let hint = "a number, as iptables sets it";
                    let message = format!("{:?} is no firewall mark", service.text);
                    return Addresses::Wrong(Mistake::new(message, hint));
                };
                let addresses = targets.addresses_of(mark);
                if addresses.is_empty() {
                    return Addresses::Marked(mark);
                }
                return Addresses::Ftp(addresses, false);
            }
            Protocol::Tcp => {}
        }
        let number = if port.is_empty() {
            Some(0)
        } else {
            port.parse().ok()
        };
        let is_ftp = port == "ftp" || number.is_some_and(|number| targets.is_ftp(number));
        if !is_ftp {
            return Addresses::Other(format!("not FTP: port {port}"));
        }
        match rule::address(&service.text) {
            Ok(mut address) => {
                let has_all_ports = address.port() == 0;
                if has_all_ports {
                    address.set_port(21);
                }
                Addresses::Ftp(vec![address], has_all_ports)
            }
            Err(mistake) => Addresses::Wrong(mistake),
        }
    }

    fn obey(&mut self, command: Command, id: Id, rule: Rule, ledger: &mut Ledger) {
        let Some(server) = &rule.server else {
            return reject(id, "names no server", "-r IP:PORT", ledger);
        };
        let same = |(_, other): &(Id, Rule)| other.server.as_ref() == Some(server);
        let place = self.servers.iter().position(same);
        match (command, place) {
            (Command::AddServer, None) if self.servers.len() == ipvs::MOST_SERVERS => {
                ipvs::report_too_many_servers(id, ledger);
            }
            (Command::AddServer, None) => self.servers.push((id, rule)),
            (Command::AddServer, Some(_)) => {
                reject(id, "the server exists already", "-e changes it", ledger);
            }
            (_, None) => reject(
                id,
                "there is no such server",
                "-a adds it, on a line above",
                ledger,
            ),
            (Command::DeleteServer, Some(place)) => {
                let (other, _) = self.servers.remove(place);
                overrule(other, id, ledger);
            }
            (_, Some(place)) => {
                if let Some(entry) = self.servers.get_mut(place) {
                    overrule(entry.0, id, ledger);
                    *entry = (id, rule);
                }
            }
        }
    }

    /// Says that `by` takes the service away.
    fn forget(self, by: Id, ledger: &mut Ledger) {
        overrule(self.id, by, ledger);
        for (id, _) in self.servers {
            overrule(id, by, ledger);
        }
    }

    /// Says why the service is not taken over.
    fn dismiss(&self, why: &str, ledger: &mut Ledger) {
        ledger.not_applicable(self.id, why);
        for (id, _) in &self.servers {
            ledger.not_applicable(*id, why);
        }
    }

    /// Reports what is wrong with the rules of the service.
    fn complain(&self, ledger: &mut Ledger) {
        let own = (&self.id, &self.rule);
        let servers = self.servers.iter().map(|(id, rule)| (id, rule));
        for (id, rule) in std::iter::once(own).chain(servers) {
            ledger.concern_ftp(*id..id.next());
            for mistake in &rule.mistakes {
                ledger.mistake(*id, mistake.clone());
            }
            for unused in &rule.unused {
                ledger.differs(*id, *unused);
            }
        }
    }

    fn translate(&self, front: Front, ledger: &mut Ledger) -> Option<service::Service> {
        if self.servers.is_empty() {
            ledger.not_applicable(self.id, "there is no server behind it");
            return None;
        }
        if front.has_all_ports {
            ledger.differs(self.id, ipvs::ALL_PORTS);
        }
        let backends: Vec<_> = self
            .servers
            .iter()
            .filter_map(|(id, rule)| backend(*id, rule, front.port, ledger))
            .collect();
        let name = self.rule.scheduler.as_deref();
        let algorithm = match name {
            Some(name) => Told::by(self.id, name.to_owned()),
            None => Told::default(self.id, ipvs::ALGORITHM.to_owned()),
        };
        Some(service::Service {
            by: self.id,
            hash_port: self.hash_port(&algorithm.value, ledger),
            affinity: self.affinity(front.has_all_ports, ledger),
            name: front.name,
            listeners: front.listeners,
            algorithm,
            alpha: None,
            omega: None,
            quorum: Quorum::default(),
            sorry: None,
            backends,
            differences: self.differences(ledger),
        })
    }

    fn differences(&self, ledger: &Ledger) -> Vec<String> {
        let ids = std::iter::once(self.id).chain(self.servers.iter().map(|(id, _)| *id));
        ids.flat_map(|id| ledger.differences(id..id.next()))
            .collect()
    }

    fn affinity(&self, has_all_ports: bool, ledger: &mut Ledger) -> Option<Affinity> {
        let timeout = match self.rule.persistence {
            None if !has_all_ports => return None,
            None | Some(Persistence::Default) => Told::default(self.id, ipvs::PERSISTENCE),
            Some(Persistence::Seconds(seconds)) => {
                ipvs::persistence(Told::by(self.id, seconds), ledger)
            }
        };
        let bits = |bits| Some(Told::by(self.id, bits));
        let (prefix_v4, prefix_v6) = match self.rule.netmask {
            Some(Netmask::V4(v4)) => (bits(v4), None),
            Some(Netmask::V6(v6)) => (None, bits(v6)),
            None => (None, None),
        };
        Some(Affinity {
            timeout,
            prefix_v4,
            prefix_v6,
        })
    }

    fn hash_port(&self, algorithm: &str, ledger: &mut Ledger) -> Option<Id> {
        let mut is_port = false;
        for flag in &self.rule.flags {
            let of_hash = matches!(algorithm, "sh" | "mh");
            match flag.as_str() {
                "flag-2" if of_hash => is_port = true,
                // ftplb always falls back to another backend.
                "flag-1" if of_hash => {}
                flag if flag.strip_suffix("-port") == Some(algorithm) => is_port = of_hash,
                flag if flag.strip_suffix("-fallback") == Some(algorithm) => {}
                flag => ledger.differs(self.id, format!("{algorithm} knows no flag {flag}")),
            }
        }
        is_port.then_some(self.id)
    }
}

fn backend(id: Id, rule: &Rule, port: u16, ledger: &mut Ledger) -> Option<Backend> {
    let text = rule.server.as_deref().unwrap_or_default();
    let mut address = match rule::address(text) {
        Ok(address) => address,
        Err(mistake) => {
            ledger.mistake(id, mistake);
            ledger.leave_out();
            return None;
        }
    };
    let kind = rule.kind.unwrap_or("DR");
    if kind != "NAT" {
        ledger.differs(id, PROXIED);
    }
    if address.port() == 0 || kind != "NAT" {
        address.set_port(port);
    }
    let count = |count: Option<u64>| count.map(|count| Told::by(id, count));
    let max_sessions = count(rule.upper_threshold.filter(|count| *count > 0));
    let resume_sessions = count(rule.lower_threshold.filter(|count| *count > 0));
    Some(Backend {
        by: id,
        address,
        weight: count(rule.weight),
        resume_sessions: resume_sessions.filter(|_| max_sessions.is_some()),
        max_sessions,
        on_up: None,
        on_down: None,
        checks: Vec::new(),
    })
}

/// Says that `by` takes the place of what `id` says.
fn overrule(id: Id, by: Id, ledger: &mut Ledger) {
    let line = ledger.statement(by).map_or(0, |statement| statement.line);
    ledger.not_applicable(id, format!("line {line} takes it away or says otherwise"));
}

fn reject(id: Id, message: &str, hint: &str, ledger: &mut Ledger) {
    ledger.mistake(id, Mistake::new(message, hint));
    ledger.leave_out();
}
