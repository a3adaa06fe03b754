//! What a process has used, as the kernel tells (`/proc/PID/stat`, `/proc/PID/status`).

use std::fs;

use anyhow::Context as _;

/// Seconds of processor time, user and system, of the process `id` since its start.
pub(crate) fn cpu_seconds(id: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).context("the process has ended")?;
    // The name in parentheses may hold spaces; the state, field 3, follows it.
    let (_, fields) = stat.rsplit_once(')').context("no name in stat")?;
    let ticks = fields
        .split_whitespace()
        .skip(UTIME - STATE)
        .take(2)
        .map(str::parse::<u32>)
        .sum::<Result<u32, _>>()?;
    Ok(f64::from(ticks) / TICKS)
}

/// Bytes of memory of the process `id`: `VmRSS`, or at its peak `VmHWM`.
pub(crate) fn memory_bytes(id: u32, field: &str) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let value = status
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find_map(|(name, value)| (name == field).then_some(value))
        .context("no such field in status")?;
    let kibibytes: u64 = value.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes * 1024)
}

/// Fields of `stat`, counted as proc_pid_stat(5) does.
const STATE: usize = 3;
const UTIME: usize = 14;

/// Per second, on every architecture of today (`USER_HZ`).
const TICKS: f64 = 100.0;
