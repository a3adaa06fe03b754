//! The session's life: phases, deadlines, and how it ends.
//!
//! ```text
//!  by user name ──▶ AwaitingUser ──QUIT, too late──▶ Closed
//!                        │ USER
//!               ┌────────┘
//!               │ ┌──── refused, silent, 421: the next backend (decision 7) ─────┐
//!               ▼ ▼                                                              │
//!  ──▶ Connecting ──Connected──▶ Greeting ──220──▶ Open ──▶ Leaving ──▶ Closed   │
//!          │                        │  └───────────────────────────────┼─────────┘
//!          └── none left ───────────┴── after 220 has begun ───────────┘
//! ```
//! `Open` is logged in or not; `Leaving` lets data that is still moving arrive (S15, S11). A client that
//! ftplb has greeted itself does not see the backend's 220, so that counts as begun with its last line.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::diagnosis::{Diagnoses, Diagnosis};
use crate::ending::{Cause, Ending, Phase, Side};
use crate::ftp::reply::Replies;
use crate::session::backend::Disposition;
use crate::session::data::{Association, DataId};
use crate::session::hold::Hold;
use crate::session::leaving::Leaving;
use crate::session::pace::Pace;
use crate::session::pending::{Asked, Pending};
use crate::session::waiting::{ClientLine, Held};
use crate::session::whereabouts::Whereabouts;
use crate::session::{Action, Input, Order, Picked, Settings, Tell, replies};

/// One client's session.
pub struct Session {
    pub(super) settings: Arc<Settings>,
    pub(super) client: SocketAddr,
    pub(super) vip: IpAddr,
    /// The address the backend sees and the backend's own, once connected.
    pub(super) backend: Option<(IpAddr, SocketAddr)>,
    pub(super) phase: State,
    pub(super) login: Login,
    /// Who is to be logged in in place of who is, until the backend agrees.
    pub(super) asked_user: Option<Box<[u8]>>,
    pub(super) flags: Flags,
    pub(super) errors: u32,
    /// What was told of this backend.
    diagnosed: Diagnoses,
    tries: usize,
    pub(super) pending: Pending,
    /// Lines of the client that wait behind a barrier or for the greeting (S1, F11).
    pub(super) held: Held,
    pub(super) assembler: Replies,
    /// What becomes of the lines of the reply that is being read.
    pub(super) disposition: Option<Disposition>,
    pub(super) hold: Option<Box<Hold>>,
    pub(super) current: Option<Box<Association>>,
    /// The association that a PASV or PORT under way will make (S3).
    pub(super) candidate: Option<Box<Association>>,
    /// Associations that were replaced while their data still moved.
    pub(super) finishing: Vec<Association>,
    pub(super) last_id: DataId,
    /// When the client or the backend last said something, or data last ended.
    pub(super) last_activity: Instant,
    /// When the backend last said something, or data last ended.
    pub(super) last_answer: Instant,
    /// What bounds how fast lines are read, where that is configured.
    pub(super) pace: Option<Box<Pace>>,
    /// Where its files are, if that is wanted.
    pub(super) whereabouts: Option<Box<Whereabouts>>,
    /// Since when an incomplete command line is held.
    pub(super) mid_line: Option<Instant>,
    workspace: Option<Box<Workspace>>,
}

/// What a session needs while it works, and another one while this one is idle.
#[derive(Debug, Default)]
pub struct Workspace {
    /// Where actions stand until they are polled.
    actions: VecDeque<Action>,
    /// Where the next command waits for its reply, unless the session has such a place.
    asked: Option<Box<Asked>>,
}

/// The phases of the diagram above.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    AwaitingUser { until: Instant },
    Connecting,
    Greeting { until: Instant, begun: bool },
    Open { greeted: Instant },
    Leaving(Leaving),
    Closed,
}

/// How far the login has come, as far as the replies tell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Login {
    None,
    User,
    Done,
}

/// What has been said in this session and can not be unsaid.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, each with one reader"
)]
pub(super) struct Flags {
    /// The first command has been looked at (F10).
    pub(super) spoken: bool,
    /// EPSV ALL was accepted (S9).
    pub(super) epsv_all: bool,
    /// QUIT was forwarded.
    pub(super) quit: bool,
    /// The client sent FIN.
    pub(super) client_eof: bool,
    /// The FIN was passed on (S13).
    pub(super) backend_shut: bool,
    /// The backend said 421 and will close (R8).
    pub(super) service_closing: bool,
    /// The session is to end at its next idle moment (O8).
    pub(super) draining: bool,
    /// The session is to end when the client next pauses.
    pub(super) retiring: bool,
    /// The backend refused an EPSV that the client had not asked for (P8).
    pub(super) backend_lacks_epsv: bool,
}

impl Session {
    /// A session of `client`, which connected to `vip`, that begins to work in `workspace`. Both addresses are
    /// normalised (V2).
    pub fn new(
        settings: Arc<Settings>,
        client: SocketAddr,
        vip: IpAddr,
        workspace: Option<Box<Workspace>>,
        now: Instant,
    ) -> Self {
        let limits = &settings.limits;
        let assembler = Replies::new(limits.reply_lines, limits.reply_bytes);
        let whereabouts = settings.follow_paths.then(Box::default);
        let pace = Pace::new(limits.command_rate, limits.reply_rate, now);
        let mut session = Self {
            settings,
            client,
            vip,
            backend: None,
            phase: State::Connecting,
            login: Login::None,
            asked_user: None,
            flags: Flags::default(),
            errors: 0,
            diagnosed: Diagnoses::default(),
            tries: 0,
            pending: Pending::default(),
            held: Held::default(),
            assembler,
            disposition: None,
            hold: None,
            current: None,
            candidate: None,
            finishing: Vec::new(),
            last_id: DataId(0),
            last_activity: now,
            last_answer: now,
            pace,
            whereabouts,
            mid_line: None,
            workspace,
        };
        if session.settings.pick_by_user {
            session.await_user(now);
        } else {
            session.pick();
        }
        session
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.workspace.as_mut()?.actions.pop_front()
    }

    /// Begins to work in `workspace`, which another session has left. Made anew for each line it would cost more than
    /// the line.
    pub fn resume(&mut self, workspace: Option<Box<Workspace>>) {
        debug_assert!(self.workspace.is_none());
        let mut workspace = workspace.unwrap_or_default();
        self.pending.borrow(&mut workspace.asked);
        self.workspace = Some(workspace);
    }

    /// Whether it waits for the next event, and has no workspace.
    pub fn is_at_rest(&self) -> bool {
        self.workspace.is_none()
    }

    /// Leaves the workspace to the next one, once every action is polled: an idle session is to hold none (design
    /// decision 11). What stands behind [`Action::Close`] is forgotten.
    pub fn rest(&mut self) -> Option<Box<Workspace>> {
        let mut workspace = self.workspace.take()?;
        debug_assert!(workspace.actions.is_empty() || self.phase == State::Closed);
        workspace.actions.clear();
        // A second one is held by nobody.
        let asked = self.pending.give_back();
        workspace.asked = workspace.asked.or(asked);
        Some(workspace)
    }

    /// Whether lines of the client wait that have been read.
    pub fn holds_lines(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether the client may be read: what waits is within its bounds (O5).
    pub fn wants_client(&self) -> bool {
        let limits = &self.settings.limits;
        !self.flags.client_eof
            && !self.is_paused(Side::Client)
            && !matches!(self.phase, State::Leaving(_) | State::Closed)
            && self.pending.len() + self.held.len() < limits.pending_commands
            && self.held.bytes() < limits.queued_bytes
            && self.pending.remembered() < limits.queued_bytes
    }

    /// Whether the backend may be read: it is there, and no reply of it is waiting (R13).
    pub fn wants_backend(&self) -> bool {
        let is_read = self.hold.is_none() && !self.is_paused(Side::Backend);
        is_read && matches!(self.phase, State::Greeting { .. } | State::Open { .. })
    }

    /// How far the session has come, for logs.
    pub fn ending_phase(&self) -> Phase {
        match self.phase {
            State::Connecting => Phase::Connect,
            State::Greeting { .. } => Phase::Greeting,
            _ if self.pending.transfer().is_some() || self.is_data_used() => Phase::Transfer,
            _ if self.login == Login::Done => Phase::Command,
            _ => Phase::Login,
        }
    }

    /// Since when the session is open: the backend has greeted then, or agreed to begin anew (REIN).
    pub fn greeted(&self) -> Option<Instant> {
        match self.phase {
            State::Open { greeted } => Some(greeted),
            _ => None,
        }
    }

    /// Whether the client has logged in, as far as the replies tell.
    pub fn has_logged_in(&self) -> bool {
        self.login == Login::Done
    }

    /// When the client or the backend last said something, or data last ended.
    pub fn last_activity(&self) -> Instant {
        self.last_activity
    }

    /// The address that the backend knows this session by, once there is one (P15, A5).
    pub fn backend_local(&self) -> Option<IpAddr> {
        self.backend.map(|(local, _)| local)
    }

    /// The control address of the backend, once there is one (P2).
    pub fn backend_peer(&self) -> Option<SocketAddr> {
        self.backend.map(|(_, peer)| peer)
    }

    /// The answer to [`Action::Pick`].
    pub fn on_picked(&mut self, picked: Picked, now: Instant) {
        if self.phase != State::Connecting {
            return;
        }
        match picked {
            Picked::Connected { local, peer } => {
                self.backend = Some((local, peer));
                let until = now + self.settings.timeouts.greeting;
                self.phase = State::Greeting {
                    until,
                    begun: false,
                };
            }
            Picked::Failed => self.pick(),
            Picked::Full => {
                let word = Some(replies::BACKENDS_FULL);
                self.leave_now(Side::Backend, Cause::Limit, word);
            }
            Picked::None => self.give_up_connecting(),
        }
    }

    /// Something came from the client's control connection.
    pub fn on_client(&mut self, input: Input, now: Instant) {
        match (self.phase, input) {
            (State::Closed, _) => {}
            (_, Input::Reset) => {
                // S14: both data legs are reset by the release in `close`.
                let side = Ending::new(Side::Client, self.ending_phase(), Cause::Reset);
                self.close(side);
            }
            (State::Leaving(_), _) => {}
            (_, Input::Line { text, interrupt }) => {
                self.last_activity = now;
                self.mid_line = None;
                self.count_line(Side::Client, now);
                self.on_command(ClientLine::Whole { text, interrupt }, now);
            }
            (_, Input::TooLong) => {
                self.last_activity = now;
                self.mid_line = None;
                self.count_line(Side::Client, now);
                self.on_command(ClientLine::TooLong, now);
            }
            (_, Input::Runaway) => {
                self.leave_now(Side::Client, Cause::Protocol, Some(replies::LINE_RUNAWAY));
            }
            (_, Input::Eof) => {
                self.flags.client_eof = true;
                self.mid_line = None;
                self.last_activity = now;
                self.pass_on_eof();
            }
        }
        self.settle(now);
    }

    /// Something came from the backend's control connection.
    pub fn on_backend(&mut self, input: Input, now: Instant) {
        match self.phase {
            State::AwaitingUser { .. } | State::Connecting | State::Closed => {}
            State::Greeting { begun: false, .. } => self.on_greeting(input, now),
            _ => self.on_reply_input(input, now),
        }
        self.settle(now);
    }

    /// Says whether the client has by now sent a part of a line only, which it must complete in time (O2).
    pub fn note_mid_line(&mut self, by_now: Option<Instant>) {
        let by_now = by_now.filter(|_| self.wants_client());
        self.mid_line = by_now.map(|now| self.mid_line.unwrap_or(now));
    }

    /// The operator wants something of this session.
    pub fn on_order(&mut self, order: Order, now: Instant) {
        match order {
            Order::Stay => {
                self.flags.retiring = false;
                self.flags.draining = false;
            }
            Order::Retire => self.flags.retiring = true,
            Order::Drain => self.flags.draining = true,
            Order::Kill => {
                let word = Some(replies::SHUTTING_DOWN);
                self.leave_now(Side::Balancer, Cause::Drain, word);
            }
        }
        self.settle(now);
    }

    pub(super) fn act(&mut self, action: Action) {
        let workspace = self.workspace.get_or_insert_default();
        workspace.actions.push_back(action);
    }

    pub(super) fn tell(&mut self, tell: Tell) {
        self.act(Action::Tell(tell));
    }

    pub(super) fn diagnose(&mut self, diagnosis: Diagnosis) {
        if self.diagnosed.insert(diagnosis) {
            self.tell(Tell::Diagnosis(diagnosis));
        }
    }

    pub(super) fn send(&mut self, to: Side, text: Bytes, alone: bool) {
        self.act(Action::Send { to, text, alone });
    }

    /// O2: whoever only makes mistakes before login is no FTP client.
    pub(super) fn count_error(&mut self) {
        if self.login != Login::Done {
            self.errors += 1;
            if self.errors >= self.settings.limits.errors_before_login {
                let word = Some(replies::TOO_MANY_ERRORS);
                self.leave_now(Side::Client, Cause::Limit, word);
            }
        }
    }

    /// Asks for another backend, while the client has seen nothing of any (decision 7, S16).
    pub(super) fn pick(&mut self) {
        self.backend = None;
        self.diagnosed = Diagnoses::default();
        self.disposition = None;
        let limits = &self.settings.limits;
        self.assembler = Replies::new(limits.reply_lines, limits.reply_bytes);
        if self.tries >= self.settings.limits.tries {
            self.give_up_connecting();
            return;
        }
        self.tries += 1;
        self.phase = State::Connecting;
        let user = self.deciding_user();
        self.act(Action::Pick { user });
    }

    fn give_up_connecting(&mut self) {
        self.send(Side::Client, replies::NO_BACKEND, false);
        self.close(Ending::new(Side::Backend, Phase::Connect, Cause::NoBackend));
    }

    /// What follows from the new state, after every input.
    pub(super) fn settle(&mut self, now: Instant) {
        self.flush_local(now);
        self.run_held(now);
        self.distrust_ends();
        match self.phase {
            State::Leaving(_) if !self.is_data_used() => self.finish_leaving(now),
            State::Open { .. } if self.flags.draining && self.is_idle() => {
                let word = Some(replies::SHUTTING_DOWN);
                self.leave_now(Side::Balancer, Cause::Drain, word);
            }
            State::AwaitingUser { .. } | State::Connecting | State::Greeting { .. }
                if self.flags.draining =>
            {
                let word = Some(replies::SHUTTING_DOWN);
                self.leave_now(Side::Balancer, Cause::Drain, word);
            }
            _ => {}
        }
        if !self.wants_client() {
            // What is not read can not be late (O2).
            self.mid_line = None;
        }
    }

    /// Whether nothing is under way: no command unanswered, no transfer's data moving. What ends by
    /// itself is left to end by itself.
    pub(super) fn is_idle(&self) -> bool {
        let is_ending = self.flags.quit || self.flags.service_closing;
        self.pending.is_empty() && self.disposition.is_none() && !is_ending && !self.is_data_used()
    }

    pub(super) fn is_barred(&self) -> bool {
        self.pending.is_barred() || self.candidate.is_some()
    }
}
