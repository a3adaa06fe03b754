//! ftplb as a program to be watched: a configuration of few lines, a limit on descriptors, its admin pages.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use anyhow::{Context as _, bail, ensure};
use tempfile::TempDir;

use super::group::MemoryGroup;
use super::process::{self, Process};
use super::subject::{Admin, Subject};

pub(crate) struct Ftplb {
    /// Dropped before its group, which must be empty by then.
    process: Process,
    group: Option<MemoryGroup>,
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
    /// Whether its log is kept, as its users do: an hour's would be a gigabyte.
    pub(crate) keeps_log: bool,
}

impl Ftplb {
    /// Starts it, and waits until it takes clients.
    pub(crate) fn start(setup: Setup<'_>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        process::give(folder.path(), USER)?;
        let address = SocketAddr::from((setup.ip, CONTROL));
        let admin = Admin(SocketAddr::from((setup.ip, ADMIN)));
        let file = folder.path().join("ftplb.toml");
        fs::write(&file, setup.toml(address, admin, folder.path())?)?;
        // A user of its own may not be let into the folder of the build.
        let program = folder.path().join("ftplb");
        fs::copy(self::program(), &program)?;
        let descriptors = setup.descriptors.to_string();
        // The shell sets the limit and becomes ftplb.
        let arguments: [&OsStr; 6] = [
            "-c".as_ref(),
            "ulimit -n \"$0\" && exec \"$@\"".as_ref(),
            descriptors.as_ref(),
            program.as_ref(),
            "run".as_ref(),
            "--config".as_ref(),
        ];
        let arguments = [&arguments[..], &[file.as_os_str()]].concat();
        let output = folder.path().join(OUTPUT);
        let group = MemoryGroup::new(&setup.ip.to_string());
        let process = Process::start(USER, group.as_ref(), Path::new("sh"), &arguments, &output)?;
        let id = process.id();
        let mut ftplb = Self {
            process,
            group,
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

    /// Seconds of processor time since the start.
    pub(crate) fn cpu(&self) -> anyhow::Result<f64> {
        self.process.cpu()
    }

    /// Bytes that the kernel has for it. None where this user may not know.
    pub(crate) fn kernel_bytes(&self) -> anyhow::Result<Option<u64>> {
        let group = self.group.as_ref();
        group.map(MemoryGroup::kernel_bytes).transpose()
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.subject.admin.get("/readyz").is_err() {
            if let Some(status) = self.process.ended()? {
                let said =
                    [OUTPUT, LOG].map(|name| fs::read_to_string(self.folder.path().join(name)));
                let said = said.map(Result::unwrap_or_default).concat();
                bail!("ftplb ended with {status}: {said}");
            }
            ensure!(Instant::now() < deadline, "ftplb is not ready");
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
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

/// The program that is watched: that of `FTPLB` in the environment, or what was built with the benches. The latter
/// has the features of development dependencies, which is neither what users build nor what their profile fits.
pub(crate) fn program() -> PathBuf {
    env::var_os("FTPLB").map_or_else(|| env!("CARGO_BIN_EXE_ftplb").into(), PathBuf::from)
}

/// The user that it runs as where that can be. It needs no name.
const USER: u32 = 63_100;

/// 21 is for root.
const CONTROL: u16 = 2121;

const ADMIN: u16 = 9121;

/// What it prints.
const OUTPUT: &str = "output";

const LOG: &str = "log";
