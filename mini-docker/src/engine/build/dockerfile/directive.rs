//! Parser directives: `# escape=…`, `# syntax=…`, `# check=…` before anything else in the file.

use super::error::{ParseError, Result};

/// Directives of a file, read line by line until the first line that is none.
#[derive(Debug, Clone)]
pub struct Directives {
    /// The character that escapes others, and continues a line at its end: `\` or a backtick.
    pub escape: char,
    /// The frontend that the file asks for.
    pub syntax: Option<String>,
    /// What `# check=` says of the lints.
    pub check: Option<String>,
    seen_escape: bool,
    done: bool,
}

impl Default for Directives {
    fn default() -> Self {
        Self { escape: '\\', syntax: None, check: None, seen_escape: false, done: false }
    }
}

impl Directives {
    /// Takes the next line of the file; whether it is a directive.
    pub(super) fn take(&mut self, line: &str) -> Result<bool> {
        if self.done {
            return Ok(false);
        }
        let parsed = line.strip_prefix('#').and_then(|text| split(text.trim_start()));
        let Some((name, value)) = parsed else {
            self.done = true;
            return Ok(false);
        };
        let repeated = match name.as_str() {
            "escape" => {
                let repeated = std::mem::replace(&mut self.seen_escape, true);
                if !repeated {
                    self.escape = escape(value)?;
                }
                repeated
            }
            "syntax" => self.syntax.replace(value.to_owned()).is_some(),
            "check" => self.check.replace(value.to_owned()).is_some(),
            _ => {
                self.done = true;
                return Ok(false);
            }
        };
        if repeated {
            return Err(ParseError::new(format!("only one {name} parser directive can be used")));
        }
        Ok(true)
    }
}

fn escape(value: &str) -> Result<char> {
    match value {
        "`" => Ok('`'),
        "\\" => Ok('\\'),
        _ => Err(ParseError::new(format!("invalid escape token '{value}' does not match ` or \\"))),
    }
}

/// `NAME = VALUE`, the name in lower case.
fn split(text: &str) -> Option<(String, &str)> {
    let (name, value) = text.split_once('=')?;
    let name = name.trim_end_matches(is_blank);
    let mut letters = name.chars();
    let named = letters.next()?.is_ascii_alphabetic() && letters.all(|c| c.is_ascii_alphanumeric());
    if !named || value.is_empty() {
        return None;
    }
    let trimmed = value.trim_matches(is_blank);
    // A value of blanks alone is a blank.
    let last = value.char_indices().next_back().map_or(0, |(at, _)| at);
    Some((name.to_ascii_lowercase(), if trimmed.is_empty() { &value[last..] } else { trimmed }))
}

fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\x0c' | '\r' | ' ')
}
