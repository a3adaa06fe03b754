//! Where sessions wait while every backend that is up is full.
//!
//! Bounded in number and time by the pool's `waiting`. All of them look again when a place gets free: whoever
//! waits longest looks first, and may have no use for it, having tried that backend before.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::balance::Pick;
use crate::config::Waiting as Rule;

/// The room of one pool, over all its listeners.
#[derive(Debug, Default)]
pub struct WaitingRoom {
    waiting: AtomicUsize,
    freed: Arc<Notify>,
}

/// One session that waits.
pub(super) struct Waiting {
    /// Whom it is of, where that decides.
    pub(super) user: Bytes,
    place: Place,
    freed: Pin<Box<OwnedNotified>>,
    until: Pin<Box<Sleep>>,
}

/// The backend of a session. Whoever waits for room hears of its end.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) pick: Pick,
    /// Dropped after the pick.
    _freed: Freed,
}

#[derive(Debug)]
struct Freed(Arc<WaitingRoom>);

#[derive(Debug)]
struct Place(Arc<WaitingRoom>);

impl WaitingRoom {
    /// How many sessions wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Wakes everybody: there may be room where there was none.
    pub fn look_again(&self) {
        self.freed.notify_waiters();
    }

    /// Takes a session in, if the rule has a place left for it.
    pub(super) fn enter(self: &Arc<Self>, rule: &Rule, user: Bytes) -> Option<Waiting> {
        let more = |waiting| (waiting < rule.sessions).then_some(waiting + 1);
        self.waiting
            .try_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()?;
        let place = Place(Arc::clone(self));
        Some(Waiting {
            user,
            freed: place.freed(),
            place,
            until: Box::pin(sleep_until(Instant::now() + rule.time)),
        })
    }

    /// The seat of a session that was given to a backend.
    pub(super) fn seat(self: &Arc<Self>, pick: Pick) -> Seat {
        Seat {
            pick,
            _freed: Freed(Arc::clone(self)),
        }
    }
}

impl Waiting {
    /// Ready when it is worth to look again, or when the time is over.
    pub(super) fn poll_over(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        if self.freed.as_mut().poll(cx).is_ready() {
            self.freed = self.place.freed();
            return std::task::Poll::Ready(());
        }
        self.until.as_mut().poll(cx)
    }

    /// Whether the time is over.
    pub(super) fn is_over(&self) -> bool {
        self.until.is_elapsed()
    }
}

impl Place {
    /// Hears of every room that gets free from now on.
    fn freed(&self) -> Pin<Box<OwnedNotified>> {
        let mut freed = Box::pin(Arc::clone(&self.0.freed).notified_owned());
        freed.as_mut().enable();
        freed
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Freed {
    fn drop(&mut self) {
        self.0.look_again();
    }
}
