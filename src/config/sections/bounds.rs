//! The bounds on buffers, queues and counts, and the deadlines of the waits.

use std::time::Duration;

use super::super::reader::Section;
use super::super::value::{count, duration, rate, size};
use super::{DAY, HOUR, MILLISECOND, SECOND};
use crate::limits::{Limits, Timeouts};

pub(super) fn limits(s: &mut Section<'_>) -> Limits {
    let default = Limits::default();
    let million = 1_000_000;
    let mut sessions = |name, default| s.or(name, count(1..=million), default);
    let all = sessions("sessions", default.sessions);
    let per_client = sessions("sessions_per_client", default.sessions_per_client);
    Limits {
        sessions: all,
        sessions_per_client: per_client,
        // Where everything comes from one address, that is said once.
        sessions_per_network: sessions("sessions_per_network", (all / 2).max(per_client)),
        sessions_before_login: sessions("sessions_before_login", all),
        sessions_before_login_per_client: sessions("sessions_before_login_per_client", per_client),
        prefix_v4: s.or("prefix_v4", count(0..=32), default.prefix_v4),
        prefix_v6: s.or("prefix_v6", count(0..=128), default.prefix_v6),
        connection_rate: s.or("connection_rate", rate, default.connection_rate),
        passive_rate: s.or("passive_rate", rate, default.passive_rate),
        command_rate: s.or("command_rate", rate, default.command_rate),
        reply_rate: s.or("reply_rate", rate, default.reply_rate),
        command_line_bytes: s.or(
            "command_line_bytes",
            size(64..=64 * KIB),
            default.command_line_bytes,
        ),
        reply_line_bytes: s.or(
            "reply_line_bytes",
            size(512..=KIB * KIB),
            default.reply_line_bytes,
        ),
        reply_lines: s.or("reply_lines", count(64..=million), default.reply_lines),
        reply_bytes: s.or(
            "reply_bytes",
            size(4 * KIB..=64 * KIB * KIB),
            default.reply_bytes,
        ),
        pending_commands: s.or(
            "pending_commands",
            count(1..=65_536),
            default.pending_commands,
        ),
        queued_bytes: s.or(
            "queued_bytes",
            size(4 * KIB..=16 * KIB * KIB),
            default.queued_bytes,
        ),
        leases_per_client: s.or(
            "leases_per_client",
            count(1..=50_000),
            default.leases_per_client,
        ),
        errors_before_login: s.or(
            "errors_before_login",
            count(1..=10_000),
            default.errors_before_login,
        ),
        tries: s.or("tries", count(1..=100), default.tries),
    }
}

pub(super) fn timeouts(s: &mut Section<'_>) -> Timeouts {
    let default = Timeouts::default();
    let mut wait = |name, default| s.or(name, duration(MILLISECOND..=7 * DAY), default);
    Timeouts {
        connect: wait("connect", default.connect),
        greeting: wait("greeting", default.greeting),
        user: wait("user", default.user),
        login: wait("login", default.login),
        line: wait("line", default.line),
        idle: wait("idle", default.idle),
        reply: wait("reply", default.reply),
        data_open: wait("data_open", default.data_open),
        data_dial: wait("data_dial", default.data_dial),
        data_idle: wait("data_idle", default.data_idle),
        settle: wait("settle", default.settle),
        drain: wait("drain", default.drain),
        backend_drain: wait("backend_drain", default.backend_drain),
        drain_idle: s.or(
            "drain_idle",
            duration(Duration::ZERO..=7 * DAY),
            default.drain_idle,
        ),
        upload_end: s.or(
            "upload_end",
            duration(Duration::ZERO..=SECOND),
            default.upload_end,
        ),
        upgrade: s.or("upgrade", duration(SECOND..=7 * DAY), default.upgrade),
        // The kernel counts whole seconds, and takes no more than 32767.
        keepalive: s.or("keepalive", duration(SECOND..=9 * HOUR), default.keepalive),
    }
}

const KIB: usize = 1 << 10;
