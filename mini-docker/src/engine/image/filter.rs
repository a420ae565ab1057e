//! Which images are meant, by Docker's filters.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Listed;
use crate::engine::{Engine, error::Result, filter};

/// Conditions that all have to hold.
#[derive(Debug, Clone, Default)]
pub struct Filters {
    asked: filter::Filters,
    dangling: Option<bool>,
    references: Vec<String>,
    /// Made before this moment.
    until: Option<Timestamp>,
    /// Made before these images, after those.
    before: Option<Timestamp>,
    since: Option<Timestamp>,
}

impl Filters {
    /// Reads `KEY=VALUE` filters; `known` are the keys that the command has.
    pub fn parse(engine: &Engine, texts: &[String], known: &[&str]) -> Result<Self> {
        let asked = filter::Filters::parse(texts, known)?;
        // Of an image that is not there, as of any other mistake, Docker says what is wrong.
        let made = |key: &str| {
            let image = asked.values(key).last().map(|name| engine.image(name)).transpose()?;
            Ok(image.map(|image| image.config.created.unwrap_or(Timestamp::MIN)))
        };
        Ok(Self {
            dangling: asked.switch("dangling")?,
            references: asked.values("reference").to_vec(),
            until: asked.until()?,
            before: made("before")?,
            since: made("since")?,
            asked,
        })
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
        let none = BTreeMap::new();
        self.dangling.is_none_or(|wanted| wanted == dangling)
            && self.asked.labels(config.config.labels.as_ref().unwrap_or(&none))
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
}
