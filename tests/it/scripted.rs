//! Scripted peers: a test plays the client and the backend of a session, and reads as their
//! conversation. What the backend hears next proves what was, and what was not, forwarded.

use std::fmt::Debug;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::netns::Place;
use crate::process::{SOON, own_ip};
use crate::servers::{PASSWORD, USER};

/// A listening socket of a scripted server or of an active client.
pub(crate) struct Door {
    listener: TcpListener,
}

/// One end of a connection.
pub(crate) struct Peer {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Door {
    /// Listens on a loopback address that no other test has.
    pub(crate) fn new() -> Self {
        Self::at(SocketAddr::new(own_ip().into(), 2021))
    }

    /// Listens; port 0 is the system's choice.
    pub(crate) fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        SockRef::from(&listener)
            .set_read_timeout(Some(SOON))
            .unwrap();
        Self { listener }
    }

    /// A non-blocking listener on which thousands may wait.
    pub(crate) fn for_many(address: SocketAddr) -> TcpListener {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket.bind(&address.into()).unwrap();
        socket.listen(4_096).unwrap();
        socket.into()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// So many connections may wait, and one more; those that follow hang.
    pub(crate) fn set_backlog(&self, backlog: i32) {
        SockRef::from(&self.listener).listen(backlog).unwrap();
    }

    /// The next connection.
    #[track_caller]
    pub(crate) fn accept(&self) -> Peer {
        Peer::new(self.listener.accept().expect("a connection is made").0)
    }

    /// A connection that has been made, if there is one.
    pub(crate) fn accept_now(&self) -> Option<Peer> {
        self.listener.set_nonblocking(true).unwrap();
        let accepted = self.listener.accept().ok();
        self.listener.set_nonblocking(false).unwrap();
        accepted.map(|(stream, _)| {
            stream.set_nonblocking(false).unwrap();
            Peer::new(stream)
        })
    }
}

impl Peer {
    /// Connects.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect_timeout(&address, SOON).unwrap())
    }

    /// Connects from another address than the system's choice.
    pub(crate) fn connect_from(source: IpAddr, address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(source, 0).into()).unwrap();
        socket.connect_timeout(&address.into(), SOON).unwrap();
        Self::new(socket.into())
    }

    /// Connects from another address and is reset: by the time the connection is known to stand, or later.
    #[track_caller]
    pub(crate) fn is_reset_from(source: IpAddr, address: SocketAddr) {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(source, 0).into()).unwrap();
        match socket.connect_timeout(&address.into(), SOON) {
            Ok(()) => Self::new(socket.into()).is_reset(),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }

    /// This end of a connection that is made.
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.set_write_timeout(Some(SOON)).unwrap();
        SockRef::from(&stream).set_out_of_band_inline(true).unwrap();
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// The other end's address.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.stream.peer_addr().unwrap()
    }

    /// This end's address.
    pub(crate) fn own(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    /// Sends these bytes.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends bytes to a peer that may close before it has read them all.
    pub(crate) fn send_until_closed(&mut self, bytes: &[u8]) {
        drop(self.stream.write_all(bytes));
    }

    /// Sends the same bytes again and again without reading, until that is `limit` bytes, or the peer is
    /// gone or takes nothing for so long. Gives how many bytes it was.
    pub(crate) fn flood(&mut self, bytes: &[u8], limit: usize, patience: Duration) -> usize {
        self.stream.set_write_timeout(Some(patience)).unwrap();
        let mut sent = 0;
        let mut rest = bytes;
        while sent < limit
            && let Ok(count) = self.stream.write(rest)
        {
            sent += count;
            rest = &rest[count..];
            if rest.is_empty() {
                rest = bytes;
            }
        }
        self.stream.set_write_timeout(Some(SOON)).unwrap();
        sent
    }

    /// Sends these bytes, the last of them urgent.
    pub(crate) fn send_urgent(&mut self, bytes: &[u8]) {
        let sent = SockRef::from(&self.stream).send_out_of_band(bytes).unwrap();
        assert_eq!(sent, bytes.len());
    }

    /// Sends a line.
    #[track_caller]
    pub(crate) fn say(&mut self, line: &str) {
        self.send(format!("{line}\r\n"));
    }

    /// The next line, without its end.
    #[track_caller]
    pub(crate) fn line(&mut self) -> Vec<u8> {
        self.next_line().expect("a line and not the end")
    }

    /// The next line, without its end, which must be as the protocol wants it; `None` at FIN.
    #[track_caller]
    pub(crate) fn next_line(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = self.unread.iter().position(|&byte| byte == b'\n') {
                let mut line: Vec<u8> = self.unread.drain(..=end).collect();
                assert!(line.ends_with(b"\r\n"), "no CRLF: {}", line.escape_ascii());
                line.truncate(line.len() - 2);
                return Some(line);
            }
            let mut buffer = [0; 4096];
            let read = self.stream.read(&mut buffer);
            match read {
                Ok(count @ 1..) => self.unread.extend_from_slice(&buffer[..count]),
                Ok(0) if self.unread.is_empty() => return None,
                other => panic!(
                    "waiting for a line, got {other:?} after \"{}\"",
                    self.unread.escape_ascii()
                ),
            }
        }
    }

    /// What one read brings. Nothing was read ahead.
    #[track_caller]
    pub(crate) fn hears_at_once(&mut self) -> String {
        assert!(self.unread.is_empty());
        let mut buffer = [0; 4096];
        let count = self.stream.read(&mut buffer).unwrap();
        String::from_utf8(buffer[..count].to_vec()).unwrap()
    }

    /// The next line is this one.
    #[track_caller]
    pub(crate) fn hears(&mut self, expected: impl AsRef<[u8]> + Debug) {
        let line = self.line();
        assert_eq!(
            line.escape_ascii().to_string(),
            expected.as_ref().escape_ascii().to_string()
        );
    }

    /// The next reply has this code. Gives all of its lines.
    #[track_caller]
    pub(crate) fn reply(&mut self, code: u16) -> String {
        let reply = self.any_reply();
        assert!(
            reply.starts_with(&code.to_string()),
            "not a {code}: {reply}"
        );
        reply
    }

    /// The next reply has one of these codes.
    #[track_caller]
    pub(crate) fn reply_of(&mut self, codes: &[u16]) -> u16 {
        let reply = self.any_reply();
        let code = reply[..3].parse().unwrap();
        assert!(codes.contains(&code), "none of {codes:?}: {reply}");
        code
    }

    /// The next reply.
    #[track_caller]
    pub(crate) fn any_reply(&mut self) -> String {
        let mut reply = String::from_utf8_lossy(&self.line()).into_owned();
        if reply.as_bytes().get(3) == Some(&b'-') {
            let end = format!("{} ", &reply[..3]);
            loop {
                let line = String::from_utf8_lossy(&self.line()).into_owned();
                reply = format!("{reply}\n{line}");
                if line.starts_with(&end) {
                    break;
                }
            }
        }
        reply
    }

    /// All bytes up to the other end's FIN.
    #[track_caller]
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.unread);
        self.stream.read_to_end(&mut bytes).expect("ends with FIN");
        bytes
    }

    /// Exactly this many bytes.
    #[track_caller]
    pub(crate) fn read_exact(&mut self, count: usize) -> Vec<u8> {
        while self.unread.len() < count {
            let mut buffer = vec![0; count - self.unread.len()];
            let read = self.stream.read(&mut buffer).unwrap();
            assert!(read > 0, "closed after {}", self.unread.escape_ascii());
            self.unread.extend_from_slice(&buffer[..read]);
        }
        self.unread.drain(..count).collect()
    }

    /// The other end closes, without another byte, by FIN.
    #[track_caller]
    pub(crate) fn is_closed(&mut self) {
        let rest = self.read_to_end();
        assert!(rest.is_empty(), "before FIN: {}", rest.escape_ascii());
    }

    /// The other end cuts by RST, whatever it has sent before.
    #[track_caller]
    pub(crate) fn is_reset(&mut self) {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            other => panic!("not RST but {other:?} after {} bytes", rest.len()),
        }
    }

    /// The other end says nothing for so long.
    #[track_caller]
    pub(crate) fn is_silent(&mut self, time: Duration) {
        assert!(self.unread.is_empty(), "{}", self.unread.escape_ascii());
        self.patience(time);
        match self.stream.peek(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            other => panic!("not silent: {other:?}"),
        }
        self.patience(SOON);
    }

    /// The other end is gone, in whichever way. Gives what it sent before.
    #[track_caller]
    pub(crate) fn is_gone(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.unread);
        match self.stream.read_to_end(&mut rest) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("still open"),
            _ => rest,
        }
    }

    /// Sends FIN and goes on reading.
    pub(crate) fn finish(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Cuts the connection with RST.
    pub(crate) fn reset(self) {
        SockRef::from(&self.stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }

    /// Changes how long every further read may take.
    fn patience(&self, limit: Duration) {
        self.stream.set_read_timeout(Some(limit)).unwrap();
    }

    /// A control connection to a real server, or to ftplb before one: logged in and in `/pub`.
    #[track_caller]
    pub(crate) fn log_in(address: SocketAddr, place: &Place) -> Self {
        let mut client = place.within(|| Self::connect(address));
        client.reply(220);
        for (line, code) in [
            (format!("USER {USER}"), 331),
            (format!("PASS {PASSWORD}"), 230),
            ("CWD pub".into(), 250),
        ] {
            client.say(&line);
            client.reply(code);
        }
        client.say("TYPE I");
        client.reply(200);
        client
    }

    /// Asks a real server for a passive port.
    #[track_caller]
    pub(crate) fn pasv(&mut self) -> SocketAddr {
        self.say("PASV");
        parse_227(&self.reply(227))
    }
}

/// The address that a canonical 227 names (R12).
#[track_caller]
pub(crate) fn parse_227(reply: &str) -> SocketAddr {
    let start = reply
        .find('(')
        .unwrap_or_else(|| panic!("no address: {reply}"));
    let end = reply
        .find(')')
        .unwrap_or_else(|| panic!("no address: {reply}"));
    parse_six(&reply[start + 1..end])
}

/// The port that a canonical 229 names (R12).
#[track_caller]
pub(crate) fn parse_229(reply: &str) -> u16 {
    let start = "229 Entering Extended Passive Mode (|||";
    let rest = reply
        .strip_prefix(start)
        .unwrap_or_else(|| panic!("not canonical: {reply}"));
    rest.strip_suffix("|)")
        .unwrap_or_else(|| panic!("not canonical: {reply}"))
        .parse()
        .unwrap()
}

/// The six numbers of PORT and 227.
#[track_caller]
pub(crate) fn parse_six(text: &str) -> SocketAddr {
    let numbers: Vec<u8> = text
        .split(',')
        .map(|number| number.parse().unwrap())
        .collect();
    let [a, b, c, d, high, low] = numbers[..] else {
        panic!("not six: {text}");
    };
    SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])).into()
}

/// The six numbers of an address.
pub(crate) fn six(address: SocketAddr) -> String {
    let [high, low] = address.port().to_be_bytes();
    format!(
        "{},{high},{low}",
        address.ip().to_string().replace('.', ",")
    )
}

/// A 227 that names this address.
pub(crate) fn reply_227(address: SocketAddr) -> String {
    format!("227 Entering Passive Mode ({}).", six(address))
}
