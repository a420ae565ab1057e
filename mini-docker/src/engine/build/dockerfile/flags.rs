//! The flags of an instruction.

use super::error::{ParseError, Result};

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `--name`, `--name=true`, `--name=false`.
    Switch,
    /// `--name=value`, once.
    Text,
    /// `--name=value`, any number of times.
    List,
}

/// Flags with their values.
#[derive(Debug, Default)]
pub(super) struct Flags(Vec<(&'static str, String)>);

impl Flags {
    /// Reads the flags that an instruction has, of those `known` to it.
    pub(super) fn parse(flags: &[String], known: &[(&'static str, Kind)]) -> Result<Self> {
        let mut parsed = Self::default();
        for flag in flags {
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (flag.as_str(), None),
            };
            let Some(bare) = name.strip_prefix("--") else {
                return Err(ParseError::new(format!("arg should start with -- : {flag}")));
            };
            let Some((known, kind)) = known.iter().find(|(known, _)| *known == bare) else {
                let error = ParseError::new(format!("unknown flag: {name}"));
                return Err(error.did_you_mean(bare, known.iter().map(|(known, _)| *known)));
            };
            if *kind != Kind::List && parsed.text(known).is_some() {
                return Err(ParseError::new(format!("duplicate flag specified: {name}")));
            }
            let value = match (kind, value) {
                (Kind::Switch, None) => "true",
                (Kind::Switch, Some(value)) if value.eq_ignore_ascii_case("true") => "true",
                (Kind::Switch, Some(value)) if value.eq_ignore_ascii_case("false") => "false",
                (Kind::Switch, Some("")) | (_, None) => {
                    return Err(ParseError::new(format!("missing a value on flag: {name}")));
                }
                (Kind::Switch, Some(value)) => {
                    return Err(ParseError::new(format!("expecting boolean value for flag {name}, not: {value}")));
                }
                (_, Some(value)) => value,
            };
            parsed.0.push((known, value.to_owned()));
        }
        Ok(parsed)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    pub(super) fn list(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(known, _)| *known == name).map(|(_, value)| value.clone()).collect()
    }

    /// `None` where it is not given.
    pub(super) fn switch(&self, name: &str) -> Option<bool> {
        self.text(name).map(|value| value == "true")
    }
}
