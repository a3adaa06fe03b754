//! `ftplb status`: how a running ftplb does, in the form that `ipvsadm` shows it.

use std::time::Duration;

use super::ask::{Api, AskError, Where};
use super::listing::{self, connections};
use super::{complain, print};
use crate::ops::status::{AffinityList, SessionList, Status};

#[derive(clap::Args, Clone, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    at: Where,
    #[command(flatten)]
    form: Form,
    /// Whole numbers, however long.
    #[arg(long)]
    exact: bool,
}

/// What is shown in place of weights and sessions.
#[derive(clap::Args, Clone, Debug)]
#[group(multiple = false)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one flag each, of which clap takes one"
)]
struct Form {
    /// Sessions and bytes so far. Packets are 0: a proxy does not see them.
    #[arg(long)]
    stats: bool,
    /// Sessions and bytes a second, over a second.
    #[arg(long)]
    rate: bool,
    /// The sessions, and the clients that come back to their backend.
    #[arg(short, long, alias = "connection")]
    connections: bool,
    /// How many sessions each backend may have.
    #[arg(long)]
    thresholds: bool,
    /// How many clients come back to each backend.
    #[arg(long)]
    persistent_conn: bool,
    /// How long silence may last, in seconds.
    #[arg(long)]
    timeout: bool,
    /// All there is to know, as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: &Options) -> Result<(), AskError> {
    let (form, exact) = (&options.form, options.exact);
    let api = options.at.api()?;
    if form.json {
        let status: serde_json::Value = api.get(STATUS)?;
        print(&format!("{status:#}\n"));
        return Ok(());
    }
    let status: Status = api.get(STATUS)?;
    let text = match form {
        Form { stats: true, .. } => listing::stats(&status, exact),
        Form { rate: true, .. } => {
            std::thread::sleep(SAMPLE);
            listing::rates(&status, &api.get(STATUS)?, exact)
        }
        Form {
            thresholds: true, ..
        } => listing::thresholds(&status),
        Form { timeout: true, .. } => listing::timeouts(&status),
        Form {
            persistent_conn: true,
            ..
        } => listing::persistent(&status, &affinity(&api)?),
        Form {
            connections: true, ..
        } => {
            let sessions: SessionList = api.get(&format!("/v1/sessions?limit={MOST}"))?;
            warn_of_more("sessions", sessions.total, sessions.sessions.len());
            connections::connections(&status, &sessions, &affinity(&api)?)
        }
        _ => listing::weights(&status),
    };
    print(&text);
    Ok(())
}

fn affinity(api: &Api) -> Result<AffinityList, AskError> {
    let list: AffinityList = api.get(&format!("/v1/affinity?limit={MOST}"))?;
    warn_of_more("clients with affinity", list.total, list.entries.len());
    Ok(list)
}

/// Says that a list is not whole.
pub(super) fn warn_of_more(what: &str, total: usize, shown: usize) {
    // What runs out between the count and the list is no reason.
    if total > shown && shown > 0 {
        complain(&format!("{shown} of {total} {what} are shown"));
    }
}

const STATUS: &str = "/v1/status";

/// As many as one answer lists.
const MOST: usize = 10_000;

/// Between the two looks that a rate is made of.
const SAMPLE: Duration = Duration::from_secs(1);
