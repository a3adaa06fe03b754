//! The FTP servers behind the balancers: they invent what is fetched and check what is stored.
//!
//! The name of a file is its size in bytes. A session takes one data listener for all its transfers, of
//! those that its server has from the start, so that the servers cost little beside what is measured.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpStream};

use super::control::Control;
use super::system::{self, System};
use super::{network, payload};

/// Starts the servers of `system`, which live as long as the runtime.
pub(crate) fn start(system: System) -> io::Result<()> {
    for (number, ip) in (0..).zip(system.servers()) {
        let listener = network::listen(system::control(ip))?;
        let listeners = system::slice(number)
            .map(|port| network::listen(SocketAddr::new(IpAddr::V4(ip), port)))
            .collect::<io::Result<_>>()?;
        let passive = Arc::new(Passive {
            announced: system.announced().unwrap_or(ip),
            free: Mutex::new(listeners),
        });
        tokio::spawn(accept(listener, passive));
    }
    Ok(())
}

/// The passive ports of one server.
struct Passive {
    announced: Ipv4Addr,
    /// Listeners that no session has.
    free: Mutex<Vec<TcpListener>>,
}

impl Passive {
    fn take(self: &Arc<Self>) -> Option<Taken> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Taken {
            listener: Some(free.pop()?),
            from: Arc::clone(self),
        })
    }
}

/// The data listener of a session, given back at its end.
struct Taken {
    listener: Option<TcpListener>,
    from: Arc<Passive>,
}

impl Taken {
    /// What PASV is answered with.
    fn reply(&self) -> io::Result<String> {
        let port = self.listener()?.local_addr()?.port();
        let host = self.from.announced.to_string().replace('.', ",");
        let [high, low] = port.to_be_bytes();
        Ok(format!(
            "227 Entering Passive Mode ({host},{high},{low}).\r\n"
        ))
    }

    fn listener(&self) -> io::Result<&TcpListener> {
        self.listener
            .as_ref()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut free = self
            .from
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        free.extend(self.listener.take());
    }
}

async fn accept(listener: TcpListener, passive: Arc<Passive>) {
    while let Ok((stream, _)) = listener.accept().await {
        let passive = Arc::clone(&passive);
        // What fails here fails at the client too, and is reported there.
        tokio::spawn(async move {
            let _seen_by_client = serve(stream, &passive).await;
        });
    }
}

async fn serve(stream: TcpStream, passive: &Arc<Passive>) -> io::Result<()> {
    let mut control = Control::new(stream)?;
    let mut taken: Option<Taken> = None;
    control.say(b"220 Sink ready.\r\n").await?;
    while let Some(line) = control.line().await? {
        let (verb, argument) = line.split_at(line.len().min(4));
        match verb {
            b"USER" => control.say(b"331 Any password will do.\r\n").await?,
            b"PASS" => control.say(b"230 Logged in.\r\n").await?,
            b"NOOP" => control.say(b"200 Still here.\r\n").await?,
            b"PASV" => {
                taken = taken.or_else(|| passive.take());
                match &taken {
                    Some(taken) => control.say(taken.reply()?.as_bytes()).await?,
                    None => control.say(b"425 Too many clients.\r\n").await?,
                }
            }
            b"RETR" | b"STOR" => {
                let taken = taken.as_ref().ok_or(io::ErrorKind::NotFound)?;
                let (mut leg, _) = taken.listener()?.accept().await?;
                control.say(b"150 Here it comes.\r\n").await?;
                let size = size_of(argument);
                let result = if verb == b"RETR" {
                    payload::send(&mut leg, size).await
                } else {
                    payload::receive(&mut leg, size).await
                };
                drop(leg);
                let reply = match result {
                    Ok(()) => "226 As it should be.\r\n".to_owned(),
                    Err(error) => format!("451 {error}\r\n"),
                };
                control.say(reply.as_bytes()).await?;
            }
            b"QUIT" => return control.say(b"221 Goodbye.\r\n").await,
            _ => control.say(b"502 Not here.\r\n").await?,
        }
    }
    Ok(())
}

fn size_of(argument: &[u8]) -> u64 {
    let text = std::str::from_utf8(argument.trim_ascii()).unwrap_or_default();
    text.parse().unwrap_or_default()
}
