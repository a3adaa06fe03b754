//! ftplb as a process to be watched: a configuration of few lines, a limit on descriptors, its admin pages.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context as _, bail, ensure};
use tempfile::TempDir;

use super::subject::{Admin, Subject};

pub(crate) struct Ftplb {
    process: Child,
    address: SocketAddr,
    subject: Subject,
    folder: TempDir,
}

/// What a balancer is started with.
#[derive(Clone, Copy)]
pub(crate) struct Setup<'a> {
    pub(crate) ip: Ipv4Addr,
    pub(crate) backends: &'a [SocketAddr],
    /// Lines of `[[listener]]`.
    pub(crate) listener: &'a str,
    /// Further tables.
    pub(crate) tables: &'a str,
    /// Descriptors that it may have at most (`RLIMIT_NOFILE`).
    pub(crate) descriptors: u32,
    /// Whether its log is kept to explain a failed start: an hour's would be a gigabyte.
    pub(crate) keeps_log: bool,
}

impl Ftplb {
    /// Starts it, and waits until it takes clients.
    pub(crate) fn start(setup: Setup<'_>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let address = SocketAddr::from((setup.ip, CONTROL));
        let admin = Admin(SocketAddr::from((setup.ip, ADMIN)));
        let file = folder.path().join("ftplb.toml");
        fs::write(&file, setup.toml(address, admin, folder.path())?)?;
        // The shell sets the limit and becomes ftplb.
        let process = Command::new("sh")
            .args(["-c", "ulimit -n \"$0\" && exec \"$@\""])
            .arg(setup.descriptors.to_string())
            .args([env!("CARGO_BIN_EXE_ftplb"), "run", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let id = process.id();
        let mut ftplb = Self {
            process,
            address,
            subject: Subject { id, admin },
            folder,
        };
        ftplb.wait_until_ready()?;
        Ok(ftplb)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn subject(&self) -> Subject {
        self.subject
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.subject.admin.get("/readyz").is_err() {
            if let Some(status) = self.process.try_wait()? {
                let log = fs::read_to_string(self.folder.path().join(LOG));
                bail!("ftplb ended with {status}: {}", log.unwrap_or_default());
            }
            ensure!(Instant::now() < deadline, "ftplb is not ready");
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Ftplb {
    fn drop(&mut self) {
        let _may_have_ended = self.process.kill().and_then(|()| self.process.wait());
    }
}

impl Setup<'_> {
    fn toml(self, address: SocketAddr, admin: Admin, folder: &Path) -> anyhow::Result<String> {
        let log = if self.keeps_log {
            folder.join(LOG)
        } else {
            "/dev/null".into()
        };
        let log = log.to_str().context("a path that is not UTF-8")?;
        let Admin(admin) = admin;
        let mut text = format!(
            "[[listener]]\naddress = \"{address}\"\n{}\n\
             [admin]\naddress = \"{admin}\"\n\
             [log]\nfile = '{log}'\n{}\n[[pool]]\n",
            self.listener, self.tables
        );
        for backend in self.backends {
            writeln!(text, "[[pool.backend]]\naddress = \"{backend}\"")?;
        }
        Ok(text)
    }
}

/// 21 is for root.
const CONTROL: u16 = 2121;

const ADMIN: u16 = 9121;

const LOG: &str = "ftplb.log";
