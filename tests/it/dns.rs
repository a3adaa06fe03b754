//! A name server whose answers a test changes while it runs: RFC 1035 over UDP and TCP, as little of it as
//! resolvers need.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::process::own_ip;

/// A running name server.
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// What a name stands for.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Srv {
        priority: u16,
        weight: u16,
        port: u16,
        target: &'static str,
    },
}

#[derive(Debug, Default)]
struct Zone {
    records: Vec<(&'static str, Data)>,
    /// For every record. 0: resolvers ask again as soon as they like.
    ttl: u32,
    is_failing: bool,
}

impl NameServer {
    /// A name server that knows nothing.
    pub(crate) fn start() -> Self {
        let address = SocketAddr::new(own_ip().into(), 5353);
        let udp = UdpSocket::bind(address).unwrap();
        let tcp = TcpListener::bind(address).unwrap();
        udp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp.set_nonblocking(true).unwrap();
        let (zone, stop) = (Arc::new(Mutex::default()), Arc::<AtomicBool>::default());
        let serve = |serve: fn(&Mutex<Zone>, &AtomicBool, Sockets), sockets| {
            let (zone, stop) = (Arc::clone(&zone), Arc::clone(&stop));
            thread::spawn(move || serve(&zone, &stop, sockets))
        };
        let threads = vec![
            serve(serve_udp, Sockets::Udp(udp)),
            serve(serve_tcp, Sockets::Tcp(tcp)),
        ];
        Self {
            address,
            zone,
            stop,
            threads,
        }
    }

    /// Goes on with these records and no others.
    pub(crate) fn set(&self, records: &[(&'static str, Data)]) {
        self.zone().records = records.to_vec();
    }

    /// The same with the addresses of one name.
    pub(crate) fn set_addresses(&self, name: &'static str, addresses: &[IpAddr]) {
        let data = |address: &IpAddr| match *address {
            IpAddr::V4(ip) => (name, Data::A(ip)),
            IpAddr::V6(ip) => (name, Data::Aaaa(ip)),
        };
        self.set(&addresses.iter().map(data).collect::<Vec<_>>());
    }

    /// Fails from now on, or does not: SERVFAIL.
    pub(crate) fn fail(&self, is_failing: bool) {
        self.zone().is_failing = is_failing;
    }

    fn zone(&self) -> std::sync::MutexGuard<'_, Zone> {
        self.zone.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

enum Sockets {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

fn serve_udp(zone: &Mutex<Zone>, stop: &AtomicBool, sockets: Sockets) {
    let Sockets::Udp(socket) = sockets else {
        return;
    };
    let mut buffer = [0; 4096];
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, peer)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        let mut answer = answer(&zone.lock().unwrap(), &buffer[..length]);
        if answer.len() > MOST_BY_UDP {
            // The header with the bit for truncation, and the question.
            answer.truncate(12 + question_length(&answer));
            answer[2] |= 0x02;
            answer[6..8].fill(0);
        }
        drop(socket.send_to(&answer, peer));
    }
}

fn serve_tcp(zone: &Mutex<Zone>, stop: &AtomicBool, sockets: Sockets) {
    let Sockets::Tcp(listener) = sockets else {
        return;
    };
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, _)) => drop(converse(zone, stream)),
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Answers the questions of one connection.
fn converse(zone: &Mutex<Zone>, mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut query = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut query)?;
        let answer = answer(&zone.lock().unwrap(), &query);
        let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
        stream.write_all(&[&length, &*answer].concat())?;
    }
}

/// The answer to `query`, whose question stands behind a header of 12 bytes.
fn answer(zone: &Zone, query: &[u8]) -> Vec<u8> {
    let question = &query[12..12 + question_length(query)];
    let name = name_of(question);
    let kind = u16::from_be_bytes([question[question.len() - 4], question[question.len() - 3]]);
    let of_name = |(known, _): &&(&str, Data)| name.eq_ignore_ascii_case(known);
    let of_kind = |(_, data): &&(&str, Data)| data.kind() == kind;
    let is_known = zone.records.iter().any(|record| of_name(&record));
    let records: Vec<_> = { zone.records.iter() }
        .filter(|record| of_name(record) && of_kind(record))
        .filter(|_| !zone.is_failing)
        .collect();
    // NoError, SERVFAIL, NXDOMAIN.
    let code = match (zone.is_failing, is_known) {
        (true, _) => 2,
        (false, true) => 0,
        (false, false) => 3,
    };
    let count = u16::try_from(records.len()).unwrap().to_be_bytes();
    // A response, recursion desired and available.
    let mut answer = vec![query[0], query[1], 0x81, 0x80 | code, 0, 1];
    answer.extend(count);
    answer.extend([0; 4]);
    answer.extend(question);
    for (_, data) in records {
        // The name is that of the question.
        answer.extend([0xc0, 12]);
        answer.extend(kind.to_be_bytes());
        answer.extend([0, 1]);
        answer.extend(zone.ttl.to_be_bytes());
        let data = data.bytes();
        answer.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        answer.extend(data);
    }
    answer
}

/// The bytes of the first question of a message: its name, type and class.
fn question_length(message: &[u8]) -> usize {
    let mut end = 12;
    while message[end] != 0 {
        end += 1 + usize::from(message[end]);
    }
    end + 5 - 12
}

/// A name in its usual form, without the last dot.
fn name_of(mut bytes: &[u8]) -> String {
    let mut labels = Vec::new();
    while bytes[0] != 0 {
        let (label, rest) = bytes[1..].split_at(bytes[0].into());
        labels.push(String::from_utf8_lossy(label).into_owned());
        bytes = rest;
    }
    labels.join(".")
}

impl Data {
    fn kind(&self) -> u16 {
        match self {
            Self::A(_) => 1,
            Self::Aaaa(_) => 28,
            Self::Srv { .. } => 33,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::A(ip) => ip.octets().into(),
            Self::Aaaa(ip) => ip.octets().into(),
            Self::Srv {
                priority,
                weight,
                port,
                target,
            } => {
                let numbers = [priority, weight, port].map(|number| number.to_be_bytes());
                let mut bytes = numbers.concat();
                for label in target.split('.') {
                    bytes.push(u8::try_from(label.len()).unwrap());
                    bytes.extend(label.as_bytes());
                }
                bytes.push(0);
                bytes
            }
        }
    }
}

/// As before EDNS: whatever is longer takes TCP.
const MOST_BY_UDP: usize = 512;

/// How soon the threads see that they are to stop.
const PATIENCE: Duration = Duration::from_millis(200);
