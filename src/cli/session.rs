//! `ftplb session`: the live sessions of a running ftplb, and the end of one.

use super::ask::{AskError, Where, quoted};
use super::print;
use super::status::warn_of_more;
use super::table::{short_bytes, short_time, table};
use crate::ops::status::{SessionList, SessionStatus};

#[derive(clap::Args, Clone, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    at: Where,
    #[command(subcommand)]
    order: Order,
}

/// What is asked of the sessions, or ordered of one.
#[derive(clap::Subcommand, Clone, Debug)]
enum Order {
    /// The live sessions, the oldest first.
    List {
        /// Those of this backend: its name or address.
        #[arg(long)]
        backend: Option<String>,
        /// Those of this client: an address, with or without port, or a network.
        #[arg(long)]
        client: Option<String>,
        /// At most so many, up to 10000.
        #[arg(long, default_value_t = 1_000)]
        limit: usize,
        /// As JSON: the answer of `GET /v1/sessions`.
        #[arg(long)]
        json: bool,
    },
    /// End a session: the client gets 421, its transfers are cut.
    Kill {
        /// What the list and the log call it.
        id: u64,
        /// At its next idle moment, and not at once: a transfer may finish.
        #[arg(long)]
        drain: bool,
    },
}

pub(super) fn run(options: &Options) -> Result<(), AskError> {
    let api = options.at.api()?;
    match &options.order {
        Order::List {
            backend,
            client,
            limit,
            json,
        } => {
            let filter = |name: &str, value: &Option<String>| match value {
                Some(value) => format!("&{name}={}", quoted(value)),
                None => String::new(),
            };
            let filters = [filter("backend", backend), filter("client", client)].concat();
            let path = format!("/v1/sessions?limit={limit}{filters}");
            if *json {
                let sessions: serde_json::Value = api.get(&path)?;
                print(&format!("{sessions:#}\n"));
                return Ok(());
            }
            let sessions: SessionList = api.get(&path)?;
            print(&list(&sessions));
            warn_of_more("sessions", sessions.total, sessions.sessions.len());
            Ok(())
        }
        Order::Kill { id, drain } => {
            let how = if *drain { "?drain" } else { "" };
            let session: SessionStatus = api.delete(&format!("/v1/sessions/{id}{how}"))?;
            let when = if *drain {
                "ends at its next idle moment"
            } else {
                "ends"
            };
            print(&format!(
                "session {} of {} {when}\n",
                session.id, session.client
            ));
            Ok(())
        }
    }
}

fn list(sessions: &SessionList) -> String {
    let heading = [
        "ID",
        "CLIENT",
        "USER",
        "LISTENER",
        "POOL",
        "BACKEND",
        "PHASE",
        "AGE",
        "IDLE",
        "TO CLIENT",
        "TO BACKEND",
        "TRANSFER",
    ];
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let row = |session: &SessionStatus| {
        let transfer = session.transfer.as_ref().map(|transfer| {
            let (bytes, time) = (short_bytes(transfer.bytes), short_time(transfer.seconds));
            format!("{} {bytes} in {time}", transfer.verb)
        });
        [
            session.id.to_string(),
            session.client.to_string(),
            or_none(&session.user),
            session.listener.clone(),
            session.pool.clone(),
            or_none(&session.backend),
            session.phase.clone(),
            short_time(session.age_seconds),
            short_time(session.idle_seconds),
            short_bytes(session.to_client_bytes),
            short_bytes(session.to_backend_bytes),
            or_none(&transfer),
        ]
    };
    table(
        heading,
        &sessions.sessions.iter().map(row).collect::<Vec<_>>(),
    )
}

#[cfg(test)]
mod tests;
