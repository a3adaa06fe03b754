//! `ftplb top`: a running ftplb, watched in a terminal.
//!
//! ```text
//!   keys of the terminal ──┐
//!   looks over the API ────┼──▶ one channel ──▶ Screen: what is shown ──▶ draw
//!   signals to end ────────┘
//! ```
//! Whatever ends it (a key, a signal, a panic), the terminal is left as it was.

mod columns;
mod draw;
mod look;
mod screen;
#[cfg(test)]
mod tests;

use std::io::IsTerminal;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event as TerminalEvent, KeyEvent, KeyEventKind};
use tokio::signal::unix::{SignalKind, signal};

use self::look::Look;
use self::screen::Screen;
use super::ask::{Api, AskError, Where};

#[derive(clap::Args, Clone, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    at: Where,
    /// Seconds between two looks.
    #[arg(long, default_value_t = 2, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=60))]
    every: u64,
}

/// What happens to a screen.
enum Event {
    Key(KeyEvent),
    /// The terminal has another size.
    Resized,
    Look(Result<Box<Look>, AskError>),
    /// A signal.
    End,
    /// The terminal is gone.
    Lost(std::io::Error),
}

pub(super) fn run(options: &Options) -> Result<(), AskError> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(AskError::NoTerminal);
    }
    let api = options.at.api()?;
    // Who is not there at all is an error as for any other command; who goes away later is waited for.
    let first = Look::ask(&api)?;
    let (events, happened) = sync_channel(EVENTS);
    watch_signals(events.clone())?;
    let every = Duration::from_secs(options.every);
    let (of_looks, of_keys) = (events.clone(), events);
    thread::spawn(move || look_again(&api, every, &of_looks));
    // It puts the terminal back on a panic.
    let mut terminal = ratatui::try_init().map_err(AskError::System)?;
    let _put_back = PutBack;
    thread::spawn(move || read_keys(&of_keys));
    show(&mut terminal, Screen::new(first, every), &happened)
}

/// Shows what happens until somebody wants it to end.
fn show(
    terminal: &mut DefaultTerminal,
    mut screen: Screen,
    happened: &Receiver<Event>,
) -> Result<(), AskError> {
    loop {
        let drawn = terminal.draw(|frame| draw::draw(frame, &mut screen, Instant::now()));
        drawn.map_err(AskError::System)?;
        match happened.recv_timeout(TICK) {
            Ok(Event::Key(key)) if !screen.on_key(key) => return Ok(()),
            Ok(Event::Look(look)) => screen.on_look(look),
            Ok(Event::Lost(error)) => return Err(AskError::System(error)),
            Ok(Event::End) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Ok(Event::Key(_) | Event::Resized) | Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Looks again and again, until nobody wants to see it.
fn look_again(api: &Api, every: Duration, events: &SyncSender<Event>) {
    loop {
        thread::sleep(every);
        let look = Look::ask(api).map(Box::new);
        if events.send(Event::Look(look)).is_err() {
            return;
        }
    }
}

fn read_keys(events: &SyncSender<Event>) {
    loop {
        let event = match event::read() {
            Ok(TerminalEvent::Key(key)) if key.kind != KeyEventKind::Release => Event::Key(key),
            Ok(TerminalEvent::Resize(..)) => Event::Resized,
            Ok(_) => continue,
            Err(error) => Event::Lost(error),
        };
        let is_lost = matches!(event, Event::Lost(_));
        if events.send(event).is_err() || is_lost {
            return;
        }
    }
}

/// Has the first SIGTERM, SIGINT or SIGHUP end the screen, and not the process under it.
fn watch_signals(events: SyncSender<Event>) -> Result<(), AskError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(AskError::System)?;
    let within = runtime.enter();
    let listen = |kind| signal(kind).map_err(AskError::System);
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut hangup = listen(SignalKind::hangup())?;
    drop(within);
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hangup.recv() => {}
            }
        });
        // Whoever draws may have ended by itself.
        events.send(Event::End).ok();
    });
    Ok(())
}

/// Puts the terminal back when it is dropped.
struct PutBack;

impl Drop for PutBack {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Events that wait: a key held down must not run ahead of the drawing for long.
const EVENTS: usize = 16;

/// How soon the age of what is shown is drawn again.
const TICK: Duration = Duration::from_secs(1);
