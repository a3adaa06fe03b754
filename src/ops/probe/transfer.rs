//! A transfer: the way that data take, from the backend's passive port to the reply that ends it.
//!
//! ```text
//!   TYPE I ─▶ PASV, over IPv6 EPSV ─▶ data connection ─▶ RETR file, or NLST
//!          ─▶ data up to FIN, beside it the replies ─▶ 226 or 250
//! ```
//! The data connection goes to the address of the control connection, whatever the backend named (P2). An
//! empty list is as good as any. Who sends more than [`ENOUGH`] has shown that data flow: the rest is
//! declined, and what the server says to that does not count.

use std::net::{IpAddr, SocketAddr};

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout_at;

use super::talk::Talk;
use super::{Deadline, Finding, ProbeError};
use crate::diagnosis::{Diagnosis, Step};
use crate::ftp::endpoint::{scan_227, scan_229};
use crate::ftp::reply::Code;
use crate::net::dial;

/// Transfers `file`, or else the names in the directory, in a session that has logged in.
pub(super) async fn run(talk: &mut Talk, file: Option<&str>) -> Result<Finding, ProbeError> {
    talk.ask("TYPE", Some("I")).await?;
    let mut data = Data::open(talk).await?;
    let finding = Finding {
        diagnosis: data.diagnosis,
        ..Finding::default()
    };
    let asked = if file.is_some() { "RETR" } else { "NLST" };
    talk.send(asked, file).await?;
    let is_fine = |code: Code| code.is_preliminary() || is_done(code);
    let reply = talk.any_reply(asked).await?;
    let mut reply = talk.judge(Step::Data, asked, reply, is_fine)?;
    loop {
        tokio::select! {
            // A refusal is told as such, also when the data connection ends with it.
            biased;
            next = talk.read_reply(asked), if reply.code.is_preliminary() => {
                reply = talk.judge(Step::Data, asked, next?, is_fine)?;
            }
            taken = data.take() => match taken? {
                Taken::Some => {}
                Taken::All if is_done(reply.code) => return Ok(finding),
                Taken::All => break,
                Taken::Enough => return Ok(finding),
            },
        }
    }
    // ProFTPD keeps its last reply back until its FIN was answered.
    drop(data);
    let asked = "the end of the transfer";
    let reply = talk.final_reply(asked).await?;
    talk.judge(Step::Data, asked, reply, is_done)?;
    Ok(finding)
}

fn is_done(code: Code) -> bool {
    code.is(226) || code.is(250)
}

/// The data connection of a check.
struct Data {
    stream: TcpStream,
    peer: SocketAddr,
    deadline: Deadline,
    /// What the address that was named shows.
    diagnosis: Option<Diagnosis>,
    buffer: Vec<u8>,
    bytes: usize,
}

/// What a read has come to.
enum Taken {
    /// The end.
    All,
    /// As much as proves anything.
    Enough,
    /// More may follow.
    Some,
}

impl Data {
    /// Asks for a passive port and connects to it from the address that the server knows already (P15).
    async fn open(talk: &mut Talk) -> Result<Self, ProbeError> {
        let mut peer = talk.peer;
        let asked = if peer.is_ipv4() { "PASV" } else { "EPSV" };
        let reply = talk.ask(asked, None).await?;
        let (mut port, mut diagnosis) = (None, None);
        if peer.is_ipv4() {
            if let Some(named) = reply.lines.iter().find_map(|line| scan_227(line)) {
                port = Some(named.port());
                let is_foreign = talk.is_direct && peer.ip() != IpAddr::V4(*named.ip());
                diagnosis = is_foreign.then_some(Diagnosis::ForeignAddress);
            }
        } else {
            port = reply.lines.iter().find_map(|line| scan_229(line));
        }
        let Some(port) = port.filter(|port| *port >= FIRST_UNPRIVILEGED) else {
            let said = reply.said();
            return Err(ProbeError::NoPort { peer, said });
        };
        peer.set_port(port);
        let deadline = talk.deadline;
        let dialled = async {
            let source = talk.local_ip()?;
            dial::stream(peer, Some(source), deadline.limit).await
        };
        let failed = |peer, source| ProbeError::DataConnect { peer, source };
        let stream = deadline.connect(peer, dialled, failed).await?;
        Ok(Self {
            stream,
            peer,
            deadline,
            diagnosis,
            buffer: vec![0; 16 << 10],
            bytes: 0,
        })
    }

    /// Reads some. Dropped before it is done, it has read nothing.
    async fn take(&mut self) -> Result<Taken, ProbeError> {
        let Self { peer, bytes, .. } = *self;
        let failed = |source| ProbeError::DataCut {
            peer,
            bytes,
            source,
        };
        let limit = self.deadline.limit;
        let late = |_| ProbeError::DataEndless { peer, bytes, limit };
        let read = timeout_at(self.deadline.at, self.stream.read(&mut self.buffer)).await;
        let read = read.map_err(late)?.map_err(failed)?;
        self.bytes += read;
        Ok(match read {
            0 => Taken::All,
            _ if self.bytes > ENOUGH => Taken::Enough,
            _ => Taken::Some,
        })
    }
}

/// 16 MiB: a second of a slow backend. Whoever checks by a larger file pays for nothing.
pub(super) const ENOUGH: usize = 16 << 20;

/// P4: no server offers data below.
const FIRST_UNPRIVILEGED: u16 = 1024;
