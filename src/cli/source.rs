//! Where the configuration comes from: a file, a `keepalived.conf`, or a few flags or environment variables.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory};

use crate::cli::{Cli, complain, exit, import, surroundings};
use crate::config::Config;
use crate::config::args::Args;
use crate::config::check::{self, Checked};
use crate::config::problem::Problem;

/// Where the configuration comes from: a file, a `keepalived.conf`, or a few flags or environment
/// variables.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Source {
    /// The configuration file; /etc/ftplb/ftplb.toml unless flags or variables say what is in it. With
    /// a file, the other flags and variables are not for use.
    #[arg(short, long, env = "FTPLB_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where clients connect: IP:PORT. May be given more than once.
    #[arg(long, env = "FTPLB_LISTEN", value_name = "IP:PORT")]
    listen: Vec<String>,
    /// A backend: IP:PORT[,weight=N][,name=NAME]. May be given more than once.
    #[arg(long, env = "FTPLB_BACKENDS", value_name = "IP:PORT")]
    backend: Vec<String>,
    /// How a backend is picked: rr, wrr, lc, wlc, mh.
    #[arg(long, env = "FTPLB_ALGORITHM", value_name = "NAME")]
    algorithm: Option<String>,
    #[command(flatten)]
    keepalived: import::Keepalived,
    #[command(flatten)]
    common: Common,
}

/// What flags say beside any source but a file of ftplb's own.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Common {
    /// The ports of passive data connections.
    #[arg(long, env = "FTPLB_PASSIVE_PORTS", value_name = "FIRST-LAST")]
    pub(super) passive_ports: Option<String>,
    /// The IPv4 address that clients reach this host by, when it is behind NAT.
    #[arg(long, env = "FTPLB_ADVERTISE", value_name = "IP")]
    pub(super) advertise: Option<String>,
    /// Where /metrics, /healthz and /readyz are served.
    #[arg(long, env = "FTPLB_ADMIN", value_name = "IP:PORT")]
    pub(super) admin: Option<String>,
    /// Where orders are taken: the path of a Unix socket, or a loopback IP:PORT.
    #[arg(long, env = "FTPLB_API", value_name = "PATH")]
    pub(super) api: Option<String>,
    /// Whom ftplb becomes when it is started as root: USER or USER:GROUP.
    #[arg(long, env = "FTPLB_USER", value_name = "USER")]
    pub(super) user: Option<String>,
    /// The form of log lines: text or json.
    #[arg(long, env = "FTPLB_LOG_FORMAT", value_name = "FORM")]
    pub(super) log_format: Option<String>,
    /// What is logged: info, debug, ftplb=debug ...
    #[arg(long, env = "FTPLB_LOG_FILTER", value_name = "FILTER")]
    pub(super) log_filter: Option<String>,
    /// A file for the log, in place of standard error.
    #[arg(long, env = "FTPLB_LOG_FILE", value_name = "FILE")]
    pub(super) log_file: Option<String>,
}

/// Where the configuration is if nobody says where it is, nor what it is.
const USUAL_FILE: &str = "/etc/ftplb/ftplb.toml";

const NO_CONFIGURATION: &str = "there is no configuration: neither /etc/ftplb/ftplb.toml nor another file (--config, \
     FTPLB_CONFIG), and nothing that says where clients connect and which servers there are (--listen and \
     --backend, FTPLB_LISTEN and FTPLB_BACKENDS)";

/// What says where clients connect and which servers there are, if not a file.
const SOURCES: [&str; 3] = ["listen", "backend", "algorithm"];

/// What says something beside.
const COMMON: [&str; 8] = [
    "passive_ports",
    "advertise",
    "admin",
    "api",
    "user",
    "log_format",
    "log_filter",
    "log_file",
];

impl Source {
    /// A file and flags say the same things, so one of them is meant. The command line goes before the
    /// environment; of two that stand in the same place neither is guessed at.
    pub(super) fn choose(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let keepalived = import::FLAGS;
        if loses(
            matches,
            "config",
            SOURCES.iter().chain(&COMMON).chain(&keepalived),
        )? {
            self.config = None;
        }
        if loses(matches, "keepalived", SOURCES.iter())? {
            self.keepalived.keepalived = None;
        }
        self.choose_usual_file(matches)?;
        let on_command_line =
            |flag: &&&str| matches.value_source(flag) == Some(ValueSource::CommandLine);
        if self.keepalived.keepalived.is_none()
            && let Some(flag) = import::FLAGS.iter().skip(1).find(on_command_line)
        {
            let flag = flag.replace('_', "-");
            let text = format!("--{flag} says more of a --keepalived FILE, which is not given\n");
            return Err(Cli::command().error(clap::error::ErrorKind::MissingRequiredArgument, text));
        }
        Ok(())
    }

    /// Where nothing else says where clients connect and which servers there are, the file at the usual
    /// place does, if it is there.
    fn choose_usual_file(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let is_given = |flag: &&&str| matches.value_source(flag).is_some();
        let is_said =
            { ["config", "keepalived"].iter().chain(&SOURCES) }.any(|flag| is_given(&flag));
        // What can not be looked for may be there: reading it tells why it can not be read.
        if is_said || !Path::new(USUAL_FILE).try_exists().unwrap_or(true) {
            return Ok(());
        }
        if let Some(flag) = COMMON.iter().find(is_given) {
            let name = match matches.value_source(flag) {
                Some(ValueSource::EnvVariable) => variable(flag),
                _ => format!("--{}", flag.replace('_', "-")),
            };
            let text = format!(
                "{USUAL_FILE} is there, and {name} is given: write it into the file, or say by --listen and \
                 --backend what else is in it\n"
            );
            return Err(Cli::command().error(clap::error::ErrorKind::ArgumentConflict, text));
        }
        self.config = Some(PathBuf::from(USUAL_FILE));
        Ok(())
    }

    /// Goes on with the checked configuration, or reports everything that is wrong with it.
    pub(super) fn with_config(self, go_on: impl FnOnce(Checked) -> ExitCode) -> ExitCode {
        match self.read(complain) {
            Ok(checked) => go_on(checked),
            Err(problems) => {
                for problem in problems {
                    complain(&problem);
                }
                ExitCode::from(exit::CONFIG)
            }
        }
    }

    /// What the command line or the environment says of the admin address.
    pub(super) fn said_admin(&self) -> Option<&str> {
        self.common.admin.as_deref()
    }

    /// Where the configuration says that /metrics and /healthz are served, if it says so and has no mistake.
    pub(super) fn admin(self) -> Result<Option<SocketAddr>, Vec<String>> {
        let checked = self.read(|_| {})?;
        Ok(checked.config.admin.address)
    }

    /// The configuration as it is now, for a reload.
    pub(super) fn load(&self) -> Result<Config, Vec<String>> {
        let Checked { config, warnings } = self.clone().read(|doubt| tracing::warn!("{doubt}"))?;
        warn_of(&warnings);
        Ok(config)
    }

    /// Tells of what a reload would not find: ftplb is another user's than when it read the configuration.
    pub(super) fn warn_unless_it_can_be_read_again(&self) {
        if let Err(problems) = self.clone().read(|_| {}) {
            for problem in problems {
                tracing::warn!("a reload will fail, for ftplb is another user's now: {problem}");
            }
        }
    }

    /// `doubt` hears of what a keepalived.conf says and ftplb does otherwise.
    fn read(self, doubt: impl Fn(&str)) -> Result<Checked, Vec<String>> {
        let surroundings = surroundings();
        let checked = match (&self.config, &self.keepalived.keepalived) {
            (Some(path), _) => match std::fs::read_to_string(path) {
                Ok(text) => check::check(&text, &path.display().to_string(), &surroundings),
                Err(error) => {
                    return Err(vec![format!("{}: cannot be read: {error}", path.display())]);
                }
            },
            (None, Some(path)) => {
                let import = self.keepalived.read(path, &self.common);
                import::doubts(&import).for_each(|finding| doubt(&finding.to_string()));
                import.check(&surroundings)
            }
            (None, None) if self.says_nothing() => return Err(vec![NO_CONFIGURATION.to_owned()]),
            (None, None) => self.into_args().check(&surroundings),
        };
        checked.map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    fn says_nothing(&self) -> bool {
        self.listen.is_empty() && self.backend.is_empty() && self.algorithm.is_none()
    }

    fn into_args(self) -> Args {
        Args {
            listen: self.listen,
            backend: self.backend,
            algorithm: self.algorithm,
            passive_ports: self.common.passive_ports,
            advertise: self.common.advertise,
            admin: self.common.admin,
            api: self.common.api,
            user: self.common.user,
            log_format: self.common.log_format,
            log_filter: self.common.log_filter,
            log_file: self.common.log_file,
        }
    }
}

/// Whether the file of `source`, of the environment, gives way to one of `flags`, of the command line.
fn loses<'f>(
    matches: &ArgMatches,
    source: &str,
    flags: impl Iterator<Item = &'f &'f str>,
) -> Result<bool, clap::Error> {
    let Some(of_file) = matches.value_source(source) else {
        return Ok(false);
    };
    let mut loses = false;
    for flag in flags {
        match matches.value_source(flag) {
            Some(of_flag) if of_flag == of_file => {
                let names = match of_file {
                    ValueSource::EnvVariable => {
                        let [source, flag] = [source, flag].map(variable);
                        format!("{source} and {flag}")
                    }
                    _ => format!("--{source} and --{}", flag.replace('_', "-")),
                };
                let text = format!(
                    "{names} are both given: write it into the file, or leave the file out\n"
                );
                return Err(Cli::command().error(clap::error::ErrorKind::ArgumentConflict, text));
            }
            Some(ValueSource::CommandLine) => loses = true,
            _ => {}
        }
    }
    Ok(loses)
}

/// The environment variable that stands for a flag.
fn variable(flag: &str) -> String {
    let plural = if ["backend", "ftp_port", "fwmark"].contains(&flag) {
        "S"
    } else {
        ""
    };
    format!("FTPLB_{}{plural}", flag.to_uppercase())
}

/// Variables that look like ours and are not: mistyped, most likely.
pub(super) fn unknown_variables() -> Vec<String> {
    let program = Cli::command();
    let known: Vec<_> = program
        .get_subcommands()
        .flat_map(clap::Command::get_arguments)
        .filter_map(clap::Arg::get_env)
        .collect();
    std::env::vars_os()
        .map(|(name, _)| name)
        .filter(|name| !known.contains(&name.as_os_str()))
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name.starts_with("FTPLB_"))
        .collect()
}

/// Logs what is doubtful, of the configuration and of the environment.
pub(super) fn warn_of(warnings: &[Problem]) {
    for variable in unknown_variables() {
        tracing::warn!(%variable, "no such variable is known, it changes nothing");
    }
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}
