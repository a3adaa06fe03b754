//! Programs that a test starts: bounded in time, killed by their own process group, never left behind.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// How long a test waits for anything that should happen at once. Generous: two cores run all tests.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A running program with all of its descendants, killed on drop.
pub(crate) struct Process {
    name: String,
    child: Child,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
    status: Option<ExitStatus>,
}

/// What a program that has ended left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Process {
    /// Starts `command` in a process group of its own. A pipe for standard output or error that the
    /// command asks for is read in the background, so that the program never waits for the test.
    pub(crate) fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command.process_group(0).spawn().unwrap_or_else(|error| {
            panic!("cannot start {name}: {error}; run tests/install.sh first")
        });
        let stdout = child.stdout.take().map(read_in_background);
        let stderr = child.stderr.take().map(read_in_background);
        Self {
            name,
            child,
            stdout,
            stderr,
            status: None,
        }
    }

    /// Its number.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap())
    }

    /// The exit status, if the program has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().unwrap();
        }
        self.status
    }

    /// Waits for the end of the program. Kills it and panics after `limit`.
    pub(crate) fn finish(&mut self, limit: Duration) -> Finished {
        let deadline = Instant::now() + limit;
        while self.ended().is_none() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(2));
        }
        let late = self.ended().is_none();
        self.kill();
        let finished = Finished {
            status: self.status.expect("kill waits for the end"),
            stdout: text(self.stdout.take()),
            stderr: text(self.stderr.take()),
        };
        assert!(
            !late,
            "{} was not done after {limit:?}: {finished:#?}",
            self.name
        );
        finished
    }

    /// Of the program.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends `signal` to the program and its descendants.
    pub(crate) fn signal(&mut self, signal: Signal) {
        // Until it is waited for, the process keeps its id, so that this cannot hit another's.
        if self.ended().is_none() {
            killpg(self.pid(), signal).unwrap();
        }
    }

    /// Kills the program and its descendants, and waits for the program.
    pub(crate) fn kill(&mut self) {
        // Servers fork for each session, and vsftpd gives those groups of their own: they are found
        // while their parents live.
        for process in descendants(self.child.id()).into_iter().map(Pid::from_raw) {
            drop_missing(kill(process, Signal::SIGKILL));
        }
        if self.status.is_none() {
            drop_missing(killpg(self.pid(), Signal::SIGKILL));
        }
        if self.status.is_none() {
            self.status = Some(self.child.wait().unwrap());
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Finished {
    /// Panics with all that the program said unless it succeeded.
    pub(crate) fn expect_success(self, what: &str) -> Self {
        assert!(self.status.success(), "{what} failed: {self:#?}");
        self
    }

    /// The exit code; `-signal` for a program that was killed.
    pub(crate) fn code(&self) -> i32 {
        self.status
            .code()
            .unwrap_or_else(|| -self.status.signal().unwrap_or_default())
    }
}

/// Runs a tool to its end, with all that it says collected.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Finished {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Process::start(command).finish(limit)
}

/// Panics unless `holds` becomes true soon.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {SOON:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// An address of the loopback network that no other test of this process has, and hardly one of
/// another process: on it, every port is free.
pub(crate) fn own_ip() -> Ipv4Addr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let process = u8::try_from(std::process::id() % 250).expect("below 250") + 1;
    Ipv4Addr::new(127, process, high, low)
}

/// A port of `::1` that was free a moment ago. IPv6 has only one loopback address.
pub(crate) fn free_v6_port() -> u16 {
    TcpListener::bind("[::1]:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// An address for a server of this test: its own IPv4 address and `port`, or `::1` and a free port.
pub(crate) fn own_address(ipv6: bool, port: u16) -> SocketAddr {
    if ipv6 {
        SocketAddr::new([0, 0, 0, 0, 0, 0, 0, 1].into(), free_v6_port())
    } else {
        SocketAddr::new(own_ip().into(), port)
    }
}

/// The processes that descend from `ancestor`, while their parents live.
fn descendants(ancestor: u32) -> Vec<i32> {
    let mut family = vec![i32::try_from(ancestor).unwrap()];
    let parent_of = |pid: i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name before it, in parentheses, may contain anything.
        stat.rsplit_once(')')?
            .1
            .split_whitespace()
            .nth(1)?
            .parse::<i32>()
            .ok()
    };
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
        Some((pid, parent_of(pid)?))
    });
    let processes: Vec<(i32, i32)> = processes.collect();
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        family.extend(
            processes
                .iter()
                .filter(|process| process.1 == parent)
                .map(|process| process.0),
        );
        next += 1;
    }
    family.split_off(1)
}

/// A process that has ended in the meantime needs no killing.
fn drop_missing(killed: nix::Result<()>) {
    assert!(
        matches!(killed, Ok(()) | Err(Errno::ESRCH)),
        "cannot kill: {killed:?}"
    );
}

fn read_in_background(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error still helps to see why the test failed.
        drop(pipe.read_to_end(&mut bytes));
        bytes
    })
}

fn text(reader: Option<JoinHandle<Vec<u8>>>) -> String {
    let bytes = reader
        .map(|thread| thread.join().unwrap())
        .unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
