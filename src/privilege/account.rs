//! Users and groups of this host, and becoming one of them for good.

use nix::unistd::{Gid, Group, Uid, User, setgroups, setresgid, setresuid};

use super::PrivilegeError;
use crate::config::RunAs;

/// The user and the group that are meant, as far as there are any. May ask a directory service.
pub fn find(run_as: &RunAs) -> nix::Result<(Option<Uid>, Option<Gid>)> {
    let user = match User::from_name(&run_as.user)? {
        None => match run_as.user.parse().map(Uid::from_raw) {
            Ok(uid) => (Some(uid), User::from_uid(uid)?.map(|user| user.gid)),
            Err(_) => (None, None),
        },
        Some(user) => (Some(user.uid), Some(user.gid)),
    };
    let (uid, own) = user;
    let gid = match &run_as.group {
        None => own,
        Some(name) => match Group::from_name(name)? {
            None => name.parse().map(Gid::from_raw).ok(),
            Some(group) => Some(group.gid),
        },
    };
    Ok((uid, gid))
}

/// Makes this process that of `uid` and `gid`, of no other group, with no way back. The groups go first:
/// whoever is not root may not change them.
pub(super) fn become_it(user: &str, uid: Uid, gid: Gid) -> Result<(), PrivilegeError> {
    let all = || {
        setgroups(&[])?;
        setresgid(gid, gid, gid)?;
        setresuid(uid, uid, uid)
    };
    all().map_err(|source| PrivilegeError::Become {
        user: user.to_owned(),
        source,
    })
}
