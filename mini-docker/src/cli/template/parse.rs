//! Tokens into a tree.

use std::fmt::Display;

use super::{
    Error,
    ast::{Branch, Definitions, List, Node, Pipe},
    functions,
    lex::{self, Kind, Token},
    literal,
};

mod pipeline;

/// How deep parentheses and branches may nest.
const DEPTH: usize = 100;

/// The template itself, and those that it defines.
pub(super) fn parse(text: &str) -> Result<(List, Definitions)> {
    let mut parser = Parser {
        text,
        tokens: lex::tokens(text),
        next: 0,
        variables: vec!["$".to_owned()],
        defined: Definitions::new(),
        depth: 0,
        loops: 0,
    };
    let body = parser.template()?;
    Ok((body, parser.defined))
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token<'a>>,
    next: usize,
    /// Those in scope.
    variables: Vec<String>,
    defined: Definitions,
    depth: usize,
    /// How many `{{range}}` are around.
    loops: usize,
}

/// What ended a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    End,
    Else,
}

type Result<T> = std::result::Result<T, Error>;

impl<'a> Parser<'a> {
    fn peek(&self) -> &Token<'a> {
        // The last token is never passed.
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn take(&mut self) -> Token<'a> {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn skip_spaces(&mut self) {
        while self.peek().kind == Kind::Space {
            self.next += 1;
        }
    }

    fn take_visible(&mut self) -> Token<'a> {
        self.skip_spaces();
        self.take()
    }

    fn peek_visible(&mut self) -> &Token<'a> {
        self.skip_spaces();
        self.peek()
    }

    /// An error in the line that has been reached.
    fn error(&self, message: impl Display) -> Error {
        let last = &self.tokens[self.next.clamp(1, self.tokens.len()) - 1];
        let before = self.text.get(..last.at).unwrap_or(self.text);
        Error::parsing(1 + before.matches('\n').count(), message)
    }

    fn unexpected(&self, token: &Token, context: &str) -> Error {
        let what = match token.kind {
            Kind::Error => return self.error(&token.text),
            Kind::End => "EOF".to_owned(),
            Kind::Dot => "<.>".to_owned(),
            Kind::Keyword => format!("<{}>", token.text),
            _ if token.text.len() > 10 => {
                format!("{}...", literal::quote(&token.text.chars().take(10).collect::<String>()))
            }
            _ => literal::quote(&token.text),
        };
        self.error(format_args!("unexpected {what} in {context}"))
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Result<Token<'a>> {
        let token = self.take_visible();
        if token.kind == kind { Ok(token) } else { Err(self.unexpected(&token, context)) }
    }

    /// Goes one level deeper for as long as `parse` takes.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == DEPTH {
            return Err(self.error(format_args!("nested deeper than {DEPTH} levels")));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn template(&mut self) -> Result<List> {
        let mut list = List::new();
        while self.peek().kind != Kind::End {
            let begin = self.next;
            if self.take().kind == Kind::Open && self.take_visible().text == "define" {
                self.define()?;
                continue;
            }
            self.next = begin;
            match self.text_or_action()? {
                Ok(node) => list.push(node),
                Err(Ending::End) => return Err(self.error("unexpected {{end}}")),
                Err(Ending::Else) => return Err(self.error("unexpected {{else}}")),
            }
        }
        Ok(list)
    }

    fn define(&mut self) -> Result<()> {
        let name = self.name("define clause")?;
        self.expect(Kind::Close, "define clause")?;
        let body = self.apart(Self::list)?;
        match body {
            (body, Ending::End) => self.add(name, body),
            (_, Ending::Else) => Err(self.error("unexpected {{else}} in define clause")),
        }
    }

    /// Parses with no variables but `$`, and outside of any loop.
    fn apart<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let variables = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let loops = std::mem::take(&mut self.loops);
        let parsed = parse(self);
        self.variables = variables;
        self.loops = loops;
        parsed
    }

    fn add(&mut self, name: String, body: List) -> Result<()> {
        let is_empty = |list: &List| list.iter().all(|node| matches!(node, Node::Text(text) if text.trim().is_empty()));
        match self.defined.get(&name) {
            Some(before) if !is_empty(before) && !is_empty(&body) => {
                Err(self.error(format_args!("template: multiple definition of template {}", literal::quote(&name))))
            }
            Some(before) if !is_empty(before) => Ok(()),
            _ => {
                self.defined.insert(name, body);
                Ok(())
            }
        }
    }

    /// The name of a template, in quotes.
    fn name(&mut self, context: &str) -> Result<String> {
        let token = self.take_visible();
        match token.kind {
            Kind::Quoted | Kind::Raw => literal::unquote(&token.text).ok_or_else(|| self.error("invalid syntax")),
            _ => Err(self.unexpected(&token, context)),
        }
    }

    /// Up to `{{end}}` or `{{else`.
    fn list(&mut self) -> Result<(List, Ending)> {
        let mut list = List::new();
        while self.peek_visible().kind != Kind::End {
            match self.text_or_action()? {
                Ok(node) => list.push(node),
                Err(ending) => return Ok((list, ending)),
            }
        }
        self.next += 1;
        Err(self.error("unexpected EOF"))
    }

    fn text_or_action(&mut self) -> Result<std::result::Result<Node, Ending>> {
        let token = self.take_visible();
        match token.kind {
            Kind::Text => Ok(Ok(Node::Text(token.text.into_owned()))),
            Kind::Open => self.nested(Self::action),
            _ => Err(self.unexpected(&token, "input")),
        }
    }

    fn action(&mut self) -> Result<std::result::Result<Node, Ending>> {
        let begin = self.next;
        let token = self.take_visible();
        let word = if token.kind == Kind::Keyword { token.text.as_ref() } else { "" };
        let node = match word {
            "if" => Node::If(self.branch("if")?),
            "with" => Node::With(self.branch("with")?),
            "range" => Node::Range(self.branch("range")?),
            "break" | "continue" => self.leave(word == "break", word)?,
            "template" => {
                let at = self.peek_visible().at;
                let name = self.name("template clause")?;
                let pipe = match self.peek_visible().kind {
                    Kind::Close => {
                        self.next += 1;
                        None
                    }
                    _ => Some(self.pipeline("template clause", Kind::Close)?),
                };
                Node::Template(name, pipe, at)
            }
            "block" => {
                let at = self.peek_visible().at;
                let name = self.name("block clause")?;
                let pipe = self.pipeline("block clause", Kind::Close)?;
                let (body, ending) = self.apart(Self::list)?;
                if ending == Ending::Else {
                    return Err(self.error("unexpected {{else}} in block clause"));
                }
                self.add(name.clone(), body)?;
                Node::Template(name, Some(pipe), at)
            }
            "end" => {
                self.expect(Kind::Close, "end")?;
                return Ok(Err(Ending::End));
            }
            "else" => {
                let next = self.peek_visible();
                if !(next.kind == Kind::Keyword && matches!(next.text.as_ref(), "if" | "with")) {
                    self.expect(Kind::Close, "else")?;
                }
                return Ok(Err(Ending::Else));
            }
            _ => {
                self.next = begin;
                let scope = self.variables.len();
                let pipe = self.pipeline("command", Kind::Close)?;
                debug_assert!(self.variables.len() >= scope, "an action's variables live on after it");
                Node::Action(pipe)
            }
        };
        Ok(Ok(node))
    }

    fn leave(&mut self, breaks: bool, word: &str) -> Result<Node> {
        let token = self.take_visible();
        if token.kind != Kind::Close {
            return Err(self.unexpected(&token, &format!("{{{{{word}}}}}")));
        }
        if self.loops == 0 {
            return Err(self.error(format_args!("{{{{{word}}}}} outside {{{{range}}}}")));
        }
        Ok(if breaks { Node::Break } else { Node::Continue })
    }

    /// What follows `{{if`, `{{with` or `{{range`.
    fn branch(&mut self, context: &str) -> Result<Branch> {
        let scope = self.variables.len();
        let pipe = self.pipeline(context, Kind::Close)?;
        self.loops += usize::from(context == "range");
        let body = self.list();
        self.loops -= usize::from(context == "range");
        let (body, ending) = body?;
        let otherwise = if ending == Ending::Else { self.otherwise(context)? } else { List::new() };
        self.variables.truncate(scope);
        Ok(Branch { pipe, body, otherwise })
    }

    fn otherwise(&mut self, context: &str) -> Result<List> {
        let next = self.peek_visible();
        let word = if next.kind == Kind::Keyword { next.text.clone() } else { "".into() };
        match (context, word.as_ref()) {
            // One {{end}} for both.
            ("if", "if") | ("with", "with") => {
                self.next += 1;
                let branch = self.nested(|parser| parser.branch(context))?;
                Ok(vec![if context == "if" { Node::If(branch) } else { Node::With(branch) }])
            }
            _ => match self.list()? {
                (list, Ending::End) => Ok(list),
                (_, Ending::Else) => Err(self.error("expected end; found {{else}}")),
            },
        }
    }

    /// Whether there is a function of this name.
    fn is_function(name: &str) -> bool {
        functions::find(name).is_some()
    }
}
