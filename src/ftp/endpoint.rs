//! Data endpoints as they are written in commands and replies.
//!
//! What a client sends (PORT, EPRT) is read strictly and written anew, because servers make different
//! addresses of the same sloppy text (A1, A2). What a backend sends (227, 229) is read as leniently as
//! clients read it, because servers write it in a dozen ways (P1, P3). Whether an endpoint may be used
//! is the session's decision; port zero never comes out of here, since it names no endpoint at all.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};
use std::str::{self, FromStr};

use bytes::Bytes;
use memchr::{memchr, memchr_iter};
use nom::bytes::complete::{take_till, take_while, take_while_m_n, take_while1};
use nom::character::complete::{char, digit1};
use nom::combinator::{all_consuming, map, map_opt, verify};
use nom::multi::fold_many0;
use nom::number::complete::u8 as any_byte;
use nom::sequence::preceded;
use nom::{IResult, Parser};

#[cfg(test)]
mod tests;

/// The argument of PORT is not six numbers from 0 to 255, or names port zero: `501` (A1).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the argument of PORT is not six numbers from 0 to 255 that name a port")]
pub struct PortError;

/// Why the argument of EPRT names no endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EprtError {
    /// A network protocol other than 1 (IPv4) and 2 (IPv6): `522` (A2).
    #[error("the argument of EPRT names an unknown network protocol")]
    Family,
    /// Not `|protocol|address|port|`, or a bad address or port: `501` (A2).
    #[error("the argument of EPRT is not a network protocol, its address and a port")]
    Syntax,
}

/// What EPSV asks for (S10, RFC 2428 §3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Epsv {
    /// `EPSV ALL`: from now on no other way to set up data connections.
    All,
    /// Neither a number nor ALL: `501`.
    Bad,
    /// No argument: the family of the control connection.
    Bare,
    /// A network protocol: 1 is IPv4, 2 is IPv6. Numbers over 255 are 255, which is none either.
    Family(u8),
}

/// Reads the argument of PORT: exactly `h1,h2,h3,h4,p1,p2` (A1).
pub fn parse_port(argument: &[u8]) -> Result<SocketAddrV4, PortError> {
    let (_, octets) = all_consuming(six_octets)
        .parse(argument)
        .map_err(|_| PortError)?;
    endpoint_v4(octets).ok_or(PortError)
}

/// Reads the argument of EPRT: `<d>protocol<d>address<d>port<d>` with any delimiter that can not be
/// part of an address (A2).
///
/// An IPv4-mapped address under protocol 2 comes out as it is: what it is worth is the session's
/// decision.
pub fn parse_eprt(argument: &[u8]) -> Result<SocketAddr, EprtError> {
    let (_, fields) = eprt_fields(argument).map_err(|_| EprtError::Syntax)?;
    let address = match fields.family {
        b"1" => from_text::<Ipv4Addr>(fields.address).map(Into::into),
        b"2" => from_text::<Ipv6Addr>(fields.address).map(Into::into),
        _ => return Err(EprtError::Family),
    };
    let port = from_text(fields.port).filter(|&port| port != 0);
    match (address, port) {
        (Some(address), Some(port)) => Ok(SocketAddr::new(address, port)),
        _ => Err(EprtError::Syntax),
    }
}

/// Reads the argument of EPSV.
pub fn parse_epsv(argument: Option<&[u8]>) -> Epsv {
    match argument {
        None | Some(b"") => Epsv::Bare,
        Some(text) if text.eq_ignore_ascii_case(b"ALL") => Epsv::All,
        Some(text) if text.iter().all(u8::is_ascii_digit) => {
            Epsv::Family(from_text(text).unwrap_or(u8::MAX))
        }
        Some(_) => Epsv::Bad,
    }
}

/// Finds `h1,h2,h3,h4,p1,p2` in one line of a 227 reply: the first list of six numbers. `None` when there
/// is none, or when it has more numbers, one over 255, or names port zero (P1): clients that take what
/// follows for an endpoint and clients that do not are as many.
///
/// Only the port may be dialled (P2). The address is what the backend believes of itself.
pub fn scan_227(line: &[u8]) -> Option<SocketAddrV4> {
    let mut rest = line;
    loop {
        let (after, list) = next_list(rest).ok()?;
        if list.count >= list.octets.len() {
            return list.as_octets().and_then(endpoint_v4);
        }
        rest = after;
    }
}

/// Finds `<d><d><d>port<d>` in one line of a 229 reply: the first right behind a `(`, or the first at all in
/// a line without any. An address or a protocol between the delimiters is skipped. `None` when there is
/// none, or when the port is not one (P3).
pub fn scan_229(line: &[u8]) -> Option<u16> {
    let port_at = |at: usize| {
        let (_, port) = extended_port(line.get(at..)?).ok()?;
        Some(port).filter(|&port| port != 0)
    };
    if memchr(b'(', line).is_none() {
        return (0..line.len()).find_map(port_at);
    }
    memchr_iter(b'(', line).find_map(|at| port_at(at + 1))
}

/// The command `PORT h1,h2,h3,h4,p1,p2`, without line end.
pub fn format_port(endpoint: SocketAddrV4) -> Bytes {
    with_commas("PORT ", endpoint, "")
}

/// The command `EPRT |protocol|address|port|`, without line end. An IPv6 scope is left out (V6).
pub fn format_eprt(endpoint: SocketAddr) -> Bytes {
    let family = if endpoint.is_ipv4() { 1 } else { 2 };
    let (address, port) = (endpoint.ip(), endpoint.port());
    Bytes::from(format!("EPRT |{family}|{address}|{port}|"))
}

/// The reply to PASV, without line end. Clients and NAT gateways know this text by heart (R12).
pub fn reply_227(endpoint: SocketAddrV4) -> Bytes {
    with_commas("227 Entering Passive Mode (", endpoint, ")")
}

/// The reply to EPSV, without line end. Clients and NAT gateways know this text by heart (R12).
pub fn reply_229(port: u16) -> Bytes {
    Bytes::from(format!("229 Entering Extended Passive Mode (|||{port}|)"))
}

fn with_commas(before: &str, endpoint: SocketAddrV4, after: &str) -> Bytes {
    let mut text = String::with_capacity(before.len() + LONGEST_LIST.len() + after.len());
    text.push_str(before);
    let mut digits = itoa::Buffer::new();
    for octet in endpoint.ip().octets() {
        text.push_str(digits.format(octet));
        text.push(',');
    }
    let [high, low] = endpoint.port().to_be_bytes();
    text.push_str(digits.format(high));
    text.push(',');
    text.push_str(digits.format(low));
    text.push_str(after);
    Bytes::from(text)
}

fn endpoint_v4([a, b, c, d, high, low]: [u8; 6]) -> Option<SocketAddrV4> {
    let port = u16::from_be_bytes([high, low]);
    (port != 0).then(|| SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port))
}

fn six_octets(input: &[u8]) -> IResult<&[u8], [u8; 6]> {
    let octet = || map_opt(take_while_m_n(1, 3, is_digit), from_text::<u8>);
    let next = || preceded(char(','), octet());
    let (rest, (a, b, c, d, high, low)) =
        (octet(), next(), next(), next(), next(), next()).parse(input)?;
    Ok((rest, [a, b, c, d, high, low]))
}

struct EprtFields<'a> {
    family: &'a [u8],
    address: &'a [u8],
    port: &'a [u8],
}

fn eprt_fields(input: &[u8]) -> IResult<&[u8], EprtFields<'_>> {
    let (rest, delimiter) = verify(any_byte, |&byte| is_eprt_delimiter(byte)).parse(input)?;
    let end = || char(char::from(delimiter));
    let address = take_while1(|byte| byte != delimiter);
    let (rest, (family, _, address, _, port, _)) =
        all_consuming((digit1, end(), address, end(), digit1, end())).parse(rest)?;
    let fields = EprtFields {
        family,
        address,
        port,
    };
    Ok((rest, fields))
}

/// A list of numbers.
#[derive(Default)]
struct List {
    /// The first of them, those that are octets with their value.
    octets: [Option<u8>; 6],
    /// Of all.
    count: usize,
}

impl List {
    fn and(mut self, number: Option<u8>) -> Self {
        if let Some(octet) = self.octets.get_mut(self.count) {
            *octet = number;
        }
        self.count += 1;
        self
    }

    /// Its numbers, if they are six octets.
    fn as_octets(&self) -> Option<[u8; 6]> {
        let [a, b, c, d, high, low] = self.octets;
        (self.count == 6).then_some([a?, b?, c?, d?, high?, low?])
    }
}

/// The next list of numbers.
///
/// Lists are taken whole, so that no part of `256,1,1,1,1,1,1` passes for an endpoint.
fn next_list(input: &[u8]) -> IResult<&[u8], List> {
    let number = || map(digit1, from_text::<u8>);
    let comma = (char(','), take_while(|byte| byte == b' '));
    let (rest, first) = preceded(take_till(is_digit), number()).parse(input)?;
    let start = || List::default().and(first);
    fold_many0(preceded(comma, number()), start, List::and).parse(rest)
}

fn extended_port(input: &[u8]) -> IResult<&[u8], u16> {
    let (rest, delimiter) = verify(any_byte, |&byte| is_229_delimiter(byte)).parse(input)?;
    let end = || char(char::from(delimiter));
    let in_field = |byte: u8| byte.is_ascii_graphic() && byte != delimiter;
    let protocol = take_while_m_n(0, 5, is_digit);
    let address = take_while_m_n(0, MAX_ADDRESS_BYTES, in_field);
    let port = map_opt(take_while_m_n(1, 5, is_digit), from_text);
    let (rest, (_, _, _, _, port, _)) =
        (protocol, end(), address, end(), port, end()).parse(rest)?;
    Ok((rest, port))
}

fn from_text<T: FromStr>(text: &[u8]) -> Option<T> {
    str::from_utf8(text).ok()?.parse().ok()
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}

/// RFC 2428 §2 allows any of 33 to 126; what can be part of an address would be ambiguous (A2).
fn is_eprt_delimiter(byte: u8) -> bool {
    byte.is_ascii_graphic() && !byte.is_ascii_hexdigit() && !matches!(byte, b':' | b'.')
}

/// OS/400 writes `!` (P3).
fn is_229_delimiter(byte: u8) -> bool {
    byte.is_ascii_graphic() && !byte.is_ascii_digit()
}

const LONGEST_LIST: &str = "255,255,255,255,255,255";

/// The longest IPv6 address has 45 characters; a scope may follow it.
const MAX_ADDRESS_BYTES: usize = 64;
