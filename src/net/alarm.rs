//! A deadline that is put off often, and is not held against anybody while this process stood still.
//!
//! A process can be stopped, a virtual machine be moved, a host be overloaded. When it goes on, timers fire in one
//! instant with the arrival of all that came meanwhile, and commonly first: sessions would be ended for the
//! silence of peers that have spoken. So an alarm that rings late looks a second time.
//!
//! ```text
//!   armed ── in time ──────────────────────────────▶ due
//!     ▲ └─── late ──▶ second look ── a moment ─────▶ due
//!     └── put off ────────┘
//! ```

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::task::coop;
use tokio::time::{Instant, Sleep, sleep_until};

/// Waits for one deadline, which may be another at every poll.
#[derive(Debug, Default)]
pub struct Alarm {
    /// Moved only to ring sooner: left to ring early, and set anew then.
    sleep: Option<Pin<Box<Sleep>>>,
    is_second_look: bool,
    /// The last turn of its task had no time for it.
    is_owed: bool,
}

impl Alarm {
    /// Ready once `at` has passed and nothing has put it off.
    ///
    /// The clock is read only when the timer rings: this is asked at every turn of a session.
    pub fn poll(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        self.is_owed = !coop::has_budget_remaining();
        let sleep = { &mut self.sleep }.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if sleep.deadline() > at && !self.is_second_look {
            sleep.as_mut().reset(at);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            let now = Instant::now();
            if at > now {
                self.is_second_look = false;
                sleep.as_mut().reset(at);
            } else if self.is_second_look || now < sleep.deadline() + STOOD_STILL {
                self.is_second_look = false;
                return Poll::Ready(());
            } else {
                self.is_second_look = true;
                sleep.as_mut().reset(now + MOMENT);
            }
        }
    }

    /// The turn of its task ends before it was asked.
    pub fn pass_over(&mut self) {
        self.is_owed = true;
    }

    /// Whether it was passed over, or asked when the turn of its task was used up: no timer rings then. Who has much to
    /// do at every turn asks it first the next time.
    pub fn is_owed(&self) -> bool {
        self.is_owed
    }
}

/// What `work` comes to, or `None` when it is not done by `at`.
pub async fn before<T>(at: Instant, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut alarm = Alarm::default();
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => alarm.poll(at, cx).map(|()| None),
    })
    .await
}

/// How late an alarm rings at most on a host that is only busy.
const STOOD_STILL: Duration = Duration::from_millis(100);

/// For the kernel to say what has come, and for that to be taken.
const MOMENT: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;
    use tokio::time::advance;

    use super::*;

    /// Polls once.
    async fn is_due(alarm: &mut Alarm, at: Instant) -> bool {
        poll_fn(|cx| Poll::Ready(alarm.poll(at, cx).is_ready())).await
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_rings_in_time_and_can_be_put_off() {
        let (begin, mut alarm) = (Instant::now(), Alarm::default());
        let second = Duration::from_secs(1);
        assert!(!is_due(&mut alarm, begin + second).await);
        assert!(!is_due(&mut alarm, begin + second * 3).await);
        poll_fn(|cx| alarm.poll(begin + second * 2, cx)).await;
        let late = begin.elapsed().saturating_sub(second * 2);
        assert!(late < Duration::from_millis(10), "{late:?}");
        let (now, mut alarm) = (Instant::now(), Alarm::default());
        poll_fn(|cx| alarm.poll(now, cx)).await;
        assert!(now.elapsed() < Duration::from_millis(10));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_done_in_time_counts_and_what_is_not_does_not() {
        let (begin, second) = (Instant::now(), Duration::from_secs(1));
        let done = before(begin + second, async { 1 });
        assert_eq!(done.await, Some(1));
        let late = before(begin + second, std::future::pending::<()>());
        assert_eq!(late.await, None);
        assert!(begin.elapsed() < second + Duration::from_millis(10));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_done_while_the_process_stood_still_counts() {
        let at = Instant::now() + Duration::from_secs(1);
        let (answer, answered) = oneshot::channel();
        let mut work = pin!(before(at, answered));
        let is_pending = |cx: &mut Context<'_>| Poll::Ready(work.as_mut().poll(cx).is_pending());
        assert!(poll_fn(is_pending).await);
        advance(Duration::from_secs(5)).await;
        // The timer has rung, and what came is not known of yet.
        let is_pending = |cx: &mut Context<'_>| Poll::Ready(work.as_mut().poll(cx).is_pending());
        assert!(poll_fn(is_pending).await);
        answer.send(1).unwrap();
        assert_eq!(work.await, Some(Ok(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_that_rings_late_looks_again() {
        let (begin, mut alarm) = (Instant::now(), Alarm::default());
        let at = begin + Duration::from_secs(1);
        assert!(!is_due(&mut alarm, at).await);
        advance(Duration::from_secs(5)).await;
        assert!(!is_due(&mut alarm, at).await);
        poll_fn(|cx| alarm.poll(at, cx)).await;
        assert!(begin.elapsed() >= Duration::from_secs(5) + MOMENT);
        // So does one that the process stood still before.
        assert!(!is_due(&mut Alarm::default(), at).await);
        // What came meanwhile has put it off.
        let at = Instant::now() + Duration::from_secs(1);
        assert!(!is_due(&mut alarm, at).await);
        advance(Duration::from_secs(5)).await;
        assert!(!is_due(&mut alarm, at).await);
        let at = Instant::now() + Duration::from_secs(1);
        assert!(!is_due(&mut alarm, at).await);
        poll_fn(|cx| alarm.poll(at, cx)).await;
        assert!(at.elapsed() < Duration::from_millis(10));
    }
}
