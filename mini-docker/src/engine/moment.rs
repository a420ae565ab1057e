//! Moments as Docker's users write them: `--since 10m`, `--until 2026-01-02T15:04`, `1700000000.5`; and Go's durations.

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};

use super::error::{Error, Result};

/// Reads a time (RFC 3339, whole or cut short: then in the local time zone; or seconds since 1970) or a duration before
/// `now`.
///
/// # Errors
/// [`super::error::Kind::Invalid`] for what is neither, or beyond the calendar.
pub fn parse(text: &str, now: Timestamp) -> Result<Timestamp> {
    let invalid = || {
        Error::invalid(format!(
            "invalid time {text:?}: give a duration (10m, 1h30m), a time (2026-01-02T15:04:05Z) or seconds since 1970"
        ))
    };
    if let Some(seconds) = seconds(text) {
        return Timestamp::from_duration(seconds).map_err(|_| invalid());
    }
    if let Some(duration) = duration(text) {
        return now.checked_sub(duration).map_err(|_| invalid());
    }
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    // `2026-01-02T15` and `T15:04` are short for what the calendar has.
    let whole = match text.split_once('T') {
        None => format!("{text}T00:00:00"),
        Some((_, time)) if !time.contains(':') => format!("{text}:00:00"),
        Some(_) => text.to_owned(),
    };
    let (time, zone) = match whole.strip_suffix('Z') {
        Some(time) => (time, TimeZone::UTC),
        None => (whole.as_str(), TimeZone::system()),
    };
    let time: DateTime = time.parse().map_err(|_| invalid())?;
    zone.to_timestamp(time).map_err(|_| invalid())
}

/// Seconds since 1970 with up to nine decimals.
fn seconds(text: &str) -> Option<SignedDuration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole.strip_prefix('-').unwrap_or(whole)) || !all_digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let seconds = whole.parse().ok()?;
    let nanos = format!("{fraction:0<9}").parse().ok()?;
    Some(SignedDuration::new(seconds, nanos))
}

/// Go's durations: `1h30m`, `1.5s`, `300ms`. `None`: it is none.
pub fn duration(text: &str) -> Option<SignedDuration> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanos = 0_i128;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|end| *end > 0)?;
        let unit = rest[number..].find(|c: char| c.is_ascii_digit() || c == '.').map_or(rest.len(), |end| number + end);
        nanos = nanos.checked_add(scaled(&rest[..number], unit_nanos(&rest[number..unit])?)?)?;
        rest = &rest[unit..];
    }
    let nanos = i64::try_from(nanos).ok()?;
    Some(SignedDuration::from_nanos(if negative { -nanos } else { nanos }))
}

fn unit_nanos(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// A decimal number of units, in nanoseconds.
fn scaled(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // More decimals than a nanosecond has mean nothing.
    let fraction = &fraction[..fraction.len().min(15)];
    let part: i128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    whole.checked_mul(unit)?.checked_add(part * unit / 10_i128.pow(fraction.len() as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        for (text, nanos) in [
            ("1h30m", Some(5_400_000_000_000)),
            ("1.5s", Some(1_500_000_000)),
            ("-2ms", Some(-2_000_000)),
            (".5m", Some(30_000_000_000)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("3µs", Some(3_000)),
            ("", None),
            ("5", None),
            ("s", None),
            ("1x", None),
            ("1.2.3s", None),
            ("99999999999999999999h", None),
            ("-", None),
        ] {
            assert_eq!(duration(text).map(|d| d.as_nanos()), nanos, "{text}");
        }
    }

    #[test]
    fn moments_are_times_or_durations() {
        let now: Timestamp = "2026-01-02T15:04:05Z".parse().expect("a time");
        for (text, moment) in [
            ("10m", "2026-01-02T14:54:05Z"),
            ("0", "1970-01-01T00:00:00Z"),
            ("1700000000.5", "2023-11-14T22:13:20.5Z"),
            ("2026-01-02T15:04:05.25+01:00", "2026-01-02T14:04:05.25Z"),
            ("2026-01-02T15:04Z", "2026-01-02T15:04:00Z"),
            ("2026-01-02T15Z", "2026-01-02T15:00:00Z"),
            ("2026-01-02", "2026-01-02T00:00:00"),
        ] {
            let whole = if moment.ends_with('Z') {
                moment.parse().expect("a time")
            } else {
                TimeZone::system().to_timestamp(moment.parse().expect("a time")).expect("a time")
            };
            assert_eq!(parse(text, now).expect(text), whole, "{text}");
        }
        for text in ["", "yesterday", "1x", "99999999999999999999", "2026-13-01"] {
            assert!(parse(text, now).is_err(), "{text}");
        }
    }
}
