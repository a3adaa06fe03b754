//! The bounds on buffers, queues and counts, and the deadlines of the waits.

use std::time::Duration;

use super::super::reader::Section;
use super::super::value::{count, duration, size};
use super::{DAY, HOUR, MILLISECOND, SECOND};
use crate::limits::{Limits, Timeouts};

pub(super) fn limits(s: &mut Section<'_>) -> Limits {
    let default = Limits::default();
    let million = 1_000_000;
    Limits {
        sessions: s.or("sessions", count(1..=million), default.sessions),
        sessions_per_client: s.or(
            "sessions_per_client",
            count(1..=million),
            default.sessions_per_client,
        ),
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
        // The kernel counts whole seconds, and takes no more than 32767.
        keepalive: s.or("keepalive", duration(SECOND..=9 * HOUR), default.keepalive),
    }
}

const KIB: usize = 1 << 10;
