//! The release program of ftplb, as its users run it: configured by a file, logging to a file.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tempfile::TempDir;

pub(crate) struct Balancer {
    process: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Balancer {
    /// Starts it in front of `backends`, and waits until it takes clients.
    pub(crate) fn start(backends: &[SocketAddr]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        // A port that was free a moment ago, on an address that nobody else uses.
        let address = TcpListener::bind(VIP)?.local_addr()?;
        let file = folder.path().join("ftplb.toml");
        let log = folder.path().join("ftplb.log");
        fs::write(&file, configuration(address, backends, &log)?)?;
        let process = Command::new(env!("CARGO_BIN_EXE_ftplb"))
            .arg("run")
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut balancer = Self {
            process,
            address,
            folder,
        };
        balancer.wait_until_ready()?;
        Ok(balancer)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.process.try_wait()? {
                let log = fs::read_to_string(self.folder.path().join("ftplb.log"));
                bail!("ftplb ended with {status}: {}", log.unwrap_or_default());
            }
            if Instant::now() > deadline {
                bail!("ftplb does not accept connections");
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _may_have_ended = self.process.kill().and_then(|()| self.process.wait());
    }
}

/// Defaults but for what a bench needs: no health checks in between, room for all clients.
fn configuration(
    address: SocketAddr,
    backends: &[SocketAddr],
    log: &std::path::Path,
) -> anyhow::Result<String> {
    let log = log.to_str().context("a path that is not UTF-8")?;
    let mut text = format!(
        "[[listener]]\naddress = \"{address}\"\n\
         [limits]\nsessions = 100_000\nsessions_per_client = 100_000\n\
         [log]\nfile = '{log}'\n\
         [[pool]]\nhealth = false\n"
    );
    for backend in backends {
        writeln!(text, "[[pool.backend]]\naddress = \"{backend}\"")?;
    }
    Ok(text)
}

const VIP: &str = "127.77.0.1:0";
