//! `real_server`, as a backend.

use std::net::SocketAddr;

use super::checks::{Around, checks, note_user};
use super::grammar::server;
use super::section::Section;
use super::tree::Directive;
use super::values;
use crate::config::import::ipvs::PROXIED;
use crate::config::import::ledger::Ledger;
use crate::config::import::service::{Backend, Told};

/// What real servers have from the virtual server around them.
pub(super) struct Behind<'s, 'd> {
    pub(super) section: &'s Section<'d>,
    /// The port of those that have none.
    pub(super) port: u16,
    pub(super) is_ipv4: bool,
    pub(super) has_script_user: bool,
}

/// A real server that could be read.
pub(super) struct RealServer {
    pub(super) backend: Backend,
    /// Every `alpha` in it, and what it says.
    pub(super) alphas: Vec<Told<bool>>,
}

impl RealServer {
    /// Reads `directive`; `None` if keepalived leaves the server out, or because of a mistake.
    pub(super) fn read(
        directive: &Directive,
        behind: &Behind<'_, '_>,
        ledger: &mut Ledger,
    ) -> Option<Self> {
        let section = Section::read(directive.children(), &server::REAL_SERVER, ledger);
        let kind = section
            .word("lvs_method")
            .or_else(|| behind.section.word("lvs_method"));
        let kind = kind.or_else(|| behind.section.word("lb_kind"));
        note_kind(&section, &["lvs_method"], ledger);
        let kind = kind.map_or("NAT", |kind| kind.value);
        let address = address(directive, kind, behind, ledger);
        if let Address::LeftOut = address {
            let why = "keepalived leaves it out: it is of another family than the virtual server; \
                       ftplb could take it, as one more [[pool.backend]]";
            ledger.leave_aside(directive.all(), why);
            return None;
        }
        let around = Around {
            real_server: &section,
            virtual_server: behind.section,
            has_script_user: behind.has_script_user,
        };
        let checks = checks(directive.children(), &around, ledger);
        note_lost_checks(directive, checks.is_empty(), ledger);
        let [on_up, on_down] = ["notify_up", "notify_down"].map(|keyword| section.script(keyword));
        for script in [&on_up, &on_down].into_iter().flatten() {
            note_user(script, behind.has_script_user, ledger);
        }
        let max_sessions = section.count("uthreshold").filter(|count| count.value > 0);
        let mut resume_sessions = section.count("lthreshold").filter(|count| count.value > 0);
        if max_sessions.is_none()
            && let Some(resume) = resume_sessions.take()
        {
            ledger.not_applicable(resume.by, "without uthreshold it has no effect");
        }
        let mut alphas: Vec<Told<bool>> = section.boolean("alpha").into_iter().collect();
        for checker in directive.children() {
            let lines = checker.children().iter();
            for line in lines.filter(|line| line.keyword == "alpha") {
                let value = !matches!(line.argument(), Some("off" | "false" | "no"));
                alphas.push(Told::by(line.id, value));
            }
        }
        Some(Self {
            backend: Backend {
                by: directive.id,
                address: address.known()?,
                weight: section
                    .count("weight")
                    .or_else(|| behind.section.count("weight")),
                max_sessions,
                resume_sessions,
                on_up,
                on_down,
                checks,
            },
            alphas,
        })
    }
}

/// Says what differs unless packets are translated as ftplb does it.
pub(super) fn note_kind(section: &Section<'_>, keywords: &[&str], ledger: &mut Ledger) {
    for keyword in keywords {
        if let Some(kind) = section.word(keyword)
            && kind.value != "NAT"
        {
            ledger.differs(kind.by, PROXIED);
        }
    }
}

/// Says loudly that less is checked than before.
fn note_lost_checks(directive: &Directive, are_all_lost: bool, ledger: &mut Ledger) {
    const LOST: [&str; 4] = ["BFD_CHECK", "DNS_CHECK", "FILE_CHECK", "UDP_CHECK"];
    let keywords = directive
        .children()
        .iter()
        .map(|child| child.keyword.as_str());
    let lost: Vec<_> = keywords.filter(|keyword| LOST.contains(keyword)).collect();
    if lost.is_empty() {
        return;
    }
    let left = if are_all_lost {
        "NO CHECK IS LEFT, the server is always up"
    } else {
        "only its other checks are left"
    };
    let what = format!("{} can not be taken over: {left}", lost.join(", "));
    ledger.differs(directive.id, what);
}

/// What keepalived makes of the head of a real server.
enum Address {
    Known(SocketAddr),
    /// keepalived leaves the server out.
    LeftOut,
    /// A mistake was reported.
    Wrong,
}

impl Address {
    fn known(self) -> Option<SocketAddr> {
        match self {
            Self::Known(address) => Some(address),
            Self::LeftOut | Self::Wrong => None,
        }
    }
}

fn address(
    directive: &Directive,
    kind: &str,
    behind: &Behind<'_, '_>,
    ledger: &mut Ledger,
) -> Address {
    let port = directive.arguments.get(1).map(String::as_str);
    let both = values::ip(directive.argument()).and_then(|ip| Ok((ip, values::port(port)?)));
    let (ip, port) = match both {
        Ok(both) => both,
        Err(mistake) => {
            ledger.mistake(directive.id, mistake);
            ledger.leave_out();
            return Address::Wrong;
        }
    };
    if ip.is_ipv4() != behind.is_ipv4 && kind != "TUN" {
        return Address::LeftOut;
    }
    if kind != "NAT" && port != 0 && port != behind.port {
        let what = format!("port {}, since {kind} changes no port", behind.port);
        ledger.differs(directive.id, what);
    }
    let is_own = kind == "NAT" && port != 0;
    Address::Known(SocketAddr::new(ip, if is_own { port } else { behind.port }))
}
