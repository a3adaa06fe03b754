//! What the screen shows, drawn on a terminal that is only a buffer.

use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::columns::fit;
use super::draw::draw;
use super::look::Look;
use super::screen::{Order, Screen, View};
use crate::cli::ask::AskError;
use crate::cli::fixtures::{backend, listener, pool, status};
use crate::ops::status::{
    BackendStatus, CheckStatus, ListenerStatus, SessionList, SessionStatus, State, Status,
    TransferStatus,
};

fn serving(name: &str, address: &str) -> BackendStatus {
    BackendStatus {
        since_seconds: 7_300.0,
        checks: vec![CheckStatus {
            seconds_ago: 1.0,
            took_seconds: 0.002,
            error: None,
        }],
        sessions: 3,
        sessions_total: 100,
        transfers: 1,
        ..backend(name, address)
    }
}

fn session(id: u64, user: &str, bytes: Option<u64>) -> SessionStatus {
    SessionStatus {
        id,
        client: format!("203.0.113.{id}:40000").parse().unwrap(),
        listener: "0.0.0.0:21".into(),
        vip: "198.51.100.1:21".parse().unwrap(),
        pool: "default".into(),
        backend: Some("ftp-a".into()),
        backend_address: None,
        user: Some(user.into()),
        phase: "command".into(),
        age_seconds: 100.0 + f64::from(u32::try_from(id).unwrap()),
        idle_seconds: 5.0,
        idle_left_seconds: None,
        transfer: bytes.map(|bytes| TransferStatus {
            verb: "RETR".into(),
            direction: "to_client".into(),
            bytes,
            seconds: 10.0,
            file: Some("/export/2026/invoices.xml".into()),
            size: Some(100_000_000),
        }),
        transfers: 0,
        to_client_bytes: 0,
        to_backend_bytes: 0,
    }
}

/// A look `seconds` after the start: ftp-a has sent 5 MB a second since.
fn look(seconds: u32) -> Look {
    let mut busy = serving("ftp-a", "192.0.2.11:21");
    busy.to_client_bytes = 5_000_000 * u64::from(seconds);
    let mut down = serving("ftp-b", "192.0.2.12:21");
    down.state = State::Down;
    down.checks[0].error = Some("connection refused".into());
    let listener = ListenerStatus {
        sessions: 1_203,
        leases: 12,
        passive_ports_taken: 11,
        ..listener("0.0.0.0:21", "default")
    };
    Look {
        at: Instant::now(),
        status: Status {
            uptime_seconds: f64::from(seconds),
            sessions: 1_203,
            ..status(vec![listener], vec![pool("default", vec![busy, down])])
        },
        sessions: SessionList {
            total: 1_203,
            sessions: vec![
                session(1, "scanner", None),
                session(2, "\x1b[31m<b>", Some(4_000_000 * u64::from(seconds))),
                session(3, "edi", Some(1_000_000 * u64::from(seconds))),
            ],
        },
    }
}

fn watched() -> Screen {
    let mut screen = Screen::new(look(10), Duration::from_secs(2));
    screen.on_look(Ok(Box::new(look(12))));
    screen
}

/// The lines of the screen, without the spaces at their ends.
fn drawn(screen: &mut Screen, width: u16, height: u16, now: Instant) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, screen, now)).unwrap();
    let buffer = terminal.backend().buffer();
    let row = |y| (0..width).map(move |x| buffer[(x, y)].symbol());
    (0..height)
        .map(|y| row(y).collect::<String>().trim_end().to_owned())
        .collect()
}

fn press(screen: &mut Screen, codes: impl IntoIterator<Item = KeyCode>) {
    for code in codes {
        assert!(screen.on_key(KeyEvent::new(code, KeyModifiers::NONE)));
    }
}

#[test]
fn a_usual_terminal_shows_backends_and_sessions_with_their_rates() {
    let lines = drawn(&mut watched(), 80, 24, Instant::now());
    for (line, expected) in [
        (0, "ftplb 1.2.3, up 12s  ready, 1 not up"),
        (
            1,
            "sessions 1203  transfers 2  to clients 5.0M  from clients 0  new 0.0/s",
        ),
        (
            2,
            "BACKEND          STATE          SINCE   WGT  SESS XFER  OUT/s   IN/s CHECK",
        ),
        (
            3,
            "ftp-a            up             2h01m     1     3    1   5.0M      0 passed 1s …",
        ),
        (
            4,
            "ftp-b            down           2h01m     1     3    1      0      0 connection…",
        ),
        (
            5,
            "CLIENT                USER       BACKEND  NOW      FILE              DONE    B/s",
        ),
        (
            6,
            "203.0.113.2:40000     [31m<b>    ftp-a    RETR     …026/invoices.xml  48%   4.0M",
        ),
        (
            7,
            "203.0.113.3:40000     edi        ftp-a    RETR     …026/invoices.xml  12%   1.0M",
        ),
        (8, "203.0.113.1:40000     scanner    ftp-a    command"),
        (
            23,
            "q quit  Tab view  s sort: busy  r reverse  p pause  ↑↓ scroll  (1200 more sessio",
        ),
    ] {
        assert_eq!(lines[line], expected, "{lines:#?}");
    }
}

#[test]
fn a_small_terminal_keeps_what_matters_most() {
    let lines = drawn(&mut watched(), 40, 10, Instant::now());
    for (line, expected) in [
        (0, "ftplb 1.2.3, up 12s  ready, 1 not up"),
        (1, "sessions 1203  transfers 2  to clients …"),
        (2, "BACKEND          STATE           SESS"),
        (3, "ftp-a            up                 3"),
        (4, "ftp-b            down               3"),
        (5, "CLIENT                NOW         B/s"),
        (6, "203.0.113.2:40000     RETR       4.0M"),
    ] {
        assert_eq!(lines[line], expected, "{lines:#?}");
    }
    for (width, height) in [(1, 1), (3, 40), (200, 2)] {
        drawn(&mut watched(), width, height, Instant::now());
    }
}

#[test]
fn what_is_old_says_so_and_one_new_look_ends_that() {
    let mut screen = watched();
    let later = Instant::now() + Duration::from_secs(30);
    let line = |screen: &mut Screen| drawn(screen, 80, 24, later)[2].clone();
    assert!(line(&mut screen).starts_with("NO ANSWER for 30s: "));
    let error = || AskError::Strange {
        at: "/run/x".into(),
        what: "nothing".into(),
    };
    screen.on_look(Err(error()));
    assert!(line(&mut screen).starts_with("NO ANSWER for 30s: /run/x does not"));
    assert!(drawn(&mut screen, 80, 24, later)[0].ends_with("no answer"));
    let mut again = look(14);
    again.at = later;
    screen.on_look(Ok(Box::new(again)));
    assert!(line(&mut screen).starts_with("BACKEND"));
}

#[test]
fn another_process_has_no_rates_yet() {
    let mut screen = watched();
    screen.on_look(Ok(Box::new(look(1))));
    let lines = drawn(&mut screen, 80, 24, Instant::now());
    assert!(lines[1].contains("to clients   from clients"), "{lines:#?}");
}

#[test]
fn keys_change_what_is_shown_and_in_which_order() {
    let mut screen = watched();
    let first = |screen: &Screen| screen.sessions()[0].id;
    assert_eq!(first(&screen), 2);
    press(&mut screen, [KeyCode::Char('r')]);
    assert_eq!(first(&screen), 1, "reversed");
    press(&mut screen, [KeyCode::Char('r'), KeyCode::Char('s')]);
    assert_eq!((screen.order, first(&screen)), (Order::Speed, 2));
    press(&mut screen, [KeyCode::Char('s'), KeyCode::Char('s')]);
    assert_eq!((screen.order, first(&screen)), (Order::Age, 3));
    press(&mut screen, [KeyCode::Tab]);
    assert_eq!(screen.view, View::Backends);
    press(&mut screen, [KeyCode::Char('4')]);
    let lines = drawn(&mut screen, 80, 24, Instant::now());
    assert!(lines[3].ends_with("11 of 10001"), "{lines:#?}");
    press(&mut screen, [KeyCode::Char('p')]);
    screen.on_look(Ok(Box::new(look(99))));
    let lines = drawn(&mut screen, 80, 24, Instant::now());
    assert!(lines[0].contains("up 12s"), "{lines:#?}");
    assert!(lines[2].starts_with("PAUSED"), "{lines:#?}");
    let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert!(!screen.on_key(control_c));
    let q = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
    assert!(!screen.on_key(q));
}

#[test]
fn scrolling_ends_where_the_list_does() {
    let mut screen = watched();
    press(&mut screen, [KeyCode::Char('3')]);
    for (key, expected) in [
        (KeyCode::Up, 0),
        (KeyCode::Down, 1),
        (KeyCode::End, 2),
        (KeyCode::Down, 2),
        (KeyCode::PageUp, 1),
        (KeyCode::PageDown, 2),
        (KeyCode::Home, 0),
    ] {
        press(&mut screen, [key]);
        // Room for one session below the title, the sums and the heading.
        drawn(&mut screen, 80, 5, Instant::now());
        assert_eq!(screen.offset, expected, "{key:?}");
    }
}

#[test]
fn text_that_does_not_fit_shows_that_something_is_missing() {
    for (text, width, keeps_end, expected) in [
        ("abc", 3, false, "abc"),
        ("abcd", 3, false, "ab…"),
        ("/long/path.bin", 8, true, "…ath.bin"),
        ("日本語", 4, false, "日…"),
        ("abc", 1, true, "…"),
        ("abc", 0, false, ""),
    ] {
        assert_eq!(fit(text, width, keeps_end), expected);
    }
}
