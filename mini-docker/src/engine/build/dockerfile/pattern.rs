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
    pub(super) fn without_prefix<'a>(&self, value: &'a str, longest: bool) -> &'a str {
        let letters: Vec<char> = value.chars().collect();
        match matched(&self.0, &letters, longest) {
            Some(length) => &value[letters[..length].iter().map(|c| c.len_utf8()).sum()..],
            None => value,
        }
    }

    /// `value` without the shortest or longest end that matches.
    pub(super) fn without_suffix<'a>(&self, value: &'a str, longest: bool) -> &'a str {
        let letters: Vec<char> = value.chars().rev().collect();
        let parts: Vec<Part> = self.0.iter().rev().copied().collect();
        match matched(&parts, &letters, longest) {
            Some(length) => {
                let cut: usize = letters[..length].iter().map(|c| c.len_utf8()).sum();
                &value[..value.len() - cut]
            }
            None => value,
        }
    }

    /// `value` with the first match, or all of them, replaced; each match is as long as it can be.
    pub(super) fn replace(&self, value: &str, replacement: &str, all: bool) -> String {
        let letters: Vec<char> = value.chars().collect();
        let mut replaced = String::new();
        let mut at = 0;
        // Where the last match ended: an empty one right behind it does not count.
        let mut last = None;
        while at <= letters.len() {
            let found = matched(&self.0, &letters[at..], true).filter(|length| *length > 0 || last != Some(at));
            if let Some(length) = found {
                replaced.push_str(replacement);
                let rest = at + length;
                if !all {
                    replaced.extend(&letters[rest..]);
                    return replaced;
                }
                last = Some(rest);
                at = rest;
                if length > 0 {
                    continue;
                }
            }
            replaced.extend(letters.get(at));
            at += 1;
        }
        replaced
    }
}

/// The length of the match at the beginning of `letters`, where a star takes as much, or as little, as it can.
fn matched(parts: &[Part], letters: &[char], longest: bool) -> Option<usize> {
    // From the last part to the first: from which letter on the rest of the pattern matches something.
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
    if !rows[parts.len()][0] {
        return None;
    }
    let mut at = 0;
    for (index, part) in parts.iter().enumerate() {
        let below = &rows[parts.len() - index - 1];
        if *part != Part::Star {
            at += 1;
            continue;
        }
        let line = letters[at..].iter().take_while(|c| **c != '\n').count();
        let mut ends = (at..=at + line).filter(|end| below[*end]);
        at = (if longest { ends.next_back() } else { ends.next() })?;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn ends_are_cut_short_and_long() {
        assert_eq!(pattern("*/").without_prefix("a/b/c", false), "b/c");
        assert_eq!(pattern("*/").without_prefix("a/b/c", true), "c");
        assert_eq!(pattern("/*").without_suffix("a/b/c", false), "a/b");
        assert_eq!(pattern("/*").without_suffix("a/b/c", true), "a");
        assert_eq!(pattern("??").without_suffix("aéß", false), "a");
        assert_eq!(pattern("x*").without_prefix("abc", true), "abc");
        assert_eq!(pattern("*").without_prefix("a\nb", true), "\nb");
        assert_eq!(pattern("\\*").without_prefix("*a", true), "a");
    }

    #[test]
    fn matches_are_replaced() {
        assert_eq!(pattern("a").replace("banana", "o", false), "bonana");
        assert_eq!(pattern("a").replace("banana", "o", true), "bonono");
        assert_eq!(pattern("n*").replace("banana", "!", true), "ba!");
        assert_eq!(pattern("").replace("ab", "-", true), "-a-b-");
        assert_eq!(pattern("*").replace("ab", "-", true), "-");
        assert!(Pattern::parse("\\a").is_err() && Pattern::parse("a\\").is_err());
    }
}
