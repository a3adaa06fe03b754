//! What the kernel's Landlock keeps a process from: writing files, running programs, signalling others.
//!
//! Reading is left to the user's own rights: a reload may name files anywhere, and there is nothing to read
//! that the user could not read before. What can not be known is not restricted either: a script of the
//! operator's is any program, and inherits whatever is restricted here. Where there are scripts, none of it
//! is.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _,
    RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use super::PrivilegeError;
use crate::config::{ApiAddress, Config};

/// What is restricted.
#[derive(Debug)]
pub(super) enum Files {
    /// Nothing: scripts are run.
    Scripts,
    /// Nothing: the kernel has no Landlock.
    NoLandlock,
    /// No file is written but in the directories of the logs, no program run, no socket made but in `sockets`.
    Restricted {
        /// The directories of the API's socket and that of the handover.
        sockets: Vec<PathBuf>,
        /// Whether the kernel can restrict all that was asked for.
        is_whole: bool,
    },
}

impl Files {
    /// Restricts this thread and those that it will start, as far as the kernel can.
    pub(super) fn restrict(config: &Config) -> Result<Self, PrivilegeError> {
        if config.runs_scripts() {
            return Ok(Self::Scripts);
        }
        let sockets: Vec<PathBuf> = sockets(config).map(Path::to_owned).collect();
        let logs = [&config.log.file, &config.transfer_log.file];
        let logs = logs.into_iter().flatten().map(|file| directory(file));
        let status = landlock(&sockets, logs).map_err(PrivilegeError::Landlock)?;
        Ok(match status {
            RulesetStatus::NotEnforced => Self::NoLandlock,
            RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Self::Restricted {
                sockets,
                is_whole: status == RulesetStatus::FullyEnforced,
            },
        })
    }

    /// What of `config` is forbidden by now.
    pub(super) fn mistakes(&self, config: &Config) -> Vec<String> {
        let Self::Restricted { sockets: known, .. } = self else {
            return Vec::new();
        };
        let mut found = Vec::new();
        if let Some((key, _)) = config.scripts().first() {
            found.push(format!(
                "{key}: no program can be run any more: ftplb was started in a sandbox without scripts; \
                 restart it"
            ));
        }
        // The handover's own stays as it is without a restart.
        if let Some(wanted) = api(config).filter(|wanted| !{ known.iter() }.any(|it| it == wanted))
        {
            found.push(format!(
                "admin.api: no socket can be made in {} any more: the sandbox that ftplb was started in does \
                 not know the directory; restart it",
                wanted.display()
            ));
        }
        found
    }

    /// For the log.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Scripts => "unrestricted: scripts are run",
            Self::NoLandlock => "unrestricted: this kernel has no Landlock",
            Self::Restricted { is_whole: true, .. } => "restricted",
            Self::Restricted {
                is_whole: false, ..
            } => "restricted as far as this kernel can",
        }
    }
}

fn landlock<'a>(
    sockets: &[PathBuf],
    logs: impl Iterator<Item = &'a Path>,
) -> Result<RulesetStatus, RulesetError> {
    let socket: BitFlags<_> = AccessFs::MakeSock | AccessFs::RemoveFile;
    let append = AccessFs::MakeReg | AccessFs::WriteFile;
    let restricted = Ruleset::default()
        .handle_access(AccessFs::from_write(KNOWN) | AccessFs::Execute)?
        .scope(Scope::from_all(KNOWN))?
        .create()?
        // A directory that is not there is missed, and told of, by whoever needs it.
        .add_rules(path_beneath_rules(sockets, socket))?
        .add_rules(path_beneath_rules(logs, append))?
        .restrict_self()?;
    Ok(restricted.ruleset)
}

/// Where sockets are made.
fn sockets(config: &Config) -> impl Iterator<Item = &Path> {
    let handover = config.process.handover.as_deref().map(directory);
    api(config).into_iter().chain(handover)
}

/// The directory of the API's socket, if it has one.
fn api(config: &Config) -> Option<&Path> {
    match &config.admin.api {
        Some(ApiAddress::Unix(path)) => Some(directory(path)),
        Some(ApiAddress::Loopback(_)) | None => None,
    }
}

fn directory(of: &Path) -> &Path {
    let parent = of.parent().unwrap_or(Path::new("/"));
    if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    }
}

/// The latest set of restrictions that the tests have seen. The kernel takes what it knows of it.
const KNOWN: ABI = ABI::V7;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::net::UnixListener;
    use std::process::Command;
    use std::thread;

    use super::*;
    use crate::config::check::{Surroundings, check};

    /// What is restricted is the thread's own: another one shows what it is kept from.
    fn within(more: &str, then: impl FnOnce(Files) + Send + 'static) {
        let text = format!(
            "[[listener]]\naddress = \"127.0.0.1\"\n[[pool]]\n[[pool.backend]]\naddress = \"127.0.0.2\"\n{more}"
        );
        let config = check(&text, "x.toml", &Surroundings::default())
            .unwrap()
            .config;
        let done = thread::spawn(move || then(Files::restrict(&config).unwrap())).join();
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }

    fn is_refused<T>(result: std::io::Result<T>) -> bool {
        result.is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
    }

    #[test]
    fn nothing_is_run_and_nothing_written_but_the_log_and_the_socket() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        fs::create_dir(at("run")).unwrap();
        fs::create_dir(at("log")).unwrap();
        fs::write(at("file"), "1").unwrap();
        let more = format!(
            "[admin]\napi = \"{}\"\n[log]\nfile = \"{}\"\n",
            at("run/api.sock").display(),
            at("log/x.log").display()
        );
        let at = {
            let home = home.path().to_owned();
            move |name: &str| home.join(name)
        };
        within(&more, move |files| {
            if matches!(files, Files::NoLandlock) {
                return;
            }
            assert!(is_refused(fs::write(at("file"), "2")));
            assert!(is_refused(fs::write(at("new"), "2")));
            assert!(is_refused(fs::write(at("run/new"), "2")));
            assert!(is_refused(fs::remove_file(at("file"))));
            assert!(is_refused(UnixListener::bind(at("new.sock"))));
            assert!(is_refused(Command::new("/bin/true").status()));
            assert_eq!(fs::read(at("file")).unwrap(), b"1", "reading is free");
            fs::write(at("log/x.log"), "3").unwrap();
            drop(UnixListener::bind(at("run/api.sock")).unwrap());
            fs::remove_file(at("run/api.sock")).unwrap();
        });
    }

    #[test]
    fn where_scripts_are_run_they_may_do_what_they_are_there_for() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        within("on_up = \"x\"\n", move |files| {
            assert!(matches!(files, Files::Scripts), "{files:?}");
            fs::write(&file, "1").unwrap();
            assert!(Command::new("/bin/true").status().unwrap().success());
        });
    }
}
