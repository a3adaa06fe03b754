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

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Waits for one deadline, which may be another at every poll.
#[derive(Debug, Default)]
pub struct Alarm {
    /// Moved only to ring sooner: left to ring early, and set anew then.
    sleep: Option<Pin<Box<Sleep>>>,
    is_second_look: bool,
}

impl Alarm {
    /// Ready once `at` has passed and nothing has put it off.
    pub fn poll(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        if at <= now {
            return self.poll_due(now, cx);
        }
        self.is_second_look = false;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if sleep.deadline() > at || sleep.is_elapsed() {
            sleep.as_mut().reset(at);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if at <= Instant::now() {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
        Poll::Pending
    }

    fn poll_due(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let Some(sleep) = &mut self.sleep else {
            return Poll::Ready(());
        };
        if !self.is_second_look {
            if now < sleep.deadline() + STOOD_STILL {
                return Poll::Ready(());
            }
            self.is_second_look = true;
            sleep.as_mut().reset(now + MOMENT);
        }
        sleep.as_mut().poll(cx).map(|()| {
            self.is_second_look = false;
        })
    }
}

/// How late an alarm rings at most on a host that is only busy.
const STOOD_STILL: Duration = Duration::from_millis(100);

/// For the kernel to say what has come, and for that to be taken.
const MOMENT: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

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
        assert!(is_due(&mut Alarm::default(), begin).await);
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
