//! A transfer as one JSON object. `docs/transfer-log.md` tells what each field means.

use std::net::{IpAddr, SocketAddr};

use jiff::Timestamp;
use serde::Serialize;

use super::Transfer;
use crate::ending::Ending;
use crate::ftp::command::Verb;
use crate::ftp::reply::Code;
use crate::ftp::text::Legible;

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    session: u64,
    client: IpAddr,
    client_port: u16,
    user: &'a str,
    listener: &'a str,
    vip: SocketAddr,
    pool: &'a str,
    backend: Option<&'a str>,
    backend_address: Option<SocketAddr>,
    verb: Option<&'static str>,
    path: String,
    file: Option<String>,
    #[serde(rename = "type")]
    representation: &'static str,
    mode: &'static str,
    direction: &'static str,
    bytes: u64,
    seconds: f64,
    bytes_per_second: Option<u64>,
    reply: Option<u16>,
    complete: bool,
    side: &'static str,
    phase: &'static str,
    cause: &'static str,
}

/// The line of a transfer that ended at `now`, without its end.
pub(super) fn line(transfer: &Transfer<'_>, now: Timestamp) -> String {
    let Ending { side, phase, cause } = transfer.ending;
    let bytes = transfer.bytes();
    let milliseconds = (transfer.time.as_micros() + 500) / 1_000;
    let line = Line {
        time: format!("{now:.3}"),
        session: transfer.session,
        client: transfer.client.ip(),
        client_port: transfer.client.port(),
        user: transfer.user,
        listener: transfer.listener,
        vip: transfer.vip,
        pool: transfer.pool,
        backend: Some(transfer.backend).filter(|name| !name.is_empty()),
        backend_address: transfer.backend_address,
        verb: transfer.verb.map(Verb::label),
        path: Legible(transfer.path).to_string(),
        file: transfer.file.map(|file| Legible(file).to_string()),
        representation: transfer.representation.label(),
        mode: transfer.mode.label(),
        direction: transfer.direction.label(),
        bytes,
        seconds: rounded(transfer.time.as_secs_f64()),
        bytes_per_second: per_second(bytes, milliseconds),
        reply: transfer.reply.map(Code::value),
        complete: transfer.ending.is_complete(),
        side: side.label(),
        phase: phase.label(),
        cause: cause.label(),
    };
    serde_json::to_string(&line).expect("text and numbers are JSON")
}

/// To the millisecond.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// `None` if it was over in no time.
fn per_second(bytes: u64, milliseconds: u128) -> Option<u64> {
    let per_second = (u128::from(bytes) * 1_000).checked_div(milliseconds)?;
    u64::try_from(per_second).ok()
}
