//! HEALTHCHECK, and Go's notation of durations.

use std::time::Duration;

use super::{
    error::{ParseError, Result},
    flags::{Flags, Kind},
    quote::quote,
};

/// How it is found out whether a container is well. What is zero is left to the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Healthcheck {
    /// `NONE`, or `CMD` and a command's words, or `CMD-SHELL` and a command for the shell.
    pub test: Vec<String>,
    /// Between two checks.
    pub interval: Duration,
    /// After which a check has failed.
    pub timeout: Duration,
    /// From the start, in which failures do not count.
    pub start_period: Duration,
    /// Between two checks in that time.
    pub start_interval: Duration,
    /// Failures in a row that make a container unhealthy.
    pub retries: u32,
}

impl Healthcheck {
    pub(super) fn parse(words: &[String], json: bool, flags: &[String]) -> Result<Self> {
        let Some((kind, command)) = words.split_first() else {
            return Err(ParseError::new("HEALTHCHECK requires at least one argument"));
        };
        let kind = kind.to_uppercase();
        if kind == "NONE" {
            if !command.is_empty() {
                return Err(ParseError::new("HEALTHCHECK NONE takes no arguments"));
            }
            return Ok(Self { test: vec![kind], ..Self::default() });
        }
        let known = ["interval", "timeout", "start-period", "start-interval", "retries"].map(|name| (name, Kind::Text));
        let flags = Flags::parse(flags, &known)?;
        if kind != "CMD" {
            return Err(ParseError::new(format!("Unknown type {} in HEALTHCHECK (try CMD)", quote(&kind))));
        }
        if command.is_empty() {
            return Err(ParseError::new("Missing command after HEALTHCHECK CMD"));
        }
        let test = if json {
            [kind].into_iter().chain(command.iter().cloned()).collect()
        } else {
            vec!["CMD-SHELL".to_owned(), command.join(" ")]
        };
        Ok(Self {
            test,
            interval: interval(&flags, "interval")?,
            timeout: interval(&flags, "timeout")?,
            start_period: interval(&flags, "start-period")?,
            start_interval: interval(&flags, "start-interval")?,
            retries: retries(flags.text("retries").unwrap_or_default())?,
        })
    }
}

fn retries(text: &str) -> Result<u32> {
    if text.is_empty() {
        return Ok(0);
    }
    match text.parse::<i32>() {
        Ok(number) if number < 0 => Err(ParseError::new(format!("--retries cannot be negative ({number})"))),
        Ok(number) => Ok(number.unsigned_abs()),
        Err(_) => Err(ParseError::new(format!("parsing {}: invalid syntax", quote(text)))),
    }
}

fn interval(flags: &Flags, name: &str) -> Result<Duration> {
    match flags.text(name) {
        None | Some("") => Ok(Duration::ZERO),
        Some(text) => match duration(text)? {
            0 => Ok(Duration::ZERO),
            nanoseconds if nanoseconds < 1_000_000 => {
                Err(ParseError::new(format!("Interval {} cannot be less than 1ms", quote(name))))
            }
            nanoseconds => Ok(Duration::from_nanos(nanoseconds.unsigned_abs())),
        },
    }
}

/// Nanoseconds, from Go's notation: `1h15m30.5s`, with `ns`, `us`, `ms`, `s`, `m` and `h`.
fn duration(text: &str) -> Result<i64> {
    let invalid = || ParseError::new(format!("time: invalid duration {}", quote(text)));
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned == "0" {
        return Ok(0);
    }
    let mut rest = unsigned;
    let mut sum = 0.0;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let (number, after) = rest.split_at(digits);
        if number.matches('.').count() > 1 || !number.bytes().any(|b| b.is_ascii_digit()) {
            return Err(invalid());
        }
        let letters = after.len() - after.trim_start_matches(|c: char| !c.is_ascii_digit() && c != '.').len();
        let (unit, after) = after.split_at(letters);
        let scale = match unit {
            "ns" => 1.0,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            "" => return Err(ParseError::new(format!("time: missing unit in duration {}", quote(text)))),
            _ => {
                let message = format!("time: unknown unit {} in duration {}", quote(unit), quote(text));
                return Err(ParseError::new(message));
            }
        };
        sum += number.parse::<f64>().map_err(|_| invalid())? * scale;
        rest = after;
    }
    // What does not fit is more than 292 years.
    if unsigned.is_empty() || sum >= 9e18 {
        return Err(invalid());
    }
    Ok(if text.starts_with('-') { -(sum as i64) } else { sum as i64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        for (text, nanoseconds) in
            [("1h15m30.5s", 4_530_500_000_000), ("0", 0), ("-1ms", -1_000_000), (".5s", 500_000_000)]
        {
            assert_eq!(duration(text).unwrap(), nanoseconds, "{text}");
        }
        for text in ["", "5", "1x", "s", ".s", "1.2.3s", "9999999h", "1s2", "--1s", "- 1s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
