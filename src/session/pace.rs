//! Back pressure by rate: whoever sends more lines than it may is not read until it may send one again. No
//! line is lost, none is refused, and the others wait where they are: with the kernel, and then with whoever
//! sent them (O5).

use std::time::Instant;

use crate::ending::Side;
use crate::limits::{Bucket, Rate};
use crate::session::Tell;
use crate::session::machine::Session;

/// The tokens of a session whose sides have a rate. Others have none of this.
#[derive(Debug)]
pub(super) struct Pace {
    commands: Paced,
    replies: Paced,
}

#[derive(Debug)]
struct Paced {
    rate: Option<Rate>,
    bucket: Bucket,
    /// Until when the side is not read.
    paused_until: Option<Instant>,
}

impl Pace {
    /// `None` if neither side has a rate.
    pub(super) fn new(
        commands: Option<Rate>,
        replies: Option<Rate>,
        now: Instant,
    ) -> Option<Box<Self>> {
        let paced = |rate| Paced {
            rate,
            bucket: Bucket::new(now),
            paused_until: None,
        };
        (commands.is_some() || replies.is_some()).then(|| {
            Box::new(Self {
                commands: paced(commands),
                replies: paced(replies),
            })
        })
    }

    fn of(&mut self, side: Side) -> &mut Paced {
        match side {
            Side::Client => &mut self.commands,
            Side::Backend | Side::Balancer => &mut self.replies,
        }
    }
}

impl Session {
    /// A line of the client, or a reply of the backend, has been read.
    pub(super) fn count_line(&mut self, side: Side, now: Instant) {
        let Some(paced) = self.pace.as_mut().map(|pace| pace.of(side)) else {
            return;
        };
        let Some(rate) = paced.rate else { return };
        // It is dealt with, token or not: it has been read.
        let taken = paced.bucket.take(rate, now);
        let wait = taken.err().unwrap_or_else(|| paced.bucket.wait(rate, now));
        if !wait.is_zero() {
            paced.paused_until = Some(now + wait);
            self.tell(Tell::Paused(side));
        }
    }

    /// Whether the side is not read for now.
    pub(super) fn is_paused(&self, side: Side) -> bool {
        let paced = self.pace.as_deref().map(|pace| match side {
            Side::Client => &pace.commands,
            Side::Backend | Side::Balancer => &pace.replies,
        });
        paced.is_some_and(|paced| paced.paused_until.is_some())
    }

    /// When the first pause is over.
    pub(super) fn pause_over(&self) -> Option<Instant> {
        let pace = self.pace.as_deref()?;
        let both = [&pace.commands, &pace.replies];
        { both.into_iter() }
            .filter_map(|paced| paced.paused_until)
            .min()
    }

    /// Ends the pauses that are over.
    pub(super) fn end_pauses(&mut self, now: Instant) {
        let Some(pace) = &mut self.pace else { return };
        for paced in [&mut pace.commands, &mut pace.replies] {
            if paced.paused_until.is_some_and(|until| until <= now) {
                paced.paused_until = None;
            }
        }
    }
}
