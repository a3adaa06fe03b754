//! What the process gives up, and what the rest of the configuration has a use for.

use super::super::key::Key;
use super::super::problem::{Mistake, Problems};
use super::super::{ApiAddress, Config, RunAs};
use super::listener_key;

pub(super) fn judge_process(config: &Config, problems: &Problems<'_>) {
    let process = &config.process;
    let key = Key::of("process");
    let becomes = process.user.as_ref().filter(|user| !user.is_root());
    if !process.privileged_ports {
        if becomes.is_some() || process.sandbox {
            judge_source_ports(config, problems);
        } else {
            let hint = "leave it out, or name the user that ftplb is to become: user = \"ftplb\"";
            let mistake = Mistake::new("has no use: nothing is given up", hint);
            problems.warning(&key.field("privileged_ports"), mistake);
        }
    }
    if let Some(user) = becomes {
        judge_scripts(config, user, problems);
    }
    if let (Some(path), Some(ApiAddress::Unix(api))) = (&process.handover, &config.admin.api)
        && path == api
    {
        let hint = "write another path: \"/run/ftplb/handover.sock\"";
        let mistake = Mistake::new("orders are taken there already: admin.api", hint);
        problems.error(&key.field("handover"), mistake);
    }
}

/// Active data connections come from the port below the listener's (A7), or not at all where that is strict.
fn judge_source_ports(config: &Config, problems: &Problems<'_>) {
    for (index, listener) in config.listeners.iter().enumerate() {
        let source = listener.address.port().saturating_sub(1);
        if listener.strict_port20 && (1..FIRST_UNPRIVILEGED).contains(&source) {
            let message = format!(
                "active data connections are to come from port {source}, and process.privileged_ports gives \
                 that right up"
            );
            let hint = "write process.privileged_ports = true, or strict_port20 = false";
            let mistake = Mistake::new(message, hint);
            problems.error(&listener_key(index, "strict_port20"), mistake);
        }
    }
}

/// Only root can run a script as somebody else.
fn judge_scripts(config: &Config, user: &RunAs, problems: &Problems<'_>) {
    let mut wanted: Vec<(Key, &RunAs)> = Vec::new();
    let of_all = config.scripts.run_as.as_ref();
    wanted.extend(of_all.map(|run_as| (Key::of("scripts").field("run_as"), run_as)));
    let own = config.scripts().into_iter();
    wanted.extend(
        own.filter_map(|(key, script)| Some((key.field("run_as"), script.run_as.as_ref()?))),
    );
    let is_same = |run_as: &RunAs| {
        run_as.user == user.user && (run_as.group.is_none() || run_as.group == user.group)
    };
    for (key, run_as) in wanted.into_iter().filter(|(_, run_as)| !is_same(run_as)) {
        let message = format!(
            "{run_as} is somebody else than process.user, {user}, and only root can run scripts so"
        );
        let hint = "leave run_as out, or leave process.user out";
        problems.error(&key, Mistake::new(message, hint));
    }
}

/// Linux asks for `CAP_NET_BIND_SERVICE` below (`net.ipv4.ip_unprivileged_port_start` unless changed).
const FIRST_UNPRIVILEGED: u16 = 1024;
