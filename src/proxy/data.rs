//! One data connection: whoever connects first, the dial of the other leg, the relay.
//!
//! ```text
//!  Leased ──client──▶ First ──dial backend──▶ Dialling ──▶ Both ──▶ Relaying
//!  Listening ─backend─▶ First ──dial client──▶ Dialling ──▶ Both ──▶ Relaying
//!  (nothing) ──dial backend──▶ Dialling ──▶ First ──dial client──▶ Dialling ──▶ Both ──▶ Relaying
//! ```
//! The session machine says when to go on; here it is only done. Dropping a connection at any stage
//! closes its listener and resets its legs (design decision 5).
//!
//! # Youth
//! Most data connections live for some milliseconds. While one is young, nobody is told that its client has connected:
//! that is asked when the client says something next, which is commonly the transfer command. Nor has it a timer of its
//! own. All that costs a registration, with the kernel or with the runtime, and only what lasts needs it: it is made good
//! when [`DataConnection::due`] has come, of which the session's own alarm tells.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use crate::ending::{Ending, Moved, Phase, Side};
use crate::net::dial::{BackendListener, LegDial};
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
    /// None when it is not young any more.
    young_until: Option<Instant>,
    /// Until when the client's FIN is not passed on.
    doubt: Option<Pin<Box<Sleep>>>,
}

/// What can happen to a data connection.
pub(super) enum Happened {
    /// Something that the machine is told.
    Event(DataEvent),
    /// The client's FIN was read; it is handed on once [`DataConnection::trust_end`] says so.
    AtClientEnd,
    /// A leg could not be had.
    DialFailed(DialFailure),
}

/// Why a leg could not be had.
pub(super) struct DialFailure {
    /// Whose it is, or the balancer's when this host is to blame.
    pub(super) side: Side,
    /// Where it was dialled to; none when it was awaited.
    pub(super) peer: Option<SocketAddr>,
    pub(super) error: io::Error,
}

enum Stage {
    Leased {
        lease: Lease,
        /// Whether the client is awaited, and not only expected.
        is_awaited: bool,
    },
    Listening(BackendListener),
    /// One leg stands.
    First(Leg),
    /// The leg of this side is being dialled; the other one may stand.
    Dialling {
        side: Side,
        other: Option<Leg>,
        dial: LegDial,
        until: Instant,
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
    pub(super) fn leased(id: DataId, lease: Lease, now: Instant) -> Self {
        let stage = Stage::Leased {
            lease,
            is_awaited: false,
        };
        Self::at(stage, id, now)
    }

    pub(super) fn listening(id: DataId, listener: BackendListener, now: Instant) -> Self {
        Self::at(Stage::Listening(listener), id, now)
    }

    /// A connection of which nothing stands yet.
    pub(super) fn new(id: DataId, now: Instant) -> Self {
        Self::at(Stage::Over, id, now)
    }

    fn at(stage: Stage, id: DataId, now: Instant) -> Self {
        Self {
            id,
            stage,
            young_until: Some(now + YOUTH),
            doubt: None,
        }
    }

    /// When its youth or its dial is to be ended, and the connection to be polled after that.
    pub(super) fn due(&self) -> Option<Instant> {
        let dial = match self.stage {
            Stage::Dialling { until, .. } => Some(until),
            _ => None,
        };
        [self.young_until, dial].into_iter().flatten().min()
    }

    /// Ends its youth, if it is time.
    pub(super) fn grow_up(&mut self, now: Instant) {
        if self.young_until.is_some_and(|until| until <= now) {
            self.young_until = None;
            self.await_client();
            if let Stage::Relaying { relay, .. } = &mut self.stage {
                relay.mind_time(true);
            }
        }
    }

    /// Ends a dial that takes too long. Its owner has polled it since it took too long, and looked twice if the process
    /// stood still.
    pub(super) fn give_up_dial(&mut self, now: Instant) -> Option<Happened> {
        let Stage::Dialling {
            side, until, dial, ..
        } = &self.stage
        else {
            return None;
        };
        if *until > now {
            return None;
        }
        let failure = DialFailure {
            side: *side,
            peer: Some(dial.peer()),
            error: io::ErrorKind::TimedOut.into(),
        };
        self.stage = Stage::Over;
        Some(Happened::DialFailed(failure))
    }

    /// Whether what waits for the client is to be written ahead of what this does: it has been moving bytes for longer
    /// than a small file takes, and moves many at a time, or it connects to the client, who was told of it (A7).
    pub(super) fn comes_after_replies(&self) -> bool {
        match self.stage {
            Stage::Relaying { .. } => self.young_until.is_none(),
            Stage::Dialling { side, .. } => side == Side::Client,
            _ => false,
        }
    }

    /// The client may have connected by now, or will soon. False when none is expected.
    pub(super) fn await_client(&mut self) -> bool {
        if let Stage::Leased { is_awaited, .. } = &mut self.stage {
            *is_awaited = true;
            return true;
        }
        false
    }

    /// Waits for the leg of `side` until then.
    pub(super) fn dial(&mut self, side: Side, dial: LegDial, until: Instant) {
        let other = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::First(leg) => Some(leg),
            _ => None,
        };
        self.stage = Stage::Dialling {
            side,
            other,
            dial,
            until,
        };
    }

    /// Relays between the legs, and is counted as `running` meanwhile. It is cut when no byte moves for `idle`. It is
    /// young anew: over a distance the youth of the lease is over by now.
    pub(super) fn relay(&mut self, idle: Duration, running: Option<Running>, now: Instant) {
        if let Stage::Both { client, backend } = std::mem::replace(&mut self.stage, Stage::Over) {
            let mut relay = Box::new(Relay::new(client, backend, idle));
            relay.ask_at_client_end();
            relay.mind_time(false);
            self.young_until = Some(now + YOUTH);
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

    /// Whether the client is to send a file over it.
    pub(super) fn expect_upload(&mut self, does: bool) {
        if let Stage::Relaying { relay, .. } = &mut self.stage {
            relay.expect_upload(does);
        }
    }

    /// The passive port that is promised to the client, until it has come.
    pub(super) fn promised_port(&self) -> Option<SocketAddr> {
        match &self.stage {
            Stage::Leased { lease, .. } => Some(lease.address()),
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
            Stage::Leased { lease, is_awaited } if *is_awaited => {
                accepted(ready!(lease.poll_accept(cx)))
            }
            Stage::Listening(listener) => accepted(ready!(listener.poll_accept(cx))),
            Stage::Dialling {
                side, other, dial, ..
            } => {
                let result = ready!(dial.poll(cx));
                dialled(*side, other.take(), dial.peer(), result)
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
            Stage::Leased { .. } | Stage::First(_) | Stage::Both { .. } | Stage::Over => {
                return Poll::Pending;
            }
        };
        self.stage = next;
        Poll::Ready(happened)
    }
}

fn accepted(result: io::Result<Leg>) -> (Stage, Happened) {
    match result {
        Ok(leg) => (Stage::First(leg), Happened::Event(DataEvent::Accepted)),
        Err(error) => {
            let failure = DialFailure {
                side: Side::Balancer,
                peer: None,
                error,
            };
            (Stage::Over, Happened::DialFailed(failure))
        }
    }
}

fn dialled(
    side: Side,
    other: Option<Leg>,
    peer: SocketAddr,
    result: io::Result<Leg>,
) -> (Stage, Happened) {
    let stage = match (side, other, result) {
        (side, _, Err(error)) => {
            let side = if host::is_short(&error) {
                Side::Balancer
            } else {
                side
            };
            let peer = Some(peer);
            let failure = DialFailure { side, peer, error };
            return (Stage::Over, Happened::DialFailed(failure));
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

/// So long a data connection is young. A client that is near has connected and said what it wants by then, and a small
/// file has been moved; a stranger who comes first waits for it at the longest (P12).
const YOUTH: Duration = Duration::from_millis(100);
