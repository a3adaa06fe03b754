//! What affinity costs with a million client networks: memory for each, the time of a call, and the longest
//! call there was.

use std::fs;
use std::hint::black_box;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use ftplb::balance::AffinityTable;
use nix::time::{ClockId, clock_gettime};

/// The default of `affinity.entries`.
const NETWORKS: u32 = 1_000_000;

type Client = fn(u32) -> IpAddr;

const FAMILIES: [(&str, Client); 2] = [("IPv4", v4), ("IPv6", v6)];

/// The client `n`, of which neighbours are far apart.
fn v4(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(n.wrapping_mul(0x9e37_79b1)).into()
}

fn v6(n: u32) -> IpAddr {
    let prefix: u128 = 0x2001_0db8_0000_0000_0000_0000_0000_0000;
    Ipv6Addr::from_bits(prefix + (u128::from(n.wrapping_mul(0x9e37_79b1)) << 64)).into()
}

fn table() -> AffinityTable {
    AffinityTable::new(Duration::from_mins(6), 32, 128, NETWORKS as usize)
}

fn backend(n: u32) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, u8::try_from(n % 100).unwrap_or(0)], 21))
}

/// Bytes of this process that are resident.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells what a process uses");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    kibibytes.map_or(0, |kibibytes: u64| kibibytes * 1024)
}

/// Processor time that this thread has used: what else runs on the machine is not in it.
fn used() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    time.expect("Linux counts the time of a thread").into()
}

/// Remembers clients from `first` on, as many as there are networks. Returns the longest call.
fn fill(table: &AffinityTable, client: Client, first: u32, now: Instant) -> Duration {
    let mut longest = Duration::ZERO;
    for n in first..first + NETWORKS {
        let start = used();
        table.remember(client(n), backend(n), now);
        longest = longest.max(used().saturating_sub(start));
    }
    longest
}

/// Of three rounds the longest call of the best: interrupts and page tables are in it.
fn memory_and_longest_call(_: &mut Criterion) {
    for (family, client) in FAMILIES {
        let before = resident();
        let filled = table();
        fill(&filled, client, 0, Instant::now());
        let bytes = u32::try_from(resident() - before).unwrap_or(u32::MAX);
        let each = f64::from(bytes) / f64::from(NETWORKS);
        drop(filled);
        let longest = (0..3).map(|_| {
            let (table, now) = (table(), Instant::now());
            let filling = fill(&table, client, 0, now);
            let replacing = fill(&table, client, NETWORKS, now);
            // All that is there is over when the next come.
            let forgetting = fill(&table, client, 2 * NETWORKS, now + Duration::from_hours(1));
            [filling, replacing, forgetting]
        });
        let best = longest.reduce(|a, b| [a[0].min(b[0]), a[1].min(b[1]), a[2].min(b[2])]);
        let [filling, replacing, forgetting] = best.unwrap_or_default();
        let mut out = std::io::stdout();
        let written = writeln!(
            out,
            "{family}: {each:.1} bytes a network; longest call {filling:?} while it fills, \
             {replacing:?} in place of the oldest, {forgetting:?} while old ones leave"
        );
        written.expect("the result can be told");
    }
}

fn calls(c: &mut Criterion) {
    for (family, client) in FAMILIES {
        let (table, now) = (table(), Instant::now());
        fill(&table, client, 0, now);
        let mut n = 0;
        let mut next = || {
            n = (n + 7_919) % NETWORKS;
            n
        };
        c.bench_function(&format!("{family}: lookup of one that is known"), |b| {
            b.iter(|| black_box(table.lookup(client(next()), now)));
        });
        c.bench_function(&format!("{family}: lookup of one that is not"), |b| {
            b.iter(|| black_box(table.lookup(client(NETWORKS + next()), now)));
        });
        c.bench_function(&format!("{family}: remember one that is known"), |b| {
            b.iter(|| table.remember(client(next()), backend(1), now));
        });
        let mut new = NETWORKS;
        c.bench_function(
            &format!("{family}: remember a new one, for the oldest"),
            |b| {
                b.iter(|| {
                    new += 1;
                    table.remember(client(new), backend(1), now);
                });
            },
        );
        c.bench_function(&format!("{family}: a listing of 1000"), |b| {
            b.iter(|| black_box(table.entries(1_000, now)));
        });
    }
}

criterion_group!(benches, memory_and_longest_call, calls);
criterion_main!(benches);
