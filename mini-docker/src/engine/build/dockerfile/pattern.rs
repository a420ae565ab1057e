//! Patterns of `${NAME#…}`, `${NAME%…}` and `${NAME/…/…}`: `*`, `?`, and what a backslash makes of them.

use super::error::{ParseError, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Letter(char),
    /// `?`: any letter but the end of a line.
    Any,
    /// `*`: any number of them.
    Star,
}

/// A pattern.
#[derive(Debug)]
pub(super) struct Pattern(Vec<Part>);

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut parts = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            parts.push(match c {
                '*' => Part::Star,
                '?' => Part::Any,
                '\\' => match chars.next() {
                    // Escaped for the braces around the pattern, not in it.
                    Some(c @ ('*' | '?' | '\\' | '}' | '/')) => Part::Letter(c),
                    other => {
                        let c = other.unwrap_or(char::REPLACEMENT_CHARACTER);
                        return Err(ParseError::new(format!("invalid escape '\\{c}'")));
                    }
                },
                c => Part::Letter(c),
            });
        }
        Ok(Self(parts))
    }

    /// `value` without the shortest or longest beginning that matches.
    pub(super) fn without_prefix<'a>(&self, value: &'a str, longest: bool) -> Result<&'a str> {
        let letters: Vec<char> = value.chars().collect();
        Ok(match Ends::find(&self.0, &letters)?.from(0, longest) {
            Some(end) => &value[letters[..end].iter().map(|c| c.len_utf8()).sum()..],
            None => value,
        })
    }

    /// `value` without the shortest or longest end that matches.
    pub(super) fn without_suffix<'a>(&self, value: &'a str, longest: bool) -> Result<&'a str> {
        let letters: Vec<char> = value.chars().rev().collect();
        let parts: Vec<Part> = self.0.iter().rev().copied().collect();
        Ok(match Ends::find(&parts, &letters)?.from(0, longest) {
            Some(end) => {
                let cut: usize = letters[..end].iter().map(|c| c.len_utf8()).sum();
                &value[..value.len() - cut]
            }
            None => value,
        })
    }

    /// `value` with the first match, or all of them, replaced; each match is as long as it can be. At most `most` bytes.
    pub(super) fn replace(&self, value: &str, replacement: &str, all: bool, most: usize) -> Result<String> {
        let letters: Vec<char> = value.chars().collect();
        let ends = Ends::find(&self.0, &letters)?;
        let mut replaced = String::new();
        let mut at = 0;
        // Where the last match ended: an empty one right behind it does not count.
        let mut last = None;
        while at <= letters.len() {
            if let Some(end) = ends.from(at, true).filter(|end| *end > at || last != Some(at)) {
                replaced.push_str(replacement);
                if replaced.len() > most {
                    return Err(ParseError::new("the values of variables become too long"));
                }
                if !all {
                    replaced.extend(&letters[end..]);
                    return Ok(replaced);
                }
                last = Some(end);
                if end > at {
                    at = end;
                    continue;
                }
            }
            replaced.extend(letters.get(at));
            at += 1;
        }
        Ok(replaced)
    }
}

/// Where matches of a pattern begin and end in a text, for all beginnings at once.
struct Ends<'a> {
    parts: &'a [Part],
    letters: &'a [char],
    /// By the number of parts that are left, from none on: from which letters on they match something.
    rows: Vec<Vec<bool>>,
}

impl<'a> Ends<'a> {
    fn find(parts: &'a [Part], letters: &'a [char]) -> Result<Self> {
        /// Bytes that the rows may take.
        const MOST: usize = 64 << 20;
        if (parts.len() + 1).saturating_mul(letters.len() + 1) > MOST {
            let message = format!("it has {} parts, too many for a value of {} letters", parts.len(), letters.len());
            return Err(ParseError::new(message));
        }
        let mut rows = vec![vec![true; letters.len() + 1]];
        for part in parts.iter().rev() {
            let below = &rows[rows.len() - 1];
            let mut row = vec![false; letters.len() + 1];
            for at in (0..=letters.len()).rev() {
                row[at] = match (part, letters.get(at)) {
                    (Part::Star, letter) => below[at] || letter.is_some_and(|c| *c != '\n') && row[at + 1],
                    (Part::Any, Some(c)) => *c != '\n' && below[at + 1],
                    (Part::Letter(wanted), Some(c)) => wanted == c && below[at + 1],
                    (_, None) => false,
                };
            }
            rows.push(row);
        }
        Ok(Self { parts, letters, rows })
    }

    /// The end of the match that begins here, where a star takes as much, or as little, as it can.
    fn from(&self, mut at: usize, longest: bool) -> Option<usize> {
        if !self.rows[self.parts.len()][at] {
            return None;
        }
        for (index, part) in self.parts.iter().enumerate() {
            let below = &self.rows[self.parts.len() - index - 1];
            if *part != Part::Star {
                at += 1;
                continue;
            }
            let line = self.letters[at..].iter().take_while(|c| **c != '\n').count();
            let mut ends = (at..=at + line).filter(|end| below[*end]);
            at = (if longest { ends.next_back() } else { ends.next() })?;
        }
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    fn prefix(text: &str, value: &'static str, longest: bool) -> &'static str {
        pattern(text).without_prefix(value, longest).unwrap()
    }

    fn suffix(text: &str, value: &'static str, longest: bool) -> &'static str {
        pattern(text).without_suffix(value, longest).unwrap()
    }

    fn replace(text: &str, value: &str, replacement: &str, all: bool) -> String {
        pattern(text).replace(value, replacement, all, 100).unwrap()
    }

    #[test]
    fn ends_are_cut_short_and_long() {
        assert_eq!(prefix("*/", "a/b/c", false), "b/c");
        assert_eq!(prefix("*/", "a/b/c", true), "c");
        assert_eq!(suffix("/*", "a/b/c", false), "a/b");
        assert_eq!(suffix("/*", "a/b/c", true), "a");
        assert_eq!(suffix("??", "aéß", false), "a");
        assert_eq!(prefix("x*", "abc", true), "abc");
        assert_eq!(prefix("*", "a\nb", true), "\nb");
        assert_eq!(prefix("\\*", "*a", true), "a");
    }

    #[test]
    fn matches_are_replaced() {
        assert_eq!(replace("a", "banana", "o", false), "bonana");
        assert_eq!(replace("a", "banana", "o", true), "bonono");
        assert_eq!(replace("n*", "banana", "!", true), "ba!");
        assert_eq!(replace("", "ab", "-", true), "-a-b-");
        assert_eq!(replace("*", "ab", "-", true), "-");
        assert!(Pattern::parse("\\a").is_err() && Pattern::parse("a\\").is_err());
    }
    #[test]
    fn what_grows_without_end_is_refused() {
        let long = "x".repeat(1 << 16);
        assert!(pattern("x").replace(&long, &long, true, 1 << 20).is_err());
        assert!(pattern(&long).without_prefix(&long, true).is_err());
        // Not by the square of the value's length.
        assert_eq!(pattern("x*y").replace(&long, "", true, 1 << 20).unwrap(), long);
    }
}
