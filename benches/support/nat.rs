//! The kernel's NAT with its FTP helper, which is what `ip_vs_ftp` rests on (`nf_conntrack_ftp`, `nf_nat_ftp`).
//!
//! It has no process: what it costs is in the time of clients and servers. Where its rules are, the packets of
//! everybody are tracked; so they are there only while it is measured.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::{Command, Stdio};

use super::system::{self, System};

/// The rules, until this is dropped.
pub(crate) struct Nat;

impl Nat {
    /// Whether this host has nftables, lets them be used here, and knows FTP.
    pub(crate) fn is_available() -> bool {
        // What is forgotten soon does not fill the table of connections.
        let _is_there = std::fs::write(TIME_WAIT, "1");
        Self::new().is_ok()
    }

    pub(crate) fn new() -> io::Result<Self> {
        let vip = System::Nat.virtual_ip();
        let port = system::control(vip).port();
        let (mut servers, mut count) = (String::new(), 0);
        for server in System::Nat.servers() {
            // Writing to a string does not fail.
            let _written = write!(servers, "{count} : {server}, ");
            count += 1;
        }
        nft(&format!(
            "table ip {TABLE} {{
                 ct helper ftp {{ type \"ftp\" protocol tcp; }}
                 chain helper {{
                     type filter hook output priority -150;
                     ip daddr {vip} tcp dport {port} ct helper set \"ftp\"
                 }}
                 chain nat {{
                     type nat hook output priority -100;
                     ip daddr {vip} tcp dport {port} dnat to numgen inc mod {count} map {{ {servers} }}
                 }}
             }}"
        ))?;
        Ok(Self)
    }
}

impl Drop for Nat {
    fn drop(&mut self) {
        // With the namespace they go in any case.
        let _is_gone = nft(&format!("delete table ip {TABLE}"));
    }
}

/// Has `rules` carried out.
fn nft(rules: &str) -> io::Result<()> {
    let mut command = Command::new("nft");
    command.args(["-f", "-"]).stdin(Stdio::piped());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(rules.as_bytes())?;
    }
    if child.wait()?.success() {
        Ok(())
    } else {
        Err(io::Error::other("nft does not take the rules"))
    }
}

const TABLE: &str = "ftplb_bench";

/// Seconds for which a connection that has ended is remembered.
const TIME_WAIT: &str = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_time_wait";
