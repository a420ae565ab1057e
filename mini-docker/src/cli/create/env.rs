//! Environment variables, from the command line and from files.

use std::{fs, path::Path};

use crate::engine::{Error, Result, error::Context};

/// `KEY=value` as it is; `KEY` with the caller's value, or not at all where the caller has none.
pub(super) fn with_value(variable: &str) -> Option<String> {
    if variable.contains('=') {
        return Some(variable.to_owned());
    }
    std::env::var(variable).ok().map(|value| format!("{variable}={value}"))
}

/// Docker's format: a variable a line, `#` before a comment, no quotes, no expansion.
pub(super) fn env_file(path: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(path).doing("read", path)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut variables = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key = line.split('=').next().unwrap_or_default();
        let wrong = |why| Err(Error::invalid(format!("{}:{}: variable {key:?} {why}", path.display(), number + 1)));
        if key.is_empty() {
            return wrong("has no name");
        }
        if key.contains(char::is_whitespace) {
            return wrong("contains whitespaces");
        }
        variables.extend(with_value(line));
    }
    Ok(variables)
}
