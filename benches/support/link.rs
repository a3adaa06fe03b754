//! A link of 10 Gbit/s between the clients and everything else, both ways: a network as its users have it, where
//! throughput is given, the processors have time left, and what differs is what they are used for.
//!
//! The kernel's traffic control shapes what goes to and from the addresses of the clients. What goes between a balancer and
//! its servers passes it by.

use std::io;
use std::process::{Command, Stdio};

use super::network;

/// The link, until this is dropped.
pub(crate) struct Link;

impl Link {
    /// Whether this host has `tc`, and lets it be used here. Only on a network of the bench's own: on another one it would
    /// slow down the loopback of others.
    pub(crate) fn is_available() -> bool {
        network::is_own() && Self::new().is_ok()
    }

    pub(crate) fn new() -> io::Result<Self> {
        tc("qdisc add dev lo root handle 1: htb default 0")?;
        // From here on it is taken away again when something fails.
        let link = Self;
        for (class, side) in [("1:1", "dst"), ("1:2", "src")] {
            tc(&format!(
                "class add dev lo parent 1: classid {class} htb rate {RATE} burst {BURST} cburst {BURST} quantum 60000"
            ))?;
            tc(&format!(
                "filter add dev lo parent 1: protocol ip u32 match ip {side} {CLIENTS} flowid {class}"
            ))?;
        }
        Ok(link)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // With the namespace it goes in any case.
        let _is_gone = tc("qdisc del dev lo root");
    }
}

/// Runs `tc` with the words of `arguments`.
fn tc(arguments: &str) -> io::Result<()> {
    let mut command = Command::new("tc");
    command.args(arguments.split(' '));
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    if status?.success() {
        Ok(())
    } else {
        Err(io::Error::other("tc does not make the link"))
    }
}

const RATE: &str = "10gbit";

/// Of bytes: a fifth of a millisecond, so that what is late by a timer's grain is made up for.
const BURST: &str = "256k";

/// See `load::source`.
const CLIENTS: &str = "127.79.0.0/16";
