//! How lists are printed: columns below each other, times and bytes short enough to compare by eye.

/// Rows below their heading. Columns are as wide as their widest cell; the last one is not filled up.
pub(super) fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    let widths = std::array::from_fn::<usize, N, _>(|column| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let cells = cells.map(|cell| cell.chars().count());
        let heading = heading.get(column).map_or(0, |cell| cell.chars().count());
        cells.chain([heading]).max().unwrap_or_default()
    });
    let mut text = line(&heading, widths);
    for row in rows {
        text.push_str(&line(&row.each_ref().map(String::as_str), widths));
    }
    text
}

fn line<const N: usize>(cells: &[&str; N], widths: [usize; N]) -> String {
    let padded = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell:width$}"));
    let padded: Vec<_> = padded.collect();
    format!("{}\n", padded.join("  ").trim_end())
}

/// A time to its two largest units.
pub(super) fn short_time(seconds: f64) -> String {
    let seconds = whole(seconds);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m{:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

/// A number of bytes to three digits or so, in powers of 1000.
pub(super) fn short_bytes(bytes: u64) -> String {
    let units = [
        (1_000_000_000_000, 'T'),
        (1_000_000_000, 'G'),
        (1_000_000, 'M'),
        (1_000, 'k'),
    ];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        None => format!("{bytes}"),
        Some((unit, letter)) if bytes >= 100 * unit => format!("{}{letter}", bytes / unit),
        Some((unit, letter)) => {
            format!("{}.{}{letter}", bytes / unit, bytes % unit * 10 / unit)
        }
    }
}

/// A number with what is counted.
pub(super) fn count(number: u64, one: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {one}{plural}")
}

/// Whole seconds, rounded down; nothing is negative or endless here.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float becomes the nearest integer that there is"
)]
pub(super) fn whole(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let rows = [["a", "long cell", ""], ["bcd", "x", "end"]].map(|row| row.map(str::to_owned));
        let expected = "\
ONE  TWO        3
a    long cell
bcd  x          end
";
        assert_eq!(table(["ONE", "TWO", "3"], &rows), expected);
    }

    #[test]
    fn a_time_has_its_two_largest_units() {
        for (seconds, expected) in [
            (0.0, "0s"),
            (59.9, "59s"),
            (60.0, "1m00s"),
            (3_599.0, "59m59s"),
            (3_600.0, "1h00m"),
            (86_399.0, "23h59m"),
            (90_000.0, "1d01h"),
            (-1.0, "0s"),
        ] {
            assert_eq!(short_time(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn bytes_are_short() {
        for (bytes, expected) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1.0k"),
            (99_949, "99.9k"),
            (100_000, "100k"),
            (5_250_000, "5.2M"),
            (u64::MAX, "18446744T"),
        ] {
            assert_eq!(short_bytes(bytes), expected);
        }
    }
}
