//! The work: what clients do, how often, and how long it took.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::task::JoinSet;

use super::client::{Client, Way};

/// What some work came to.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// Gigabytes (10⁹ bytes), sessions, files or rounds.
    pub(crate) units: f64,
    pub(crate) seconds: f64,
    /// Of each unit, in microseconds, sorted; empty for bulk.
    pub(crate) latencies: Vec<f64>,
}

/// Moves `total` bytes over `streams` connections at a time.
pub(crate) async fn bulk(
    targets: &[SocketAddr],
    streams: u8,
    way: Way,
    total: u64,
) -> anyhow::Result<Done> {
    let mut clients = Vec::new();
    for (number, target) in (0..streams).zip(targets.iter().cycle()) {
        clients.push(Client::login(*target, source(number, 0)).await?);
    }
    let share = total / u64::from(streams);
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for mut client in clients {
        tasks.spawn(async move {
            client.transfer(way, share).await?;
            io::Result::Ok(client)
        });
    }
    let mut clients = Vec::new();
    while let Some(client) = tasks.join_next().await {
        clients.push(client??);
    }
    let seconds = begin.elapsed().as_secs_f64();
    for client in clients {
        client.quit().await?;
    }
    Ok(Done {
        units: gigabytes(share * u64::from(streams)),
        seconds,
        latencies: Vec::new(),
    })
}

/// Sessions one after another by `clients` at a time: connect, USER, PASS, QUIT.
pub(crate) async fn sessions(
    targets: &[SocketAddr],
    clients: u8,
    time: Duration,
) -> anyhow::Result<Done> {
    repeat(targets, clients, time, |target, number, until| async move {
        let mut latencies = Vec::new();
        for turn in (0..=u8::MAX).cycle() {
            let begin = Instant::now();
            if begin >= until {
                break;
            }
            let client = Client::login(target, source(number, turn)).await?;
            client.quit().await?;
            latencies.push(microseconds(begin.elapsed()));
        }
        Ok(latencies)
    })
    .await
}

/// Small files one after another in each of `clients` sessions: PASV and RETR.
pub(crate) async fn files(
    targets: &[SocketAddr],
    clients: u8,
    time: Duration,
) -> anyhow::Result<Done> {
    repeat(targets, clients, time, |target, number, until| async move {
        let mut client = Client::login(target, source(number, 0)).await?;
        let mut latencies = Vec::new();
        for size in FILE_BYTES.into_iter().cycle() {
            let begin = Instant::now();
            if begin >= until {
                break;
            }
            client.transfer(Way::Download, size).await?;
            latencies.push(microseconds(begin.elapsed()));
        }
        client.quit().await?;
        Ok(latencies)
    })
    .await
}

/// The same, `rate` a second of all clients together, whatever they take. One that could not begin in time has taken the
/// longer.
pub(crate) async fn paced_files(
    targets: &[SocketAddr],
    clients: u8,
    rate: u16,
    time: Duration,
) -> anyhow::Result<Done> {
    let between = Duration::from_secs(1) * u32::from(clients) / u32::from(rate);
    repeat(targets, clients, time, |target, number, until| async move {
        let mut client = Client::login(target, source(number, 0)).await?;
        let mut latencies = Vec::new();
        let mut due = Instant::now() + between * u32::from(number) / u32::from(clients);
        for size in FILE_BYTES.into_iter().cycle() {
            let mut begin = due;
            if Instant::now() < due {
                tokio::time::sleep_until(due.into()).await;
                // The timer's grain is no time of the file's.
                begin = Instant::now();
            }
            if begin >= until {
                break;
            }
            client.transfer(Way::Download, size).await?;
            latencies.push(microseconds(begin.elapsed()));
            due += between;
        }
        client.quit().await?;
        Ok(latencies)
    })
    .await
}

/// One client, one NOOP after another.
pub(crate) async fn noops(targets: &[SocketAddr], time: Duration) -> anyhow::Result<Done> {
    repeat(targets, 1, time, |target, number, until| async move {
        let mut client = Client::login(target, source(number, 0)).await?;
        let mut latencies = Vec::new();
        loop {
            let begin = Instant::now();
            if begin >= until {
                break;
            }
            client.noop().await?;
            latencies.push(microseconds(begin.elapsed()));
        }
        client.quit().await?;
        Ok(latencies)
    })
    .await
}

/// Sessions that are logged in and silent, until they are dropped, and then reset.
pub(crate) async fn idle(targets: &[SocketAddr], count: u16) -> anyhow::Result<Vec<Client>> {
    let mut sessions = Vec::new();
    for (number, target) in (0..count).zip(targets.iter().cycle()) {
        let [number, turn] = number.to_be_bytes();
        let client = Client::login(*target, source(number, turn)).await?;
        client.reset_when_dropped()?;
        sessions.push(client);
    }
    Ok(sessions)
}

async fn repeat<F>(
    targets: &[SocketAddr],
    clients: u8,
    time: Duration,
    work: impl Fn(SocketAddr, u8, Instant) -> F,
) -> anyhow::Result<Done>
where
    F: Future<Output = io::Result<Vec<f64>>> + Send + 'static,
{
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for (number, target) in (0..clients).zip(targets.iter().cycle()) {
        tasks.spawn(work(*target, number, begin + time));
    }
    let mut latencies = Vec::new();
    while let Some(of_one) = tasks.join_next().await {
        latencies.extend(of_one??);
    }
    latencies.sort_by(f64::total_cmp);
    let units = u32::try_from(latencies.len()).context("too many to count")?;
    Ok(Done {
        units: f64::from(units),
        seconds: begin.elapsed().as_secs_f64(),
        latencies,
    })
}

/// Bytes of the files of [`files`], in turn.
const FILE_BYTES: [u64; 5] = [1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10];

/// Many addresses, as many clients have.
fn source(client: u8, turn: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 79, client, turn)
}

#[expect(clippy::cast_precision_loss, reason = "nobody moves 2^52 bytes here")]
fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}

fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
