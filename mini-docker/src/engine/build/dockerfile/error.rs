//! Why a Dockerfile is refused.

use std::fmt;

/// What is wrong with a Dockerfile, in BuildKit's words where it has some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// The line, from 1; `None` where it is not about one.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
}

/// A result of reading a Dockerfile.
pub type Result<T, E = ParseError> = std::result::Result<T, E>;

impl ParseError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { line: None, message: message.into() }
    }

    /// Adds the line, unless a more exact one is known.
    pub(super) fn at(mut self, line: usize) -> Self {
        self.line.get_or_insert(line);
        self
    }

    /// Adds what may have been meant: the nearest of `options`, at most two letters away.
    pub(super) fn did_you_mean<'a>(mut self, word: &str, options: impl IntoIterator<Item = &'a str>) -> Self {
        if let Some(option) = nearest(word, options) {
            self.message = format!("{} (did you mean {option}?)", self.message);
        }
        self
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "dockerfile parse error on line {line}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for ParseError {}

/// What somebody may have meant by a word: the option that differs from it in one or two letters.
pub fn nearest<'a>(word: &str, options: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let nearest = options.into_iter().map(|option| (distance(word, option), option)).min();
    nearest.filter(|(distance, _)| [1, 2].contains(distance)).map(|(_, option)| option)
}

/// The number of letters to insert, remove or replace.
fn distance(a: &str, b: &str) -> usize {
    // Whatever is longer than any name is far away; the table stays small.
    if a.len() > 64 {
        return usize::MAX;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let replaced = row[j] + usize::from(x != *y);
            next.push(replaced.min(row[j + 1] + 1).min(next[j] + 1));
        }
        row = next;
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested_and_a_far_one_is_not() {
        let suggest = |word| ParseError::new("x").did_you_mean(word, ["RUN", "COPY"]).message;
        assert_eq!(suggest("RUM"), "x (did you mean RUN?)");
        assert_eq!(suggest("CPOY"), "x (did you mean COPY?)");
        assert_eq!(suggest("VOLUME"), "x");
        assert_eq!(suggest("RUN"), "x");
    }
}
