//! Signals by name and number.

use nix::sys::signal::Signal;

use super::error::{Error, Result};

/// `SIGTERM`, or `RTMIN+3` for those without a name of their own.
pub fn name(signal: i32) -> String {
    match Signal::try_from(signal) {
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) if signal >= 34 => format!("RTMIN+{}", signal - 34),
        Err(_) => signal.to_string(),
    }
}

/// `9`, `KILL`, `SIGKILL`, `kill`, `RTMIN+3`.
pub fn parse(text: &str) -> Result<i32> {
    let invalid = || Error::invalid(format!("invalid signal: {text}; use a name as in `kill -l`, or a number"));
    if let Ok(number) = text.parse::<i32>() {
        return if (1..=64).contains(&number) { Ok(number) } else { Err(invalid()) };
    }
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let real_time = |rest: &str, base: i32, sign: i32| -> Option<i32> {
        let offset = if rest.is_empty() { 0 } else { rest.get(1..)?.parse::<i32>().ok()? };
        let number = base + sign * offset;
        (34..=64).contains(&number).then_some(number)
    };
    if let Some(rest) = name.strip_prefix("RTMIN") {
        return real_time(rest, 34, 1).ok_or_else(invalid);
    }
    if let Some(rest) = name.strip_prefix("RTMAX") {
        return real_time(rest, 64, -1).ok_or_else(invalid);
    }
    format!("SIG{name}").parse::<Signal>().map(|signal| signal as i32).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_again() {
        assert_eq!((name(15).as_str(), name(37).as_str()), ("SIGTERM", "RTMIN+3"));
        for signal in (1..32).chain(34..=64) {
            assert_eq!(parse(&name(signal)).unwrap(), signal);
        }
    }
}
