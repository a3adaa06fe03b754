//! A simulation: clients and backends, plausible and mean, data and time, in any order.
//!
//! The [`World`] obeys the session as the driver would, keeps the books of what is open, and checks after
//! every action what must hold always. What happens is decided by a seed in the tests, and by the bytes of
//! an input where a fuzzer looks for the way to what must not be.

mod books;
mod parties;
mod random;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use self::books::Books;
use self::parties::{Backend, Client, Manner};
use self::random::Random;
use crate::config::{BackendActive, BackendPassive, PortAddress};
use crate::diagnosis::{Diagnoses, Diagnosis};
use crate::ending::{Cause, Side};
use crate::limits::{Limits, Rate, Timeouts};
use crate::session::{Action, DataEvent, DataId, Input, Order, Picked, Session, Settings, Tell};

/// Lives through what the bytes of `input` decide, up to its end or the session's.
pub(crate) fn simulate(input: &[u8]) {
    World::new(Random::of_input(input)).run(usize::MAX);
}

struct World {
    random: Random,
    session: Session,
    settings: Arc<Settings>,
    now: Instant,
    client: Client,
    backend: Backend,
    books: Books,
    picking: bool,
    /// What was told of the backend that is there now.
    diagnosed: Diagnoses,
    is_drained: bool,
    is_retired: bool,
    /// When somebody last did something that the session could see.
    last_sign: Instant,
    trace: Vec<String>,
}

/// So slow that lines wait for it.
const SLOW: Rate = Rate {
    events: 30,
    per: Duration::from_mins(1),
    burst: 3,
};

impl World {
    fn new(mut random: Random) -> Self {
        let settings = Arc::new(Settings {
            limits: Limits {
                pending_commands: random.pick(&[4, 64]),
                command_rate: random.pick(&[None, None, Some(SLOW)]),
                reply_rate: random.pick(&[None, None, Some(SLOW)]),
                ..Limits::default()
            },
            timeouts: Timeouts::default(),
            advertise: None,
            port_address: random.pick(&[PortAddress::Reject, PortAddress::UseControlIp]),
            backend_passive: random.pick(&[BackendPassive::Same, BackendPassive::Epsv]),
            backend_active: random.pick(&[BackendActive::Active, BackendActive::Passive]),
            deny_commands: Vec::new(),
            pick_by_user: random.one_in(3),
            follow_paths: true,
        });
        let now = Instant::now();
        let session = Session::new(
            Arc::clone(&settings),
            books::CLIENT,
            books::VIP.ip(),
            None,
            now,
        );
        let (of_client, of_backend) = Manner::of_both(&mut random);
        let client = Client::new(of_client, settings.pick_by_user);
        let mut world = Self {
            session,
            settings,
            now,
            client,
            backend: Backend::new(of_backend),
            books: Books::default(),
            picking: false,
            diagnosed: Diagnoses::default(),
            is_drained: false,
            is_retired: false,
            last_sign: now,
            trace: Vec::new(),
            random,
        };
        world.obey();
        world
    }

    fn run(mut self, steps: usize) {
        for _ in 0..steps {
            if self.books.closed.is_some() || self.random.is_spent() {
                break;
            }
            self.step();
            self.check();
        }
        self.finish();
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..35 => self.client_speaks(),
            35..65 => self.backend_speaks(),
            65..90 => self.data_moves(),
            90..97 => {
                let seconds = self.random.pick(&[0, 1, 5, 11, 61]);
                self.pass(Duration::from_secs(seconds));
            }
            97 => self.stale_event(),
            98 if self.random.one_in(20) => {
                self.is_drained = true;
                self.note("drain");
                self.session.on_order(Order::Drain, self.now);
            }
            99 if self.random.one_in(20) => {
                self.is_retired = true;
                self.note("retire");
                self.session.on_order(Order::Retire, self.now);
            }
            _ => {
                let is_mid_line = self.random.one_in(2);
                self.session.note_mid_line(is_mid_line.then_some(self.now));
            }
        }
        self.obey();
    }

    fn client_speaks(&mut self) {
        if !self.session.wants_client() {
            return;
        }
        let input = self.client.says(&mut self.random, self.books.port);
        self.note(&format!("client: {input:?}"));
        if self.client.was_heard(&input) {
            let by_us = self.settings.pick_by_user && self.client.user.is_none();
            self.books.awaits(&input, by_us);
        }
        self.last_sign = self.now;
        self.session.on_client(input, self.now);
    }

    fn backend_speaks(&mut self) {
        if self.picking {
            self.picking = false;
            let picked = match self.random.below(10) {
                0 => Picked::Failed,
                1 if self.random.one_in(5) => Picked::None,
                _ => Picked::Connected {
                    local: books::LOCAL,
                    peer: books::BACKEND,
                },
            };
            self.backend.begin();
            self.note(&format!("{picked:?}"));
            self.session.on_picked(picked, self.now);
        } else if self.session.wants_backend()
            && let Some(input) = self.backend.says(&mut self.random, &self.books)
        {
            self.note(&format!("backend: {input:?}"));
            self.last_sign = self.now;
            self.session.on_backend(input, self.now);
        }
    }

    fn data_moves(&mut self) {
        if let Some((id, event)) = self.books.data_event(&mut self.random, self.now) {
            self.note(&format!("{id:?}: {event:?}"));
            if matches!(
                event,
                DataEvent::Accepted | DataEvent::Ended(_) | DataEvent::Cut { .. }
            ) {
                self.last_sign = self.now;
            }
            self.session.on_data(id, event, self.now);
        }
    }

    /// What happens to an association that is no more is of no consequence.
    fn stale_event(&mut self) {
        let id = DataId(self.random.pick(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20]));
        let local = std::net::SocketAddr::new(books::LOCAL, 9_999);
        let event = self.random.pick(&[
            DataEvent::Accepted,
            DataEvent::Dialled,
            DataEvent::DialFailed,
            DataEvent::Unavailable,
            DataEvent::Ready(local),
        ]);
        if self.books.is_past(id) {
            self.note(&format!("stale {id:?}: {event:?}"));
            self.session.on_data(id, event, self.now);
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let mut calls = 0;
        while let Some(due) = self.session.deadline().filter(|due| *due <= end) {
            calls = if due > self.now { 0 } else { calls + 1 };
            assert!(calls < 4, "a busy deadline");
            self.now = self.now.max(due);
            self.session.on_deadline(self.now, self.books.moved);
            self.obey();
            for (id, event) in self.books.overdue(self.now, &self.settings.timeouts) {
                self.session.on_data(id, event, self.now);
                self.obey();
            }
        }
        self.now = end;
        for (id, event) in self.books.overdue(self.now, &self.settings.timeouts) {
            self.session.on_data(id, event, self.now);
            self.obey();
        }
    }

    /// Both parties are gone: time alone ends the session.
    fn finish(&mut self) {
        self.note("finish");
        if self.books.closed.is_none() && self.session.wants_client() {
            let input = self.random.pick_of([Input::Eof, Input::Reset]);
            self.session.on_client(input, self.now);
            self.obey();
        }
        for _ in 0..4 {
            if self.picking {
                self.picking = false;
                self.session.on_picked(Picked::Failed, self.now);
            } else if self.session.wants_backend() {
                let input = self.random.pick_of([Input::Eof, Input::Reset]);
                self.session.on_backend(input, self.now);
            }
            self.obey();
        }
        for _ in 0..100 {
            if self.books.closed.is_none() {
                self.pass(Duration::from_secs(60));
                self.check();
            }
        }
        assert!(self.books.closed.is_some(), "the session does not end");
        assert_eq!(self.session.deadline(), None);
        self.session.on_client(Input::Eof, self.now);
        self.session.on_backend(Input::Eof, self.now);
        self.session.on_order(Order::Kill, self.now);
        self.session.on_deadline(self.now, 0);
        assert_eq!(self.session.poll_action(), None, "after the end");
    }

    fn obey(&mut self) {
        while let Some(action) = self.session.poll_action() {
            self.note(&format!("    {action:?}"));
            assert!(self.books.closed.is_none(), "after the end");
            match action {
                Action::Pick { user } => {
                    assert!(!self.picking && !self.client.has_heard, "decision 7");
                    let decides = self.settings.pick_by_user;
                    let named = self.client.user.clone().filter(|_| decides);
                    assert_eq!(user, named.unwrap_or_default(), "H5");
                    self.picking = true;
                    self.diagnosed = Diagnoses::default();
                }
                Action::Send {
                    to: Side::Client,
                    text,
                    alone,
                } => self.client_hears(&text, alone),
                Action::Send { to, text, .. } => {
                    assert_eq!(to, Side::Backend);
                    self.books.sent_to_backend(&text);
                    self.backend.hears(&text);
                }
                Action::Lease(id) | Action::Listen(id) => {
                    let is_granted = !self.random.one_in(20);
                    let is_lease = matches!(action, Action::Lease(_));
                    let event = self.books.open(id, is_lease, is_granted, self.now);
                    self.session.on_data(id, event, self.now);
                }
                action => {
                    self.check_action(&action);
                    self.books.obey(&action, self.now);
                }
            }
        }
    }

    fn check_action(&mut self, action: &Action) {
        match *action {
            Action::Tell(Tell::Diagnosis(diagnosis)) => self.check_diagnosis(diagnosis),
            Action::Close(ending) if ending.cause == Cause::Drain && !self.is_drained => {
                self.check_retirement();
            }
            _ => {}
        }
    }

    fn check_diagnosis(&mut self, diagnosis: Diagnosis) {
        let is_new = self.diagnosed.insert(diagnosis);
        assert!(is_new, "{diagnosis:?} twice of one backend");
        // It refuses a PASV now and then, which a client in active mode knows nothing of (A12).
        let is_its_way = [Diagnosis::NoDataPort, Diagnosis::SlowGreeting].contains(&diagnosis);
        let is_orderly = self.backend.manner == Manner::Orderly;
        assert!(!is_orderly || is_its_way, "{diagnosis:?}");
    }

    fn check_retirement(&self) {
        assert!(self.is_retired, "drained by nobody");
        assert!(!self.picking && self.client.was_greeted, "not open yet");
        let paused = self.now - self.last_sign;
        assert!(paused >= self.settings.timeouts.drain_idle, "no pause");
        let is_orderly = self.backend.manner == Manner::Orderly;
        assert!(!is_orderly || !self.books.owes_a_reply(), "in mid-command");
    }

    fn client_hears(&mut self, text: &Bytes, alone: bool) {
        let is_unpicked = self.settings.pick_by_user && self.client.user.is_none();
        // Of a backend.
        self.client.has_heard |= !is_unpicked;
        if !self.client.was_greeted {
            self.client.was_greeted = parties::is_final(text);
            return;
        }
        let is_greeting = text.starts_with(b"220") && text.ends_with(b"here");
        assert!(
            self.backend.manner.is_mean() || !is_greeting,
            "greeted twice"
        );
        let is_in_order = self.backend.manner == Manner::Orderly && !self.is_drained;
        self.books.sent_to_client(text, alone, is_in_order);
    }

    fn check(&self) {
        let session = &self.session;
        let limits = &self.settings.limits;
        assert!(session.pending.len() + session.held.len() <= limits.pending_commands + 1);
        assert!(session.held.bytes() <= limits.queued_bytes + limits.command_line_bytes);
        let most = 2 * (limits.queued_bytes + limits.command_line_bytes);
        assert!(session.pending.remembered() <= most);
        assert!(session.finishing.len() <= 4);
        self.books.check();
        for id in self.books.open_ids() {
            let is_known = session
                .associations()
                .any(|a| a.id == id && a.end().is_none());
            assert!(is_known, "{id:?} has outlived its association");
        }
    }

    fn note(&mut self, what: &str) {
        self.trace.push(what.to_owned());
    }
}

impl Drop for World {
    #[expect(clippy::print_stdout, reason = "what led to a failure of the test")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            for line in self.trace.iter().skip(self.trace.len().saturating_sub(60)) {
                println!("{line}");
            }
            println!("{} ({:?})", self.random, self.backend.manner);
        }
    }
}
