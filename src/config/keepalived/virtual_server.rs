//! `virtual_server` of FTP, as a pool and its listeners.

use std::net::SocketAddr;

use super::checks::note_user;
use super::grammar::server;
use super::real_server::{Behind, RealServer, note_kind};
use super::section::Section;
use super::tree::Directive;
use super::values;
use crate::config::import::fronts::Front;
use crate::config::import::ipvs;
use crate::config::import::ledger::{Id, Ledger};
use crate::config::import::service::{Affinity, Backend, Quorum, Service, Told};
use crate::config::problem::Mistake;

/// Translates `directive`, whose clients connect to `front`. `None`: keepalived ignores it.
pub(super) fn service(
    directive: &Directive,
    front: Front,
    has_script_user: bool,
    ledger: &mut Ledger,
) -> Option<Service> {
    let section = Section::read(directive.children(), &server::VIRTUAL_SERVER, ledger);
    if directive.block.is_none() {
        let hint = "write it in braces: { ... }";
        ledger.mistake(directive.id, Mistake::new("lacks its block", hint));
        ledger.leave_out();
    }
    note_protocol(directive, &section, ledger);
    let kinds = ["lb_kind", "lvs_method", "sorry_server_lvs_method"];
    note_kind(&section, &kinds, ledger);
    let is_ipv4 = front
        .listeners
        .first()
        .is_none_or(|listener| listener.value.is_ipv4());
    let behind = Behind {
        section: &section,
        port: front.port,
        is_ipv4,
        has_script_user,
    };
    let (backends, alphas) = real_servers(&behind, ledger);
    if section.one("real_server").is_none() {
        let why = "keepalived ignores it: no real_server is in it";
        ledger.leave_aside(directive.all(), why);
        return None;
    }
    let algorithm = algorithm(directive.id, &section);
    let hash_port = hash_port(&algorithm, &section, ledger);
    let quorum = quorum(&section, &backends, has_script_user, ledger);
    let alpha = alpha(&section, &alphas, backends.len(), ledger);
    let affinity = affinity(directive.id, &section, front.has_all_ports, is_ipv4, ledger);
    let sorry = sorry_server(&section, &behind, &backends, ledger);
    note_unused_times(&section, &backends, ledger);
    ledger.concern_ftp(directive.all());
    let differences = ledger.differences(directive.all());
    Some(Service {
        by: directive.id,
        name: front.name,
        listeners: front.listeners,
        algorithm,
        hash_port,
        affinity,
        alpha,
        omega: section.one("omega").map(|omega| omega.id),
        quorum,
        sorry,
        backends,
        differences,
    })
}

/// A protocol that is missing, or that is not TCP, which only that of a firewall mark can be here.
fn note_protocol(directive: &Directive, section: &Section<'_>, ledger: &mut Ledger) {
    let is_mark = directive.argument() == Some("fwmark");
    match section.word("protocol") {
        None if !is_mark && section.one("protocol").is_none() => {
            let what = "taken as TCP; keepalived takes UDP where no protocol is named";
            ledger.differs(directive.id, what);
        }
        Some(protocol) if !protocol.value.eq_ignore_ascii_case("TCP") => {
            let why = "keepalived ignores it: the firewall mark counts";
            ledger.not_applicable(protocol.by, why);
        }
        _ => {}
    }
}

/// The servers that keepalived takes, and what each says of `alpha`.
fn real_servers(
    behind: &Behind<'_, '_>,
    ledger: &mut Ledger,
) -> (Vec<Backend>, Vec<Vec<Told<bool>>>) {
    let (mut backends, mut alphas) = (Vec::<Backend>::new(), Vec::new());
    for directive in behind.section.all("real_server") {
        if backends.len() == ipvs::MOST_SERVERS {
            ipvs::report_too_many_servers(directive.id, ledger);
            break;
        }
        let Some(server) = RealServer::read(directive, behind, ledger) else {
            continue;
        };
        let address = server.backend.address;
        let earlier = backends.iter().find(|other| other.address == address);
        if let Some(other) = earlier.and_then(|other| ledger.statement(other.by)) {
            let line = other.line;
            let why = format!("keepalived leaves it out: line {line} has it already");
            ledger.leave_aside(directive.all(), why);
            continue;
        }
        backends.push(server.backend);
        alphas.push(server.alphas);
    }
    (backends, alphas)
}

fn algorithm(id: Id, section: &Section<'_>) -> Told<String> {
    let both = [section.word("lb_algo"), section.word("lvs_sched")];
    // They are one directive with two names: the last one counts.
    let last = both.into_iter().flatten().max_by_key(|told| told.by);
    last.map_or_else(
        || Told::default(id, ipvs::ALGORITHM.to_owned()),
        |told| told.map(str::to_owned),
    )
}

/// Whether the client's port counts for a hash, and what becomes of the flags of the two that know it.
fn hash_port(algorithm: &Told<String>, section: &Section<'_>, ledger: &mut Ledger) -> Option<Id> {
    let name = algorithm.value.as_str();
    let mut port = None;
    for (keyword, of, is_port) in [
        ("sh-port", Some("sh"), true),
        ("mh-port", Some("mh"), true),
        ("sh-fallback", Some("sh"), false),
        ("mh-fallback", Some("mh"), false),
        ("flag-1", None, false),
        ("flag-2", None, true),
    ] {
        let Some(flag) = section.one(keyword) else {
            continue;
        };
        let is_hash = ["sh", "mh"].contains(&name);
        match of {
            Some(of) if name != of => {
                ledger.not_applicable(flag.id, format!("it is a flag of {of}, not of {name}"));
            }
            Some(of) if algorithm.is_default || algorithm.by > flag.id => {
                let why = format!("keepalived ignores it: `lb_algo {of}` does not stand above it");
                ledger.not_applicable(flag.id, why);
            }
            None if !is_hash => {
                ledger.not_applicable(flag.id, format!("{name} knows no such flag"));
            }
            _ if is_port => port = Some(flag.id),
            _ => {}
        }
    }
    port
}

fn affinity(
    id: Id,
    section: &Section<'_>,
    has_all_ports: bool,
    is_ipv4: bool,
    ledger: &mut Ledger,
) -> Option<Affinity> {
    let granularity = section.one("persistence_granularity");
    let written = section.one("persistence_timeout");
    let by = written.or(granularity).map(|directive| directive.id);
    if by.is_none() && !has_all_ports {
        return None;
    }
    let timeout = match section.count("persistence_timeout") {
        Some(timeout) => ipvs::persistence(timeout, ledger),
        None => Told::default(by.unwrap_or(id), ipvs::PERSISTENCE),
    };
    let mut affinity = Affinity {
        timeout,
        prefix_v4: None,
        prefix_v6: None,
    };
    if let Some(directive) = granularity {
        let text = directive.argument().unwrap_or_default();
        let (bits, place) = if is_ipv4 {
            (ipvs::mask_bits(text), &mut affinity.prefix_v4)
        } else {
            (ipvs::prefix_bits(text), &mut affinity.prefix_v6)
        };
        *place = bits.map(|bits| Told::by(directive.id, bits));
        if bits.is_none() {
            let message = format!("{text:?} is no mask of a network");
            let hint = "of IPv4 such as 255.255.255.0, of IPv6 the bits of the prefix, 1 to 128";
            ledger.mistake(directive.id, Mistake::new(message, hint));
        }
    }
    Some(affinity)
}

/// keepalived makes a quorum that can not be reached smaller.
fn quorum(
    section: &Section<'_>,
    backends: &[Backend],
    has_script_user: bool,
    ledger: &mut Ledger,
) -> Quorum {
    let weights = backends.iter();
    let weights = weights.map(|backend| backend.weight.as_ref().map_or(1, |weight| weight.value));
    let sum: u64 = weights.sum::<u64>().max(1);
    let mut quorum = Quorum {
        weight: section.count("quorum"),
        hysteresis: section.count("hysteresis"),
        on_up: section.script("quorum_up"),
        on_down: section.script("quorum_down"),
    };
    if let Some(weight) = &mut quorum.weight
        && weight.value > sum
        && !backends.is_empty()
    {
        let what = format!("{sum}, as in keepalived: all servers together weigh no more");
        ledger.differs(weight.by, what);
        weight.value = sum;
    }
    let most = quorum.weight.as_ref().map_or(1, |weight| weight.value) - 1;
    if let Some(hysteresis) = &mut quorum.hysteresis
        && hysteresis.value > most
    {
        let what = format!("{most}, as in keepalived: it is less than the quorum");
        ledger.differs(hysteresis.by, what);
        hysteresis.value = most;
    }
    for script in [&quorum.on_up, &quorum.on_down].into_iter().flatten() {
        note_user(script, has_script_user, ledger);
    }
    quorum
}

/// Whether the pool is down until it was checked. That can be said of a pool only as a whole.
fn alpha(
    section: &Section<'_>,
    servers: &[Vec<Told<bool>>],
    count: usize,
    ledger: &mut Ledger,
) -> Option<Id> {
    let of_all = section.one("alpha").map(|alpha| alpha.id);
    let is_alpha = |said: &Vec<Told<bool>>| match said.as_slice() {
        [] => of_all.is_some(),
        said => said.iter().any(|alpha| alpha.value),
    };
    let is_whole = count > 0 && servers.iter().all(is_alpha);
    for said in servers.iter().flatten() {
        if said.value != is_whole {
            let what = if is_whole {
                "a pool is alpha as a whole, and this one is"
            } else {
                "a pool is alpha as a whole, and this one is not"
            };
            ledger.differs(said.by, what);
        }
    }
    if let Some(id) = of_all.filter(|_| !is_whole) {
        let what = "a pool is alpha as a whole, and this one is not: a server says otherwise";
        ledger.differs(id, what);
    }
    let first = servers.iter().flatten().find(|said| said.value);
    of_all.or(first.map(|said| said.by)).filter(|_| is_whole)
}

fn sorry_server(
    section: &Section<'_>,
    behind: &Behind<'_, '_>,
    backends: &[Backend],
    ledger: &mut Ledger,
) -> Option<Told<SocketAddr>> {
    let directive = section.one("sorry_server")?;
    let port = directive.arguments.get(1).map(String::as_str);
    let address = values::ip(directive.argument())
        .and_then(|ip| Ok(SocketAddr::new(ip, values::port(port)?)));
    let mut address = match address {
        Ok(address) => address,
        Err(mistake) => {
            ledger.mistake(directive.id, mistake);
            return None;
        }
    };
    let kind = section
        .word("sorry_server_lvs_method")
        .or_else(|| section.word("lvs_method"))
        .or_else(|| section.word("lb_kind"));
    let kind = kind.map_or("NAT", |kind| kind.value);
    if kind != "NAT" && address.port() != 0 && address.port() != behind.port {
        let what = format!("port {}, since {kind} changes no port", behind.port);
        ledger.differs(directive.id, what);
    }
    if address.port() == 0 || kind != "NAT" {
        address.set_port(behind.port);
    }
    if address.is_ipv4() != behind.is_ipv4 && kind != "TUN" {
        let why = "keepalived leaves it out: it is of another family than the virtual server";
        ledger.not_applicable(directive.id, why);
        return None;
    }
    if backends.iter().any(|backend| backend.address == address) {
        let what = "left out: it is one of the real servers, so it serves as long as it is up";
        ledger.differs(directive.id, what);
        return None;
    }
    Some(Told::by(directive.id, address))
}

/// Times without a check are for nobody.
fn note_unused_times(section: &Section<'_>, backends: &[Backend], ledger: &mut Ledger) {
    if backends.iter().any(|backend| !backend.checks.is_empty()) {
        return;
    }
    for keyword in [
        "delay_loop",
        "retry",
        "delay_before_retry",
        "warmup",
        "connect_timeout",
    ] {
        if let Some(directive) = section.one(keyword) {
            ledger.not_applicable(
                directive.id,
                "no real server has a check that is taken over",
            );
        }
    }
}
