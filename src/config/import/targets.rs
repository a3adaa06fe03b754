//! Which virtual services are FTP: by their port, or by the address that is given for a firewall mark.

use std::net::{IpAddr, SocketAddr};

use super::Options;
use super::ledger::Ledger;
use crate::config::file::Spot;
use crate::config::problem::Mistake;
use crate::config::value::FTP_PORT;

/// What the caller says of ports and marks.
#[derive(Debug)]
pub(in crate::config) struct Targets {
    ports: Vec<u16>,
    marks: Vec<(u32, SocketAddr)>,
}

impl Targets {
    /// Reads the flags, and reports what is wrong with them.
    pub(in crate::config) fn read(options: &Options, ledger: &mut Ledger) -> Self {
        let mut targets = Self {
            ports: vec![FTP_PORT],
            marks: Vec::new(),
        };
        for text in items(&options.ftp_ports) {
            match text.parse::<u16>() {
                Ok(port) if port > 0 => targets.ports.push(port),
                _ => {
                    let mistake = Mistake::new(
                        format!("{text:?} is no port"),
                        "a port of FTP control connections beside 21",
                    );
                    reject("--ftp-port", mistake, ledger);
                }
            }
        }
        for text in items(&options.marks) {
            if let Some(mark) = mark(text) {
                targets.marks.push(mark);
                continue;
            }
            let mistake = Mistake::new(
                format!("{text:?} is no mark with its address"),
                "the mark, = and the virtual IP with its port, such as 21=192.0.2.10:21",
            );
            reject("--fwmark", mistake, ledger);
        }
        targets
    }

    /// Whether `port` is one of FTP. Port 0 stands for all ports, and so for FTP's.
    pub(in crate::config) fn is_ftp(&self, port: u16) -> bool {
        port == 0 || self.ports.contains(&port)
    }

    /// The addresses behind a firewall mark.
    pub(in crate::config) fn addresses_of(&self, mark: u32) -> Vec<SocketAddr> {
        let all = self.marks.iter();
        all.filter(|(other, _)| *other == mark)
            .map(|(_, address)| *address)
            .collect()
    }

    /// Every mark that was given an address.
    pub(in crate::config) fn marks(&self) -> impl Iterator<Item = u32> {
        self.marks.iter().map(|(mark, _)| *mark)
    }
}

/// What the flag would have said is not known.
fn reject(flag: &'static str, mistake: Mistake, ledger: &mut Ledger) {
    ledger.mistake_at(Spot::Flag(flag), mistake);
    ledger.leave_out();
}

/// A number in decimal, octal or hexadecimal, as C reads it.
pub(in crate::config) fn number(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    match digits {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None if text.len() > 1 && text.starts_with('0') => u32::from_str_radix(text, 8).ok(),
        None => text.parse().ok(),
    }
}

fn mark(text: &str) -> Option<(u32, SocketAddr)> {
    let (mark, address) = text.split_once('=')?;
    let bare = address
        .strip_prefix('[')
        .and_then(|address| address.strip_suffix(']'))
        .unwrap_or(address);
    let address = match bare.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, FTP_PORT),
        Err(_) => address.parse().ok()?,
    };
    (address.port() > 0).then_some((number(mark)?, address))
}

/// The items of texts that are separated by spaces, line breaks or commas, as environment variables are.
fn items(texts: &[String]) -> impl Iterator<Item = &str> {
    let separator = |c: char| c == ',' || c.is_whitespace();
    texts
        .iter()
        .flat_map(move |text| text.split(separator))
        .filter(|item| !item.is_empty())
}
