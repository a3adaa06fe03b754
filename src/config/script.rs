//! Programs of the operator's that ftplb runs: health checks, and what is told of changes.

use std::time::Duration;

/// A program that is run, without a shell.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Script {
    /// The program, an absolute path or a name in `PATH`, and its arguments. At least one word.
    pub words: Vec<String>,
    /// As whom; else [`Scripts::run_as`].
    pub run_as: Option<RunAs>,
}

/// The user that a script is run as. Whether there is such a user is not known here.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct RunAs {
    /// The name of the user, or its number.
    pub user: String,
    /// The name of the group, or its number; else the user's own.
    pub group: Option<String>,
}

/// What is run when something comes up or goes down.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Notify {
    /// When it comes up.
    pub on_up: Option<Script>,
    /// When it goes down.
    pub on_down: Option<Script>,
}

/// What holds for every script.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scripts {
    /// As whom they are run unless they say so; else as ftplb's own user.
    pub run_as: Option<RunAs>,
    /// A script that is told of a change and takes longer is killed.
    pub timeout: Duration,
}
