//! Patterns of paths: `.dockerignore`, `--exclude`, and the wildcards of COPY and ADD.

use super::error::{ParseError, Result};

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Letter(char),
    /// `?`: any letter but a slash.
    Any,
    /// `*`: any number of them.
    Star,
    /// `[…]`, and whether it is what is not in it.
    Class(Vec<(char, char)>, bool),
    /// `**/`: any number of directories, none too.
    Directories,
    /// `**` at the end: all that is left.
    Rest,
}

/// A pattern of a path.
#[derive(Debug, Clone)]
pub struct PathPattern {
    text: String,
    parts: Vec<Part>,
}

impl PathPattern {
    /// Reads a pattern as Go's filepath.Match does; with `deep`, `**` matches directories.
    pub fn parse(text: &str, deep: bool) -> Result<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            let part = match c {
                '*' if deep && rest.starts_with('*') => {
                    rest = rest[1..].strip_prefix('/').unwrap_or(&rest[1..]);
                    if rest.is_empty() { Part::Rest } else { Part::Directories }
                }
                '*' => Part::Star,
                '?' => Part::Any,
                '[' => class(&mut rest)?,
                '\\' => Part::Letter(take(&mut rest)?),
                c => Part::Letter(c),
            };
            parts.push(part);
        }
        // `**.txt`: without a slash, the name may begin with anything.
        if deep && text.starts_with("**") && !text.starts_with("**/") && parts.first() == Some(&Part::Directories) {
            let plain = parts[1..].iter().all(|part| matches!(part, Part::Letter(_)));
            if plain {
                parts[0] = Part::Rest;
            }
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// Whether it has wildcards; what has none is one path.
    pub fn is_plain(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Letter(_))) && !self.text.contains('\\')
    }

    /// Whether the whole path matches.
    pub fn matches(&self, path: &str) -> bool {
        if self.is_plain() {
            return self.text == path;
        }
        let letters: Vec<char> = path.chars().collect();
        let mut at = vec![false; letters.len() + 1];
        at[0] = true;
        for part in &self.parts {
            at = part.step(&at, &letters);
        }
        at[letters.len()]
    }
}

impl Part {
    /// From the positions where the pattern so far can end to those with this part.
    fn step(&self, from: &[bool], letters: &[char]) -> Vec<bool> {
        let mut to = vec![false; from.len()];
        let mut reached = false;
        for (index, to) in to.iter_mut().enumerate() {
            let before = index.checked_sub(1).map(|before| (letters[before], from[before]));
            *to = match (self, before) {
                (Self::Letter(wanted), Some((c, true))) => c == *wanted,
                (Self::Any, Some((c, true))) => c != '/',
                (Self::Class(ranges, negated), Some((c, true))) => {
                    ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
                }
                (Self::Star, before) => {
                    reached = from[index] || reached && before.is_some_and(|(c, _)| c != '/');
                    reached
                }
                (Self::Directories, before) => {
                    let here = from[index] || reached && before.is_some_and(|(c, _)| c == '/');
                    reached |= from[index];
                    here
                }
                (Self::Rest, _) => {
                    reached |= from[index];
                    reached
                }
                _ => false,
            };
        }
        to
    }
}

fn bad() -> ParseError {
    ParseError::new("syntax error in pattern")
}

/// The next letter, whatever it is.
fn take(rest: &mut &str) -> Result<char> {
    let c = rest.chars().next().ok_or_else(bad)?;
    *rest = &rest[c.len_utf8()..];
    Ok(c)
}

/// After `[`.
fn class(rest: &mut &str) -> Result<Part> {
    let negated = rest.starts_with('^');
    if negated {
        *rest = &rest[1..];
    }
    let mut ranges = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix(']').filter(|_| !ranges.is_empty()) {
            *rest = after;
            return Ok(Part::Class(ranges, negated));
        }
        let low = member(rest)?;
        let high = match rest.strip_prefix('-') {
            Some(after) => {
                *rest = after;
                member(rest)?
            }
            None => low,
        };
        ranges.push((low, high));
    }
}

fn member(rest: &mut &str) -> Result<char> {
    match take(rest)? {
        '-' | ']' => Err(bad()),
        '\\' => take(rest),
        c => Ok(c),
    }
}

/// A pattern, and whether it takes back what others exclude: `!pattern`.
#[derive(Debug, Clone)]
struct Rule {
    pattern: PathPattern,
    exception: bool,
}

/// What is left out of a context, or of a copy: the last pattern that matches decides.
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    rules: Vec<Rule>,
}

/// Which rules matched a directory, for what is in it.
#[derive(Debug, Clone, Default)]
pub struct Matched(Vec<bool>);

impl Ignore {
    /// Reads a `.dockerignore`.
    pub fn parse(file: &str) -> Result<Self> {
        let file = file.strip_prefix('\u{feff}').unwrap_or(file);
        let lines = file.lines().filter(|line| !line.starts_with('#')).map(str::trim).filter(|line| !line.is_empty());
        Self::new(lines.map(|line| match line.strip_prefix('!') {
            Some(pattern) => format!("!{}", relative(pattern.trim())),
            None => relative(line),
        }))
    }

    /// From patterns as `--exclude` has them.
    pub fn new(patterns: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self> {
        let mut rules = Vec::new();
        for pattern in patterns {
            let pattern = pattern.as_ref().trim();
            if pattern.is_empty() {
                continue;
            }
            let pattern = clean(pattern);
            let (exception, text) = match pattern.strip_prefix('!') {
                Some("") => return Err(ParseError::new("illegal exclusion pattern: \"!\"")),
                Some(text) => (true, text),
                None => (false, pattern.as_str()),
            };
            rules.push(Rule { pattern: PathPattern::parse(text, true)?, exception });
        }
        Ok(Self { rules })
    }

    /// Whether nothing is excluded.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether something may come back below an excluded directory.
    pub fn has_exceptions(&self) -> bool {
        self.rules.iter().any(|rule| rule.exception)
    }

    /// Whether this path is excluded, by itself or with a directory above it.
    pub fn excludes(&self, path: &str) -> bool {
        let mut matched = Matched::default();
        let mut excluded = false;
        for (at, _) in path.match_indices('/').chain([(path.len(), "")]) {
            (excluded, matched) = self.step(&path[..at], &matched);
        }
        excluded
    }

    /// As [`Ignore::excludes`] for an entry of a directory for which `parent` came out.
    pub fn step(&self, path: &str, parent: &Matched) -> (bool, Matched) {
        let mut excluded = false;
        let mut matched = vec![false; self.rules.len()];
        for (index, rule) in self.rules.iter().enumerate() {
            let inherited = parent.0.get(index).copied().unwrap_or_default();
            let hit = inherited || rule.pattern.matches(path);
            matched[index] = hit;
            if hit {
                excluded = !rule.exception;
            }
        }
        (excluded, Matched(matched))
    }
}

/// The shortest way to write a path of an ignore file: relative to the context.
fn relative(pattern: &str) -> String {
    if pattern.is_empty() {
        return String::new();
    }
    let pattern = clean(pattern);
    match pattern.strip_prefix('/') {
        Some(rest) if !rest.is_empty() => rest.to_owned(),
        _ => pattern,
    }
}

/// The shortest way to write a path, as Go's path.Clean.
pub fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.join("/")) {
        (true, path) => format!("/{path}"),
        (false, path) if path.is_empty() => ".".to_owned(),
        (false, path) => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excluded(file: &str, path: &str) -> bool {
        Ignore::parse(file).unwrap().excludes(path)
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        let file = "# all\n*\n!keep\nkeep/*.tmp\n!keep/a.tmp\n";
        for (path, gone) in [
            ("x", true),
            ("keep", false),
            ("keep/b", false),
            ("keep/b.tmp", true),
            ("keep/a.tmp", false),
            ("x/keep", true),
        ] {
            assert_eq!(excluded(file, path), gone, "{path}");
        }
    }

    #[test]
    fn two_stars_are_any_directories() {
        for (pattern, path, matches) in [
            ("**/*.go", "a.go", true),
            ("**/*.go", "a/b/c.go", true),
            ("a/**", "a/b/c", true),
            ("a/**/z", "a/z", true),
            ("a/**/z", "a/b/c/z", true),
            ("a/**/z", "az", false),
            ("**/x", "ax", false),
            ("**x", "ax", true),
            ("[a-c]?\\*", "bz*", true),
            ("[^a]", "a", false),
            ("a*b", "a/b", false),
        ] {
            assert_eq!(PathPattern::parse(pattern, true).unwrap().matches(path), matches, "{pattern} {path}");
        }
        for bad in ["[", "[]", "[a", "[a-]", "[-a]", "a\\", "[\\"] {
            assert!(PathPattern::parse(bad, true).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_are_cleaned() {
        for (path, short) in
            [("", "."), ("a//b/./c/..", "a/b"), ("/../a", "/a"), ("../a", "../a"), ("/", "/"), ("a/..", ".")]
        {
            assert_eq!(clean(path), short);
        }
    }
}
