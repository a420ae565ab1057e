//! Trees of keys and values, and patterns of paths in them.

use serde_json::{Map, Value};

use crate::engine::error::Error;

/// A node with keys.
pub(super) type Mapping = Map<String, Value>;

/// Where a value is: the keys from the root on, `[]` for an element of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Path(Vec<String>);

impl Path {
    /// From keys with dots between.
    pub(super) fn of(keys: &[&str]) -> Self {
        Self(keys.iter().map(|&key| key.to_owned()).collect())
    }

    /// One level further down.
    pub(super) fn next(&self, key: &str) -> Self {
        let mut keys = self.0.clone();
        keys.push(key.to_owned());
        Self(keys)
    }

    /// The keys.
    pub(super) fn keys(&self) -> &[String] {
        &self.0
    }

    /// Whether the path is `pattern`: keys with dots between, in which `*` is any one key.
    pub(super) fn matches(&self, pattern: &str) -> bool {
        let mut parts = pattern.split('.');
        let is_like = |part: &str, key: &str| part == "*" || part == key || (part == "[]" && key.starts_with('['));
        self.0.iter().all(|key| parts.next().is_some_and(|part| is_like(part, key))) && parts.next().is_none()
    }

    /// The first value whose pattern matches.
    pub(super) fn find<'a, T>(&self, table: &'a [(&str, T)]) -> Option<&'a T> {
        table.iter().find(|(pattern, _)| self.matches(pattern)).map(|(_, value)| value)
    }
}

impl Path {
    /// The element of a list with this number.
    pub(super) fn element(&self, number: usize) -> Self {
        self.next(&format!("[{number}]"))
    }

    /// What is wrong there.
    pub(super) fn wrong(&self, why: impl std::fmt::Display) -> Error {
        let colon = if self.0.is_empty() { "" } else { ": " };
        Error::invalid(format!("{self}{colon}{why}")).about(&self.0)
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(".").replace(".[", "["))
    }
}

/// A scalar as text, as Go prints it; empty for null.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match (number.is_f64(), number.as_f64()) {
            (true, Some(float)) => float_text(float),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

/// `%v` of a float64: the shortest digits that mean it, with an exponent where the point would stand far away.
fn float_text(float: f64) -> String {
    let scientific = format!("{float:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..21).contains(&exponent) {
        return format!("{float}");
    }
    format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

/// What a value is, for error messages.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a number",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// The mapping under a key; `None` where it is missing or null.
pub(super) fn section<'a>(model: &'a Mapping, key: &str) -> Option<&'a Mapping> {
    model.get(key)?.as_object()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_paths() {
        let path = Path::of(&["services", "a.b", "ports", "[]"]);
        assert!(path.matches("services.*.ports.*") && path.matches("services.*.ports.[]"));
        assert_eq!(Path::of(&["a"]).element(1).to_string(), "a[1]");
        assert!(!path.matches("services.*.ports"));
        assert!(!path.matches("services.*.ports.*.target"));
    }

    #[test]
    fn numbers_are_written_as_go_does() {
        for (value, text) in
            [(0.1, "0.1"), (1000.0, "1000"), (1e21, "1e+21"), (1.5e-7, "1.5e-07"), (1e20, "100000000000000000000")]
        {
            assert_eq!(float_text(value), text);
        }
    }
}
