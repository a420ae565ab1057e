//! Tables as Docker prints them: columns as wide as their longest cell, three spaces between.

use std::fmt::Write;

use jiff::Timestamp;

/// Lays rows out under a heading.
pub(super) fn render(heading: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = String::new();
    let width = |cell: &str| cell.chars().count();
    let widths: Vec<usize> = (0..heading.len())
        .map(|i| rows.iter().map(|row| width(&row[i])).chain([width(heading[i])]).max().unwrap_or(0))
        .collect();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        for (i, cell) in cells.enumerate() {
            let padding = if i + 1 == widths.len() { 0 } else { widths[i] + 3 };
            // Writing to a String cannot fail.
            let _ = write!(text, "{cell:padding$}");
        }
        text.push('\n');
    };
    line(&mut heading.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
    text
}

/// How long ago, in Docker's words.
pub(super) fn ago(then: Timestamp) -> String {
    format!("{} ago", duration(Timestamp::now().duration_since(then).as_secs()))
}

/// A duration in seconds, in Docker's words.
pub(super) fn duration(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    match seconds {
        ..1 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..MINUTE => format!("{seconds} seconds"),
        s if s / MINUTE == 1 => "About a minute".to_owned(),
        s if s < HOUR => format!("{} minutes", s / MINUTE),
        s if (s + HOUR / 2) / HOUR == 1 => "About an hour".to_owned(),
        s if s < 2 * DAY => format!("{} hours", (s + HOUR / 2) / HOUR),
        s if s < 14 * DAY => format!("{} days", s / DAY),
        s if s < 60 * DAY => format!("{} weeks", s / (7 * DAY)),
        s if s < 730 * DAY => format!("{} months", s / (30 * DAY)),
        s => format!("{} years", s / (365 * DAY)),
    }
}

/// A number of bytes, in Docker's words.
pub(super) fn size(bytes: u64) -> String {
    // Three digits are shown; an f64 has fifteen.
    #[allow(clippy::cast_precision_loss)]
    let mut value = bytes as f64;
    let mut units = ["B", "kB", "MB", "GB", "TB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    while value >= 1000.0
        && let Some(next) = units.next()
    {
        value /= 1000.0;
        unit = next;
    }
    // Three significant digits, without zeros at the end.
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_dockers() {
        for (bytes, text) in [(0, "0B"), (999, "999B"), (1000, "1kB"), (4_270_000, "4.27MB"), (117_000_000, "117MB")] {
            assert_eq!(size(bytes), text);
        }
        for (seconds, text) in [
            (0, "Less than a second"),
            (59, "59 seconds"),
            (90, "About a minute"),
            (150, "2 minutes"),
            (3700, "About an hour"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }
}
