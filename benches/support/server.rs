//! FTP servers that stand whatever clients do: they let transfers be aborted, clients leave, and connect to
//! clients in active mode.
//!
//! As with the sink, the name of a file is its size in bytes; what is fetched is invented, what is stored is
//! checked. They may run in a process of their own, where clients and servers together would have more
//! sockets than one process may open.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::{env, thread};

use anyhow::{Context as _, bail};
use tokio::net::{TcpListener, TcpStream};

use super::control::Control;
use super::{network, payload};

/// Starts a server on each address, which live as long as the runtime.
pub(crate) fn start(ips: &[Ipv4Addr]) -> io::Result<Vec<SocketAddr>> {
    let mut addresses = Vec::new();
    for ip in ips {
        let listener = network::listen(SocketAddr::from((*ip, 0)))?;
        addresses.push(listener.local_addr()?);
        tokio::spawn(accept(listener));
    }
    Ok(addresses)
}

/// Servers in a process of their own, which ends with this value.
pub(crate) struct Servers {
    process: Child,
    /// Closed when they are to end.
    order: Option<ChildStdin>,
    addresses: Vec<SocketAddr>,
}

impl Servers {
    /// Runs this program again with [`ROLE`], so that it calls [`serve_until_told`].
    pub(crate) fn start(ips: &[Ipv4Addr]) -> anyhow::Result<Self> {
        let mut process = Command::new(env::current_exe()?)
            .arg(ROLE)
            .args(ips.iter().map(Ipv4Addr::to_string))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let order = process.stdin.take();
        let said = process.stdout.take().context("no pipe")?;
        let mut servers = Self {
            process,
            order,
            addresses: Vec::new(),
        };
        for line in BufReader::new(said).lines().take(ips.len()) {
            servers.addresses.push(line?.parse()?);
        }
        if servers.addresses.len() < ips.len() {
            bail!("the process of the servers did not start");
        }
        Ok(servers)
    }

    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        drop(self.order.take());
        let _has_ended = self.process.kill().and_then(|()| self.process.wait());
    }
}

/// Serves on the addresses that follow [`ROLE`] among `arguments`, until standard input ends. False when this
/// process is not asked to.
pub(crate) fn serve_until_told(arguments: &[String]) -> anyhow::Result<bool> {
    let Some(place) = arguments.iter().position(|argument| argument == ROLE) else {
        return Ok(false);
    };
    let ips = arguments.iter().skip(place + 1).map(|ip| ip.parse());
    let ips = ips.collect::<Result<Vec<Ipv4Addr>, _>>()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let addresses = runtime.block_on(async { start(&ips) })?;
    let mut out = io::stdout();
    for address in addresses {
        writeln!(out, "{address}")?;
    }
    out.flush()?;
    let told = thread::spawn(|| io::stdin().read_to_end(&mut Vec::new()));
    let _pipe_is_closed = told.join();
    runtime.shutdown_background();
    Ok(true)
}

async fn accept(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        // What fails here fails at the client too, and is reported there.
        tokio::spawn(async move {
            let _seen_by_client = Session::new(stream)?.serve().await;
            io::Result::Ok(())
        });
    }
}

struct Session {
    control: Control,
    /// Where it listens for data, from its first PASV on.
    listener: Option<TcpListener>,
    /// Where the next data connection goes, after PORT.
    port: Option<SocketAddr>,
    ip: Ipv4Addr,
}

impl Session {
    fn new(stream: TcpStream) -> io::Result<Self> {
        let IpAddr::V4(ip) = stream.local_addr()?.ip() else {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        };
        Ok(Self {
            ip,
            control: Control::new(stream)?,
            listener: None,
            port: None,
        })
    }

    async fn serve(mut self) -> io::Result<()> {
        self.control.say(b"220 Server ready.\r\n").await?;
        while let Some(line) = self.control.line().await? {
            let (verb, argument) = line.split_at(line.len().min(4));
            let argument = std::str::from_utf8(argument.trim_ascii()).unwrap_or_default();
            match verb {
                b"USER" => self.says("331 Any password will do.").await?,
                b"PASS" => self.says("230 Logged in.").await?,
                b"NOOP" => self.says("200 Still here.").await?,
                b"ABOR" => self.says("225 Nothing to abort.").await?,
                b"PASV" => {
                    let reply = self.passive()?;
                    self.says(&reply).await?;
                }
                b"PORT" => {
                    self.port = endpoint(argument);
                    self.says("200 There it is.").await?;
                }
                b"RETR" | b"STOR" => {
                    let size = argument.parse().unwrap_or_default();
                    self.transfer(verb == b"RETR", size).await?;
                }
                b"QUIT" => return self.says("221 Goodbye.").await,
                _ => self.says("502 Not here.").await?,
            }
        }
        Ok(())
    }

    async fn transfer(&mut self, is_download: bool, size: u64) -> io::Result<()> {
        let leg = connection(self.ip, self.listener.as_ref(), self.port.take());
        let Some(leg) = unless_aborted(&mut self.control, leg).await? else {
            return self.aborted().await;
        };
        let Ok(mut leg) = leg else {
            return self.says("425 No data connection.").await;
        };
        self.says("150 Here it comes.").await?;
        let work = async {
            if is_download {
                payload::send(&mut leg, size).await
            } else {
                payload::receive(&mut leg, size).await
            }
        };
        match unless_aborted(&mut self.control, work).await? {
            None => {
                drop(leg);
                self.aborted().await
            }
            Some(Ok(())) => {
                drop(leg);
                self.says("226 As it should be.").await
            }
            Some(Err(error)) => self.says(&format!("451 {error}")).await,
        }
    }

    async fn aborted(&mut self) -> io::Result<()> {
        self.says("426 Transfer aborted.").await?;
        self.says("226 Abort successful.").await
    }

    fn passive(&mut self) -> io::Result<String> {
        self.port = None;
        let listener = match self.listener.take() {
            Some(listener) => listener,
            None => network::listen(SocketAddr::from((self.ip, 0)))?,
        };
        let address = listener.local_addr()?;
        self.listener = Some(listener);
        let host = address.ip().to_string().replace('.', ",");
        let [high, low] = address.port().to_be_bytes();
        Ok(format!("227 Entering Passive Mode ({host},{high},{low})."))
    }

    async fn says(&mut self, line: &str) -> io::Result<()> {
        self.control.say(format!("{line}\r\n").as_bytes()).await
    }
}

async fn connection(
    ip: Ipv4Addr,
    listener: Option<&TcpListener>,
    port: Option<SocketAddr>,
) -> io::Result<TcpStream> {
    match (port, listener) {
        (Some(client), _) => network::connect(ip, client).await,
        (None, Some(listener)) => Ok(listener.accept().await?.0),
        (None, None) => Err(io::ErrorKind::NotConnected.into()),
    }
}

/// What `work` comes to; nothing when the client says ABOR first, and an error when it leaves.
async fn unless_aborted<T>(
    control: &mut Control,
    work: impl Future<Output = T>,
) -> io::Result<Option<T>> {
    let mut work = pin!(work);
    tokio::select! {
        biased;
        done = &mut work => Ok(Some(done)),
        line = control.line() => match line? {
            Some(line) if line.eq_ignore_ascii_case(b"ABOR") => Ok(None),
            Some(_) => Err(io::Error::other("not to be said in a transfer")),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        },
    }
}

/// Six numbers: address and port.
pub(crate) fn endpoint(text: &str) -> Option<SocketAddr> {
    let numbers = text.split(',').map(|number| number.parse().ok());
    let numbers = numbers.collect::<Option<Vec<u8>>>()?;
    let &[a, b, c, d, high, low] = numbers.as_slice() else {
        return None;
    };
    Some(SocketAddr::from((
        [a, b, c, d],
        u16::from_be_bytes([high, low]),
    )))
}

/// The first argument of a process that is servers and nothing else.
const ROLE: &str = "--serve";
