//! One rule: a command, the service that it is about, and what it says of it.

use std::net::{IpAddr, SocketAddr};

use super::options::{Command, Name, OPTIONS, Spelling, Value};
use crate::config::import::ipvs::{self, ALGORITHMS};
use crate::config::import::targets::number;
use crate::config::problem::Mistake;
use crate::config::similar::similar;

/// A rule as written. What is wrong with the values is told only if the service is FTP.
#[derive(Clone, Debug, Default)]
pub(super) struct Rule {
    pub(super) command: Option<Command>,
    pub(super) service: Option<Service>,
    /// The firewall mark is one of IPv6.
    is_ipv6: bool,
    pub(super) server: Option<String>,
    pub(super) scheduler: Option<String>,
    pub(super) flags: Vec<String>,
    pub(super) persistence: Option<Persistence>,
    pub(super) netmask: Option<Netmask>,
    pub(super) kind: Option<&'static str>,
    pub(super) weight: Option<u64>,
    pub(super) upper_threshold: Option<u64>,
    pub(super) lower_threshold: Option<u64>,
    /// What means nothing to ftplb.
    pub(super) unused: Vec<&'static str>,
    pub(super) mistakes: Vec<Mistake>,
}

/// What a rule is about; rules about the same service say the same.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Service {
    pub(super) protocol: Protocol,
    /// The address as written, or the firewall mark.
    pub(super) text: String,
    pub(super) is_ipv6: bool,
}

/// How packets of a service are known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Protocol {
    Mark,
    Sctp,
    Tcp,
    Udp,
}

/// How long a client comes back to its server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Persistence {
    /// As long as it is where no time is written.
    Default,
    Seconds(u64),
}

/// Clients of one network count as one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Netmask {
    V4(u64),
    V6(u64),
}

impl Rule {
    /// Reads one line. An error: it is no rule.
    pub(super) fn parse(line: &str) -> Result<Self, Mistake> {
        if line.len() > LONGEST_LINE {
            let message = format!("is longer than {LONGEST_LINE} bytes");
            let hint = "what ipvsadm-save -n prints: one rule a line";
            return Err(Mistake::new(message, hint));
        }
        let mut words = line.split_whitespace().peekable();
        let is_program = |word: &&str| *word == "ipvsadm" || word.ends_with("/ipvsadm");
        words.next_if(is_program);
        let mut rule = Self::default();
        while let Some(word) = words.next() {
            if rule.mistakes.len() >= MOST_MISTAKES {
                break;
            }
            let Some(dashed) = word.strip_prefix('-') else {
                // 1.26 saves ` pe NAME` and ` ops` without their dashes.
                match word {
                    "pe" => {
                        words.next();
                        rule.unused.push("a persistence engine is for SIP");
                    }
                    "ops" => rule.unused.push(ONE_PACKET),
                    _ => rule.complain(format!("{word:?} is no option"), "options begin with -"),
                }
                continue;
            };
            // -Ln is -L -n.
            let mut dashed = dashed;
            while let Some((spelling, rest)) = flag(dashed) {
                rule.take(spelling, word, None);
                dashed = rest;
            }
            if dashed.is_empty() {
                continue;
            }
            let Some((spelling, attached)) = find(dashed) else {
                rule.complain_of_option(word, dashed);
                continue;
            };
            let mut value = attached.map(str::to_owned);
            match spelling.value {
                Value::One if value.is_none() => value = words.next().map(str::to_owned),
                Value::Optional if value.is_none() => {
                    value = words
                        .next_if(|next| !next.starts_with('-'))
                        .map(str::to_owned);
                }
                Value::None | Value::One | Value::Optional => {}
                Value::Several => while words.next_if(|next| !next.starts_with('-')).is_some() {},
            }
            rule.take(spelling, word, value);
        }
        if let Some(service) = &mut rule.service {
            service.is_ipv6 |= rule.is_ipv6;
        }
        if rule.command.is_none() {
            let hint = "what ipvsadm-save -n prints: -A and -a, each on a line of its own";
            return Err(Mistake::new(
                "is no rule of ipvsadm: no command is in it",
                hint,
            ));
        }
        Ok(rule)
    }

    fn take(&mut self, spelling: &Spelling, word: &str, value: Option<String>) {
        let Some(text) = value
            .as_deref()
            .or((spelling.value != Value::One).then_some(""))
        else {
            return self.complain(format!("nothing stands behind {word}"), "see ipvsadm(8)");
        };
        match spelling.name {
            Name::Command(command) => self.command = Some(command),
            Name::Tcp => self.service(Protocol::Tcp, text),
            Name::Udp => self.service(Protocol::Udp, text),
            Name::Sctp => self.service(Protocol::Sctp, text),
            Name::Fwmark => self.service(Protocol::Mark, text),
            Name::Ipv6 => self.is_ipv6 = true,
            Name::Server => self.server = Some(text.to_owned()),
            Name::Kind(kind) => self.kind = Some(kind),
            Name::Scheduler => self.scheduler(text),
            Name::SchedulerFlags => {
                self.flags.extend(text.split(',').map(str::to_owned));
            }
            Name::Persistent => {
                let seconds =
                    value.and_then(|text| self.count(&text, 1, ipvs::LONGEST_PERSISTENCE));
                self.persistence = Some(seconds.map_or(Persistence::Default, Persistence::Seconds));
            }
            Name::Netmask => self.netmask(text),
            Name::Weight => self.weight = self.count(text, 0, 65_535),
            Name::UpperThreshold => self.upper_threshold = self.count(text, 0, THRESHOLD),
            Name::LowerThreshold => self.lower_threshold = self.count(text, 0, THRESHOLD),
            Name::OnePacket => self.unused.push(ONE_PACKET),
            Name::PersistenceEngine => self.unused.push("a persistence engine is for SIP"),
            Name::Tunnel => self.unused.push("ftplb makes no tunnels"),
            Name::Output => {}
        }
    }

    fn service(&mut self, protocol: Protocol, text: &str) {
        self.service = Some(Service {
            protocol,
            text: text.to_owned(),
            is_ipv6: text.starts_with('['),
        });
    }

    fn scheduler(&mut self, text: &str) {
        if ALGORITHMS.contains(&text) {
            self.scheduler = Some(text.to_owned());
        } else {
            let hint = format!("one of {}", ALGORITHMS.join(", "));
            self.complain(format!("{text:?} is no scheduler"), hint);
        }
    }

    fn netmask(&mut self, text: &str) {
        let mask = if text.contains('.') {
            ipvs::mask_bits(text).map(Netmask::V4)
        } else {
            ipvs::prefix_bits(text).map(Netmask::V6)
        };
        self.netmask = mask;
        if mask.is_none() {
            let hint = "of IPv4 such as 255.255.255.0, of IPv6 the bits of the prefix, 1 to 128";
            self.complain(format!("{text:?} is no mask of a network"), hint);
        }
    }

    fn count(&mut self, text: &str, low: u64, high: u64) -> Option<u64> {
        let count = text
            .parse()
            .ok()
            .filter(|count| (low..=high).contains(count));
        if count.is_none() {
            let hint = format!("a whole number from {low} to {high}");
            self.complain(format!("{text:?} is no such number"), hint);
        }
        count
    }

    fn complain_of_option(&mut self, word: &str, dashed: &str) {
        let known: Vec<_> = OPTIONS.iter().map(|option| option.word).collect();
        let hint = match similar(dashed.trim_start_matches('-'), &known) {
            Some(meant) => format!("did you mean `--{meant}`?"),
            None => "see ipvsadm(8)".to_owned(),
        };
        self.complain(format!("{word:?} is no option of ipvsadm"), hint);
    }

    fn complain(&mut self, message: String, hint: impl Into<String>) {
        self.mistakes.push(Mistake::new(message, hint));
    }
}

impl Service {
    /// The firewall mark.
    pub(super) fn mark(&self) -> Option<u32> {
        (self.protocol == Protocol::Mark)
            .then(|| number(&self.text))
            .flatten()
    }

    /// The port as written; empty if there is none.
    pub(super) fn port(&self) -> &str {
        split_port(&self.text).1
    }
}

/// An address as ipvsadm writes it: `10.0.0.1:21`, `[2001:db8::1]:21`, or without the port, which then is
/// 0. The port of FTP may have its name.
pub(super) fn address(text: &str) -> Result<SocketAddr, Mistake> {
    let (ip, port) = split_port(text);
    let bare = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']'));
    let ip: Option<IpAddr> = bare.unwrap_or(ip).parse().ok();
    let port = match port {
        "" => Some(0),
        "ftp" => Some(21),
        port => port.parse().ok(),
    };
    let address = ip.zip(port).map(|(ip, port)| SocketAddr::new(ip, port));
    address.ok_or_else(|| {
        let hint = "names are not looked up: save the rules with ipvsadm-save -n";
        Mistake::new(format!("{text:?} is no address"), hint)
    })
}

/// What stands before the last colon outside of brackets, and what stands behind it.
fn split_port(text: &str) -> (&str, &str) {
    match text.rsplit_once(':') {
        Some((ip, port)) if !port.contains(']') => (ip, port),
        _ => (text, ""),
    }
}

/// The option behind a dash, and the value that is written together with it.
fn find(dashed: &str) -> Option<(&'static Spelling, Option<&str>)> {
    if let Some(word) = dashed.strip_prefix('-') {
        let (word, value) = match word.split_once('=') {
            Some((word, value)) => (word, Some(value)),
            None => (word, None),
        };
        let spelling = OPTIONS.iter().find(|option| option.word == word)?;
        return Some((spelling, value));
    }
    let letter = dashed.chars().next()?;
    let value = dashed
        .strip_prefix(letter)
        .filter(|value| !value.is_empty());
    let spelling = OPTIONS
        .iter()
        .find(|option| option.letter == Some(letter))?;
    Some((spelling, value))
}

/// A letter that takes no value, and the letters behind it.
fn flag(dashed: &str) -> Option<(&'static Spelling, &str)> {
    let letter = dashed.chars().next()?;
    let spelling = OPTIONS
        .iter()
        .find(|option| option.letter == Some(letter) && option.value == Value::None)?;
    Some((spelling, dashed.strip_prefix(letter)?))
}

const ONE_PACKET: &str = "one-packet scheduling is for UDP";

/// Bytes; a rule has some 200.
const LONGEST_LINE: usize = 4_096;

/// Of one rule. Whoever makes more did not write a rule.
const MOST_MISTAKES: usize = 10;

const THRESHOLD: u64 = 4_294_967_295;
