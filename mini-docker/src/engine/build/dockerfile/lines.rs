//! From lines of text to instructions: comments, continuations, and the bodies of here-documents.

use super::{
    Lines,
    directive::Directives,
    error::{ParseError, Result},
};

/// BuildKit's limit of a line with its end, in bytes.
const LONGEST: usize = 65536;

/// One instruction's text: continued lines put together.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) text: String,
    pub(super) lines: Lines,
    /// The comments right above it.
    pub(super) comments: Vec<String>,
    /// Whether empty lines stand between its continued ones.
    pub(super) gaps: bool,
}

/// Reads a file statement by statement.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a str,
    /// The line read last, from 1.
    line: usize,
    too_long: bool,
    pub(super) directives: Directives,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let rest = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self { rest, line: 0, too_long: false, directives: Directives::default() }
    }

    /// The number of the line read last.
    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// The next line with its end.
    fn next_line(&mut self) -> Option<&'a str> {
        let end = self.rest.find('\n').map_or(self.rest.len(), |at| at + 1);
        let (line, rest) = self.rest.split_at(end);
        self.too_long |= line.len() > LONGEST || (line.len() == LONGEST && !line.ends_with('\n'));
        if line.is_empty() || self.too_long {
            return None;
        }
        self.rest = rest;
        self.line += 1;
        Some(line)
    }

    /// The next statement; `None` at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<Statement>> {
        let mut comments = Vec::new();
        while let Some(line) = self.next_line() {
            let stripped = trim_end(line).trim_start();
            let directive = self.directives.take(stripped).map_err(|e| e.at(self.line))?;
            if stripped.starts_with('#') {
                if !directive {
                    comment(line, &mut comments);
                }
                continue;
            }
            let (text, goes_on) = self.uncontinued(stripped);
            if !text.is_empty() || goes_on {
                let start = self.line;
                let (text, gaps) = self.gather(text.to_owned(), goes_on);
                return Ok(Some(Statement { text, lines: Lines { start, end: self.line }, comments, gaps }));
            }
        }
        if self.too_long {
            let message = format!("dockerfile line greater than max allowed size of {}", LONGEST - 1);
            return Err(ParseError::new(message).at(self.line + 1));
        }
        Ok(None)
    }

    /// Puts continued lines together; comments between them are left out, and so are empty lines.
    fn gather(&mut self, mut text: String, mut goes_on: bool) -> (String, bool) {
        let mut gaps = false;
        while goes_on && let Some(line) = self.next_line() {
            if line.trim_start().starts_with('#') {
                continue;
            }
            let line = trim_end(line);
            if line.trim_start().is_empty() {
                gaps = true;
                continue;
            }
            let (part, more) = self.uncontinued(line);
            text.push_str(part);
            goes_on = more;
        }
        (text, gaps)
    }

    /// The line without the escape character that continues it, and whether there was one. Two of them continue nothing.
    fn uncontinued<'b>(&self, line: &'b str) -> (&'b str, bool) {
        let escape = self.directives.escape;
        match line.trim_end_matches([' ', '\t']).strip_suffix(escape) {
            Some(text) if !text.ends_with(escape) => (text, true),
            _ => (line, false),
        }
    }

    /// The body of a here-document, up to the line that is its `name`; `tabs`: which may be indented by tabs.
    pub(super) fn body(&mut self, name: &str, tabs: bool) -> Result<String> {
        let mut body = String::new();
        while let Some(line) = self.next_line() {
            let end = trim_end(line);
            let end = if tabs { end.trim_start_matches('\t') } else { end };
            if end == name {
                return Ok(body);
            }
            body.push_str(line);
        }
        Err(ParseError::new("unterminated heredoc"))
    }
}

fn trim_end(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}

/// Keeps a comment; an empty one parts those above it from the instruction.
fn comment(line: &str, comments: &mut Vec<String>) {
    let mut text = line.chars();
    text.next();
    match text.as_str().trim() {
        "" => comments.clear(),
        text => comments.push(text.to_owned()),
    }
}
