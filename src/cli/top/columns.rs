//! Lists in columns that fit the width of the terminal: narrow ones leave out what matters least.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Style, Stylize};
use ratatui::text::{Line, Span};

/// A column of a list of `T`s.
pub(super) struct Column<'a, T> {
    name: &'static str,
    width: Constraint,
    is_number: bool,
    /// The width of a terminal below which the column is left out.
    from: u16,
    cell: Box<dyn Fn(&T) -> Cell + 'a>,
}

/// What stands in a column.
#[derive(Debug, Default)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) style: Style,
    /// What does not fit is cut in front: of a path the end tells more.
    pub(super) keeps_end: bool,
}

impl<'a, T> Column<'a, T> {
    /// Text, as wide as there is room.
    pub(super) fn wide<C: Into<Cell>>(name: &'static str, cell: impl Fn(&T) -> C + 'a) -> Self {
        Self {
            name,
            width: Constraint::Fill(1),
            is_number: false,
            from: 0,
            cell: Box::new(move |item| cell(item).into()),
        }
    }

    /// Text of at most so many cells.
    pub(super) fn text<C: Into<Cell>>(
        name: &'static str,
        width: u16,
        cell: impl Fn(&T) -> C + 'a,
    ) -> Self {
        Self {
            width: Constraint::Length(width),
            ..Self::wide(name, cell)
        }
    }

    /// A number, whose digits stand below each other.
    pub(super) fn number<C: Into<Cell>>(
        name: &'static str,
        width: u16,
        cell: impl Fn(&T) -> C + 'a,
    ) -> Self {
        Self {
            is_number: true,
            ..Self::text(name, width, cell)
        }
    }

    /// Left out on terminals that are narrower.
    pub(super) fn from(self, from: u16) -> Self {
        Self { from, ..self }
    }
}

impl<S: Into<String>> From<S> for Cell {
    fn from(text: S) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }
}

/// Draws a heading and as many of `items` below it as `area` has room for.
pub(super) fn list<'i, T: 'i>(
    frame: &mut Frame<'_>,
    area: Rect,
    columns: &[Column<'_, T>],
    items: impl Iterator<Item = &'i T>,
) {
    let columns: Vec<_> = { columns.iter() }
        .filter(|column| area.width >= column.from)
        .collect();
    let widths = columns.iter().map(|column| column.width);
    let places = Layout::horizontal(widths).spacing(1).split(area);
    let places = || columns.iter().zip(places.iter());
    let mut rows = area.rows();
    let Some(heading) = rows.next() else { return };
    frame.render_widget(Line::default().style(Style::new().reversed()), heading);
    for (column, place) in places() {
        let name = line(column.name.into(), column.is_number, place.width).reversed();
        frame.render_widget(name, place.intersection(heading));
    }
    for (row, item) in rows.zip(items) {
        for (column, place) in places() {
            let cell = (column.cell)(item);
            let cell = line(cell, column.is_number, place.width);
            frame.render_widget(cell, place.intersection(row));
        }
    }
}

fn line(cell: Cell, is_number: bool, width: u16) -> Line<'static> {
    let text = fit(&cell.text, width, cell.keeps_end);
    let line = Line::from(Span::styled(text, cell.style));
    if is_number {
        line.right_aligned()
    } else {
        line
    }
}

/// The text, or as much of it as fits, with a sign that something is missing.
pub(super) fn fit(text: &str, width: u16, keeps_end: bool) -> String {
    let width_of = |text: &str| Span::raw(text).width();
    let width = usize::from(width);
    if width_of(text) <= width {
        return text.to_owned();
    }
    let mut rest = text;
    while !rest.is_empty() && width_of(rest) + 1 > width {
        let mut chars = rest.chars();
        if keeps_end {
            chars.next();
        } else {
            chars.next_back();
        }
        rest = chars.as_str();
    }
    match keeps_end {
        _ if width == 0 => String::new(),
        true => format!("…{rest}"),
        false => format!("{rest}…"),
    }
}
