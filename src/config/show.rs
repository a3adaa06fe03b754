//! The whole configuration in effect, as TOML that can be read back.
//!
//! Every default is written out, so that nobody need look one up. Secrets are shown as `***`. What has no
//! value is named in a comment.

use std::fmt::Display;
use std::time::Duration;

use toml::Value;

use super::sections::{BACKEND_ACTIVE, BACKEND_PASSIVE, LOG_FORMAT, PORT_ADDRESS};
use super::value::{Words, size_text};
use super::{
    Affinity, Backend, Config, Ejection, HealthCheck, Listener, Log, PeerCheck, Pool, Probe, Secret,
};
use crate::health::Thresholds;
use crate::limits::{Limits, Timeouts};

/// `config` as TOML. [`super::check::check`] reads it back as the same configuration but for secrets.
pub fn show(config: &Config) -> String {
    let Config {
        listeners,
        pools,
        limits,
        timeouts,
        admin,
        log,
    } = config;
    let mut page = Page(Vec::new());
    // A key of the root stands before the first table.
    if admin.is_none() {
        page.line("admin", false);
    }
    for listener in listeners {
        show_listener(&mut page, listener, pools);
    }
    for pool in pools {
        show_pool(&mut page, pool);
    }
    show_limits(&mut page, limits);
    show_timeouts(&mut page, timeouts);
    if let Some(address) = admin {
        page.header("[admin]");
        page.line("address", text(address));
    }
    show_log(&mut page, log);
    page.0.join("\n") + "\n"
}

/// Lines of TOML.
struct Page(Vec<String>);

impl Page {
    fn header(&mut self, header: &str) {
        if !self.0.is_empty() {
            self.0.push(String::new());
        }
        self.0.push(header.to_owned());
    }

    fn line(&mut self, name: &str, value: impl Display) {
        self.0.push(format!("{name} = {value}"));
    }

    fn optional(&mut self, name: &str, value: Option<impl Display>) {
        match value {
            Some(value) => self.line(name, value),
            None => self.0.push(format!("# {name} is not set")),
        }
    }
}

fn show_listener(page: &mut Page, listener: &Listener, pools: &[Pool]) {
    let Listener {
        address,
        pool,
        passive_ports,
        advertise,
        data_peer_check,
        port_address,
        strict_port20,
    } = listener;
    page.header("[[listener]]");
    page.line("address", text(address));
    page.optional("pool", pools.get(*pool).map(|pool| text(&pool.name)));
    let (first, last) = (passive_ports.start(), passive_ports.end());
    page.line("passive_ports", text(format_args!("{first}-{last}")));
    page.optional("advertise", advertise.map(text));
    page.line(
        "data_peer_check",
        match data_peer_check {
            PeerCheck::Strict => text("strict"),
            PeerCheck::Off => text("off"),
            PeerCheck::Prefix { v4, v6 } => {
                inline(&[("prefix_v4", number(v4)), ("prefix_v6", number(v6))])
            }
        },
    );
    page.line("port_address", name_of(&PORT_ADDRESS, *port_address));
    page.line("strict_port20", strict_port20);
}

fn show_pool(page: &mut Page, pool: &Pool) {
    let Pool {
        name,
        algorithm,
        backends,
        affinity,
        health,
        ejection,
        backend_passive,
        backend_active,
        source,
    } = pool;
    page.header("[[pool]]");
    page.line("name", text(name));
    page.line("algorithm", text(algorithm.name()));
    page.line(
        "backend_passive",
        name_of(&BACKEND_PASSIVE, *backend_passive),
    );
    page.line("backend_active", name_of(&BACKEND_ACTIVE, *backend_active));
    page.optional("source", source.map(text));
    page.line("affinity", switch(affinity.as_ref(), affinity_table));
    page.line("health", switch(health.as_ref(), health_table));
    page.line("ejection", switch(ejection.as_ref(), ejection_table));
    for Backend {
        address,
        name,
        weight,
    } in backends
    {
        page.header("[[pool.backend]]");
        page.line("address", text(address));
        page.line("weight", weight);
        page.line("name", text(name));
    }
}

fn affinity_table(affinity: &Affinity) -> String {
    let Affinity {
        timeout,
        prefix_v4,
        prefix_v6,
        entries,
    } = affinity;
    inline(&[
        ("timeout", duration(*timeout)),
        ("prefix_v4", number(prefix_v4)),
        ("prefix_v6", number(prefix_v6)),
        ("entries", number(entries)),
    ])
}

fn health_table(health: &HealthCheck) -> String {
    let HealthCheck {
        probe,
        interval,
        timeout,
        thresholds: Thresholds { rise, fall },
    } = health;
    let mut fields = match probe {
        Probe::Tcp => vec![("probe", text("tcp"))],
        Probe::Greeting => vec![("probe", text("greeting"))],
        Probe::Login { user, password: _ } => {
            vec![
                ("probe", text("login")),
                ("user", text(user)),
                ("password", text(Secret::MASK)),
            ]
        }
    };
    fields.extend([
        ("interval", duration(*interval)),
        ("timeout", duration(*timeout)),
        ("rise", number(rise)),
        ("fall", number(fall)),
    ]);
    inline(&fields)
}

fn ejection_table(ejection: &Ejection) -> String {
    let Ejection { failures, time } = ejection;
    inline(&[("failures", number(failures)), ("time", duration(*time))])
}

fn show_limits(page: &mut Page, limits: &Limits) {
    let Limits {
        sessions,
        sessions_per_client,
        command_line_bytes,
        reply_line_bytes,
        reply_lines,
        reply_bytes,
        pending_commands,
        queued_bytes,
        leases_per_client,
        errors_before_login,
        tries,
    } = limits;
    page.header("[limits]");
    page.line("sessions", sessions);
    page.line("sessions_per_client", sessions_per_client);
    page.line("command_line_bytes", size(*command_line_bytes));
    page.line("reply_line_bytes", size(*reply_line_bytes));
    page.line("reply_lines", reply_lines);
    page.line("reply_bytes", size(*reply_bytes));
    page.line("pending_commands", pending_commands);
    page.line("queued_bytes", size(*queued_bytes));
    page.line("leases_per_client", leases_per_client);
    page.line("errors_before_login", errors_before_login);
    page.line("tries", tries);
}

fn show_timeouts(page: &mut Page, timeouts: &Timeouts) {
    let Timeouts {
        connect,
        greeting,
        user,
        login,
        line,
        idle,
        reply,
        data_open,
        data_dial,
        data_idle,
        upload_end,
        settle,
        drain,
        keepalive,
    } = timeouts;
    page.header("[timeouts]");
    for (name, timeout) in [
        ("connect", connect),
        ("greeting", greeting),
        ("user", user),
        ("login", login),
        ("line", line),
        ("idle", idle),
        ("reply", reply),
        ("data_open", data_open),
        ("data_dial", data_dial),
        ("data_idle", data_idle),
        ("upload_end", upload_end),
        ("settle", settle),
        ("drain", drain),
        ("keepalive", keepalive),
    ] {
        page.line(name, duration(*timeout));
    }
}

fn show_log(page: &mut Page, log: &Log) {
    let Log {
        format,
        filter,
        file,
    } = log;
    page.header("[log]");
    page.line("format", name_of(&LOG_FORMAT, *format));
    page.line("filter", text(filter));
    page.optional("file", file.as_ref().map(|file| text(file.display())));
}

/// `value` as TOML text, quoted and escaped.
fn text(value: impl Display) -> String {
    Value::String(value.to_string()).to_string()
}

fn number(value: impl Display) -> String {
    value.to_string()
}

fn duration(duration: Duration) -> String {
    text(humantime::format_duration(duration))
}

/// A size in a round unit is text, one in bytes a number.
fn size(bytes: usize) -> String {
    let size = size_text(bytes);
    if size.ends_with('B') {
        text(size)
    } else {
        size
    }
}

fn name_of<T: Copy + PartialEq>(words: &Words<T>, value: T) -> String {
    let found = words.iter().find(|(_, meaning)| *meaning == value);
    text(found.expect("every meaning has a word").0)
}

fn switch<T>(value: Option<&T>, table: impl Fn(&T) -> String) -> String {
    value.map_or_else(|| false.to_string(), table)
}

fn inline(fields: &[(&str, String)]) -> String {
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    format!("{{ {} }}", fields.join(", "))
}

#[cfg(test)]
mod tests;
