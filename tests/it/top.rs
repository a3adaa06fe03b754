//! `ftplb top` on a pseudo terminal: what it draws, and that it leaves the terminal as it was.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use nix::pty::{Winsize, openpty};
use nix::sys::signal::Signal;
use nix::sys::termios::{Termios, tcgetattr};

use crate::console::Console;
use crate::process::{Process, SOON, eventually};
use crate::proxy::{PROGRAM, Setup};
use crate::scripted::{Door, Peer};

/// `ftplb top` and the terminal that it draws on.
struct Top {
    process: Process,
    /// The end of whoever sits before the terminal.
    keys: File,
    /// The end of the program.
    terminal: OwnedFd,
    before: Termios,
    drawn: Arc<Mutex<Vec<u8>>>,
}

impl Top {
    fn start(console: &Console) -> Self {
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(Some(&size), None).unwrap();
        let before = tcgetattr(&pty.slave).unwrap();
        let mut command = Command::new(PROGRAM);
        command.args(["top", "--every", "1"]);
        command
            .env("FTPLB_API", &console.socket)
            .stdin(pty.slave.try_clone().unwrap())
            .stdout(pty.slave.try_clone().unwrap())
            .stderr(pty.slave.try_clone().unwrap());
        let process = Process::start(&mut command);
        let drawn = Arc::<Mutex<Vec<u8>>>::default();
        let (mut screen, seen) = (
            File::from(pty.master.try_clone().unwrap()),
            Arc::clone(&drawn),
        );
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut buffer) {
                seen.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Self {
            process,
            keys: File::from(pty.master),
            terminal: pty.slave,
            before,
            drawn,
        }
    }

    /// Waits until this has been drawn since the last time.
    #[track_caller]
    fn draws(&self, text: &str) {
        let mut seen = String::new();
        eventually(&format!("{text:?} is drawn"), || {
            seen = String::from_utf8_lossy(&self.drawn.lock().unwrap()).into_owned();
            seen.contains(text)
        });
        self.drawn.lock().unwrap().clear();
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Ends, with everything as it was.
    #[track_caller]
    fn ends(mut self) {
        let done = self.process.finish(SOON);
        assert_eq!(done.code(), 0);
        self.draws(LEAVES);
        assert_eq!(tcgetattr(&self.terminal).unwrap(), self.before);
    }
}

/// The other screen, and back to the usual one.
const ENTERS: &str = "\x1b[?1049h";
const LEAVES: &str = "\x1b[?1049l";

#[test]
fn top_shows_what_runs_and_waits_for_a_balancer_that_is_gone() {
    let door = Door::new();
    let mut console = Console::start(Setup::new(&[door.address()]));
    let mut top = Top::start(&console);
    top.draws(ENTERS);
    let mut client = Peer::connect(console.proxy.address);
    let mut backend = door.accept();
    backend.say("220 Hello.");
    client.reply(220);
    top.draws(&client.own().to_string());
    top.press("4");
    top.draws(&console.proxy.address.to_string());
    console.proxy.signal(Signal::SIGSTOP);
    top.draws("NO ANSWER for");
    console.proxy.signal(Signal::SIGCONT);
    top.draws("LISTENER");
    top.press("q");
    top.ends();
}

#[test]
fn top_leaves_the_terminal_as_it_was_when_it_is_told_to_end() {
    let console = Console::start(Setup::new(&[Door::new().address()]));
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let mut top = Top::start(&console);
        top.draws("b0");
        assert_ne!(tcgetattr(&top.terminal).unwrap(), top.before, "raw mode");
        top.process.signal(signal);
        top.ends();
    }
}

#[test]
fn top_needs_a_terminal_and_a_balancer() {
    let console = Console::start(Setup::new(&[Door::new().address()]));
    let done = console.run("top");
    assert_eq!(done.code(), 64);
    assert!(done.stderr.contains("terminal"), "{}", done.stderr);
    let pty = openpty(None, None).unwrap();
    let mut command = Command::new(PROGRAM);
    command.args(["top", "--api", "/nowhere/api.sock"]);
    command
        .stdin(pty.slave.try_clone().unwrap())
        .stdout(pty.slave)
        .stderr(Stdio::piped());
    let done = Process::start(&mut command).finish(SOON);
    assert_eq!(done.code(), 69);
    assert!(done.stderr.starts_with("no ftplb answers at /nowhere"));
}
