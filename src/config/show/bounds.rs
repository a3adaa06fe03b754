//! The bounds on buffers, queues and counts, and the deadlines of the waits.

use super::super::value::rate_text;
use super::page::{Page, duration, size, switch, text};
use crate::limits::{Limits, Rate, Timeouts};

pub(super) fn show_limits(page: &mut Page, limits: &Limits) {
    let Limits {
        sessions,
        sessions_per_client,
        sessions_per_network,
        prefix_v4,
        prefix_v6,
        sessions_before_login,
        sessions_before_login_per_client,
        connection_rate,
        passive_rate,
        command_rate,
        reply_rate,
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
    page.line("sessions_per_network", sessions_per_network);
    page.line("prefix_v4", prefix_v4);
    page.line("prefix_v6", prefix_v6);
    page.line("sessions_before_login", sessions_before_login);
    page.line(
        "sessions_before_login_per_client",
        sessions_before_login_per_client,
    );
    for (name, rate) in [
        ("connection_rate", connection_rate),
        ("passive_rate", passive_rate),
        ("command_rate", command_rate),
        ("reply_rate", reply_rate),
    ] {
        page.line(
            name,
            switch(rate.as_ref(), |rate: &Rate| text(rate_text(*rate))),
        );
    }
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

pub(super) fn show_timeouts(page: &mut Page, timeouts: &Timeouts) {
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
        backend_drain,
        drain_idle,
        upgrade,
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
        ("backend_drain", backend_drain),
        ("drain_idle", drain_idle),
        ("upgrade", upgrade),
        ("keepalive", keepalive),
    ] {
        page.line(name, duration(*timeout));
    }
}
