//! Which images are meant, by Docker's filters.

use jiff::{Timestamp, ToSpan};

use super::Listed;
use crate::engine::{
    Engine,
    error::{Error, Result},
};

/// Conditions that all have to hold; of several of one kind one is enough, but for labels.
#[derive(Debug, Clone, Default)]
pub struct Filters {
    dangling: Option<bool>,
    labels: Vec<Label>,
    references: Vec<String>,
    /// Made before this moment.
    until: Option<Timestamp>,
    /// Made before these images, after those.
    before: Option<Timestamp>,
    since: Option<Timestamp>,
}

#[derive(Debug, Clone)]
struct Label {
    key: String,
    value: Option<String>,
    wanted: bool,
}

impl Filters {
    /// Reads `KEY=VALUE` filters; `known` are the keys that the command has.
    pub fn parse(engine: &Engine, texts: &[String], known: &[&str]) -> Result<Self> {
        let mut filters = Self::default();
        for text in texts {
            let invalid = |why: &str| Error::invalid(format!("invalid filter {text:?}: {why}"));
            let (key, value) = text.split_once('=').ok_or_else(|| invalid("write it as KEY=VALUE"))?;
            let (key, value) = (key.trim(), value.trim());
            if !known.contains(&key) {
                return Err(invalid(&format!("known are {}", known.join(", "))));
            }
            // Of an image that is not there, as of any other mistake, Docker says what is wrong.
            let made = |name: &str| engine.image(name).map(|image| image.config.created.unwrap_or(Timestamp::MIN));
            match key {
                "dangling" => {
                    let value = match value {
                        "true" | "1" | "t" | "T" | "TRUE" | "True" => true,
                        "false" | "0" | "f" | "F" | "FALSE" | "False" => false,
                        _ => return Err(invalid("it is true or false")),
                    };
                    filters.dangling = Some(value);
                }
                "label" | "label!" => {
                    let (name, value) = match value.split_once('=') {
                        Some((name, value)) => (name, Some(value.to_owned())),
                        None => (value, None),
                    };
                    filters.labels.push(Label { key: name.to_owned(), value, wanted: key == "label" });
                }
                "reference" => filters.references.push(value.to_owned()),
                "until" => filters.until = Some(moment(value).ok_or_else(|| invalid("it is a time or a duration"))?),
                "before" => filters.before = Some(made(value)?),
                "since" => filters.since = Some(made(value)?),
                _ => return Err(invalid("it is not known")),
            }
        }
        Ok(filters)
    }

    /// Adds a pattern of names.
    pub fn reference(&mut self, pattern: &str) {
        self.references.push(pattern.to_owned());
    }

    /// Whether names were asked for.
    pub fn wants_names(&self) -> bool {
        !self.references.is_empty()
    }

    /// Whether only images without a name were asked for, or only those with one.
    pub fn dangling(&self) -> Option<bool> {
        self.dangling
    }

    /// Whether an image fits, but for its names.
    pub fn allow(&self, listed: &Listed, dangling: bool) -> bool {
        let config = &listed.image.config;
        let made = config.created.unwrap_or(Timestamp::MIN);
        let labels = config.config.labels.as_ref();
        let has = |label: &Label| {
            let value = labels.and_then(|labels| labels.get(&label.key));
            value.is_some_and(|value| label.value.as_ref().is_none_or(|wanted| wanted == value)) == label.wanted
        };
        self.dangling.is_none_or(|wanted| wanted == dangling)
            && self.labels.iter().all(has)
            && self.until.is_none_or(|limit| made < limit)
            && self.before.is_none_or(|limit| made < limit)
            && self.since.is_none_or(|limit| made > limit)
    }

    /// Whether a name fits, given as repository and repository with tag or digest.
    pub fn allow_name(&self, repository: &str, name: &str) -> bool {
        let fits = |pattern: &String| {
            // An untagged pattern means every tag.
            matches(pattern, name) || matches(pattern, repository)
        };
        self.references.is_empty() || self.references.iter().any(fits)
    }
}

/// A time in RFC 3339 or seconds since 1970, or how long ago.
fn moment(text: &str) -> Option<Timestamp> {
    if let Ok(seconds) = text.parse::<i64>() {
        return Timestamp::from_second(seconds).ok();
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    if let Ok(at) = text.parse::<jiff::civil::DateTime>() {
        return jiff::tz::TimeZone::UTC.to_timestamp(at).ok();
    }
    let mut rest = text;
    let mut milliseconds = 0_i64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        let each = match &rest[digits..unit] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        milliseconds = milliseconds.checked_add(number.checked_mul(each)?)?;
        rest = &rest[unit..];
    }
    Timestamp::now().checked_sub(milliseconds.milliseconds()).ok()
}

/// Go's path.Match: `*` and `?` stand for anything but a slash, `[a-z]` for one of these.
fn matches(pattern: &str, text: &str) -> bool {
    fn at(pattern: &[char], text: &[char]) -> bool {
        match (pattern.first(), text.first()) {
            (None, None) => true,
            (Some('*'), _) => {
                at(&pattern[1..], text) || text.first().is_some_and(|&c| c != '/' && at(pattern, &text[1..]))
            }
            (Some('?'), Some(&c)) => c != '/' && at(&pattern[1..], &text[1..]),
            (Some('['), Some(&c)) => {
                let Some(end) = pattern.iter().position(|&c| c == ']').filter(|&end| end > 1) else { return false };
                let negated = pattern[1] == '^';
                let mut set = &pattern[if negated { 2 } else { 1 }..end];
                let mut found = false;
                while let Some((&low, rest)) = set.split_first() {
                    let (high, rest) = match rest {
                        ['-', high, rest @ ..] => (*high, rest),
                        rest => (low, rest),
                    };
                    found |= (low..=high).contains(&c);
                    set = rest;
                }
                found != negated && at(&pattern[end + 1..], &text[1..])
            }
            (Some('\\'), Some(&c)) if pattern.len() > 1 => pattern[1] == c && at(&pattern[2..], &text[1..]),
            (Some(&p), Some(&c)) => p == c && at(&pattern[1..], &text[1..]),
            _ => false,
        }
    }
    // Each star doubles the work in the worst case; honest patterns have one or two.
    if pattern.matches('*').count() > 8 {
        return false;
    }
    at(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_gos() {
        for (pattern, text, fits) in [
            ("busy*", "busybox", true),
            ("busy*", "busy/box", false),
            ("*/box:1.?", "busy/box:1.2", true),
            ("b[a-u]sybox", "busybox", true),
            ("b[^u]sybox", "busybox", false),
            ("b[", "b", false),
            ("", "", true),
            ("*box*", "busybox:latest", true),
            ("a\\*", "a*", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn moments_are_times_or_ages() {
        assert_eq!(moment("0"), Some(Timestamp::UNIX_EPOCH));
        assert_eq!(moment("1970-01-01T00:00:00Z"), Some(Timestamp::UNIX_EPOCH));
        assert_eq!(moment("1970-01-01"), Some(Timestamp::UNIX_EPOCH));
        assert_eq!(moment("1970-01-01T00:00:00"), Some(Timestamp::UNIX_EPOCH));
        let hour = Timestamp::now().duration_since(moment("1h").unwrap()).as_secs();
        assert!((3599..3700).contains(&hour));
        for bad in ["", "1x", "h", "1h1", "x"] {
            assert!(moment(bad).is_none() || bad.is_empty(), "{bad}");
        }
    }
}
