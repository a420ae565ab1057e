//! Files of environment variables, in compose's format: quotes, `export`, comments at the end of a line, variables in
//! values (<https://github.com/compose-spec/compose-spec/blob/main/05-services.md#env_file-format>).

use std::collections::HashMap;

use super::template::{self, substitute};

/// What looks a variable up that the file itself has not set.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Variables, in the order in which they were set first.
#[derive(Debug, Default)]
pub struct Variables {
    all: Vec<(String, String)>,
    /// Where each stands: files may have a million.
    places: HashMap<String, usize>,
}

impl Variables {
    /// A variable's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.places.get(name).map(|&place| self.all[place].1.as_str())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    fn set(&mut self, key: String, value: String) {
        if let Some(&place) = self.places.get(&key) {
            self.all[place].1 = value;
        } else {
            self.places.insert(key.clone(), self.all.len());
            self.all.push((key, value));
        }
    }
}

impl IntoIterator for Variables {
    type Item = (String, String);
    type IntoIter = std::vec::IntoIter<(String, String)>;

    fn into_iter(self) -> Self::IntoIter {
        self.all.into_iter()
    }
}

/// Bytes that all variables may have: lines of `A=$A$A` would fill any memory.
const MOST: usize = 64 << 20;

/// Reads variables, adding to `variables`: a later line may use those of an earlier one.
///
/// # Errors
/// The line and what is wrong with it.
pub fn parse(text: &str, variables: &mut Variables, lookup: Lookup) -> Result<(), String> {
    let mut reader = Reader { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1 };
    let mut bytes = 0;
    while reader.next_statement() {
        let (key, is_set) = reader.key()?;
        if key.contains(' ') {
            return Err(reader.wrong("key cannot contain a space"));
        }
        let value = if is_set { Some(reader.value(variables, lookup)?) } else { lookup(&key) };
        if let Some(value) = value {
            bytes += value.len();
            if bytes > MOST {
                return Err(reader.wrong(&format!("all values come to more than {} MiB", MOST >> 20)));
            }
            variables.set(key, value);
        }
    }
    Ok(())
}

/// The raw format, docker run's: no quotes, no variables, everything after `=` is the value.
pub fn parse_raw(text: &str, variables: &mut Variables, lookup: Lookup) -> Result<(), String> {
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = match line.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (line, lookup(line)),
        };
        if key.is_empty() || key.contains(char::is_whitespace) {
            return Err(format!("line {}: invalid variable name {key:?}", number + 1));
        }
        if let Some(value) = value {
            variables.set(key.to_owned(), value);
        }
    }
    Ok(())
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

/// Blanks within a line.
fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

impl<'a> Reader<'a> {
    fn wrong(&self, why: &str) -> String {
        format!("line {}: {why}", self.line)
    }

    fn skip(&mut self, bytes: usize) -> &'a str {
        let (skipped, rest) = self.rest.split_at(bytes);
        self.line += skipped.matches('\n').count();
        self.rest = rest;
        skipped
    }

    /// Goes to where a statement begins; false at the end.
    fn next_statement(&mut self) -> bool {
        loop {
            let blank = self.rest.find(|c: char| !c.is_whitespace()).unwrap_or(self.rest.len());
            self.skip(blank);
            if !self.rest.starts_with('#') {
                return !self.rest.is_empty();
            }
            self.skip(self.rest.find('\n').unwrap_or(self.rest.len()));
        }
    }

    /// The name, and whether a value follows.
    fn key(&mut self) -> Result<(String, bool), String> {
        if let Some(rest) = self.rest.strip_prefix("export")
            && rest.starts_with(char::is_whitespace)
        {
            let blank = rest.find(|c: char| !is_blank(c)).unwrap_or(rest.len());
            self.skip("export".len() + blank);
        }
        let end = self.rest.find(|c: char| !is_blank(c) && !c.is_alphanumeric() && !"_.-[]".contains(c));
        let separator = end.and_then(|end| self.rest[end..].chars().next());
        let is_set = match separator {
            Some('=' | ':') => true,
            Some('\n') => false,
            None => {
                let key = self.skip(self.rest.len()).trim_end().to_owned();
                return if key.is_empty() { Err(self.wrong("zero length string")) } else { Ok((key, false)) };
            }
            Some(other) => {
                let line = self.rest.lines().next().unwrap_or_default();
                return Err(self.wrong(&format!("unexpected character {other:?} in variable name {line:?}")));
            }
        };
        let key = self.skip(end.unwrap_or(0)).trim_end().to_owned();
        self.skip(1);
        if is_set {
            self.skip(self.rest.find(|c: char| !is_blank(c)).unwrap_or(self.rest.len()));
        }
        Ok((key, is_set))
    }

    fn value(&mut self, variables: &Variables, lookup: Lookup) -> Result<String, String> {
        let expand = |text: &str, line: usize| {
            let find = |name: &str| lookup(name).or_else(|| variables.get(name).map(str::to_owned));
            substitute(text, template::Lookup::new(&find)).map_err(|e| format!("line {line}: {e}"))
        };
        let Some(quote) = self.rest.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
            let line = self.line;
            let text = self.skip(self.rest.find('\n').unwrap_or(self.rest.len()));
            let text = text.split(" #").next().unwrap_or_default().trim_end();
            return expand(text, line);
        };
        let (inside, length) = quoted(self.rest, quote).ok_or_else(|| {
            let line = self.rest.lines().next().unwrap_or_default();
            self.wrong(&format!("unterminated quoted value {line}"))
        })?;
        self.skip(length);
        if quote == '"' { expand(&unescape(&inside), self.line) } else { Ok(inside) }
    }
}

/// What is between quotes, escaped ones made plain, and its length with both quotes.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut inside = String::new();
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match (c == quote, escaped) {
            (true, false) => return Some((inside, at + 1)),
            (false, false) if c == '\\' => {
                escaped = true;
                continue;
            }
            (false, true) => {
                inside.push('\\');
                inside.push(c);
            }
            _ => inside.push(c),
        }
        escaped = false;
    }
    None
}

/// The escapes of a shell in double quotes: `\n` and its like, `\$`, and octal numbers after `\0`.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let Some(c) = after.chars().next() else {
            plain.push('\\');
            rest = "";
            break;
        };
        let known = match c {
            'a' => Some("\u{7}"),
            'b' => Some("\u{8}"),
            'f' => Some("\u{c}"),
            'n' => Some("\n"),
            'r' => Some("\r"),
            't' => Some("\t"),
            'v' => Some("\u{b}"),
            '\\' => Some("\\"),
            '"' => Some("\""),
            // Two dollars are one that is no variable.
            '$' => Some("$$"),
            _ => None,
        };
        if let Some(known) = known {
            plain.push_str(known);
            rest = &after[1..];
        } else if c == '0' {
            let digits = after[1..].bytes().take(3).take_while(|b| (b'0'..b'8').contains(b)).count();
            let code = u32::from_str_radix(&after[1..=digits], 8).ok().filter(|_| digits == 3);
            match code.and_then(char::from_u32).filter(|c| (*c as u32) < 256) {
                Some(c) => plain.push(c),
                None => plain.push_str(&rest[at..=(at + 1 + digits)]),
            }
            rest = &after[1 + digits..];
        } else {
            plain.push('\\');
            rest = after;
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        let mut variables = Variables::default();
        let outside = |name: &str| (name == "OUT").then(|| "side".to_owned());
        parse(text, &mut variables, &outside).map(|()| variables.into_iter().collect())
    }

    #[test]
    fn values_are_read_as_compose_reads_them() {
        for (text, value) in [
            ("K=v", "v"),
            ("K = v # comment", "v"),
            ("K=v#none", "v#none"),
            ("export K=\"a b\" # c", "a b"),
            ("K: yaml", "yaml"),
            ("K='$OUT'", "$OUT"),
            ("K=\"$OUT\\n\\$OUT\"", "side\n$OUT"),
            ("K=${OUT}-${NO:-x}", "side-x"),
            ("K=\"two\nlines\"", "two\nlines"),
            ("K=\"\\u12e4\"", "\\u12e4"),
            ("K=", ""),
            ("\u{feff}# c\n\nK=v\r\n", "v"),
        ] {
            assert_eq!(read(text).unwrap(), [("K".to_owned(), value.to_owned())], "{text:?}");
        }
        assert_eq!(read("OUT\nNO\n").unwrap(), [("OUT".to_owned(), "side".to_owned())]);
        let all = read("A=1\nB=$A$OUT\nA=2").unwrap();
        assert_eq!(all, [("A", "2"), ("B", "1side")].map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[test]
    fn mistakes_have_a_line() {
        for (text, line) in [("A=1\nB C=1", 2), ("A=1\n\n!=x", 3), ("A=\"x", 1), ("A=${", 1)] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(&format!("line {line}:")), "{text:?}: {error}");
        }
    }
}
