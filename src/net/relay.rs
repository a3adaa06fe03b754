//! Two legs and what flows between them, until both directions ended or something broke.
//!
//! ```text
//!                 EOF of one leg, all written, FIN sent         the other leg's EOF, the same
//!   both moving ──────────── Finished(direction) ────▶ one moving ──────────────────────▶ Ended(Ok)
//!        │                                                 │
//!        └─ reset, network failure, idle ──────────────────┴────────▶ both legs reset, Ended(Cut)
//! ```
//! FIN becomes FIN, half-close becomes half-close, and anything else becomes RST on both legs (D1, design
//! decision 5). A relay is polled by the session's own task; dropping it resets every leg whose FIN has
//! not been sent.
//!
//! What it deliberately does not do: it reads no control reply and knows no transfer command. Bytes that
//! go in the direction nobody expected are relayed like others (D16).
//!
//! # When is an error no abort? (D3)
//! A peer that sent FIN and then vanished has said all it had to say. What it sent is still delivered. Only
//! bytes *for* it can be lost, so the relay is cut if there are any, unless the peer was the one who sent
//! the payload: then they are stray, and are thrown away.

use std::io;
use std::ops::ControlFlow;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::alarm::Alarm;
use super::leg::Leg;
use super::pump::{Broken, Pump, PumpEvent, Splicing};
use crate::ending::{Cause, Moved, Side};
use crate::ftp::command::Direction;

/// A data connection at work.
pub struct Relay {
    /// Absent once ended.
    legs: Option<Legs>,
    flow: Flow,
    outcome: Option<Outcome>,
}

/// What a relay has to tell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RelayEvent {
    /// The client's FIN was read and waits to be trusted or not, see [`Relay::ask_at_client_end`].
    AtClientEnd,
    /// The end of this direction was read, every byte was written to the other leg, and its FIN was sent.
    /// Not told of the direction that ends last.
    Finished(Direction),
    /// It is over, both legs are closed. Told again at every later poll.
    Ended(Outcome),
}

/// How a relay ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Outcome {
    /// What had been moved by then.
    pub moved: Moved,
    /// Whether everything that either party sent was delivered.
    pub result: Result<(), Cut>,
}

/// Why a relay was cut before its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cut {
    /// Whose leg failed, or who stood still; the balancer for its own errors.
    pub side: Side,
    /// [`Cause::Close`], [`Cause::Reset`], [`Cause::Idle`] or [`Cause::Internal`].
    pub cause: Cause,
}

impl Relay {
    /// Relays between two legs. It is cut when no byte moves for `idle`.
    pub fn new(client: Leg, backend: Leg, idle: Duration) -> Self {
        Self::with(client, backend, idle, Splicing::WhenLong)
    }

    pub(super) fn with(client: Leg, backend: Leg, idle: Duration, splicing: Splicing) -> Self {
        Self {
            legs: Some(Legs { client, backend }),
            flow: Flow::new(idle, splicing),
            outcome: None,
        }
    }

    /// Moves what can be moved now, and says what came of it. Does a bounded amount of work, then wakes
    /// itself for more.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<RelayEvent> {
        if let Some(outcome) = self.outcome {
            return Poll::Ready(RelayEvent::Ended(outcome));
        }
        let Some(legs) = &mut self.legs else {
            return Poll::Pending;
        };
        match ready!(self.flow.poll(legs, cx)) {
            ControlFlow::Continue(event) => Poll::Ready(event),
            ControlFlow::Break(result) => Poll::Ready(RelayEvent::Ended(self.end(result))),
        }
    }

    /// Whether it has a timer, as from the beginning. Without one nothing is cut for standing still, until its owner
    /// has it mind the time and polls it.
    pub fn mind_time(&mut self, does: bool) {
        self.flow.is_timed = does;
    }

    /// While the backend has not finished, the client's FIN is not handed on before
    /// [`Relay::trust_client_end`]; [`RelayEvent::AtClientEnd`] asks for it.
    pub fn ask_at_client_end(&mut self) {
        self.flow.to_backend.ask_at_end();
    }

    /// The client's FIN is the end of its file, unless it was distrusted before.
    pub fn trust_client_end(&mut self) {
        self.flow.to_backend.trust_end();
    }

    /// From now on the client's FIN is no end of a file but a cut: its control connection has gone, so
    /// nobody waits for the reply (decision 5).
    pub fn distrust_client_end(&mut self) {
        self.flow.to_backend.distrust_end();
    }

    /// Whether the client is to send a file. Then it is waited for as long as anybody, though the backend may have
    /// finished its side and said something: no wait of ours is the end of a file (decision 5).
    pub fn expect_upload(&mut self, does: bool) {
        self.flow.is_upload = does;
    }

    /// What has been moved so far.
    pub fn moved(&self) -> Moved {
        self.flow.moved()
    }

    fn end(&mut self, result: Result<(), Cut>) -> Outcome {
        if let Some(Legs { client, backend }) = self.legs.take()
            && result.is_err()
        {
            client.abort();
            backend.abort();
        }
        *self.outcome.insert(Outcome {
            moved: self.flow.moved(),
            result,
        })
    }
}

struct Legs {
    client: Leg,
    backend: Leg,
}

impl Legs {
    /// Where `direction` comes from, and where it goes to.
    fn ends(&self, direction: Direction) -> (&Leg, &Leg) {
        match direction {
            Direction::ToBackend => (&self.client, &self.backend),
            Direction::ToClient => (&self.backend, &self.client),
        }
    }

    fn destination(&mut self, direction: Direction) -> &mut Leg {
        match direction {
            Direction::ToBackend => &mut self.backend,
            Direction::ToClient => &mut self.client,
        }
    }

    fn keep_alive(&self) {
        for leg in [&self.client, &self.backend] {
            if let Err(error) = leg.keep_alive() {
                tracing::debug!(%error, "no keepalive on a data connection");
            }
        }
    }
}

/// The two pumps and the clock.
struct Flow {
    to_backend: Pump,
    to_client: Pump,
    idle: Duration,
    timer: IdleTimer,
    is_timed: bool,
    is_upload: bool,
}

/// `Break` when it is over.
type Step = ControlFlow<Result<(), Cut>, RelayEvent>;

impl Flow {
    fn new(idle: Duration, splicing: Splicing) -> Self {
        Self {
            to_backend: Pump::new(splicing),
            to_client: Pump::new(splicing),
            idle,
            timer: IdleTimer::new(),
            is_timed: true,
            is_upload: false,
        }
    }

    fn poll(&mut self, legs: &mut Legs, cx: &mut Context<'_>) -> Poll<Step> {
        let before = self.moved();
        for direction in DIRECTIONS {
            if let Poll::Ready(step) = self.poll_pump(direction, legs, cx) {
                self.timer.touch();
                return Poll::Ready(if step.is_continue() && self.is_done() {
                    ControlFlow::Break(Ok(()))
                } else {
                    step
                });
            }
        }
        if self.is_done() {
            return Poll::Ready(ControlFlow::Break(Ok(())));
        }
        // After the pumps: what they get told by reading or writing needs no asking.
        for direction in DIRECTIONS {
            if self.may_fail_unheard(direction)
                && let Poll::Ready(error) = legs.destination(direction).poll_fault(cx)
                && let Some(cut) = self.judge(direction, &error)
            {
                return Poll::Ready(ControlFlow::Break(Err(cut)));
            }
        }
        if self.moved() != before {
            self.timer.touch();
        }
        if !self.is_timed {
            return Poll::Pending;
        }
        let limit = if self.awaits_only_the_client() {
            self.idle.min(LINGER)
        } else {
            self.idle
        };
        loop {
            match ready!(self.timer.poll(limit, cx)) {
                Due::Keepalive => legs.keep_alive(),
                Due::Idle => return Poll::Ready(ControlFlow::Break(self.expire(legs))),
            }
        }
    }

    fn is_done(&self) -> bool {
        self.to_backend.is_done() && self.to_client.is_done()
    }

    fn poll_pump(&mut self, direction: Direction, legs: &Legs, cx: &mut Context<'_>) -> Poll<Step> {
        loop {
            let (from, to) = legs.ends(direction);
            let last = self.pump(reverse(direction)).is_done();
            match ready!(self.pump_mut(direction).poll(from, to, last, cx)) {
                Ok(PumpEvent::Finished) => {
                    return Poll::Ready(ControlFlow::Continue(RelayEvent::Finished(direction)));
                }
                // After a download the client's FIN says only that it has got everything.
                Ok(PumpEvent::AtEnd) if self.to_client.is_done() => self.to_backend.trust_end(),
                Ok(PumpEvent::AtEnd) => {
                    return Poll::Ready(ControlFlow::Continue(RelayEvent::AtClientEnd));
                }
                Err(Broken::End) => {
                    let cut = Cut {
                        side: source(direction),
                        cause: Cause::Close,
                    };
                    return Poll::Ready(ControlFlow::Break(Err(cut)));
                }
                Err(Broken::Read(error)) => {
                    let cut = Cut::by(source(direction), &error);
                    return Poll::Ready(ControlFlow::Break(Err(cut)));
                }
                Err(Broken::Write(error)) => match self.judge(direction, &error) {
                    Some(cut) => return Poll::Ready(ControlFlow::Break(Err(cut))),
                    None => self.pump_mut(direction).discard(),
                },
            }
        }
    }

    /// Whether the leg that `direction` writes to could fail and nobody would hear of it whom it concerns.
    fn may_fail_unheard(&self, direction: Direction) -> bool {
        let (pump, back) = (self.pump(direction), self.pump(reverse(direction)));
        // Nearly always so: most legs are read from, or have ended and are owed nothing.
        !(back.is_reading() || back.is_done() && pump.owes_nothing())
    }

    /// The leg that `direction` writes to failed. The cut that follows from it, if any (D3).
    fn judge(&self, direction: Direction, error: &io::Error) -> Option<Cut> {
        let (pump, back) = (self.pump(direction), self.pump(reverse(direction)));
        let had_finished = back.is_done() || error.kind() == io::ErrorKind::BrokenPipe;
        let stray = pump.moved() == 0 && back.moved() > 0;
        let harmless = had_finished && (pump.is_done() || pump.owes_nothing() || stray);
        (!harmless).then(|| Cut::by(source(reverse(direction)), error))
    }

    /// A download is complete and the client does not close its side, though nothing is to be said there.
    fn awaits_only_the_client(&self) -> bool {
        !self.is_upload
            && self.to_client.is_done()
            && self.to_client.moved() > 0
            && self.to_backend.moved() == 0
            && !self.to_backend.holds_bytes()
    }

    /// Nothing moved for too long.
    fn expire(&self, legs: &Legs) -> Result<(), Cut> {
        if !self.awaits_only_the_client() {
            let side = self.stalled();
            return Err(Cut {
                side,
                cause: Cause::Idle,
            });
        }
        if let Err(error) = legs.backend.finish_by_closing() {
            tracing::warn!(%error, "the end of a data connection could not be handed to its backend");
        }
        Ok(())
    }

    /// Who stands still: the party that does not take what is stored for it, or the one that sent
    /// and has stopped, or the one that does not close. The balancer where nothing tells.
    fn stalled(&self) -> Side {
        for direction in DIRECTIONS {
            if self.pump(direction).holds_bytes() {
                return source(reverse(direction));
            }
        }
        for direction in DIRECTIONS {
            let (pump, back) = (self.pump(direction), self.pump(reverse(direction)));
            let has_sent = pump.moved() > 0 && !pump.is_done();
            let does_not_close = back.is_done() && !pump.is_done();
            if does_not_close || (has_sent && back.moved() == 0) {
                return source(direction);
            }
        }
        Side::Balancer
    }

    fn moved(&self) -> Moved {
        Moved {
            to_backend: self.to_backend.moved(),
            to_client: self.to_client.moved(),
        }
    }

    fn pump(&self, direction: Direction) -> &Pump {
        match direction {
            Direction::ToBackend => &self.to_backend,
            Direction::ToClient => &self.to_client,
        }
    }

    fn pump_mut(&mut self, direction: Direction) -> &mut Pump {
        match direction {
            Direction::ToBackend => &mut self.to_backend,
            Direction::ToClient => &mut self.to_client,
        }
    }
}

impl Cut {
    fn by(side: Side, error: &io::Error) -> Self {
        if is_of_the_network(error) {
            return Self {
                side,
                cause: Cause::Reset,
            };
        }
        tracing::error!(%error, %side, "a data connection failed in a way that no peer can cause");
        Self {
            side: Side::Balancer,
            cause: Cause::Internal,
        }
    }
}

/// How long nothing has moved; `last` is what counts. It rings first when the relay has lived for some time.
struct IdleTimer {
    alarm: Alarm,
    last: Instant,
    /// Until when the relay is too young for keepalive; none once that has been told.
    youth: Option<Instant>,
}

/// What the time has come for.
enum Due {
    /// Once: the legs are worth keepalive. Most never are.
    Keepalive,
    /// Nothing has moved for too long.
    Idle,
}

impl IdleTimer {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            alarm: Alarm::default(),
            last: now,
            youth: Some(now + YOUTH),
        }
    }

    fn touch(&mut self) {
        self.last = Instant::now();
    }

    fn poll(&mut self, limit: Duration, cx: &mut Context<'_>) -> Poll<Due> {
        let due = self.last + limit;
        if let Some(youth) = self.youth {
            ready!(self.alarm.poll(youth.min(due), cx));
            self.youth = None;
            return Poll::Ready(Due::Keepalive);
        }
        self.alarm.poll(due, cx).map(|()| Due::Idle)
    }
}

fn reverse(direction: Direction) -> Direction {
    match direction {
        Direction::ToBackend => Direction::ToClient,
        Direction::ToClient => Direction::ToBackend,
    }
}

/// Who sends what flows in `direction`.
fn source(direction: Direction) -> Side {
    match direction {
        Direction::ToBackend => Side::Client,
        Direction::ToClient => Side::Backend,
    }
}

/// Whether `error` is something that a peer or the way to it does to a connection.
fn is_of_the_network(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NotConnected
            | io::ErrorKind::TimedOut
    )
}

const DIRECTIONS: [Direction; 2] = [Direction::ToBackend, Direction::ToClient];

/// After this a relay's legs get keepalive. Next to the minute of silence before the first probe it is
/// nothing, and hardly any file of a few KiB takes as long.
const YOUTH: Duration = Duration::from_secs(5);

/// How long a client may keep a finished download's connection open. It has been sent every byte and FIN,
/// and the kernel goes on delivering them after the leg is closed (D4); only descriptors are saved.
const LINGER: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
