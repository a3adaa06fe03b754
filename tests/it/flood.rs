//! A flood of idle connections from one address, and what the sessions of another one notice of it.
//!
//! The figures are printed; docs/abuse.md has those of one run.

use std::net::{IpAddr, SocketAddr};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::process::{eventually, own_ip};
use crate::proxy::{Proxy, Setup};
use crate::scripted::{Door, Peer};

/// Connections of the flood.
const FLOOD: usize = 5_000;

/// Sessions that are measured before it, and again during it.
const MEASURED: usize = 200;

#[test]
fn a_flood_that_is_refused_leaves_the_sessions_of_others_unharmed() {
    let backend = Backend::start();
    let proxy = Setup::new(&[backend.address]).start();
    // The limits that are there without a word of configuration.
    flood(&proxy, 200);
}

#[test]
fn a_flood_that_is_let_in_leaves_the_sessions_of_others_unharmed() {
    let backend = Backend::start();
    let limits = "[limits]\nsessions = 6000\nsessions_per_client = 6000\n";
    let proxy = Setup::new(&[backend.address]).tables(limits).start();
    flood(&proxy, FLOOD);
}

/// Measures sessions before, while `FLOOD` connections are made, and while they stand idle. `admitted` of
/// these have sessions.
#[track_caller]
fn flood(proxy: &Proxy, admitted: usize) {
    allow_descriptors();
    let (attacker, other) = (IpAddr::from(own_ip()), IpAddr::from(own_ip()));
    let address = proxy.address;
    let _warm = Latencies::of(address, other);
    let before = Latencies::of(address, other);
    let connecting: JoinHandle<Vec<Peer>> = std::thread::spawn(move || {
        let connect = || Peer::connect_from(attacker, address);
        (0..FLOOD).map(|_| connect()).collect()
    });
    let rising = Latencies::of(address, other);
    let mut held = connecting.join().unwrap();
    let live = || proxy.metric("ftplb_sessions_active", &[]);
    eventually("the flood has its sessions", || {
        live() >= f64::from(u32::try_from(admitted).unwrap())
    });
    let during = Latencies::of(address, other);
    let is_told = |peer: &mut Peer| peer.line().starts_with(b"421");
    let told = held
        .iter_mut()
        .filter_map(|peer| is_told(peer).then_some(()));
    assert_eq!(told.count(), FLOOD - admitted, "each is told why");
    let client_limit = ["reason=\"client_limit\""];
    let refused = proxy.metric("ftplb_sessions_refused_total", &client_limit);
    let expected = u32::try_from(FLOOD - admitted).unwrap();
    assert!((refused - f64::from(expected)).abs() < 0.5, "{refused}");
    eprintln!(
        "\n{FLOOD} connections, {admitted} admitted: before {before}, while they come {rising}, \
         while they stand {during}"
    );
    // While they come, whoever connects stands behind those who came before: the p99 is that queue. Other tests
    // want the processors as well.
    for (what, is, was, noise) in [
        (
            "median, while they come",
            rising.median(),
            before.median(),
            100,
        ),
        ("median", during.median(), before.median(), 20),
        ("p99", during.p99(), before.p99(), 200),
    ] {
        let bound = was * 3 + Duration::from_millis(noise);
        assert!(is <= bound, "{what}: {is:?} after {was:?}");
    }
    drop(held);
}

/// How long whole sessions took, the shortest first.
struct Latencies(Vec<Duration>);

impl Latencies {
    /// Of sessions from `source`, one after the other.
    fn of(address: SocketAddr, source: IpAddr) -> Self {
        let mut times: Vec<_> = (0..MEASURED).map(|_| session(address, source)).collect();
        times.sort_unstable();
        Self(times)
    }

    fn median(&self) -> Duration {
        self.0[MEASURED / 2]
    }

    fn p99(&self) -> Duration {
        self.0[MEASURED * 99 / 100]
    }
}

impl std::fmt::Display for Latencies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [median, p99] = [self.median(), self.p99()].map(|time| time.as_secs_f64() * 1_000.0);
        write!(f, "p50 {median:.2} ms p99 {p99:.2} ms")
    }
}

/// From the connection to the last word.
fn session(address: SocketAddr, source: IpAddr) -> Duration {
    let begin = Instant::now();
    let mut client = Peer::connect_from(source, address);
    client.reply(220);
    for (line, code) in [
        ("USER joe", 331),
        ("PASS x", 230),
        ("NOOP", 200),
        ("QUIT", 221),
    ] {
        client.say(line);
        client.reply(code);
    }
    begin.elapsed()
}

/// A server that has room for everybody.
struct Backend {
    address: SocketAddr,
    _runtime: tokio::runtime::Runtime,
}

impl Backend {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let address = SocketAddr::new(own_ip().into(), 2021);
        let door = Door::for_many(address);
        runtime.spawn(async move {
            let listener = TcpListener::from_std(door).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        });
        Self {
            address,
            _runtime: runtime,
        }
    }
}

async fn serve(stream: TcpStream) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    write.write_all(b"220 Room for all.\r\n").await?;
    let mut lines = BufReader::with_capacity(256, read).lines();
    while let Some(line) = lines.next_line().await? {
        let reply: &[u8] = match line.split(' ').next().unwrap_or_default() {
            "USER" => b"331 Password?\r\n",
            "PASS" => b"230 Welcome.\r\n",
            "QUIT" => b"221 Bye.\r\n",
            _ => b"200 Fine.\r\n",
        };
        write.write_all(reply).await?;
        if line.starts_with("QUIT") {
            break;
        }
    }
    Ok(())
}

/// The flood's two ends of each connection, and what other tests have.
fn allow_descriptors() {
    const NEEDED: u64 = 12_000;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    assert!(
        hard >= NEEDED,
        "this needs {NEEDED} descriptors: ulimit -Hn"
    );
    if soft < NEEDED {
        setrlimit(Resource::RLIMIT_NOFILE, NEEDED, hard).unwrap();
    }
}
