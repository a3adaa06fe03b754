//! `ftplb import`, and `--keepalived` of the other commands: what the library asks of the host.

use std::io::Read as _;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rand::RngExt as _;

use crate::cli::source::Common;
use crate::cli::{complain, exit, print, report, surroundings};
use crate::config::import::{self, Finding, Host, Options, Verdict};
use crate::config::{ipvsadm, keepalived};

/// A `keepalived.conf` in place of ftplb's own file.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Keepalived {
    /// A keepalived.conf: its virtual servers of FTP are served.
    #[arg(long, env = "FTPLB_KEEPALIVED", value_name = "FILE")]
    pub(super) keepalived: Option<PathBuf>,
    #[command(flatten)]
    unsaid: Unsaid,
}

/// Writes another balancer's configuration as ftplb's own.
#[derive(clap::Args, Debug)]
pub(super) struct Import {
    /// A keepalived.conf, or with --ipvsadm what ipvsadm-save -n prints; - is standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The file holds rules of ipvsadm.
    #[arg(long)]
    ipvsadm: bool,
    #[command(flatten)]
    unsaid: Unsaid,
    #[command(flatten)]
    common: Common,
}

/// What the input does not say.
#[derive(clap::Args, Clone, Debug)]
struct Unsaid {
    /// The virtual IP behind a firewall mark: MARK=IP:PORT. May be given more than once.
    #[arg(long, env = "FTPLB_FWMARKS", value_name = "MARK=IP:PORT")]
    fwmark: Vec<String>,
    /// A port of FTP beside 21. May be given more than once.
    #[arg(long, env = "FTPLB_FTP_PORTS", value_name = "PORT")]
    ftp_port: Vec<String>,
    /// keepalived's --config-id; the name of the host unless set.
    #[arg(long, env = "FTPLB_CONFIG_ID", value_name = "ID")]
    config_id: Option<String>,
}

/// The flags of [`Keepalived`].
pub(super) const FLAGS: [&str; 4] = ["keepalived", "fwmark", "ftp_port", "config_id"];

impl Keepalived {
    /// Reads the file at `path`.
    pub(super) fn read(&self, path: &Path, common: &Common) -> import::Import {
        let path = path.display().to_string();
        keepalived::import(&path, &System, &options(&self.unsaid, common))
    }
}

impl Import {
    /// Prints TOML, and beside it what became of each statement.
    pub(super) fn run(self) -> ExitCode {
        let options = options(&self.unsaid, &self.common);
        let path = self.file.display().to_string();
        let path = if path == "-" { "/dev/stdin" } else { &path };
        let import = if self.ipvsadm {
            ipvsadm::import(path, &System, &options)
        } else {
            keepalived::import(path, &System, &options)
        };
        match import.check(&surroundings()) {
            Ok(checked) => {
                print(&import.toml());
                complain(&lint(&import));
                report(&checked.warnings);
                ExitCode::SUCCESS
            }
            Err(problems) => {
                report(&problems);
                ExitCode::from(exit::CONFIG)
            }
        }
    }
}

/// What is different or lost of what concerns FTP.
pub(super) fn doubts(import: &import::Import) -> impl Iterator<Item = Finding> {
    let findings = import.findings().into_iter();
    findings.filter(|finding| finding.concerns_ftp && finding.verdict != Verdict::TakenOver)
}

/// What became of each statement, and how many became what.
fn lint(import: &import::Import) -> String {
    let findings = import.findings();
    let lines: Vec<_> = findings
        .iter()
        .map(|finding| format!("{finding}\n"))
        .collect();
    format!("{}{}", lines.concat(), import::summary(&findings))
}

fn options(unsaid: &Unsaid, common: &Common) -> Options {
    Options {
        ftp_ports: unsaid.ftp_port.clone(),
        marks: unsaid.fwmark.clone(),
        config_id: unsaid.config_id.clone(),
        passive_ports: common.passive_ports.clone(),
        advertise: common.advertise.clone(),
        admin: common.admin.clone(),
        api: common.api.clone(),
        user: common.user.clone(),
        log_format: common.log_format.clone(),
        log_filter: common.log_filter.clone(),
        log_file: common.log_file.clone(),
    }
}

/// This host.
struct System;

impl Host for System {
    fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path)?;
        file.take(MOST_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn glob(&self, pattern: &str) -> Vec<String> {
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        let Ok(paths) = glob::glob_with(pattern, options) else {
            return Vec::new();
        };
        let files = paths.filter_map(Result::ok).filter(|path| path.is_file());
        files.map(|path| path.display().to_string()).collect()
    }

    fn directory(&self) -> String {
        let directory = std::env::current_dir().unwrap_or_default();
        directory.display().to_string()
    }

    fn name(&self) -> String {
        nix::unistd::gethostname()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn random(&self, range: RangeInclusive<u64>) -> u64 {
        rand::rng().random_range(range)
    }
}

/// Of one file. The reader stops at less.
const MOST_BYTES: u64 = 33 << 20;
