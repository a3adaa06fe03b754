//! How the screen is drawn.
//!
//! ```text
//!   ftplb 0.1.0, up 2d03h        ready       how it is
//!   sessions 12, transfers 3, …              sums
//!   no ftplb answers …                       only when something is wrong
//!   BACKEND   STATE   …                      lists, as the view wants them
//!   CLIENT    USER    …
//!   q quit  Tab view  …                      keys
//! ```

use std::time::Instant;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};

use super::columns::{Cell, Column, fit, list};
use super::look::Looks;
use super::screen::{Screen, View};
use crate::balance::Standing;
use crate::cli::listing::word;
use crate::cli::table::{short_bytes, short_time, whole};
use crate::ops::status::{BackendStatus, ListenerStatus, PoolStatus, SessionStatus, State};

/// Draws the screen as it is `now`.
pub(super) fn draw(frame: &mut Frame<'_>, screen: &mut Screen, now: Instant) {
    let trouble = trouble(screen, now);
    let lines = u16::from(trouble.is_some());
    let [title, sums, troubled, lists, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(lines),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(title_line(screen), title);
    frame.render_widget(sum_line(&screen.looks, sums.width), sums);
    if let Some(text) = trouble {
        let text = fit(&text, troubled.width, false);
        let style = Style::new().fg(Color::Red).bold().reversed();
        frame.render_widget(Line::from(text).style(style), troubled);
    }
    draw_lists(frame, screen, lists);
    frame.render_widget(key_line(screen), keys);
}

fn draw_lists(frame: &mut Frame<'_>, screen: &mut Screen, area: Rect) {
    let listed = match screen.view {
        View::Both => screen.looks.last.backends().count(),
        _ => usize::from(area.height),
    };
    // At most half for the backends, a heading and an empty line counted.
    let upper = u16::try_from(listed + 1).unwrap_or(u16::MAX);
    let upper = upper.min(area.height / 2);
    let split = [Constraint::Length(upper), Constraint::Fill(1)];
    match screen.view {
        View::Both => {
            let [backends, sessions] = Layout::vertical(split).areas(area);
            draw_backends(frame, &screen.looks, 0, backends);
            draw_sessions(frame, screen, sessions);
        }
        View::Backends => {
            let count = screen.looks.last.backends().count();
            screen.keep_within(count, below_heading(area));
            draw_backends(frame, &screen.looks, screen.offset, area);
        }
        View::Sessions => draw_sessions(frame, screen, area),
        View::Listeners => {
            let listeners = &screen.looks.last.status.listeners;
            let (count, page) = (listeners.len(), below_heading(area));
            screen.keep_within(count, page);
            let shown = screen.looks.last.status.listeners.iter();
            list(frame, area, &listener_columns(), shown.skip(screen.offset));
        }
    }
}

fn draw_backends(frame: &mut Frame<'_>, looks: &Looks, offset: usize, area: Rect) {
    let backends: Vec<_> = looks.last.backends().collect();
    let columns = backend_columns(looks);
    list(frame, area, &columns, backends.iter().skip(offset));
}

fn draw_sessions(frame: &mut Frame<'_>, screen: &mut Screen, area: Rect) {
    let count = screen.looks.last.sessions.sessions.len();
    screen.keep_within(count, below_heading(area));
    let sessions = screen.sessions();
    let columns = session_columns(&screen.looks);
    list(frame, area, &columns, sessions.iter().skip(screen.offset));
}

fn below_heading(area: Rect) -> usize {
    usize::from(area.height).saturating_sub(1)
}

/// Why what is shown is not what is.
fn trouble(screen: &Screen, now: Instant) -> Option<String> {
    let age = now.saturating_duration_since(screen.looks.last.at);
    let age = short_time(age.as_secs_f64());
    if let Some(error) = &screen.trouble {
        return Some(format!("NO ANSWER for {age}: {error}"));
    }
    if screen.is_paused {
        return Some(format!("PAUSED: this is how it was {age} ago"));
    }
    let is_late = now.saturating_duration_since(screen.looks.last.at) > screen.patience;
    is_late.then(|| format!("NO ANSWER for {age}: still waiting for it"))
}

fn title_line(screen: &Screen) -> Line<'static> {
    let status = &screen.looks.last.status;
    let up = short_time(status.uptime_seconds);
    let sick = screen.looks.last.backends();
    let sick = sick.filter(|(_, backend)| is_sick(backend)).count();
    let state = match &status.not_ready {
        _ if screen.trouble.is_some() => Span::raw("no answer").red().bold(),
        _ if status.draining => Span::raw("draining: no new sessions").yellow().bold(),
        Some(why) => Span::raw(format!("not ready: {why}")).red().bold(),
        None if sick > 0 => Span::raw(format!("ready, {sick} not up")).yellow().bold(),
        None => Span::raw("ready").green().bold(),
    };
    let name = Span::raw(format!("ftplb {}, up {up}  ", status.version)).bold();
    Line::from(vec![name, state])
}

/// What all of it adds up to; on a narrow terminal the beginning of that.
fn sum_line(looks: &Looks, width: u16) -> Line<'static> {
    let status = &looks.last.status;
    let transfers: usize = looks.last.backends().map(|(_, of)| of.transfers).sum();
    let speed = |of: fn(&BackendStatus) -> u64| speed(looks.rate_of_all(of));
    let new = looks.rate_of_all(|of| of.sessions_total);
    let waiting: usize = status.pools.iter().map(|pool| pool.waiting).sum();
    let mut parts = vec![
        format!("sessions {}", status.sessions),
        format!("transfers {transfers}"),
        format!("to clients {}", speed(|of| of.to_client_bytes)),
        format!("from clients {}", speed(|of| of.to_backend_bytes)),
        format!("new {}", few(new)),
    ];
    if status.older_sessions > 0 {
        parts.insert(
            0,
            format!("in the process before {}", status.older_sessions),
        );
    }
    if waiting > 0 {
        parts.insert(0, format!("waiting {waiting}"));
    }
    Line::from(fit(&parts.join("  "), width, false))
}

fn key_line(screen: &Screen) -> Line<'static> {
    let shown = screen.looks.last.sessions.sessions.len();
    let more = screen.looks.last.sessions.total.saturating_sub(shown);
    let order = screen.order.label();
    let reversed = if screen.is_reversed { ", reversed" } else { "" };
    let mut text =
        format!("q quit  Tab view  s sort: {order}{reversed}  r reverse  p pause  ↑↓ scroll");
    if more > 0 {
        text = format!("{text}  ({more} more sessions)");
    }
    Line::from(text).dim()
}

fn backend_columns<'a>(looks: &'a Looks) -> Vec<Column<'a, (&'a PoolStatus, &'a BackendStatus)>> {
    type Of<'b> = (&'b PoolStatus, &'b BackendStatus);
    let has_pools = looks.last.status.pools.len() > 1;
    let name = move |(pool, backend): &Of<'_>| match has_pools {
        true => format!("{}/{}", pool.name, backend.name),
        false => backend.name.clone(),
    };
    vec![
        Column::text("BACKEND", 16, name),
        Column::text("ADDRESS", 21, |(_, of): &Of<'_>| of.address.to_string()).from(120),
        Column::text("STATE", 14, |of: &Of<'_>| state(of.1)),
        Column::text("SINCE", 6, |(_, of): &Of<'_>| short_time(of.since_seconds)).from(70),
        Column::number("WGT", 4, |(_, of): &Of<'_>| of.weight.to_string()).from(60),
        Column::number("SESS", 5, |(_, of): &Of<'_>| of.sessions.to_string()),
        Column::number("XFER", 4, |(_, of): &Of<'_>| of.transfers.to_string()).from(50),
        Column::number("NEW/s", 5, |of: &Of<'_>| {
            few(looks.rate_of_backend(*of, |of| of.sessions_total))
        })
        .from(100),
        Column::number("OUT/s", 6, |of: &Of<'_>| {
            speed(looks.rate_of_backend(*of, |of| of.to_client_bytes))
        })
        .from(60),
        Column::number("IN/s", 6, |of: &Of<'_>| {
            speed(looks.rate_of_backend(*of, |of| of.to_backend_bytes))
        })
        .from(60),
        Column::wide("CHECK", |(_, of): &Of<'_>| checked(of)).from(70),
    ]
}

fn session_columns<'a>(looks: &'a Looks) -> Vec<Column<'a, &'a SessionStatus>> {
    type Of<'b> = &'b SessionStatus;
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    vec![
        Column::text("CLIENT", 21, |of: &Of<'_>| of.client.to_string()),
        Column::text("USER", 10, move |of: &Of<'_>| or_none(&of.user)).from(60),
        Column::text("BACKEND", 8, move |of: &Of<'_>| or_none(&of.backend)).from(70),
        Column::text("NOW", 8, |of: &Of<'_>| match &of.transfer {
            Some(transfer) => transfer.verb.clone(),
            None => of.phase.clone(),
        }),
        Column::wide("FILE", |of: &Of<'_>| file(of)).from(60),
        Column::number("DONE", 4, |of: &Of<'_>| done(of)).from(76),
        Column::number("BYTES", 6, |of: &Of<'_>| {
            let bytes = of.transfer.as_ref().map(|transfer| transfer.bytes);
            bytes.map(short_bytes).unwrap_or_default()
        })
        .from(96),
        Column::number("B/s", 6, |of: &Of<'_>| speed(looks.rate_of_transfer(of))),
        Column::number("AGE", 6, |of: &Of<'_>| short_time(of.age_seconds)).from(104),
        Column::number("IDLE", 6, |of: &Of<'_>| match of.transfer {
            Some(_) => String::new(),
            None => short_time(of.idle_seconds),
        })
        .from(112),
    ]
}

fn listener_columns<'a>() -> Vec<Column<'a, ListenerStatus>> {
    vec![
        Column::text("LISTENER", 22, |of: &ListenerStatus| of.address.to_string()),
        Column::wide("POOL", |of: &ListenerStatus| of.pool.clone()),
        Column::number("SESS", 6, |of: &ListenerStatus| of.sessions.to_string()),
        Column::number("LEASES", 6, |of: &ListenerStatus| of.leases.to_string()).from(50),
        Column::number("PORTS TAKEN", 14, |of: &ListenerStatus| {
            format!("{} of {}", of.passive_ports_taken, of.passive_ports)
        })
        .from(60),
    ]
}

fn is_sick(backend: &BackendStatus) -> bool {
    backend.standing == Standing::Serving && backend.state != State::Up
}

/// A word for the state of a backend; its colour says nothing else.
fn state(backend: &BackendStatus) -> Cell {
    let word = word(backend);
    let style = match &word {
        None => Style::new().green(),
        Some(_) if is_sick(backend) => Style::new().red().bold(),
        Some(_) => Style::new().yellow(),
    };
    let word = word.unwrap_or_else(|| "up".to_owned());
    let sorry = if backend.sorry { "sorry, " } else { "" };
    Cell {
        text: format!("{sorry}{word}"),
        style,
        keeps_end: false,
    }
}

/// The check that failed, or the last one.
fn checked(backend: &BackendStatus) -> Cell {
    let mut checks = backend.checks.iter();
    if let Some(error) = checks.find_map(|check| check.error.clone()) {
        return Cell {
            text: error,
            style: Style::new().red(),
            keeps_end: false,
        };
    }
    match backend.checks.first() {
        Some(check) => format!("passed {} ago", short_time(check.seconds_ago)).into(),
        None => "not checked".into(),
    }
}

/// The file of the transfer under way.
fn file(session: &SessionStatus) -> Cell {
    let file = session.transfer.as_ref().and_then(|of| of.file.clone());
    Cell {
        text: file.unwrap_or_default(),
        keeps_end: true,
        ..Cell::default()
    }
}

/// How much of it has crossed, where the backend has said how much there is.
fn done(session: &SessionStatus) -> String {
    let part = session.transfer.as_ref().and_then(|of| {
        let size = of.size.filter(|size| of.bytes <= *size)?;
        (u128::from(of.bytes) * 100).checked_div(size.into())
    });
    part.map(|percent| format!("{percent}%"))
        .unwrap_or_default()
}

/// Bytes a second; nothing where nothing is known yet.
fn speed(rate: Option<f64>) -> String {
    rate.map(|rate| short_bytes(whole(rate)))
        .unwrap_or_default()
}

/// A small number of events a second.
fn few(rate: Option<f64>) -> String {
    rate.map(|rate| format!("{rate:.1}/s")).unwrap_or_default()
}
