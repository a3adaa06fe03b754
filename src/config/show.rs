//! The whole configuration in effect, as TOML that can be read back.
//!
//! Every default is written out, so that nobody need look one up. Secrets are shown as `***`. What has no
//! value is named in a comment.

mod bounds;
mod health;
mod page;
mod pool;
mod script;

use ipnet::IpNet;

use self::bounds::{show_limits, show_timeouts};
use self::page::{Page, inline, list, name_of, number, switch, text};
use self::pool::show_pool;
use self::script::show_scripts;
use super::sections::{LOG_FORMAT, PAGE, PORT_ADDRESS, TRANSFER_FORMAT};
use super::{
    Access, Admin, ApiAddress, Config, Listener, Log, PeerCheck, Pool, Process, TransferLog,
};

/// `config` as TOML. [`super::check::check`] reads it back as the same configuration but for secrets.
pub fn show(config: &Config) -> String {
    let Config {
        listeners,
        pools,
        limits,
        timeouts,
        scripts,
        process,
        admin,
        log,
        transfer_log,
    } = config;
    let mut page = Page::default();
    // A key of the root stands before the first table.
    let has_admin = *admin != Admin::default();
    if !has_admin {
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
    show_scripts(&mut page, scripts);
    show_process(&mut page, process);
    if has_admin {
        show_admin(&mut page, admin);
    }
    show_log(&mut page, log);
    show_transfer_log(&mut page, transfer_log);
    page.finish()
}

fn show_process(page: &mut Page, process: &Process) {
    let Process {
        user,
        privileged_ports,
        sandbox,
        handover,
    } = process;
    page.header("[process]");
    page.optional("user", user.as_ref().map(text));
    page.line("privileged_ports", privileged_ports);
    page.line("sandbox", sandbox);
    page.optional(
        "handover",
        handover.as_ref().map(|path| text(path.display())),
    );
}

fn show_admin(page: &mut Page, admin: &Admin) {
    let Admin {
        address,
        api,
        page: of,
    } = admin;
    page.header("[admin]");
    page.line("address", switch(address.as_ref(), |address| text(address)));
    let api = api.as_ref().map(|api| match api {
        ApiAddress::Loopback(address) => text(address),
        ApiAddress::Unix(path) => text(path.display()),
    });
    page.optional("api", api);
    page.line("page", name_of(&PAGE, *of));
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
        access: Access { allow, deny },
        deny_commands,
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
    let networks = |of: &[IpNet]| (!of.is_empty()).then(|| list(of.iter().map(text)));
    page.optional("allow", networks(allow));
    page.optional("deny", networks(deny));
    let denied = (!deny_commands.is_empty()).then(|| list(deny_commands.iter().map(text)));
    page.optional("deny_commands", denied);
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

fn show_transfer_log(page: &mut Page, log: &TransferLog) {
    let TransferLog { format, file } = log;
    page.header("[transfer_log]");
    page.line("format", name_of(&TRANSFER_FORMAT, *format));
    page.optional("file", file.as_ref().map(|file| text(file.display())));
}

#[cfg(test)]
mod tests;
