//! The metrics that every Prometheus client has of its own process, read from `/proc` for each scrape
//! (proc(5)). What can not be read keeps its value: a scrape never fails for it.

use std::fs;
use std::sync::{Mutex, PoisonError};

use prometheus::{Counter, Gauge};

use super::Families;

/// The metrics of this process.
#[derive(Debug)]
pub(super) struct Process {
    /// With a lock, so that two scrapes at a time do not both add the same seconds.
    cpu_seconds: Mutex<Counter>,
    open_fds: Gauge,
    max_fds: Gauge,
    resident_memory_bytes: Gauge,
    start_time_seconds: Gauge,
}

impl Process {
    pub(super) fn new(families: Families<'_>) -> Self {
        let gauge = |name: &str, help: &str| families.register(Gauge::new(name, help));
        let cpu_seconds = Counter::new(
            "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds.",
        );
        Self {
            cpu_seconds: Mutex::new(families.register(cpu_seconds)),
            open_fds: gauge("process_open_fds", "Number of open file descriptors."),
            max_fds: gauge(
                "process_max_fds",
                "Maximum number of open file descriptors.",
            ),
            resident_memory_bytes: gauge(
                "process_resident_memory_bytes",
                "Resident memory size in bytes.",
            ),
            start_time_seconds: gauge(
                "process_start_time_seconds",
                "Start time of the process since unix epoch in seconds.",
            ),
        }
    }

    /// Reads everything again.
    pub(super) fn update(&self) {
        let read = |path| fs::read_to_string(path).ok();
        if let Some(stat) = read("/proc/self/stat").as_deref().and_then(Stat::parse) {
            let cpu_seconds = self
                .cpu_seconds
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            cpu_seconds.inc_by((stat.cpu_seconds - cpu_seconds.get()).max(0.0));
            if let Some(boot) = read("/proc/stat").and_then(|text| word_after(&text, "btime")) {
                self.start_time_seconds
                    .set(boot + stat.start_seconds_after_boot);
            }
        }
        if let Some(kibibytes) =
            read("/proc/self/status").and_then(|text| word_after(&text, "VmRSS:"))
        {
            self.resident_memory_bytes.set(kibibytes * 1024.0);
        }
        if let Some(limit) =
            read("/proc/self/limits").and_then(|text| word_after(&text, "Max open files"))
        {
            self.max_fds.set(limit);
        }
        if let Some(open) = open_descriptors() {
            self.open_fds.set(open.into());
        }
    }
}

/// Descriptors of this process. Since Linux 6.2 the directory says how many entries it has; to count them
/// takes milliseconds when there are ten thousand sessions.
fn open_descriptors() -> Option<u32> {
    let told = fs::metadata(DESCRIPTORS).ok()?.len();
    if told > 0 {
        return u32::try_from(told).ok();
    }
    let counted = fs::read_dir(DESCRIPTORS).ok()?.count();
    // One of them is the directory itself.
    u32::try_from(counted.saturating_sub(1)).ok()
}

/// What is needed of `/proc/self/stat`.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    start_seconds_after_boot: f64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The second field is the program's name in parentheses, which may contain anything.
        let (_, rest) = text.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace().skip(11);
        let mut ticks = || fields.next()?.parse::<f64>().ok();
        let (user, system) = (ticks()?, ticks()?);
        let start = fields.nth(6)?.parse::<f64>().ok()?;
        let cpu_seconds = (user + system) / TICKS_PER_SECOND;
        Some(Self {
            cpu_seconds,
            start_seconds_after_boot: start / TICKS_PER_SECOND,
        })
    }
}

/// The first number of the line that begins with `key`.
fn word_after(text: &str, key: &str) -> Option<f64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key))?;
    value.split_ascii_whitespace().next()?.parse().ok()
}

/// `USER_HZ`, in which Linux tells times to programs: 100 on every architecture that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;

const DESCRIPTORS: &str = "/proc/self/fd";

#[cfg(test)]
mod tests {
    use super::{Stat, word_after};

    #[test]
    fn times_are_found_whatever_the_program_is_called() {
        let text = "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 0 0 0 250 150 0 0 20 0 4 0 12345 1 2 3\n";
        let stat = Stat {
            cpu_seconds: 4.0,
            start_seconds_after_boot: 123.45,
        };
        assert_eq!(Stat::parse(text), Some(stat));
        for broken in [
            "",
            "7 (a)",
            "7 (a) S 1 7 7 0 -1 4194560 100 0 0 0 250 150",
            "7 a S 1",
        ] {
            assert_eq!(Stat::parse(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn a_number_is_found_by_the_beginning_of_its_line() {
        let table = [
            ("Name:\tx\nVmRSS:\t    5120 kB\n", "VmRSS:", Some(5120.0)),
            (
                "Max open files            1024                 4096  files\n",
                "Max open files",
                Some(1024.0),
            ),
            (
                "cpu 1 2\nbtime 1700000000\n",
                "btime",
                Some(1_700_000_000.0),
            ),
            ("xbtime 1\n", "btime", None),
            ("btime\n", "btime", None),
        ];
        for (text, key, value) in table {
            assert_eq!(word_after(text, key), value, "{text:?}");
        }
    }
}
