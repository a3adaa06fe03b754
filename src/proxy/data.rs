//! One data connection: whoever connects first, the dial of the other leg, the relay.
//!
//! ```text
//!  Leased ──client──▶ First ──dial backend──▶ Dialling ──▶ Both ──▶ Relaying
//!  Listening ─backend─▶ First ──dial client──▶ Dialling ──▶ Both ──▶ Relaying
//!  (nothing) ──dial backend──▶ Dialling ──▶ First ──dial client──▶ Dialling ──▶ Both ──▶ Relaying
//! ```
//! The session machine says when to go on; here it is only done. Dropping a connection at any stage
//! closes its listener and resets its legs (design decision 5).

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Sleep;

use crate::ending::{Ending, Moved, Phase, Side};
use crate::net::dial::BackendListener;
use crate::net::host;
use crate::net::leg::Leg;
use crate::net::ports::Lease;
use crate::net::relay::{Relay, RelayEvent};
use crate::session::{DataEvent, DataId};
use crate::telemetry::metrics::Running;

/// A data connection in the making or at work.
pub(super) struct DataConnection {
    pub(super) id: DataId,
    stage: Stage,
    /// Until when the client's FIN is not passed on.
    doubt: Option<Pin<Box<Sleep>>>,
}

/// What can happen to a data connection.
pub(super) enum Happened {
    /// Something that the machine is told.
    Event(DataEvent),
    /// The client's FIN was read; it is handed on once [`DataConnection::trust_end`] says so.
    AtClientEnd,
    /// The leg of this side could not be dialled.
    DialFailed(Side, io::Error),
}

/// A dial under way.
pub(super) type Dial = Pin<Box<dyn Future<Output = io::Result<Leg>> + Send>>;

enum Stage {
    Leased(Lease),
    Listening(BackendListener),
    /// One leg stands.
    First(Leg),
    /// The leg of this side is being dialled; the other one may stand.
    Dialling {
        side: Side,
        other: Option<Leg>,
        dial: Dial,
    },
    Both {
        client: Leg,
        backend: Leg,
    },
    Relaying {
        relay: Box<Relay>,
        /// Counts the transfer at its backend.
        _running: Option<Running>,
    },
    /// Nothing left to do; the machine has been told.
    Over,
}

impl DataConnection {
    pub(super) fn leased(id: DataId, lease: Lease) -> Self {
        Self {
            id,
            stage: Stage::Leased(lease),
            doubt: None,
        }
    }

    pub(super) fn listening(id: DataId, listener: BackendListener) -> Self {
        Self {
            id,
            stage: Stage::Listening(listener),
            doubt: None,
        }
    }

    /// A connection of which nothing stands yet.
    pub(super) fn new(id: DataId) -> Self {
        Self {
            id,
            stage: Stage::Over,
            doubt: None,
        }
    }

    /// Dials the leg of `side`.
    pub(super) fn dial(&mut self, side: Side, dial: Dial) {
        let other = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::First(leg) => Some(leg),
            _ => None,
        };
        self.stage = Stage::Dialling { side, other, dial };
    }

    /// Relays between the legs, and is counted as `running` meanwhile. It is cut when no byte moves for `idle`.
    pub(super) fn relay(&mut self, idle: Duration, running: Option<Running>) {
        if let Stage::Both { client, backend } = std::mem::replace(&mut self.stage, Stage::Over) {
            let mut relay = Box::new(Relay::new(client, backend, idle));
            relay.ask_at_client_end();
            self.stage = Stage::Relaying {
                relay,
                _running: running,
            };
        }
    }

    /// The client's FIN is not passed on before [`Self::poll_doubt`] has said that `grace` is over.
    pub(super) fn doubt_end(&mut self, grace: Duration) {
        self.doubt = Some(Box::pin(tokio::time::sleep(grace)));
    }

    /// The end of the doubt, once.
    pub(super) fn poll_doubt(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(doubt) = &mut self.doubt else {
            return Poll::Pending;
        };
        ready!(doubt.as_mut().poll(cx));
        self.doubt = None;
        Poll::Ready(())
    }

    /// The client's FIN is the end of its file, unless it was distrusted before.
    pub(super) fn trust_end(&mut self) {
        if let Stage::Relaying { relay, .. } = &mut self.stage {
            relay.trust_client_end();
        }
    }

    /// The client's FIN is no end of a file any more: its control connection has gone (decision 5).
    pub(super) fn distrust_end(&mut self) {
        if let Stage::Relaying { relay, .. } = &mut self.stage {
            relay.distrust_client_end();
        }
    }

    /// The passive port that is promised to the client, until it has come.
    pub(super) fn promised_port(&self) -> Option<SocketAddr> {
        match &self.stage {
            Stage::Leased(lease) => Some(lease.address()),
            _ => None,
        }
    }

    /// What has crossed so far.
    pub(super) fn moved(&self) -> Moved {
        match &self.stage {
            Stage::Relaying { relay, .. } => relay.moved(),
            _ => Moved::default(),
        }
    }

    pub(super) fn is_relaying(&self) -> bool {
        matches!(self.stage, Stage::Relaying { .. })
    }

    /// The next thing that happens to it.
    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Happened> {
        let (next, happened) = match &mut self.stage {
            Stage::Leased(lease) => accepted(ready!(lease.poll_accept(cx))),
            Stage::Listening(listener) => accepted(ready!(listener.poll_accept(cx))),
            Stage::Dialling { side, other, dial } => {
                let result = ready!(dial.as_mut().poll(cx));
                dialled(*side, other.take(), result)
            }
            Stage::Relaying { relay, .. } => match ready!(relay.poll_event(cx)) {
                RelayEvent::AtClientEnd => return Poll::Ready(Happened::AtClientEnd),
                RelayEvent::Finished(direction) => {
                    return Poll::Ready(Happened::Event(DataEvent::Finished(direction)));
                }
                RelayEvent::Ended(outcome) => {
                    let moved = outcome.moved;
                    let event = match outcome.result {
                        Ok(()) => DataEvent::Ended(moved),
                        Err(cut) => DataEvent::Cut {
                            moved,
                            ending: Ending::new(cut.side, Phase::Transfer, cut.cause),
                        },
                    };
                    (Stage::Over, Happened::Event(event))
                }
            },
            Stage::First(_) | Stage::Both { .. } | Stage::Over => return Poll::Pending,
        };
        self.stage = next;
        Poll::Ready(happened)
    }
}

fn accepted(result: io::Result<Leg>) -> (Stage, Happened) {
    match result {
        Ok(leg) => (Stage::First(leg), Happened::Event(DataEvent::Accepted)),
        Err(error) => (Stage::Over, Happened::DialFailed(Side::Balancer, error)),
    }
}

fn dialled(side: Side, other: Option<Leg>, result: io::Result<Leg>) -> (Stage, Happened) {
    let stage = match (side, other, result) {
        (side, _, Err(error)) => {
            let side = if host::is_short(&error) {
                Side::Balancer
            } else {
                side
            };
            return (Stage::Over, Happened::DialFailed(side, error));
        }
        (_, None, Ok(leg)) => Stage::First(leg),
        (side, Some(other), Ok(leg)) => {
            let (client, backend) = if side == Side::Client {
                (leg, other)
            } else {
                (other, leg)
            };
            Stage::Both { client, backend }
        }
    };
    (stage, Happened::Event(DataEvent::Dialled))
}
