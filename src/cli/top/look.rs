//! Looks at a running ftplb, and what two of them say together: how fast something grows.

use std::time::Instant;

use crate::cli::ask::{Api, AskError};
use crate::ops::status::{BackendStatus, PoolStatus, SessionList, SessionStatus, Status};

/// What ftplb told at one moment.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) at: Instant,
    pub(super) status: Status,
    /// Those that most is going on in.
    pub(super) sessions: SessionList,
}

/// The last look, and the one before it.
#[derive(Debug)]
pub(super) struct Looks {
    pub(super) last: Look,
    before: Option<Look>,
}

impl Look {
    /// Asks for everything.
    pub(super) fn ask(api: &Api) -> Result<Self, AskError> {
        Ok(Self {
            status: api.get("/v1/status")?,
            sessions: api.get(&format!("/v1/sessions?order=busiest&limit={SESSIONS}"))?,
            at: Instant::now(),
        })
    }

    /// The backends of all pools, each with its pool.
    pub(super) fn backends(&self) -> impl Iterator<Item = (&PoolStatus, &BackendStatus)> {
        let pools = self.status.pools.iter();
        pools.flat_map(|pool| pool.backends.iter().map(move |backend| (pool, backend)))
    }

    fn sum(&self, of: impl Fn(&BackendStatus) -> u64) -> u64 {
        self.backends().map(|(_, backend)| of(backend)).sum()
    }
}

impl Looks {
    pub(super) fn new(first: Look) -> Self {
        Self {
            last: first,
            before: None,
        }
    }

    /// Goes on with another look. Nothing grows from one process to the next.
    pub(super) fn take(&mut self, look: Look) {
        let is_same = look.status.uptime_seconds > self.last.status.uptime_seconds;
        let before = std::mem::replace(&mut self.last, look);
        self.before = is_same.then_some(before);
    }

    /// Growth of a sum over all backends, a second.
    pub(super) fn rate_of_all(&self, of: impl Fn(&BackendStatus) -> u64) -> Option<f64> {
        self.rate(|look| Some(look.sum(&of)))
    }

    /// The same of one backend.
    pub(super) fn rate_of_backend(
        &self,
        (pool, backend): (&PoolStatus, &BackendStatus),
        of: impl Fn(&BackendStatus) -> u64,
    ) -> Option<f64> {
        let is_it = |(other, one): &(&PoolStatus, &BackendStatus)| {
            (&other.name, other.removed, one.address, one.sorry)
                == (&pool.name, pool.removed, backend.address, backend.sorry)
        };
        self.rate(|look| look.backends().find(is_it).map(|(_, one)| of(one)))
    }

    /// How fast the transfer of a session is. One that has begun since the look before began at zero.
    pub(super) fn rate_of_transfer(&self, session: &SessionStatus) -> Option<f64> {
        session.transfer.as_ref()?;
        self.rate(|look| {
            let mut known = look.sessions.sessions.iter();
            let known = known.find(|one| one.id == session.id)?;
            let is_same = known.transfers == session.transfers;
            let bytes = known.transfer.as_ref().map_or(0, |transfer| transfer.bytes);
            is_same.then_some(bytes)
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate is no exact number")]
    fn rate(&self, read: impl Fn(&Look) -> Option<u64>) -> Option<f64> {
        let before = self.before.as_ref()?;
        let seconds = self.last.status.uptime_seconds - before.status.uptime_seconds;
        let grown = read(&self.last)?.saturating_sub(read(before)?);
        (seconds > 0.0).then(|| grown as f64 / seconds)
    }
}

/// More than anybody scrolls through; whoever looks for one session asks `ftplb session list`.
const SESSIONS: usize = 500;
