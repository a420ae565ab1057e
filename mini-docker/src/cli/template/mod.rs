//! Go's text/template, as far as Docker's users write it in `--format`: all of the language, Go's own functions and
//! those that Docker adds. See <https://pkg.go.dev/text/template>.
//!
//! ```text
//! text → lex → parse (a tree of ast) → eval over data → text
//! ```
//!
//! Nothing that a user writes panics, recurses without end or fills the memory: nesting, steps and output are limited.

mod ast;
mod compare;
mod data;
mod escape;
mod eval;
mod fields;
mod functions;
mod lex;
mod literal;
mod parse;
mod print;
mod printf;
#[cfg(test)]
mod tests;

use std::fmt;

pub(crate) use data::Data;
pub(crate) use fields::Fields;
pub(crate) use literal::quote;

/// A template that has been read.
#[derive(Debug)]
pub(crate) struct Template {
    text: String,
    body: ast::List,
    defined: ast::Definitions,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// Go's message: `template: :LINE: what is wrong`.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let (body, defined) = parse::parse(text)?;
        Ok(Self { text: text.to_owned(), body, defined })
    }

    /// The text that it makes of `data`.
    ///
    /// # Errors
    /// Go's message: `template: :LINE:COLUMN: executing "" at <what>: why`.
    pub(crate) fn render(&self, data: &Data) -> Result<String, Error> {
        eval::render(self, data, eval::Mode::Data)
    }

    /// The heading of a table whose lines this template makes: Docker's functions leave the words as they are.
    pub(crate) fn render_heading(&self, data: &Data) -> Result<String, Error> {
        eval::render(self, data, eval::Mode::Heading)
    }
}

/// Why a template cannot be read or rendered: one line in Go's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Error(String);

impl Error {
    /// Of a template that cannot be read. `line` counts from 1.
    fn parsing(line: usize, message: impl fmt::Display) -> Self {
        Self(format!("template: :{line}: {message}"))
    }

    /// Of one that cannot be rendered. `at` is a byte of `text`, `name` that of the template which is defined there.
    fn executing(text: &str, at: usize, name: &str, node: &str, message: impl fmt::Display) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let line = 1 + before.matches('\n').count();
        let column = before.len() - before.rfind('\n').map_or(0, |newline| newline + 1);
        let shown: String = node.chars().take(20).collect();
        let dots = if shown.len() < node.len() { "..." } else { "" };
        Self(format!("template: :{line}:{column}: executing {name:?} at <{shown}{dots}>: {message}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
