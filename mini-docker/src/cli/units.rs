//! Durations and sizes in Docker's words (its go-units).

use jiff::Timestamp;

/// How long ago, in words.
pub(super) fn ago(then: Timestamp) -> String {
    format!("{} ago", since(then))
}

/// How long since, in words.
pub(super) fn since(then: Timestamp) -> String {
    duration(Timestamp::now().duration_since(then).as_secs())
}

/// A duration in seconds, in words.
pub(super) fn duration(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    let hours = (seconds.max(0) + HOUR / 2) / HOUR;
    let (days, minutes) = (hours / 24, seconds / MINUTE);
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < MINUTE => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if days < 14 => format!("{days} days"),
        () if days < 60 => format!("{} weeks", days / 7),
        () if days < 730 => format!("{} months", days / 30),
        () => format!("{} years", seconds / HOUR / 24 / 365),
    }
}

/// A number of bytes with three digits, as most listings have it: `1.23MB`.
pub(super) fn size(bytes: u64) -> String {
    scaled(bytes, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB", "EB"], 3)
}

/// With four digits, as `system df` and the prunes have it: `1.234MB`.
pub(super) fn exact_size(bytes: u64) -> String {
    scaled(bytes, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB", "EB"], 4)
}

/// In powers of 1024, as memory is: `1.234MiB`.
pub(super) fn memory(bytes: u64) -> String {
    scaled(bytes, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"], 4)
}

fn scaled(bytes: u64, base: f64, units: &[&str], digits: usize) -> String {
    // Four digits are shown; an f64 has fifteen.
    #[allow(clippy::cast_precision_loss)]
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= base && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    let before = format!("{value:.0}").len();
    let text = format!("{value:.*}", digits.saturating_sub(before));
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_dockers() {
        for (bytes, text) in [(0, "0B"), (999, "999B"), (1000, "1kB"), (4_270_000, "4.27MB"), (117_000_000, "117MB")] {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(exact_size(1_234_500), "1.234MB");
        assert_eq!(memory(2048 * 1024 * 1024), "2GiB");
        for (seconds, text) in [
            (-5, "Less than a second"),
            (0, "Less than a second"),
            (59, "59 seconds"),
            (90, "About a minute"),
            (150, "2 minutes"),
            (3700, "About an hour"),
            (47 * 3600, "47 hours"),
            (48 * 3600, "2 days"),
            (20 * 86400, "2 weeks"),
            (70 * 86400, "2 months"),
            (900 * 86400, "2 years"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }
}
