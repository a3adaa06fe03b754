//! The session's deadlines: when the next one is, and what it ends. Each wait has one of the names of
//! [`Timeouts`](crate::limits::Timeouts).

use std::time::Instant;

use crate::diagnosis::Diagnosis;
use crate::ending::{Cause, Side};
use crate::session::data::Association;
use crate::session::machine::{Login, Session, State};
use crate::session::{Tell, replies};

impl Session {
    /// When [`Self::on_deadline`] is to be called next.
    pub fn deadline(&self) -> Option<Instant> {
        let timeouts = &self.settings.timeouts;
        let data = [self.current.as_deref(), self.candidate.as_deref()];
        let open = data
            .into_iter()
            .flatten()
            .filter_map(Association::deadline)
            .min();
        let hold = self.hold.as_ref().map(|hold| hold.until);
        let state = match self.phase {
            State::Connecting | State::Closed => return None,
            State::Leaving(leaving) => return Some(leaving.until),
            State::AwaitingUser { until } | State::Greeting { until, .. } => Some(until),
            State::Open { greeted } => {
                let login = match self.login {
                    Login::None => Some(greeted + timeouts.user.min(timeouts.login)),
                    Login::User => Some(greeted + timeouts.login),
                    Login::Done => self.idle_deadline(),
                };
                let login = [login, self.pause_deadline()].into_iter().flatten().min();
                self.closing_deadline().or(login)
            }
        };
        [
            open,
            hold,
            state,
            self.line_deadline(),
            self.reply_deadline(),
            self.pause_over(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// A deadline may have passed. `moved`: how many bytes the session's data connections have carried
    /// in all, by which a transfer that goes on is told from one that stands still.
    pub fn on_deadline(&mut self, now: Instant, moved: u64) {
        let is_due = |until: Option<Instant>| until.is_some_and(|until| until <= now);
        self.end_pauses(now);
        self.expire_associations(now);
        self.expire_hold(now, moved);
        let timeouts = self.settings.timeouts.clone();
        match self.phase {
            State::Leaving(leaving) if leaving.until <= now => self.expire_leaving(now, moved),
            State::AwaitingUser { until } if until <= now => {
                self.leave_now(Side::Client, Cause::Timeout, Some(replies::LOGIN_TIMEOUT));
            }
            State::AwaitingUser { .. } if is_due(self.line_deadline()) => {
                self.leave_now(Side::Client, Cause::Timeout, Some(replies::TIMEOUT));
            }
            State::Greeting { until, begun } if until <= now => self.expire_greeting(begun),
            State::Open { greeted } => {
                let user = self.login == Login::None && greeted + timeouts.user <= now;
                let login = self.login != Login::Done && greeted + timeouts.login <= now;
                if is_due(self.closing_deadline()) {
                    self.expire_closing();
                } else if is_due(self.pause_deadline()) {
                    self.leave_now(Side::Balancer, Cause::Drain, Some(replies::RETIRED));
                } else if (user || login) && !self.pending.is_empty() {
                    // It is not the client that keeps its word back: PAM or LDAP hangs behind the backend.
                    let word = Some(replies::NOT_AVAILABLE);
                    self.leave_now(Side::Backend, Cause::NoReply, word);
                } else if user || login {
                    let word = Some(replies::LOGIN_TIMEOUT);
                    self.leave_now(Side::Client, Cause::Timeout, word);
                } else if is_due(self.line_deadline()) {
                    self.leave_now(Side::Client, Cause::Timeout, Some(replies::TIMEOUT));
                } else if is_due(self.reply_deadline()) {
                    let word = Some(replies::NOT_AVAILABLE);
                    self.leave_now(Side::Backend, Cause::NoReply, word);
                } else if self.login == Login::Done && is_due(self.idle_deadline()) {
                    self.leave_now(Side::Client, Cause::Idle, Some(replies::TIMEOUT));
                }
            }
            _ => {}
        }
        self.settle(now);
    }

    /// When the session ends if the client keeps silent until then. `None` before the login, and while the
    /// time stands still because data moves or a reply is owed.
    pub fn idle_until(&self) -> Option<Instant> {
        let is_open = matches!(self.phase, State::Open { .. }) && self.login == Login::Done;
        is_open.then(|| self.idle_deadline()).flatten()
    }

    fn expire_greeting(&mut self, begun: bool) {
        self.diagnose(Diagnosis::SlowGreeting);
        if begun {
            self.leave_now(Side::Backend, Cause::Timeout, Some(replies::NOT_AVAILABLE));
        } else {
            self.tell(Tell::BackendFailed("sent no greeting in time"));
            self.pick();
        }
    }

    fn idle_deadline(&self) -> Option<Instant> {
        // O3, RFC 6384 §12: the idle timer stands still while data moves or a reply is owed.
        if self.is_data_alive() || !self.pending.is_empty() {
            return None;
        }
        let timeouts = &self.settings.timeouts;
        Some(self.last_activity + timeouts.idle)
    }

    /// A retired session ends when the client pauses, and not between two commands that belong together, nor
    /// while a password is typed. One that ends by itself is left to.
    fn pause_deadline(&self) -> Option<Instant> {
        let is_over = self.flags.client_eof || !self.is_idle();
        if !self.flags.retiring || is_over || self.mid_line.is_some() {
            return None;
        }
        Some(self.last_activity + self.settings.timeouts.drain_idle)
    }

    /// After QUIT, a FIN of the client or a 421 nothing more is asked. To close is the backend's affair,
    /// within the time to settle (S11, S13, R8).
    fn closing_deadline(&self) -> Option<Instant> {
        let is_closing = self.flags.quit || self.flags.client_eof || self.flags.service_closing;
        let is_done = self.pending.is_empty() && !self.is_data_alive();
        (is_closing && is_done).then(|| self.last_activity + self.settings.timeouts.settle)
    }

    fn expire_closing(&mut self) {
        let (side, cause) = if self.flags.quit {
            (Side::Client, Cause::Complete)
        } else if self.flags.service_closing {
            (Side::Backend, Cause::Service)
        } else {
            (Side::Client, Cause::Close)
        };
        self.leave_now(side, cause, None);
    }

    /// O2: against slow senders, once somebody is there to take the line.
    fn line_deadline(&self) -> Option<Instant> {
        let is_taken = matches!(self.phase, State::AwaitingUser { .. } | State::Open { .. });
        let since = self.mid_line.filter(|_| is_taken)?;
        Some(since + self.settings.timeouts.line)
    }

    fn reply_deadline(&self) -> Option<Instant> {
        let since = self.pending.since()?;
        if self.is_data_alive() || self.hold.is_some() {
            return None;
        }
        // Nobody is there any more to be answered, and the process waits.
        let is_left = self.flags.draining && self.flags.client_eof;
        // S11: what was asked before QUIT has its own time.
        let is_last = self.flags.quit && self.pending.len() == 1;
        let limit = if is_last || self.flags.service_closing || is_left {
            self.settings.timeouts.settle
        } else {
            self.settings.timeouts.reply
        };
        Some(since.max(self.last_answer) + limit)
    }
}
