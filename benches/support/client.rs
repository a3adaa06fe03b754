//! An FTP client that expects everything to go well, and says what did not.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::control::Control;
use super::{network, payload};

pub(crate) struct Client {
    control: Control,
    source: Ipv4Addr,
}

/// Which way a file goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    Download,
    Upload,
}

impl Client {
    /// Connects from `source` and logs in.
    pub(crate) async fn login(target: SocketAddr, source: Ipv4Addr) -> io::Result<Self> {
        let control = Control::new(network::connect(source, target).await?)?;
        let mut client = Self { control, source };
        client.expect(b"220").await?;
        client.command(b"USER bench\r\n", b"331").await?;
        client.command(b"PASS bench\r\n", b"230").await?;
        Ok(client)
    }

    pub(crate) async fn noop(&mut self) -> io::Result<()> {
        self.command(b"NOOP\r\n", b"200").await.map(drop)
    }

    /// Moves one file over a passive data connection, and checks it.
    pub(crate) async fn transfer(&mut self, way: Way, size: u64) -> io::Result<()> {
        let address = self.passive().await?;
        let data = self.open(address).await?;
        self.begin(way, size).await?;
        self.complete(way, data, size).await
    }

    /// Asks for a passive port, and says where it is.
    pub(crate) async fn passive(&mut self) -> io::Result<SocketAddr> {
        let reply = self.command(b"PASV\r\n", b"227").await?;
        let address = passive_address(&reply).ok_or_else(|| unexpected(&reply))?;
        if address.ip() != self.control.stream().peer_addr()?.ip() {
            return Err(unexpected(&reply));
        }
        Ok(address)
    }

    /// Connects there.
    pub(crate) async fn open(&self, address: SocketAddr) -> io::Result<TcpStream> {
        network::connect(self.source, address).await
    }

    /// Asks the server to connect back, and says where that is awaited.
    pub(crate) async fn active(&mut self) -> io::Result<TcpListener> {
        let listener = network::listen(SocketAddr::from((self.source, 0)))?;
        let host = self.source.to_string().replace('.', ",");
        let [high, low] = listener.local_addr()?.port().to_be_bytes();
        let command = format!("PORT {host},{high},{low}\r\n");
        self.command(command.as_bytes(), b"200").await?;
        Ok(listener)
    }

    /// Says RETR or STOR.
    pub(crate) async fn begin(&mut self, way: Way, size: u64) -> io::Result<()> {
        let verb = match way {
            Way::Download => "RETR",
            Way::Upload => "STOR",
        };
        let command = format!("{verb} {size}\r\n");
        self.command(command.as_bytes(), b"150").await.map(drop)
    }

    /// Moves all of the file over `data`, and checks it.
    pub(crate) async fn complete(
        &mut self,
        way: Way,
        mut data: TcpStream,
        size: u64,
    ) -> io::Result<()> {
        match way {
            Way::Download => payload::receive(&mut data, size).await?,
            Way::Upload => {
                payload::send(&mut data, size).await?;
                data.shutdown().await?;
            }
        }
        // Of an upload this is the server's verdict.
        self.expect(b"226").await.map(drop)
    }

    /// Says QUIT, and waits until the other side has closed.
    pub(crate) async fn quit(mut self) -> io::Result<()> {
        self.command(b"QUIT\r\n", b"221").await?;
        match self.control.line().await? {
            None => Ok(()),
            Some(line) => Err(unexpected(&line)),
        }
    }

    /// Says `line`, which has its end.
    pub(crate) async fn say(&mut self, line: &[u8]) -> io::Result<()> {
        self.control.say(line).await
    }

    /// No `TIME_WAIT` is left of it then, which the kernel would keep for a minute.
    pub(crate) fn reset_when_dropped(&self) -> io::Result<()> {
        self.control.stream().set_zero_linger()
    }

    async fn command(&mut self, line: &[u8], code: &[u8]) -> io::Result<Bytes> {
        self.say(line).await?;
        self.expect(code).await
    }

    /// Expects a reply that begins with `code`.
    pub(crate) async fn expect(&mut self, code: &[u8]) -> io::Result<Bytes> {
        let reply = self.control.line().await?;
        let reply = reply.ok_or(io::ErrorKind::UnexpectedEof)?;
        if reply.starts_with(code) {
            Ok(reply)
        } else {
            Err(unexpected(&reply))
        }
    }
}

fn unexpected(line: &[u8]) -> io::Error {
    io::Error::other(format!("unexpected: {}", String::from_utf8_lossy(line)))
}

fn passive_address(reply: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(reply).ok()?;
    let (_, numbers) = text.split_once('(')?;
    let (numbers, _) = numbers.split_once(')')?;
    let numbers: Vec<u8> = numbers
        .split(',')
        .map(|number| number.parse().ok())
        .collect::<Option<_>>()?;
    let &[a, b, c, d, high, low] = numbers.as_slice() else {
        return None;
    };
    let port = u16::from_be_bytes([high, low]);
    Some(SocketAddr::from(([a, b, c, d], port)))
}
