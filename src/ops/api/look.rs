//! What the API tells. Looking changes nothing.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri};
use ipnet::IpNet;
use serde::Deserialize;

use super::answer::{Answer, Refused};
use crate::ops::fleet::Fleet;
use crate::ops::status::{AffinityList, AffinityStatus, SessionList, Status};
use crate::ops::survey::{self, addresses};
use crate::proxy::sessions::Entry;

/// Everything about the process, its listeners and its pools.
pub(super) async fn status(State(fleet): State<Arc<Fleet>>) -> Answer<Status> {
    Answer(survey::status(&fleet, Instant::now()))
}

/// Which sessions are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionsWanted {
    #[serde(default = "usual_limit")]
    limit: usize,
    /// The name or the address.
    backend: Option<String>,
    /// The address, with or without port, or a network.
    client: Option<String>,
    #[serde(default)]
    order: Order,
}

/// Which sessions come first.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Order {
    #[default]
    Oldest,
    /// Those that transfer, the fastest first; then those that have paused for the shortest time.
    Busiest,
}

/// The live sessions.
pub(super) async fn sessions(
    State(fleet): State<Arc<Fleet>>,
    uri: Uri,
) -> Result<Answer<SessionList>, Refused> {
    let wanted: SessionsWanted = query(&uri)?;
    let limit = within(wanted.limit)?;
    let clients = wanted.client.as_deref().map(Clients::parse).transpose()?;
    let now = Instant::now();
    let addresses = addresses(&fleet, now);
    let address_of = |entry: &Entry| {
        let pinned = entry.pinned.get()?;
        let backend = (Arc::clone(&entry.origin.names.pool), pinned.backend);
        addresses.get(&backend).copied()
    };
    let is_wanted = |entry: &Arc<Entry>| {
        let of_backend = wanted.backend.as_deref().is_none_or(|wanted| {
            let is_named = entry
                .pinned
                .get()
                .is_some_and(|pinned| *pinned.name == *wanted);
            is_named
                || wanted
                    .parse()
                    .ok()
                    .is_some_and(|at| address_of(entry) == Some(at))
        });
        of_backend && { clients.as_ref() }.is_none_or(|of| of.contains(entry.origin.client))
    };
    let mut entries = fleet.process.sessions.list();
    entries.retain(is_wanted);
    if matches!(wanted.order, Order::Busiest) {
        survey::sort_by_business(&mut entries, now);
    }
    let first = entries.iter().take(limit);
    let sessions = first.map(|entry| survey::session_status(entry, address_of(entry), now));
    Ok(Answer(SessionList {
        total: entries.len(),
        sessions: sessions.collect(),
    }))
}

/// How many client networks are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AffinityWanted {
    #[serde(default = "usual_limit")]
    limit: usize,
}

/// The client networks that are remembered.
pub(super) async fn affinity(
    State(fleet): State<Arc<Fleet>>,
    uri: Uri,
) -> Result<Answer<AffinityList>, Refused> {
    let wanted: AffinityWanted = query(&uri)?;
    let limit = within(wanted.limit)?;
    let now = Instant::now();
    let mut list = AffinityList {
        total: 0,
        entries: Vec::new(),
    };
    for members in fleet.pools.load().iter() {
        let pool = &members.parts.pool;
        let Some(table) = pool.affinity() else {
            continue;
        };
        list.total += table.len();
        let snapshot = pool.snapshot(now);
        let left = limit - list.entries.len();
        list.entries
            .extend({ table.entries(left, now).into_iter() }.map(|entry| {
                let mut targets = snapshot.targets().iter();
                let target = targets.find(|target| target.address == entry.backend);
                AffinityStatus {
                    pool: pool.name().to_string(),
                    network: entry.network.to_string(),
                    backend: target.map(|target| target.name.to_string()),
                    backend_address: entry.backend,
                    seconds_left: entry.remaining.as_secs_f64(),
                }
            }));
    }
    Ok(Answer(list))
}

/// The clients that a filter means.
enum Clients {
    Network(IpNet),
    One(SocketAddr),
}

impl Clients {
    fn parse(text: &str) -> Result<Self, Refused> {
        let one = || text.parse().map(Self::One).ok();
        let address = || {
            text.parse::<IpAddr>()
                .map(|ip| Self::Network(ip.into()))
                .ok()
        };
        let network = || text.parse().map(Self::Network).ok();
        one().or_else(address).or_else(network).ok_or_else(|| {
            let error = format!("client={text}: an address, with or without port, or a network");
            Refused::new(StatusCode::BAD_REQUEST, error)
        })
    }

    fn contains(&self, client: SocketAddr) -> bool {
        match self {
            Self::Network(network) => network.contains(&client.ip()),
            Self::One(one) => *one == client,
        }
    }
}

/// What stands behind the question mark.
pub(super) fn query<Q: for<'de> Deserialize<'de>>(uri: &Uri) -> Result<Q, Refused> {
    match Query::try_from_uri(uri) {
        Ok(Query(query)) => Ok(query),
        Err(error) => Err(Refused::new(StatusCode::BAD_REQUEST, error.body_text())),
    }
}

fn within(limit: usize) -> Result<usize, Refused> {
    if limit <= MOST {
        return Ok(limit);
    }
    let error = format!("limit={limit}: at most {MOST}");
    Err(Refused::new(StatusCode::BAD_REQUEST, error))
}

const fn usual_limit() -> usize {
    1_000
}

/// What one answer lists at most: some megabytes, and a millisecond of whoever wants a backend meanwhile.
const MOST: usize = 10_000;
