//! What this process may do, and how it gives that up at its start.
//!
//! ```text
//!   [`take_up`] ── privileged ports are bound ─▶ [`Confinement::enter`] ─▶ log, runtime, threads
//!                                                  │
//!                    another user, no other groups ┤ where `process.user` says so
//!                    no capability, or one         ┤
//!                    no new privileges             ┤ where `process.sandbox` is on
//!                    files and signals (Landlock)  ┘
//! ```
//! Capabilities, "no new privileges" and Landlock are each thread's own, and are inherited by the threads
//! that it starts: all of this happens while there is one. Nothing of it can be taken back.

pub mod account;
mod capabilities;
mod files;

use nix::sys::prctl;
use nix::unistd::{Gid, Uid, getegid, geteuid};

use self::files::Files;
use crate::config::{Config, Process, RunAs};

/// Why privileges could not be given up. ftplb does not run with more than it was told to keep.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// There is no such user or group.
    #[error("process.user: there is no {kind} {name:?} on this host: create it, or name another")]
    NoSuch {
        /// What there is none of.
        kind: &'static str,
        /// How it is called.
        name: String,
    },
    /// Users can not be looked up.
    #[error("process.user: cannot look up {user:?}")]
    LookUp {
        /// Who was looked up.
        user: String,
        /// What the system said.
        source: nix::Error,
    },
    /// The system refused to make this process another user's.
    #[error(
        "cannot become user {user}: root needs CAP_SETUID and CAP_SETGID for that, which containers may \
         withhold; run ftplb as {user} from the start instead"
    )]
    Become {
        /// Who was to be become.
        user: String,
        /// What the system said.
        source: nix::Error,
    },
    /// Capabilities can not be seen or changed.
    #[error("cannot change the capabilities of the process")]
    Capabilities(#[source] caps::errors::CapsError),
    /// A switch of the process can not be set.
    #[error("cannot set {switch:?}: with process.sandbox = false ftplb does without")]
    Switch {
        /// What it is called.
        switch: &'static str,
        /// What the system said.
        source: nix::Error,
    },
    /// Landlock is there, and fails.
    #[error("cannot restrict files by Landlock: with process.sandbox = false ftplb does without")]
    Landlock(#[source] landlock::RulesetError),
}

/// What a process has given up. By default, nothing.
#[derive(Debug, Default)]
pub struct Confinement {
    identity: Identity,
    /// Whether capabilities were given up, and which are left.
    kept: Option<&'static str>,
    sandbox: Option<Files>,
}

/// Whose process it is.
#[derive(Debug, Default)]
enum Identity {
    /// Nobody asked for another.
    #[default]
    Unchanged,
    /// It is root's, and nobody has said that it should be.
    Root,
    /// It was root's.
    Became { user: String, uid: Uid, gid: Gid },
    /// Another user is configured, and only root could become it.
    NotRoot { wanted: String, uid: Uid },
}

/// Takes up what the process was given and may not use yet. To be called by its only thread.
pub fn take_up() -> Result<(), PrivilegeError> {
    capabilities::take_up()
}

impl Confinement {
    /// Gives up what `config` does not need. To be called by the only thread of the process.
    pub fn enter(config: &Config) -> Result<Self, PrivilegeError> {
        let process = &config.process;
        let identity = identify(process)?;
        let becomes = match &identity {
            Identity::Became { user, uid, gid } => Some((user, *uid, *gid)),
            _ => None,
        };
        // Root needs its capabilities to run scripts as other users.
        let shrinks = becomes.is_some() || (process.sandbox && !geteuid().is_root());
        let kept = if shrinks {
            Some(capabilities::shrink(process.privileged_ports, || {
                becomes.map_or(Ok(()), |(user, uid, gid)| {
                    account::become_it(user, uid, gid)
                })
            })?)
        } else {
            None
        };
        let mut sandbox = None;
        if process.sandbox {
            switch("no new privileges", prctl::set_no_new_privs())?;
            // There are passwords in its memory.
            switch("not dumpable", prctl::set_dumpable(false))?;
            sandbox = Some(Files::restrict(config)?);
        }
        Ok(Self {
            identity,
            kept,
            sandbox,
        })
    }

    /// What of `config` can not be had any more without a restart. Empty if all can.
    pub fn mistakes(&self, config: &Config) -> Vec<String> {
        let sandbox = self.sandbox.as_ref();
        sandbox.map_or_else(Vec::new, |files| files.mistakes(config))
    }

    /// Whether the process became another user's: what it could read before, it may not be able to read now.
    pub fn is_another_user(&self) -> bool {
        matches!(self.identity, Identity::Became { .. })
    }

    /// Says in the log what is in force.
    pub fn tell(&self) {
        match &self.identity {
            Identity::Root => tracing::warn!(
                "ftplb runs as root: set process.user to a user that can do nothing else, or to \"root\" if \
                 it must stay root"
            ),
            Identity::NotRoot { wanted, uid } => tracing::warn!(
                user = wanted, %uid,
                "process.user changes nothing: ftplb was not started as root, and goes on as who it is"
            ),
            Identity::Unchanged | Identity::Became { .. } => {}
        }
        let capabilities = self.kept.unwrap_or("unchanged");
        let no_new_privileges = self.sandbox.is_some();
        let files = self.sandbox.as_ref().map_or("unrestricted", Files::label);
        match &self.identity {
            Identity::Became { user, uid, gid } => tracing::info!(
                user, %uid, %gid, capabilities, no_new_privileges, files, "privileges given up"
            ),
            _ if self.kept.is_some() || self.sandbox.is_some() => {
                tracing::info!(
                    capabilities,
                    no_new_privileges,
                    files,
                    "privileges given up"
                );
            }
            _ => {}
        }
    }
}

fn switch(switch: &'static str, set: nix::Result<()>) -> Result<(), PrivilegeError> {
    set.map_err(|source| PrivilegeError::Switch { switch, source })
}

fn identify(process: &Process) -> Result<Identity, PrivilegeError> {
    let is_root = geteuid().is_root();
    let Some(wanted) = &process.user else {
        return Ok(if is_root {
            Identity::Root
        } else {
            Identity::Unchanged
        });
    };
    let (uid, gid) = resolve(wanted)?;
    if (uid, gid) == (geteuid(), getegid()) {
        return Ok(Identity::Unchanged);
    }
    let user = wanted.user.clone();
    Ok(if is_root {
        Identity::Became { user, uid, gid }
    } else {
        Identity::NotRoot {
            wanted: user,
            uid: geteuid(),
        }
    })
}

fn resolve(wanted: &RunAs) -> Result<(Uid, Gid), PrivilegeError> {
    let RunAs { user, group } = wanted;
    let found = account::find(wanted).map_err(|source| PrivilegeError::LookUp {
        user: user.clone(),
        source,
    })?;
    let no_such = |kind, name: &String| PrivilegeError::NoSuch {
        kind,
        name: name.clone(),
    };
    match found {
        (Some(uid), Some(gid)) => Ok((uid, gid)),
        (None, _) => Err(no_such("user", user)),
        (_, None) => Err(no_such("group", group.as_ref().unwrap_or(user))),
    }
}
