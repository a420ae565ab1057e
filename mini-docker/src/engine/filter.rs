//! `--filter KEY=VALUE`: which objects a listing shows and a prune removes.
//!
//! Values of one key are alternatives, keys are all needed; labels are all needed among themselves too, as in Docker.

use std::collections::BTreeMap;

use regex_lite::Regex;

use super::{
    error::{Error, Result},
    moment,
};

/// What objects must be like.
#[derive(Debug, Clone, Default)]
pub struct Filters(BTreeMap<String, Vec<String>>);

impl Filters {
    /// Reads filters as they were typed. `keys` are those that there are; `label!` is the opposite of `label`.
    ///
    /// # Errors
    /// [`super::error::Kind::Invalid`] for a text without `=`, and for an unknown key.
    pub fn parse(texts: &[String], keys: &[&str]) -> Result<Self> {
        let mut filters = Self::default();
        for text in texts.iter().filter(|text| !text.is_empty()) {
            let (key, value) = text.split_once('=').ok_or_else(|| {
                Error::invalid(format!(
                    "bad format of filter {text:?}: it has to be KEY=VALUE, with a KEY of {}",
                    keys.join(", ")
                ))
            })?;
            let key = key.trim().to_lowercase();
            if !keys.contains(&key.as_str()) {
                return Err(Error::invalid(format!("invalid filter '{key}': there are {}", keys.join(", "))));
            }
            filters.0.entry(key).or_default().push(value.trim().to_owned());
        }
        Ok(filters)
    }

    /// The values of a key.
    pub fn values(&self, key: &str) -> &[String] {
        self.0.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether anything is asked of this key.
    pub fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Whether nothing is asked, or one of the values does what `matches` says.
    pub fn any(&self, key: &str, matches: impl FnMut(&str) -> bool) -> bool {
        let values = self.values(key);
        values.is_empty() || values.iter().map(String::as_str).any(matches)
    }

    /// Whether nothing is asked, or `text` is one of the values.
    pub fn exact(&self, key: &str, text: &str) -> bool {
        self.any(key, |value| value == text)
    }

    /// Whether nothing is asked, or `text` is one of the values or one of them, a regular expression, is found in it.
    pub fn found_in(&self, key: &str, text: &str) -> bool {
        self.any(key, |value| value == text || Regex::new(value).is_ok_and(|expression| expression.is_match(text)))
    }

    /// Whether labels are as `label` and `label!` want them: `KEY` or `KEY=VALUE`.
    pub fn labels(&self, labels: &BTreeMap<String, String>) -> bool {
        let carries = |wanted: &String| match wanted.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|found| found == value),
            None => labels.contains_key(wanted),
        };
        let unwanted = self.values("label!");
        self.values("label").iter().all(carries) && (unwanted.is_empty() || !unwanted.iter().all(carries))
    }

    /// What a key says that is yes or no.
    ///
    /// # Errors
    /// [`super::error::Kind::Invalid`] for anything else, or for both.
    pub fn switch(&self, key: &str) -> Result<Option<bool>> {
        let mut said = None;
        for value in self.values(key) {
            let value = match value.to_lowercase().as_str() {
                "1" | "true" | "t" => true,
                "0" | "false" | "f" => false,
                _ => return Err(invalid(key, value)),
            };
            if said.is_some_and(|said| said != value) {
                return Err(Error::invalid(format!("invalid filter '{key}': both true and false are asked for")));
            }
            said = Some(value);
        }
        Ok(said)
    }

    /// The moment of `until`: a duration before now, or a time.
    ///
    /// # Errors
    /// [`super::error::Kind::Invalid`] for what is neither, and for several.
    pub fn until(&self) -> Result<Option<jiff::Timestamp>> {
        match self.values("until") {
            [] => Ok(None),
            [text] => moment::parse(text, jiff::Timestamp::now()).map(Some),
            _ => Err(Error::invalid("more than one until filter specified")),
        }
    }
}

/// A value that a key cannot have.
pub fn invalid(key: &str, value: &str) -> Error {
    Error::invalid(format!("invalid filter '{key}={value}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 5] = ["name", "label", "label!", "until", "dangling"];

    fn filters(texts: &[&str]) -> Result<Filters> {
        Filters::parse(&texts.iter().map(ToString::to_string).collect::<Vec<_>>(), &KEYS)
    }

    fn labels(texts: &[&str], labels: &[(&str, &str)]) -> bool {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        filters(texts).is_ok_and(|filters| filters.labels(&labels))
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for text in ["name", "nosuch=1"] {
            assert!(filters(&[text]).is_err_and(|e| e.to_string().contains("filter")), "{text}");
        }
        assert!(filters(&["dangling=maybe"]).and_then(|f| f.switch("dangling")).is_err());
        assert!(filters(&["dangling=1", "dangling=0"]).and_then(|f| f.switch("dangling")).is_err());
        assert_eq!(filters(&["dangling=T"]).and_then(|f| f.switch("dangling")).ok(), Some(Some(true)));
        assert!(filters(&["until=1h", "until=2h"]).and_then(|f| f.until()).is_err());
    }

    #[test]
    fn values_are_alternatives_and_names_are_expressions() {
        let filters = filters(&["name=^a.c$", "name=x", "name=("]).expect("filters");
        for (name, found) in [("abc", true), ("abcd", false), ("axb", true), ("(", true), ("b", false)] {
            assert_eq!(filters.found_in("name", name), found, "{name}");
        }
        assert!(filters.exact("label", "anything"), "nothing is asked of it");
    }

    #[test]
    fn labels_are_all_needed() {
        let both = [("a", "1"), ("b", "")];
        assert!(labels(&["label=a", "label=b"], &both));
        assert!(labels(&["label=a=1"], &both));
        assert!(!labels(&["label=a", "label=c"], &both));
        assert!(!labels(&["label=a=2"], &both));
        assert!(!labels(&["label!=a"], &both));
        assert!(!labels(&["label!=a=1"], &both));
        assert!(labels(&["label!=a=2"], &both));
        assert!(labels(&["label!=c"], &both));
    }
}
