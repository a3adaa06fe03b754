//! A program under test: started, measured as the kernel tells, and gone with the bench however that ends.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use super::group::MemoryGroup;

/// A program and the processes that it has started.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts `program` as a user of its own where it can be, so that what the kernel counts for each user
    /// (memory of pipes) is counted for each program. What it prints goes to `output`.
    ///
    /// It is ended together with this thread, even when that is killed.
    pub(crate) fn start(
        user: u32,
        group: Option<&MemoryGroup>,
        program: &Path,
        arguments: &[&OsStr],
        output: &Path,
    ) -> anyhow::Result<Self> {
        let output = fs::File::create(output)?;
        let child = join(group)
            .args(["setpriv", "--pdeathsig", "TERM"])
            .args(as_user(user).into_iter().flatten())
            .arg(program)
            .args(arguments)
            // Of the bench, if it is profiled too.
            .env_remove("LLVM_PROFILE_FILE")
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("sh")?;
        Ok(Self { child })
    }

    /// Of the program: what starts it becomes it.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Seconds of processor time since the start, user and system.
    pub(crate) fn cpu(&self) -> anyhow::Result<f64> {
        self.ids().into_iter().map(cpu_seconds).sum()
    }

    /// Bytes of memory: `VmRSS`, or at its peak `VmHWM`. What its processes share counts for each of them.
    pub(crate) fn memory(&self, field: &str) -> anyhow::Result<u64> {
        self.ids()
            .into_iter()
            .map(|id| memory_bytes(id, field))
            .sum()
    }

    /// Itself first, so that it does not replace the workers that end.
    fn signal(&self, signal: Signal) {
        for id in self.ids() {
            if let Ok(id) = i32::try_from(id) {
                let _may_have_ended = kill(Pid::from_raw(id), signal);
            }
        }
    }

    /// Itself and its workers.
    fn ids(&self) -> Vec<u32> {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let children = children.unwrap_or_default();
        let workers = children.split_whitespace().flat_map(str::parse);
        std::iter::once(id).chain(workers).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_ok_and(|status| status.is_some()) {
            return;
        }
        // One that is profiled writes down what it has counted (benches/profile.sh).
        self.signal(Signal::SIGTERM);
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            if self.ended().is_ok_and(|status| status.is_some()) {
                // Its number may be another's by now.
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.signal(Signal::SIGKILL);
        let _was_killed = self.child.wait();
    }
}

/// A second, as the kernel counts for userspace (`USER_HZ`).
const TICKS: f64 = 100.0;

/// How long one may take to end by itself: those that still have sessions are not waited for.
const GRACE: Duration = Duration::from_secs(2);

/// Seconds of processor time of the process `id` since its start.
pub(crate) fn cpu_seconds(id: u32) -> anyhow::Result<f64> {
    let id = Pid::from_raw(i32::try_from(id)?);
    let clock = ClockId::pid_cpu_clock_id(id).context("the process has ended")?;
    Ok(Duration::from(clock_gettime(clock)?).as_secs_f64())
}

/// Seconds for which the processors of the host have been idle, together, since it started.
pub(crate) fn idle_seconds() -> anyhow::Result<f64> {
    let text = fs::read_to_string("/proc/stat")?;
    // user, nice, system, idle, iowait, ...
    let idle = { text.lines().next() }.and_then(|line| {
        let mut fields = line.split_ascii_whitespace().skip(4).map(str::parse::<f64>);
        Some(fields.next()?.ok()? + fields.next()?.ok()?)
    });
    Ok(idle.context("no idle time in /proc/stat")? / TICKS)
}

/// TCP sockets of this network that are not closed.
pub(crate) fn sockets() -> anyhow::Result<u64> {
    let text = fs::read_to_string("/proc/net/sockstat")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("TCP: inuse "));
    let count = line.and_then(|line| line.split(' ').next());
    Ok(count.context("no TCP in sockstat")?.parse()?)
}

/// Changes the owner of `path` to the user that programs are started as.
pub(crate) fn give(path: &Path, user: u32) -> anyhow::Result<()> {
    if *MAY_CHANGE_USER {
        std::os::unix::fs::chown(path, Some(user), Some(user))?;
    }
    Ok(())
}

/// A command that joins `group` before it does anything else.
fn join(group: Option<&MemoryGroup>) -> Command {
    let members = group.map_or("/dev/null".into(), MemoryGroup::members);
    let mut command = Command::new("sh");
    command.args(["-c", r#"echo $$ > "$0" && exec "$@""#]);
    command.arg(members);
    command
}

/// How `setpriv` is told, where it may.
fn as_user(user: u32) -> Option<[String; 3]> {
    MAY_CHANGE_USER.then(|| user_options(user))
}

fn user_options(user: u32) -> [String; 3] {
    [
        format!("--reuid={user}"),
        format!("--regid={user}"),
        "--clear-groups".to_owned(),
    ]
}

/// Bytes of memory of the process `id`, of a line `field:  1234 kB`.
pub(crate) fn memory_bytes(id: u32, field: &str) -> anyhow::Result<u64> {
    let status =
        fs::read_to_string(format!("/proc/{id}/status")).context("the process has ended")?;
    let value = status
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find_map(|(name, value)| (name == field).then_some(value))
        .context("no such field in status")?;
    let kibibytes: u64 = value.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes * 1024)
}

/// Root may, where all users are known.
static MAY_CHANGE_USER: LazyLock<bool> = LazyLock::new(|| {
    let trial = Command::new("setpriv")
        .args(user_options(1))
        .arg("true")
        .stderr(Stdio::null())
        .status();
    trial.is_ok_and(|status| status.success())
});
