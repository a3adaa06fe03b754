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
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::ending::{Ending, Moved, Phase, Side};
use crate::net::dial::BackendListener;
use crate::net::leg::Leg;
use crate::net::ports::Lease;
use crate::net::relay::{Relay, RelayEvent};
use crate::session::{DataEvent, DataId};

/// A data connection in the making or at work.
pub(super) struct DataConnection {
    pub(super) id: DataId,
    stage: Stage,
}

/// What can happen to a data connection.
pub(super) enum Happened {
    /// Something that the machine is told.
    Event(DataEvent),
    /// The client's FIN was read; it is handed on once [`DataConnection::trust_end`] says so.
    AtClientEnd,
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
    Relaying(Box<Relay>),
    /// Nothing left to do; the machine has been told.
    Over,
}

impl DataConnection {
    pub(super) fn leased(id: DataId, lease: Lease) -> Self {
        Self {
            id,
            stage: Stage::Leased(lease),
        }
    }

    pub(super) fn listening(id: DataId, listener: BackendListener) -> Self {
        Self {
            id,
            stage: Stage::Listening(listener),
        }
    }

    /// A connection of which nothing stands yet.
    pub(super) fn new(id: DataId) -> Self {
        Self {
            id,
            stage: Stage::Over,
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

    /// Relays between the legs. It is cut when no byte moves for `idle`.
    pub(super) fn relay(&mut self, idle: std::time::Duration) {
        if let Stage::Both { client, backend } = std::mem::replace(&mut self.stage, Stage::Over) {
            let mut relay = Box::new(Relay::new(client, backend, idle));
            relay.ask_at_client_end();
            self.stage = Stage::Relaying(relay);
        }
    }

    /// The client's FIN is the end of its file, unless it was distrusted before.
    pub(super) fn trust_end(&mut self) {
        if let Stage::Relaying(relay) = &mut self.stage {
            relay.trust_client_end();
        }
    }

    /// The client's FIN is no end of a file any more: its control connection has gone (decision 5).
    pub(super) fn distrust_end(&mut self) {
        if let Stage::Relaying(relay) = &mut self.stage {
            relay.distrust_client_end();
        }
    }

    /// What has crossed so far.
    pub(super) fn moved(&self) -> Moved {
        match &self.stage {
            Stage::Relaying(relay) => relay.moved(),
            _ => Moved::default(),
        }
    }

    pub(super) fn is_relaying(&self) -> bool {
        matches!(self.stage, Stage::Relaying(_))
    }

    /// The next thing that happens to it.
    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Happened> {
        let (next, event) = match &mut self.stage {
            Stage::Leased(lease) => accepted(ready!(lease.poll_accept(cx))),
            Stage::Listening(listener) => accepted(ready!(listener.poll_accept(cx))),
            Stage::Dialling { side, other, dial } => {
                let dialled = ready!(dial.as_mut().poll(cx));
                dialled_leg(*side, other.take(), dialled)
            }
            Stage::Relaying(relay) => match ready!(relay.poll_event(cx)) {
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
                    (Stage::Over, event)
                }
            },
            Stage::First(_) | Stage::Both { .. } | Stage::Over => return Poll::Pending,
        };
        self.stage = next;
        Poll::Ready(Happened::Event(event))
    }
}

fn accepted(result: io::Result<Leg>) -> (Stage, DataEvent) {
    match result {
        Ok(leg) => (Stage::First(leg), DataEvent::Accepted),
        Err(error) => {
            tracing::error!(%error, "a data connection could not be accepted");
            (Stage::Over, DataEvent::DialFailed)
        }
    }
}

fn dialled_leg(side: Side, other: Option<Leg>, result: io::Result<Leg>) -> (Stage, DataEvent) {
    match (side, other, result) {
        (Side::Backend, Some(client), Ok(backend)) | (Side::Client, Some(backend), Ok(client)) => {
            (Stage::Both { client, backend }, DataEvent::Dialled)
        }
        (_, None, Ok(leg)) => (Stage::First(leg), DataEvent::Dialled),
        (side, other, Err(error)) => {
            tracing::debug!(%side, %error, "a data connection could not be dialled");
            drop(other);
            (Stage::Over, DataEvent::DialFailed)
        }
        (Side::Balancer, Some(_), Ok(_)) => (Stage::Over, DataEvent::DialFailed),
    }
}
