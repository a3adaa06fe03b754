//! Many sessions at the same moment, each from an address of its own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::client::{Client, Way};

/// Logs `count` clients in, some at a time, whose addresses begin with the number `first`.
pub(crate) async fn gather(
    target: SocketAddr,
    first: u16,
    count: u16,
) -> anyhow::Result<Vec<Client>> {
    let mut crowd = Vec::with_capacity(count.into());
    let mut tasks = JoinSet::new();
    for number in first..first + count {
        if tasks.len() >= ARRIVING
            && let Some(client) = tasks.join_next().await
        {
            crowd.push(client??);
        }
        tasks.spawn(Client::login(target, source(number)));
    }
    while let Some(client) = tasks.join_next().await {
        crowd.push(client??);
    }
    Ok(crowd)
}

/// All say QUIT, and wait for the end.
pub(crate) async fn disperse(crowd: Vec<Client>) -> anyhow::Result<()> {
    for client in crowd {
        client.quit().await?;
    }
    Ok(())
}

/// Where all of a crowd wait for the last of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Hold {
    /// Each has a passive port and has not connected to it.
    Leased,
    /// Each transfer has begun, and can not end.
    Begun,
}

/// Every one of `crowd` transfers `size` bytes, in turn a download and an upload. `meanwhile` runs when all
/// of them are held; then they are let go on to their ends, and checked.
pub(crate) async fn transfer_together<T>(
    crowd: Vec<Client>,
    hold: Hold,
    size: u64,
    meanwhile: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<(Vec<Member>, T)> {
    let (all, go) = (Barrier::new(crowd.len() + 1), Barrier::new(crowd.len() + 1));
    let gate = Arc::new((all, go));
    let mut tasks = JoinSet::new();
    for (client, way) in crowd.into_iter().zip(WAYS.into_iter().cycle()) {
        let mut member = Member { client, port: 0 };
        let gate = Arc::clone(&gate);
        tasks.spawn(async move {
            member.transfer(way, size, hold, &gate).await?;
            io::Result::Ok(member)
        });
    }
    let (all, go) = &*gate;
    tokio::select! {
        _ = all.wait() => {}
        // Nobody is done before all go on.
        failed = tasks.join_next() => {
            failed.context("nobody came")???;
            bail!("one did not wait for the others");
        }
    }
    let seen = meanwhile();
    go.wait().await;
    let mut members = Vec::new();
    while let Some(member) = tasks.join_next().await {
        members.push(member??);
    }
    Ok((members, seen?))
}

/// One of a crowd that transfers together.
pub(crate) struct Member {
    pub(crate) client: Client,
    /// The passive port that it had.
    pub(crate) port: u16,
}

impl Member {
    async fn transfer(
        &mut self,
        way: Way,
        size: u64,
        hold: Hold,
        gate: &(Barrier, Barrier),
    ) -> io::Result<()> {
        let wait_at = async |place: Hold| {
            if place == hold {
                gate.0.wait().await;
                gate.1.wait().await;
            }
        };
        let address = self.client.passive().await?;
        self.port = address.port();
        wait_at(Hold::Leased).await;
        let data = self.client.open(address).await?;
        self.client.begin(way, size).await?;
        wait_at(Hold::Begun).await;
        self.client.complete(way, data, size).await
    }
}

/// What visits came to.
pub(crate) struct Visits {
    pub(crate) count: f64,
    pub(crate) seconds: f64,
}

/// Short visits, one after another by some clients at a time: connect, USER, PASS, PASV, RETR of a small
/// file, QUIT.
pub(crate) async fn visit(target: SocketAddr, time: Duration) -> anyhow::Result<Visits> {
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for visitor in 0..VISITORS {
        tasks.spawn(async move {
            let mut count = 0.0;
            for turn in (0..=u8::MAX).cycle() {
                if begin.elapsed() >= time {
                    break;
                }
                let source = Ipv4Addr::new(127, 80, visitor, turn);
                let mut client = Client::login(target, source).await?;
                client.transfer(Way::Download, SMALL_FILE).await?;
                client.quit().await?;
                count += 1.0;
            }
            io::Result::Ok(count)
        });
    }
    let mut count = 0.0;
    while let Some(of_one) = tasks.join_next().await {
        count += of_one??;
    }
    Ok(Visits {
        count,
        seconds: begin.elapsed().as_secs_f64(),
    })
}

fn source(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(127, 79, high, low)
}

const WAYS: [Way; 2] = [Way::Download, Way::Upload];

/// Clients that log in at the same moment while a crowd gathers.
const ARRIVING: usize = 64;

/// At a time.
const VISITORS: u8 = 16;

/// Bytes.
const SMALL_FILE: u64 = 4096;
