//! The FTP servers behind the balancer: they invent what is fetched and check what is stored.
//!
//! The name of a file is its size in bytes. Each session keeps one data listener for all its transfers,
//! so that the servers cost little beside what is measured.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpStream};

use super::control::Control;
use super::{network, payload};

/// Starts `count` servers on addresses of their own, which live as long as the runtime.
pub(crate) fn start(count: u8) -> io::Result<Vec<SocketAddr>> {
    let mut addresses = Vec::new();
    for host in 1..=count {
        let ip = IpAddr::V4(Ipv4Addr::new(127, 78, 0, host));
        let listener = network::listen(SocketAddr::new(ip, 0))?;
        addresses.push(listener.local_addr()?);
        tokio::spawn(accept(listener));
    }
    Ok(addresses)
}

async fn accept(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        // What fails here fails at the client too, and is reported there.
        tokio::spawn(async move {
            let _seen_by_client = serve(stream).await;
        });
    }
}

async fn serve(stream: TcpStream) -> io::Result<()> {
    let ip = stream.local_addr()?.ip();
    let mut control = Control::new(stream)?;
    let mut data = None;
    control.say(b"220 Sink ready.\r\n").await?;
    while let Some(line) = control.line().await? {
        let (verb, argument) = line.split_at(line.len().min(4));
        match verb {
            b"USER" => control.say(b"331 Any password will do.\r\n").await?,
            b"PASS" => control.say(b"230 Logged in.\r\n").await?,
            b"NOOP" => control.say(b"200 Still here.\r\n").await?,
            b"PASV" => {
                let reply = passive_reply(data_listener(ip, &mut data)?.local_addr()?);
                control.say(reply.as_bytes()).await?;
            }
            b"RETR" | b"STOR" => {
                let (mut leg, _) = data_listener(ip, &mut data)?.accept().await?;
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

fn data_listener(ip: IpAddr, kept: &mut Option<TcpListener>) -> io::Result<&TcpListener> {
    if kept.is_none() {
        *kept = Some(network::listen(SocketAddr::new(ip, 0))?);
    }
    kept.as_ref().ok_or(io::ErrorKind::NotFound.into())
}

fn passive_reply(address: SocketAddr) -> String {
    let host = address.ip().to_string().replace('.', ",");
    let [high, low] = address.port().to_be_bytes();
    format!("227 Entering Passive Mode ({host},{high},{low}).\r\n")
}

fn size_of(argument: &[u8]) -> u64 {
    let text = std::str::from_utf8(argument.trim_ascii()).unwrap_or_default();
    text.parse().unwrap_or_default()
}
