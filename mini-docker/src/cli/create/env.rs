//! Environment variables, from the command line and from files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::engine::{Error, Result, error::Context};

/// The variables of the files and then those of `variables`, as `--env-file` and `--env` name them.
pub(in crate::cli) fn collect(files: &[PathBuf], variables: &[String]) -> Result<Vec<String>> {
    collect_with(files, variables, &|key| std::env::var(key).ok())
}

/// The same, where `find` knows the caller's variables.
pub(in crate::cli) fn collect_with(
    files: &[PathBuf],
    variables: &[String],
    find: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<String>> {
    let mut env = Vec::new();
    for path in files {
        env.extend(lines(path)?.iter().map(|line| with_value(line, find)));
    }
    for variable in variables {
        if variable.is_empty() || variable.starts_with('=') {
            return Err(Error::invalid(format!("invalid environment variable: {variable:?}: it has no name")));
        }
        env.push(with_value(variable, find));
    }
    Ok(env)
}

/// `KEY=value` as it is; `KEY` with the caller's value, or alone where the caller has none: it takes the image's away.
fn with_value(variable: &str, find: &dyn Fn(&str) -> Option<String>) -> String {
    let value = if variable.contains('=') { None } else { find(variable) };
    value.map_or_else(|| variable.to_owned(), |value| format!("{variable}={value}"))
}

/// Labels of a file, as `--label-file` names it: `KEY=VALUE`, in the same format.
pub(super) fn label_file(path: &Path) -> Result<Vec<String>> {
    // What has no value is left out.
    Ok(lines(path)?.into_iter().filter(|line| line.contains('=')).collect())
}

/// Docker's format: `KEY[=VALUE]` a line, `#` before a comment, no quotes, no expansion.
fn lines(path: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(path).doing("read", path)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut lines = Vec::new();
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
        lines.push(line.to_owned());
    }
    Ok(lines)
}
