//! Words of a Dockerfile as a shell reads them: quotes, escapes, `$NAME` and `${NAME…}` with all modifiers.

use std::{cell::Cell, rc::Rc};

use super::{
    error::{ParseError, Result},
    pattern::Pattern,
    quote::quote,
};

/// What becomes of quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quotes {
    /// They hold words together, and go.
    Remove,
    /// They hold words together, and stay.
    Keep,
    /// They are letters like others: in here-documents.
    Ignore,
}

/// How words are expanded.
#[derive(Debug, Clone)]
pub struct Expander {
    /// The character that escapes others.
    pub escape: char,
    /// What becomes of quotes.
    pub quotes: Quotes,
    /// Whether escape characters stay.
    pub raw_escapes: bool,
    /// Whether variables without a value stay as they are written.
    pub keep_unset: bool,
    /// Bytes that variables may still bring in, here and in all clones.
    pub(in crate::engine::build) left: Rc<Cell<usize>>,
}

/// Bytes that the variables of one Dockerfile may bring in: 30 lines of `ENV A=$A$A` would fill any memory.
const MOST: usize = 16 << 20;

/// Gives a variable's value, `None` where it has none.
pub type Variables<'a> = dyn Fn(&str) -> Option<String> + 'a;

impl Expander {
    /// As instructions are expanded, with this escape character.
    pub fn new(escape: char) -> Self {
        let left = Rc::new(Cell::new(MOST));
        Self { escape, quotes: Quotes::Remove, raw_escapes: false, keep_unset: false, left }
    }

    /// Counts what a variable brings in.
    fn count(&self, bytes: usize) -> Result<()> {
        let left = self.left.get().checked_sub(bytes);
        self.left.set(
            left.ok_or_else(|| {
                ParseError::new(format!("the values of variables come to more than {} MiB", MOST >> 20))
            })?,
        );
        Ok(())
    }

    /// Expands `text` as one word.
    pub fn word(&self, text: &str, variables: &Variables) -> Result<String> {
        Ok(self.expand(text, variables)?.text)
    }

    /// Expands `text`, and splits it at blanks that are not quoted: those out of variables too.
    pub fn words(&self, text: &str, variables: &Variables) -> Result<Vec<String>> {
        let output = self.expand(text, variables)?;
        Ok(output.finish())
    }

    fn expand(&self, text: &str, variables: &Variables) -> Result<Output> {
        let input = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut scan = Scan { rest: input, expander: self, variables, depth: 0 };
        let expanded = scan.until(None, self.raw_escapes);
        expanded.map_err(|e| ParseError::new(format!("failed to process {}: {}", quote(text), e.message)))
    }
}

/// What has been read: as one text, and as words.
#[derive(Debug, Default)]
struct Output {
    text: String,
    words: Vec<String>,
    word: String,
}

impl Output {
    /// Text in which blanks part nothing.
    fn solid(&mut self, text: &str) {
        self.text.push_str(text);
        self.word.push_str(text);
    }

    fn letter(&mut self, c: char) {
        self.text.push(c);
        if !c.is_whitespace() {
            self.word.push(c);
        } else if !self.word.is_empty() {
            self.words.push(std::mem::take(&mut self.word));
        }
    }

    fn letters(&mut self, text: &str) {
        self.text.push_str(text);
        for (number, part) in text.split(char::is_whitespace).enumerate() {
            if number > 0 && !self.word.is_empty() {
                self.words.push(std::mem::take(&mut self.word));
            }
            self.word.push_str(part);
        }
    }

    fn finish(mut self) -> Vec<String> {
        if !self.word.is_empty() {
            self.words.push(self.word);
        }
        self.words
    }
}

/// `${a:-${b:-…}}`: no deeper than this.
const DEEPEST: usize = 64;

struct Scan<'a> {
    rest: &'a str,
    expander: &'a Expander,
    variables: &'a Variables<'a>,
    depth: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next();
        self.rest = chars.as_str();
        c
    }

    /// Reads up to `end`, or to the end of the text where it is `None`.
    fn until(&mut self, end: Option<char>, raw_escapes: bool) -> Result<Output> {
        let mut output = Output::default();
        let quotes = self.expander.quotes != Quotes::Ignore;
        while let Some(c) = self.next() {
            match c {
                c if Some(c) == end => return Ok(output),
                '$' => output.letters(&self.dollar()?),
                '<' => output.solid(&self.less()),
                '\'' if quotes => output.solid(&self.single()?),
                '"' if quotes => output.solid(&self.double(raw_escapes)?),
                c if c == self.expander.escape => {
                    if raw_escapes {
                        output.solid(c.encode_utf8(&mut [0; 4]));
                    }
                    if let Some(next) = self.next() {
                        output.solid(next.encode_utf8(&mut [0; 4]));
                    }
                }
                c => output.letter(c),
            }
        }
        match end {
            Some(c) => Err(ParseError::new(format!("unexpected end of statement while looking for matching {c}"))),
            None => Ok(output),
        }
    }

    /// After `<`: another keeps the blanks behind it, for the word of a here-document.
    fn less(&mut self) -> String {
        let Some(rest) = self.rest.strip_prefix('<') else { return "<".to_owned() };
        self.rest = rest.trim_start_matches(['\t', '\r', ' ']);
        format!("<<{}", &rest[..rest.len() - self.rest.len()])
    }

    /// After the opening quote.
    fn single(&mut self) -> Result<String> {
        let Some((text, rest)) = self.rest.split_once('\'') else {
            return Err(ParseError::new("unexpected end of statement while looking for matching single-quote"));
        };
        self.rest = rest;
        Ok(if self.expander.quotes == Quotes::Keep { format!("'{text}'") } else { text.to_owned() })
    }

    /// After the opening quote.
    fn double(&mut self, raw_escapes: bool) -> Result<String> {
        let escape = self.expander.escape;
        let mut text = String::new();
        loop {
            match self.next() {
                None => {
                    let message = "unexpected end of statement while looking for matching double-quote";
                    return Err(ParseError::new(message));
                }
                Some('"') if self.expander.quotes == Quotes::Keep => return Ok(format!("\"{text}\"")),
                Some('"') => return Ok(text),
                Some('$') => text.push_str(&self.dollar()?),
                Some(c) if c == escape => {
                    let special = self.peek().filter(|next| matches!(next, '"' | '$') || *next == escape);
                    if raw_escapes || special.is_none() && self.peek().is_some() {
                        text.push(c);
                    }
                    if let Some(special) = special {
                        self.next();
                        text.push(special);
                    }
                }
                Some(c) => text.push(c),
            }
        }
    }

    fn value(&self, name: &str) -> Result<Option<String>> {
        let value = (self.variables)(name);
        self.expander.count(value.as_ref().map_or(0, String::len))?;
        Ok(value)
    }

    /// After the dollar sign.
    fn dollar(&mut self) -> Result<String> {
        if self.peek() == Some('{') {
            self.next();
            self.depth += 1;
            if self.depth > DEEPEST {
                return Err(ParseError::new(format!("more than {DEEPEST} substitutions within each other")));
            }
            let value = self.braced();
            self.depth -= 1;
            return value;
        }
        let name = self.name();
        if name.is_empty() {
            return Ok("$".to_owned());
        }
        match self.value(&name)? {
            Some(value) => Ok(value),
            None if self.expander.keep_unset => Ok(format!("${name}")),
            None => Ok(String::new()),
        }
    }

    /// A name of letters, digits and `_`, a number, or one of the shell's special parameters.
    fn name(&mut self) -> String {
        let first = self.peek();
        let length = match first {
            Some(c) if c.is_ascii_digit() => {
                self.rest.len() - self.rest.trim_start_matches(|c: char| c.is_ascii_digit()).len()
            }
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => 1,
            _ => self.rest.len() - self.rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_').len(),
        };
        let (name, rest) = self.rest.split_at(length);
        self.rest = rest;
        name.to_owned()
    }

    /// After `${`.
    fn braced(&mut self) -> Result<String> {
        match self.peek() {
            None => return Err(missing_brace()),
            Some('{' | '}' | ':') => return Err(ParseError::new("syntax error: bad substitution")),
            Some(_) => {}
        }
        let name = self.name();
        let value = self.value(&name)?;
        match self.next() {
            Some('}') => match value {
                None if self.expander.keep_unset => Ok(format!("${{{name}}}")),
                value => Ok(value.unwrap_or_default()),
            },
            Some(':') => {
                let operator = self.next();
                self.modified(&name, value, operator, true)
            }
            operator @ Some('+' | '-' | '?' | '#' | '%') => self.modified(&name, value, operator, false),
            Some('/') => self.replaced(&name, value),
            other => Err(unsupported(&other.unwrap_or(char::REPLACEMENT_CHARACTER).to_string())),
        }
    }

    /// `${NAME-word}` and its kin; `colon`: an empty value is none.
    fn modified(&mut self, name: &str, value: Option<String>, operator: Option<char>, colon: bool) -> Result<String> {
        let operator = operator.unwrap_or(char::REPLACEMENT_CHARACTER);
        let sign = format!("{}{operator}", if colon { ":" } else { "" });
        let cuts = matches!(operator, '#' | '%');
        if colon && cuts {
            return Err(unsupported(&sign));
        }
        let word = self.inner('}', cuts)?;
        if self.expander.keep_unset && value.is_none() {
            return Ok(format!("${{{name}{sign}{word}}}"));
        }
        let absent = match &value {
            None => Some("is not allowed to be unset"),
            Some(value) if colon && value.is_empty() => Some("is not allowed to be empty"),
            Some(_) => None,
        };
        let value = value.unwrap_or_default();
        match (operator, absent) {
            ('-', Some(_)) | ('+', None) => Ok(word),
            ('+', Some(_)) => Ok(String::new()),
            ('?', Some(why)) => {
                let why = if word.is_empty() { why } else { &word };
                Err(ParseError::new(format!("{name}: {why}")))
            }
            ('-' | '?', None) => Ok(value),
            ('#' | '%', _) => {
                let (longest, text) = word.strip_prefix(operator).map_or((false, word.as_str()), |text| (true, text));
                let pattern = pattern(text)?;
                let left = if operator == '#' {
                    pattern.without_prefix(&value, longest)?
                } else {
                    pattern.without_suffix(&value, longest)?
                };
                Ok(left.to_owned())
            }
            _ => Err(unsupported(&sign)),
        }
    }

    /// `${NAME/pattern/replacement}`, with two slashes for all matches.
    fn replaced(&mut self, name: &str, value: Option<String>) -> Result<String> {
        let all = self.peek() == Some('/');
        if all {
            self.next();
        }
        let text = match self.until(Some('/'), true) {
            Err(_) if self.rest.is_empty() => return Err(ParseError::new("syntax error: missing '/' in ${}")),
            read => read?.text,
        };
        let replacement = self.inner('}', true)?;
        match value {
            None if self.expander.keep_unset => Ok(format!("${{{name}/{text}/{replacement}}}")),
            value => {
                let (value, most) = (value.unwrap_or_default(), self.expander.left.get());
                let replaced = pattern(&text)?.replace(&value, &replacement, all, most)?;
                self.expander.count(replaced.len())?;
                Ok(replaced)
            }
        }
    }

    fn inner(&mut self, end: char, raw_escapes: bool) -> Result<String> {
        match self.until(Some(end), raw_escapes) {
            Err(_) if self.rest.is_empty() => Err(missing_brace()),
            read => Ok(read?.text),
        }
    }
}

fn pattern(text: &str) -> Result<Pattern> {
    let invalid = |e: ParseError| ParseError::new(format!("invalid pattern ({text}) in substitution: {}", e.message));
    Pattern::parse(text).map_err(invalid)
}

fn missing_brace() -> ParseError {
    ParseError::new("syntax error: missing '}'")
}

fn unsupported(modifier: &str) -> ParseError {
    ParseError::new(format!("unsupported modifier ({modifier}) in substitution"))
}
