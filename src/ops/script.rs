//! Running a program of the operator's, to its end or to its deadline.
//!
//! It is started without a shell, in `/`, in a process group of its own, with nothing to read, with no
//! descriptor but the standard ones, and with an environment of `PATH` and what it is told. Whoever stops
//! waiting for it, at the deadline or sooner, kills its whole group. A process that it has left behind in
//! good order lives on.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Gid, Pid, Uid, getegid, geteuid};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};

use crate::config::RunAs;
use crate::privilege::account;

/// A program to be run.
#[derive(Clone, Debug)]
pub struct Call {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// As whom; else as ftplb's own user.
    pub run_as: Option<RunAs>,
    /// What it is told beside its arguments: variables and their values.
    pub environment: Vec<(&'static str, String)>,
    /// It is killed when it takes longer.
    pub limit: Duration,
}

/// A program has come to an end of its own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ended {
    /// What it exited with.
    pub code: i32,
    /// What it wrote to standard output and standard error, up to a bound, on one line.
    pub said: String,
}

/// Why there is no exit code.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// Another user was wanted, and ftplb may not become it.
    #[error("{program} can not be run as {user}: for that ftplb must run as root")]
    NotRoot {
        /// What was to be run.
        program: String,
        /// As whom.
        user: String,
    },
    /// There is no such user or group.
    #[error("{program} can not be run: there is no {kind} {name:?} on this host")]
    NoSuch {
        /// What was to be run.
        program: String,
        /// What there is none of.
        kind: &'static str,
        /// How it is called.
        name: String,
    },
    /// The system could not start it, or could not say how it ended.
    #[error("{program} can not be run")]
    System {
        /// What was to be run.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// It was killed, by somebody else.
    #[error("{program} was killed by signal {signal}")]
    Signal {
        /// What was run.
        program: String,
        /// By which signal.
        signal: i32,
    },
    /// It took too long, and was killed.
    #[error("{program} was not done within {}, and was killed", humantime::format_duration(*.limit))]
    Timeout {
        /// What was run.
        program: String,
        /// How long it had.
        limit: Duration,
    },
}

impl Call {
    /// The program.
    pub fn program(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// Runs it. Within a runtime. Dropped before the end, it kills what it has started.
    pub async fn run(&self) -> Result<Ended, ScriptError> {
        let ids = self.ids().await?;
        let (mut running, mut said) = self.start(ids).map_err(|source| self.system(source))?;
        let ended = tokio::time::timeout(self.limit, running.end(&mut said)).await;
        let program = || self.program().to_owned();
        let Ok(status) = ended else {
            return Err(ScriptError::Timeout {
                program: program(),
                limit: self.limit,
            });
        };
        let status = status.map_err(|source| self.system(source))?;
        said.last_words().await;
        match (status.code(), status.signal()) {
            (Some(code), _) => Ok(Ended {
                code,
                said: said.on_one_line(),
            }),
            (None, signal) => Err(ScriptError::Signal {
                program: program(),
                signal: signal.unwrap_or_default(),
            }),
        }
    }

    fn start(&self, ids: Option<(Uid, Gid)>) -> io::Result<(Running, Said)> {
        let (reader, writer) = io::pipe()?;
        let mut command = Command::new(self.program());
        command
            .args(self.words.iter().skip(1))
            .env_clear()
            .env("PATH", path())
            .envs(self.environment.iter().cloned())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0);
        if let Some((user, group)) = ids {
            // The standard library leaves it no other groups then.
            command.uid(user.as_raw()).gid(group.as_raw());
        }
        let child = command.spawn()?;
        Ok((Running(child), Said::new(reader.into())?))
    }

    /// The user and group to become, if they are others than ftplb's own.
    async fn ids(&self) -> Result<Option<(Uid, Gid)>, ScriptError> {
        let Some(run_as) = self.run_as.clone() else {
            return Ok(None);
        };
        let RunAs { user, group } = run_as.clone();
        // A directory service far away may have to be asked.
        let found = tokio::task::spawn_blocking(move || account::find(&run_as)).await;
        let found = found.map_err(|error| self.system(error.into()))?;
        let (uid, gid) = match found.map_err(|error| self.system(error.into()))? {
            (Some(uid), Some(gid)) => (uid, gid),
            (None, _) => return Err(self.no_such("user", user)),
            (_, None) => return Err(self.no_such("group", group.unwrap_or(user))),
        };
        if (uid, gid) == (geteuid(), getegid()) {
            return Ok(None);
        }
        if !geteuid().is_root() {
            let program = self.program().to_owned();
            return Err(ScriptError::NotRoot { program, user });
        }
        Ok(Some((uid, gid)))
    }

    fn no_such(&self, kind: &'static str, name: String) -> ScriptError {
        ScriptError::NoSuch {
            program: self.program().to_owned(),
            kind,
            name,
        }
    }

    fn system(&self, source: io::Error) -> ScriptError {
        ScriptError::System {
            program: self.program().to_owned(),
            source,
        }
    }
}

/// A program that runs. Dropped before it was waited for, it is killed with its process group.
struct Running(Child);

impl Running {
    /// Waits for its end. Meanwhile it is read, or it would wait for us.
    async fn end(&mut self, said: &mut Said) -> io::Result<std::process::ExitStatus> {
        loop {
            tokio::select! {
                status = self.0.wait() => return status,
                () = said.read(), if said.is_open => {}
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has a number until it was waited for, so that this can not hit another's group.
        let Some(leader) = self.0.id().and_then(|id| i32::try_from(id).ok()) else {
            return;
        };
        if let Err(error) = killpg(Pid::from_raw(leader), Signal::SIGKILL) {
            tracing::warn!(%error, "a script could not be killed");
        }
    }
}

/// What a program says.
struct Said {
    pipe: pipe::Receiver,
    bytes: Vec<u8>,
    is_open: bool,
}

impl Said {
    fn new(reader: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            pipe: pipe::Receiver::from_owned_fd(reader)?,
            bytes: Vec::new(),
            is_open: true,
        })
    }

    /// Takes some more; what is over the bound is read and dropped.
    async fn read(&mut self) {
        let mut buffer = [0; 1024];
        match self.pipe.read(&mut buffer).await {
            Ok(count @ 1..) => {
                let room = MAX_SAID_BYTES - self.bytes.len();
                let taken = buffer.iter().take(count.min(room));
                self.bytes.extend(taken);
            }
            Ok(0) | Err(_) => self.is_open = false,
        }
    }

    /// Takes what is in the pipe still. Who else may have it open is not waited for.
    async fn last_words(&mut self) {
        let to_the_end = async {
            while self.is_open {
                self.read().await;
            }
        };
        let _all_or_enough = tokio::time::timeout(LAST_WORDS, to_the_end).await;
    }

    fn on_one_line(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        text.trim_end().escape_debug().to_string()
    }
}

/// Where programs are looked for.
fn path() -> OsString {
    std::env::var_os("PATH").unwrap_or_else(|| USUAL_PATH.into())
}

const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A page of text. Who has more to say has a log of its own.
const MAX_SAID_BYTES: usize = 4096;

/// For what a program wrote before its end to come out of the pipe: it is there already, unless another
/// process keeps the pipe open.
const LAST_WORDS: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
