//! `ftplb backend`: the backends of a running ftplb, one of them drained, disabled, resumed or weighted.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use super::ask::{Api, AskError, Where, quoted};
use super::listing::word;
use super::print;
use super::table::{count, short_bytes, short_time, table};
use crate::ops::status::{BackendStatus, CheckStatus, PoolStatus, State, Status, WeightOrder};

#[derive(clap::Args, Clone, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    at: Where,
    #[command(subcommand)]
    order: Order,
}

/// What is asked of the backends, or ordered of one.
#[derive(clap::Subcommand, Clone, Debug)]
enum Order {
    /// The backends of all pools, with their last checks.
    List {
        /// As JSON: the pools of `GET /v1/status`.
        #[arg(long)]
        json: bool,
    },
    /// No new sessions; those that are there end when their clients pause, or by a deadline.
    ///
    /// A session ends when its client has paused for `timeouts.drain_idle`; after half of
    /// `timeouts.backend_drain` (5m) at the next moment without a command or a transfer. At
    /// `timeouts.backend_drain` what is left is cut. `resume` takes it back; `weight 0` never ends a session.
    Drain {
        /// Its name or address; POOL/BACKEND where that is not clear.
        #[arg(value_name = "BACKEND")]
        backend: String,
        #[command(flatten)]
        patience: Patience,
    },
    /// No sessions: those that are there end at once.
    Disable {
        /// Its name or address; POOL/BACKEND where that is not clear.
        #[arg(value_name = "BACKEND")]
        backend: String,
        #[command(flatten)]
        patience: Patience,
    },
    /// Serve again after a drain, or after it was disabled.
    ///
    /// A drain is taken back for the sessions that are still there as well.
    Resume {
        /// Its name or address; POOL/BACKEND where that is not clear.
        #[arg(value_name = "BACKEND")]
        backend: String,
    },
    /// Another share of the new sessions, until the configuration says another; 0 is none.
    ///
    /// 0 never ends a session: what LVS calls quiesce.
    Weight {
        /// Its name or address; POOL/BACKEND where that is not clear.
        #[arg(value_name = "BACKEND")]
        backend: String,
        /// The weight, or `default` for that of the configuration.
        #[arg(value_parser = parse_weight, value_name = "WEIGHT")]
        weight: Weight,
    },
}

/// Whether to come back only when it is done.
#[derive(clap::Args, Clone, Debug)]
struct Patience {
    /// Wait until the backend has no session any more. Exits with 75 if it still has some then.
    #[arg(long)]
    wait: bool,
    /// For so long.
    #[arg(long, value_parser = humantime::parse_duration, default_value = "10m", requires = "wait")]
    timeout: Duration,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Weight(Option<u32>);

fn parse_weight(text: &str) -> Result<Weight, String> {
    if text == "default" {
        return Ok(Weight(None));
    }
    let weight = text.parse().map(|weight| Weight(Some(weight)));
    weight.map_err(|_| "a number, or `default`".to_owned())
}

pub(super) fn run(options: &Options) -> Result<(), AskError> {
    let api = options.at.api()?;
    match &options.order {
        Order::List { json: true } => {
            let status: Status = api.get(STATUS)?;
            let pools = serde_json::to_value(status.pools).unwrap_or_default();
            print(&format!("{pools:#}\n"));
            Ok(())
        }
        Order::List { json: false } => {
            print(&list(&api.get(STATUS)?));
            Ok(())
        }
        Order::Drain { backend, patience } => stand(&api, backend, "drain", Some(patience)),
        Order::Disable { backend, patience } => stand(&api, backend, "disable", Some(patience)),
        Order::Resume { backend } => stand(&api, backend, "resume", None),
        Order::Weight {
            backend,
            weight: Weight(weight),
        } => {
            let order = WeightOrder { weight: *weight };
            let body = serde_json::to_vec(&order).unwrap_or_default();
            let meant = find(&api, backend)?;
            let after = api.post(&format!("{}/weight", meant.path), Some(body))?;
            print(&format!("{}\n", sentence(&meant.pool, &after)));
            Ok(())
        }
    }
}

fn stand(
    api: &Api,
    backend: &str,
    order: &str,
    patience: Option<&Patience>,
) -> Result<(), AskError> {
    let meant = find(api, backend)?;
    let after = api.post(&format!("{}/{order}", meant.path), None)?;
    print(&format!("{}\n", sentence(&meant.pool, &after)));
    match patience {
        Some(Patience {
            wait: true,
            timeout,
        }) => wait(api, &meant, after, *timeout),
        _ => Ok(()),
    }
}

/// Waits until the backend has no session any more, and shows how many it has to whoever looks on.
fn wait(api: &Api, meant: &Meant, mut now: BackendStatus, limit: Duration) -> Result<(), AskError> {
    let (begin, mut err) = (Instant::now(), std::io::stderr());
    let is_watched = err.is_terminal();
    let mut show = |text: &str| {
        if is_watched {
            // Nobody is there to read it, at worst.
            let _shown = write!(err, "\r\x1b[K{text}").and_then(|()| err.flush());
        }
    };
    while now.sessions > 0 {
        show(&format!(
            "{}, {} left",
            busy(&now),
            short_time((limit.saturating_sub(begin.elapsed())).as_secs_f64())
        ));
        if begin.elapsed() >= limit {
            show("");
            return Err(AskError::NotYet(format!(
                "backend {}/{} still has {} after {}",
                meant.pool,
                now.name,
                busy(&now),
                humantime::format_duration(limit)
            )));
        }
        std::thread::sleep(LOOK.min(limit.saturating_sub(begin.elapsed())));
        let status: Status = api.get(STATUS)?;
        let is_it = |of: &&BackendStatus| of.address == now.address && of.sorry == now.sorry;
        let mut pools = status.pools.iter().filter(|pool| pool.name == meant.pool);
        // One that was removed meanwhile goes with its last session.
        let Some(known) = pools.find_map(|pool| pool.backends.iter().find(is_it)) else {
            break;
        };
        now = known.clone();
    }
    show("");
    print(&format!(
        "backend {}/{} has no session any more\n",
        meant.pool, now.name
    ));
    Ok(())
}

/// Which backend the command line means.
#[derive(Debug, Eq, PartialEq)]
struct Meant {
    pool: String,
    path: String,
}

fn find(api: &Api, spec: &str) -> Result<Meant, AskError> {
    resolve(&api.get(STATUS)?, spec).map_err(AskError::Unclear)
}

/// The backend that `spec` names: by name or address, alone or behind its pool and a slash.
fn resolve(status: &Status, spec: &str) -> Result<Meant, String> {
    let all = || {
        let pools = status.pools.iter().filter(|pool| !pool.removed);
        pools.flat_map(|pool| pool.backends.iter().map(move |backend| (pool, backend)))
    };
    let full_name = |pool: &PoolStatus, name: &str| format!("{}/{name}", pool.name);
    let is_meant = |(pool, backend): &(&PoolStatus, &BackendStatus)| {
        let address = backend.address.to_string();
        [
            backend.name.clone(),
            full_name(pool, &backend.name),
            full_name(pool, &address),
            address,
        ]
        .contains(&spec.to_owned())
    };
    let names = |of: &[(&PoolStatus, &BackendStatus)]| {
        let names = of
            .iter()
            .map(|(pool, backend)| full_name(pool, &backend.name));
        names.collect::<Vec<_>>().join(", ")
    };
    let found: Vec<_> = all().filter(is_meant).collect();
    match found.as_slice() {
        [(pool, backend)] => Ok(Meant {
            pool: pool.name.clone(),
            path: format!(
                "/v1/pools/{}/backends/{}",
                quoted(&pool.name),
                quoted(&backend.address.to_string())
            ),
        }),
        [] => Err(format!(
            "there is no backend {spec}; there are {}",
            names(&all().collect::<Vec<_>>())
        )),
        several => Err(format!(
            "{spec} is not one backend but several: {}",
            names(several)
        )),
    }
}

/// How a backend is, after an order to it.
fn sentence(pool: &str, backend: &BackendStatus) -> String {
    let BackendStatus { name, weight, .. } = backend;
    let state = word(backend).unwrap_or_else(|| "up".to_owned());
    format!(
        "backend {pool}/{name}: {state}, weight {weight}, {}",
        busy(backend)
    )
}

fn busy(backend: &BackendStatus) -> String {
    let sessions = count(backend.sessions.into(), "session");
    let transfers = count(
        u64::try_from(backend.transfers).unwrap_or(u64::MAX),
        "transfer",
    );
    format!("{sessions}, {transfers}")
}

/// All backends with what is known of them.
fn list(status: &Status) -> String {
    let heading = [
        "POOL",
        "BACKEND",
        "ADDRESS",
        "STATE",
        "SINCE",
        "WEIGHT",
        "SESSIONS",
        "TRANSFERS",
        "TO CLIENT",
        "TO BACKEND",
        "LAST CHECK",
    ];
    let row = |pool: &PoolStatus, backend: &BackendStatus| {
        let sorry = if backend.sorry { "sorry, " } else { "" };
        let state = word(backend).unwrap_or_else(|| "up".to_owned());
        let weight = match backend.configured_weight {
            Some(configured) if configured != backend.weight => {
                format!("{} (of {configured})", backend.weight)
            }
            _ => backend.weight.to_string(),
        };
        let sessions = match backend.max_sessions {
            0 => backend.sessions.to_string(),
            most => format!("{}/{most}", backend.sessions),
        };
        [
            pool.name.clone(),
            backend.name.clone(),
            backend.address.to_string(),
            format!("{sorry}{state}"),
            short_time(backend.since_seconds),
            weight,
            sessions,
            backend.transfers.to_string(),
            short_bytes(backend.to_client_bytes),
            short_bytes(backend.to_backend_bytes),
            last_check(backend),
        ]
    };
    let pools = status.pools.iter();
    let rows = pools.flat_map(|pool| pool.backends.iter().map(move |backend| row(pool, backend)));
    table(heading, &rows.collect::<Vec<_>>())
}

/// The check that says most: one that failed, or else the latest.
fn last_check(backend: &BackendStatus) -> String {
    let is_down = backend.state == State::Down;
    let latest = |checks: &mut dyn Iterator<Item = &CheckStatus>| {
        checks
            .min_by(|one, other| one.seconds_ago.total_cmp(&other.seconds_ago))
            .cloned()
    };
    let failed = latest(&mut { backend.checks.iter() }.filter(|check| check.error.is_some()));
    match failed.or_else(|| latest(&mut backend.checks.iter())) {
        None if is_down => "none yet".to_owned(),
        None => "-".to_owned(),
        Some(CheckStatus {
            seconds_ago,
            took_seconds,
            error,
        }) => {
            let result = error.unwrap_or_else(|| "ok".to_owned());
            let milliseconds = took_seconds * 1000.0;
            format!(
                "{result} ({milliseconds:.1} ms, {} ago)",
                short_time(seconds_ago)
            )
        }
    }
}

const STATUS: &str = "/v1/status";

/// Between two looks at a backend that is waited for.
const LOOK: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests;
