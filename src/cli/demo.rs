//! `ftplb demo`: three small FTP servers with a few files each, and the balancer in front of them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use libunftp::options::ActivePassiveMode;
use tempfile::TempDir;
use unftp_sbe_fs::Filesystem;

use crate::app::{Footing, Load};
use crate::cli::{complain, exit, print, serve, surroundings};
use crate::config::args::Args;
use crate::telemetry::log;

/// Where the demo is.
#[derive(clap::Args, Debug)]
pub(super) struct Options {
    /// Where clients connect.
    #[arg(long, default_value = "127.0.0.1:2121", value_name = "IP:PORT")]
    listen: SocketAddr,
    /// Where metrics and health are served.
    #[arg(long, default_value = "127.0.0.1:9121", value_name = "IP:PORT")]
    admin: SocketAddr,
}

/// Runs until it is interrupted.
pub(super) fn run(options: &Options) -> ExitCode {
    match start(options) {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::from(exit::OSERR)
        }
    }
}

fn start(options: &Options) -> anyhow::Result<ExitCode> {
    let servers = NAMES.map(Server::start);
    let servers: Vec<Server> = servers.into_iter().collect::<anyhow::Result<_>>()?;
    let args = Args {
        listen: vec![options.listen.to_string()],
        backend: servers
            .iter()
            .map(|s| format!("{},name={}", s.address, s.name))
            .collect(),
        algorithm: Some("rr".to_owned()),
        admin: Some(options.admin.to_string()),
        // Besides the endings: which backend each session was given.
        log_filter: Some("info,ftplb::proxy::record=debug,libunftp=off".to_owned()),
        ..Args::default()
    };
    let load = move || {
        let checked = args.check(&surroundings());
        checked.map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let config = load()
        .map_err(|problems| anyhow::anyhow!(problems.join("\n")))?
        .config;
    let logging = log::start(&config).context("cannot write a log")?;
    let again: Load = Arc::new(move || load().map(|checked| checked.config));
    Ok(serve(config, again, &logging, Footing::default(), || {
        print(&invitation(options, &servers));
    }))
}

/// An embedded FTP server on a port of its own, with a runtime of its own: the balancer's is not shared.
struct Server {
    name: &'static str,
    address: SocketAddr,
    files: TempDir,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    fn start(name: &'static str) -> anyhow::Result<Self> {
        let files = tempfile::tempdir().context("cannot make a directory for the demo's files")?;
        fill(files.path(), name).context("cannot write the demo's files")?;
        let address = free_address().context("cannot find a free port")?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context("cannot start threads")?;
        let root = files.path().to_owned();
        let storage = Filesystem::new(&root).context("cannot open the demo's files")?;
        drop(storage);
        let server = libunftp::ServerBuilder::new(Box::new(move || {
            Filesystem::new(&root).expect("the directory was opened a moment ago")
        }))
        .greeting("ftplb demo server")
        .active_passive_mode(ActivePassiveMode::ActiveAndPassive)
        .passive_ports(PASSIVE_PORTS)
        .build()
        .context("cannot build the demo's FTP server")?;
        runtime.spawn(async move {
            if let Err(error) = server.listen(address.to_string()).await {
                tracing::error!(%error, "the demo's FTP server has stopped");
            }
        });
        wait_until_it_accepts(address)?;
        Ok(Self {
            name,
            address,
            files,
            _runtime: runtime,
        })
    }
}

fn fill(directory: &Path, name: &str) -> std::io::Result<()> {
    std::fs::write(directory.join("who-am-i.txt"), format!("I am {name}.\n"))?;
    std::fs::write(directory.join("hello.txt"), "Hello from behind ftplb.\n")?;
    std::fs::write(directory.join("ten-megabytes.bin"), vec![b'x'; 10 << 20])
}

fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn wait_until_it_accepts(address: SocketAddr) -> anyhow::Result<()> {
    let deadline = std::time::Instant::now() + START;
    while std::net::TcpStream::connect(address).is_err() {
        anyhow::ensure!(
            std::time::Instant::now() < deadline,
            "the demo's FTP server does not start"
        );
        std::thread::yield_now();
    }
    Ok(())
}

fn invitation(options: &Options, servers: &[Server]) -> String {
    let Options { listen, admin } = options;
    let servers: Vec<String> = servers
        .iter()
        .map(|s| {
            format!(
                "  {}  ftp://{}  {}\n",
                s.name,
                s.address,
                s.files.path().display()
            )
        })
        .collect();
    let servers = servers.concat();
    format!(
        "Three FTP servers with their files:\n{servers}\
         and one address in front of them. Try, more than once:\n\
         \n  curl ftp://{listen}/who-am-i.txt\
         \n  curl -T /etc/hostname ftp://{listen}/ --next ftp://{listen}/\
         \n  lftp -e 'cat who-am-i.txt; cat ten-megabytes.bin > /dev/null; ls; bye' {listen}\
         \n  curl -s http://{admin}/metrics | grep ^ftplb_sessions_total\
         \n\nEvery session is logged here with its backend. Ctrl-C ends the demo.\n\n"
    )
}

const NAMES: [&str; 3] = ["anna", "bert", "cleo"];

/// The servers' own passive ports, beside the balancer's 10000 to 20000.
const PASSIVE_PORTS: std::ops::RangeInclusive<u16> = 20_001..=21_000;

/// How long a server may take to start.
const START: Duration = Duration::from_secs(5);
