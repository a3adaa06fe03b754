//! What clients do, the rude ones too, each from login to its end.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::client::{Client, Way};
use super::payload;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Deed {
    Session,
    SmallFiles,
    Passive(Way),
    Active(Way),
    /// ABOR in a download.
    Abort,
    /// The data connection is reset in mid-transfer, and the session goes on.
    Reset(Way),
    /// A passive port is asked for, and QUIT follows.
    UnusedPort,
    /// The same, but another port follows, and is used.
    SecondPort,
    /// The client is gone without QUIT: silent, before it connects to its passive port, in mid-transfer.
    Vanish,
    VanishWithPort,
    VanishIn(Way),
}

impl Deed {
    /// Each with how often it is done among the others.
    pub(crate) const ALL: [(Self, usize); 15] = [
        (Self::Session, 20),
        (Self::SmallFiles, 20),
        (Self::Passive(Way::Download), 4),
        (Self::Passive(Way::Upload), 4),
        (Self::Active(Way::Download), 4),
        (Self::Active(Way::Upload), 4),
        (Self::Abort, 5),
        (Self::Reset(Way::Download), 5),
        (Self::Reset(Way::Upload), 5),
        (Self::UnusedPort, 8),
        (Self::SecondPort, 5),
        (Self::Vanish, 4),
        (Self::VanishWithPort, 4),
        (Self::VanishIn(Way::Download), 4),
        (Self::VanishIn(Way::Upload), 4),
    ];

    /// Does it. On `chance`, any number, sizes and manners depend. Gives the bytes of whole files.
    pub(crate) async fn act(
        self,
        target: SocketAddr,
        source: Ipv4Addr,
        chance: u32,
    ) -> io::Result<u64> {
        let mut client = Client::login(target, source).await?;
        let (long, short) = (
            u64::from(chance) % LONG_BYTES,
            u64::from(chance) % SHORT_BYTES,
        );
        let is_reset = chance.is_multiple_of(2);
        let mut moved = 0;
        match self {
            Self::Session => client.noop().await?,
            Self::SmallFiles => {
                for way in [Way::Download, Way::Upload, Way::Download] {
                    client.transfer(way, short).await?;
                    moved += short;
                }
            }
            Self::Passive(way) => {
                client.transfer(way, long).await?;
                moved = long;
            }
            Self::Active(way) => {
                let listener = client.active().await?;
                client.begin(way, long).await?;
                let (data, peer) = listener.accept().await?;
                if peer.ip() != target.ip() {
                    return Err(io::Error::other("data of another than the virtual IP"));
                }
                client.complete(way, data, long).await?;
                moved = long;
            }
            Self::Abort => abort(&mut client).await?,
            Self::Reset(way) => {
                let data = half_done(&mut client, way).await?;
                data.set_zero_linger()?;
                drop(data);
                client.expect(b"4").await?;
            }
            Self::UnusedPort => drop(client.passive().await?),
            Self::SecondPort => {
                client.passive().await?;
                client.transfer(Way::Download, short).await?;
                moved = short;
            }
            Self::Vanish => return leave(&client, is_reset),
            Self::VanishWithPort => {
                client.passive().await?;
                return leave(&client, is_reset);
            }
            Self::VanishIn(way) => {
                let data = half_done(&mut client, way).await?;
                leave(&client, is_reset)?;
                drop(client);
                drop(data);
                return Ok(0);
            }
        }
        client.quit().await?;
        Ok(moved)
    }
}

/// The client is to be dropped next, as by a process that is killed, or the harsher way.
fn leave(client: &Client, is_reset: bool) -> io::Result<u64> {
    if is_reset {
        client.reset_when_dropped()?;
    }
    Ok(0)
}

/// Begins a download, and takes it back.
async fn abort(client: &mut Client) -> io::Result<()> {
    let mut data = half_done(client, Way::Download).await?;
    client.say(b"ABOR\r\n").await?;
    let _under_way = tokio::io::copy(&mut data, &mut tokio::io::sink()).await;
    client.expect(b"426").await?;
    client.expect(b"226").await.map(drop)
}

/// A transfer some of whose bytes have moved, and whose end is far.
async fn half_done(client: &mut Client, way: Way) -> io::Result<TcpStream> {
    let address = client.passive().await?;
    let mut data = client.open(address).await?;
    client.begin(way, ENDLESS_BYTES).await?;
    match way {
        Way::Download => data.read_exact(&mut vec![0; HALF_BYTES]).await.map(drop)?,
        Way::Upload => payload::send(&mut data, HALF_BYTES as u64).await?,
    }
    Ok(data)
}

/// Of files that are spliced.
const LONG_BYTES: u64 = 8 << 20;

/// Of small files.
const SHORT_BYTES: u64 = 16 << 10;

/// More than anybody waits for.
const ENDLESS_BYTES: u64 = 1 << 40;

/// Enough to be spliced.
const HALF_BYTES: usize = 128 << 10;
