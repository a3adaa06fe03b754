//! The parts of root's power that a process may have one by one.
//!
//! ftplb has a use for one: `CAP_NET_BIND_SERVICE`, for ports below 1024. It is kept where programs that
//! ftplb starts do not inherit it.

use caps::errors::CapsError;
use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::prctl;

use super::PrivilegeError;

/// Makes the right to privileged ports effective, where the process was given it and not its use. A
/// container image gives it so, by its program's file: a file that gives the use as well is not even
/// started where the container has not got the right.
pub(super) fn take_up() -> Result<(), PrivilegeError> {
    let has = |set| caps::has_cap(None, set, PORTS).map_err(failed);
    if has(CapSet::Permitted)? && !has(CapSet::Effective)? {
        caps::raise(None, CapSet::Effective, PORTS).map_err(failed)?;
    }
    Ok(())
}

/// Gives up every capability, but for that of privileged ports if it `keeps_ports` and has it; `become_it`
/// is called on the way, and may make this process another user's. Returns what is left, for the log.
pub(super) fn shrink(
    keeps_ports: bool,
    become_it: impl FnOnce() -> Result<(), PrivilegeError>,
) -> Result<&'static str, PrivilegeError> {
    let has = |capability| caps::has_cap(None, CapSet::Permitted, capability).map_err(failed);
    let keeps_ports = keeps_ports && has(PORTS)?;
    // What nobody below can have again. A container may withhold the right to say so, and need not have it.
    if has(Capability::CAP_SETPCAP)? {
        caps::clear(None, CapSet::Bounding).map_err(failed)?;
    }
    // Else the change of the user takes them all.
    prctl::set_keepcaps(keeps_ports).map_err(|error| failed(error.desc().into()))?;
    become_it()?;
    let mut kept = CapsHashSet::new();
    if keeps_ports {
        kept.insert(PORTS);
    }
    let none = CapsHashSet::new();
    // The ambient ones go with the inheritable ones.
    for (set, value) in [
        (CapSet::Effective, &kept),
        (CapSet::Inheritable, &none),
        (CapSet::Permitted, &kept),
    ] {
        caps::set(None, set, value).map_err(failed)?;
    }
    prctl::set_keepcaps(false).map_err(|error| failed(error.desc().into()))?;
    Ok(if keeps_ports {
        "net_bind_service"
    } else {
        "none"
    })
}

fn failed(error: CapsError) -> PrivilegeError {
    PrivilegeError::Capabilities(error)
}

const PORTS: Capability = Capability::CAP_NET_BIND_SERVICE;
