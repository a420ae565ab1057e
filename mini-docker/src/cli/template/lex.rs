//! Text into tokens.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// What stands outside of actions.
    Text,
    Open,
    Close,
    Space,
    Assign,
    Declare,
    Pipe,
    Comma,
    LeftParen,
    RightParen,
    /// Any other sign; the parser has no use for it.
    Sign,
    /// In its quotes.
    Quoted,
    Raw,
    Char,
    Number,
    Variable,
    Field,
    Dot,
    Word,
    Keyword,
    End,
    /// The text is the message.
    Error,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: std::borrow::Cow<'a, str>,
    /// Where it begins, in bytes.
    pub(super) at: usize,
}

const KEYWORDS: [&str; 11] =
    ["block", "break", "continue", "define", "else", "end", "if", "range", "nil", "template", "with"];

/// The tokens of a template; the last one is [`Kind::End`] or [`Kind::Error`].
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut lexer = Lexer { text, at: 0, tokens: Vec::new() };
    let last = match lexer.all() {
        Ok(()) => (Kind::End, String::new()),
        Err(message) => (Kind::Error, message),
    };
    let at = lexer.at;
    lexer.tokens.push(Token { kind: last.0, text: last.1.into(), at });
    lexer.tokens
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Token<'a>>,
}

/// What Go's templates take for space.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Adds a token that ends at `end`, and goes on from there.
    fn push(&mut self, kind: Kind, end: usize) {
        let text = self.text.get(self.at..end).unwrap_or_default();
        self.tokens.push(Token { kind, text: text.into(), at: self.at });
        self.at = end;
    }

    fn all(&mut self) -> Result<(), String> {
        loop {
            let rest = self.rest();
            let Some(open) = rest.find("{{") else {
                if !rest.is_empty() {
                    self.push(Kind::Text, self.text.len());
                }
                return Ok(());
            };
            let inside = &rest[open + 2..];
            let trims = inside.starts_with('-') && inside[1..].starts_with(is_space);
            let shown = if trims { rest[..open].trim_end_matches(is_space).len() } else { open };
            if shown > 0 {
                self.push(Kind::Text, self.at + shown);
            }
            self.at = self.text.len() - inside.len() - 2;
            if inside[if trims { 2 } else { 0 }..].starts_with("/*") {
                self.comment(if trims { 4 } else { 2 })?;
            } else {
                self.push(Kind::Open, self.at + 2);
                self.at += if trims { 2 } else { 0 };
                self.action()?;
            }
        }
    }

    /// Goes over `{{/* … */}}`. `begin` is the length of what opens it.
    fn comment(&mut self, begin: usize) -> Result<(), String> {
        let after = self.at + begin + 2;
        let end = self.text.get(after..).and_then(|rest| rest.find("*/")).ok_or("unclosed comment")?;
        self.at = after + end + 2;
        let (length, trims) = self.close().ok_or("comment ends before closing delimiter")?;
        self.leave(length, trims);
        Ok(())
    }

    /// The length of the closing delimiter that stands here, and whether it trims what follows.
    fn close(&self) -> Option<(usize, bool)> {
        let rest = self.rest();
        let trimming = rest.strip_prefix(is_space).is_some_and(|rest| rest.starts_with("-}}"));
        match trimming {
            true => Some((4, true)),
            false if rest.starts_with("}}") => Some((2, false)),
            false => None,
        }
    }

    /// Goes on after the closing delimiter.
    fn leave(&mut self, length: usize, trims: bool) {
        self.at += length;
        if trims {
            self.at = self.text.len() - self.rest().trim_start_matches(is_space).len();
        }
    }

    fn action(&mut self) -> Result<(), String> {
        let mut parens = 0_usize;
        loop {
            if let Some((length, trims)) = self.close() {
                if parens > 0 {
                    return Err("unclosed left paren".to_owned());
                }
                let at = self.at;
                self.tokens.push(Token { kind: Kind::Close, text: "}}".into(), at });
                self.leave(length, trims);
                return Ok(());
            }
            let c = self.peek().ok_or("unclosed action")?;
            match c {
                '(' => parens += 1,
                ')' => parens = parens.checked_sub(1).ok_or("unexpected right paren")?,
                _ => {}
            }
            self.token(c)?;
        }
    }

    fn token(&mut self, c: char) -> Result<(), String> {
        let next = self.rest().chars().nth(1);
        let one = self.at + c.len_utf8();
        match c {
            _ if is_space(c) => self.spaces(),
            '=' => self.push(Kind::Assign, one),
            ':' if next == Some('=') => self.push(Kind::Declare, one + 1),
            ':' => return Err("expected :=".to_owned()),
            '|' => self.push(Kind::Pipe, one),
            ',' => self.push(Kind::Comma, one),
            '(' => self.push(Kind::LeftParen, one),
            ')' => self.push(Kind::RightParen, one),
            '"' => self.quoted('"', Kind::Quoted, "unterminated quoted string")?,
            '\'' => self.quoted('\'', Kind::Char, "unterminated character constant")?,
            '`' => {
                let end = self.text.get(one..).and_then(|rest| rest.find('`'));
                let end = end.ok_or("unterminated raw quoted string")?;
                self.push(Kind::Raw, one + end + 1);
            }
            '$' => self.name(one, Kind::Variable)?,
            '.' if !next.is_some_and(|c| c.is_ascii_digit()) => self.name(one, Kind::Field)?,
            '.' | '+' | '-' | '0'..='9' => self.number()?,
            _ if is_word(c) => self.name(self.at, Kind::Word)?,
            '!'..='~' => self.push(Kind::Sign, one),
            _ => return Err(format!("unrecognized character in action: U+{:04X} '{c}'", c as u32)),
        }
        Ok(())
    }

    /// Spaces, but not the one that belongs to a trimming delimiter.
    fn spaces(&mut self) {
        let rest = self.rest();
        let mut length = rest.len() - rest.trim_start_matches(is_space).len();
        if rest[length..].starts_with("-}}") {
            length -= 1;
        }
        if length > 0 {
            self.push(Kind::Space, self.at + length);
        }
    }

    fn quoted(&mut self, quote: char, kind: Kind, unterminated: &str) -> Result<(), String> {
        let mut escaped = false;
        for (i, c) in self.rest().char_indices().skip(1) {
            match c {
                '\n' => break,
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                _ if c == quote => {
                    self.push(kind, self.at + i + 1);
                    return Ok(());
                }
                _ => {}
            }
        }
        Err(unterminated.to_owned())
    }

    /// A word, a field or a variable: `from` is where its name begins.
    fn name(&mut self, from: usize, kind: Kind) -> Result<(), String> {
        let name = self.text.get(from..).unwrap_or_default();
        let end = from + name.find(|c| !is_word(c)).unwrap_or(name.len());
        let after = self.text.get(end..).unwrap_or_default();
        let ends = after.is_empty()
            || after.starts_with(|c| is_space(c) || ".,|:()".contains(c))
            || after.starts_with("}}")
            || (kind == Kind::Variable && end == from);
        if !ends {
            let bad = after.chars().next().unwrap_or_default();
            return Err(format!("bad character U+{:04X} '{bad}'", bad as u32));
        }
        let word = self.text.get(self.at..end).unwrap_or_default();
        let kind = match kind {
            Kind::Field if end == from => Kind::Dot,
            Kind::Word if KEYWORDS.contains(&word) => Kind::Keyword,
            kind => kind,
        };
        self.push(kind, end);
        Ok(())
    }

    fn number(&mut self) -> Result<(), String> {
        let rest = self.rest();
        let mut before = '\0';
        let end = rest
            .char_indices()
            .find(|&(i, c)| {
                let sign = matches!(c, '+' | '-') && (i == 0 || matches!(before, 'e' | 'E' | 'p' | 'P'));
                before = c;
                !(sign || is_word(c) || c == '.')
            })
            .map_or(rest.len(), |(i, _)| i);
        // Whether it is one, its reader knows.
        if super::literal::number(&rest[..end]).is_none() {
            return Err(format!("bad number syntax: {}", super::literal::quote(&rest[..end])));
        }
        self.push(Kind::Number, self.at + end);
        Ok(())
    }
}
