//! What stands inside of an action.

use super::{Error, Kind, Parser, Pipe, Result};
use crate::cli::template::{
    ast::{Command, Operand, Term},
    data::Data,
    lex::Token,
    literal::{self, Number},
};

impl Parser<'_> {
    /// Declarations and commands up to `end`, which is taken.
    pub(super) fn pipeline(&mut self, context: &str, end: Kind) -> Result<Pipe> {
        let (variables, assigns) = self.declarations(context)?;
        let mut pipe = Pipe { variables, assigns, commands: Vec::new() };
        loop {
            let token = self.take_visible();
            match token.kind {
                kind if kind == end => break,
                kind if begins_operand(kind) || (kind == Kind::Keyword && token.text == "nil") => {
                    self.next -= 1;
                    let command = self.command()?;
                    pipe.commands.push(command);
                }
                _ => return Err(self.unexpected(&token, context)),
            }
        }
        if pipe.commands.is_empty() {
            return Err(self.error(format_args!("missing value for {context}")));
        }
        let executable = |command: &Command| !matches!(command.first.term, Term::Constant(..) | Term::Dot | Term::Nil);
        match pipe.commands.iter().skip(1).position(|command| !executable(command)) {
            None => Ok(pipe),
            Some(i) => Err(self.error(format_args!("non executable command in pipeline stage {}", i + 2))),
        }
    }

    /// `$x :=`, `$x =`, and in a range `$k, $v :=`.
    fn declarations(&mut self, context: &str) -> Result<(Vec<String>, bool)> {
        let mut variables = Vec::new();
        loop {
            if self.peek_visible().kind != Kind::Variable {
                return Ok((variables, false));
            }
            let begin = self.next;
            let name = self.take().text.into_owned();
            let kind = self.peek_visible().kind;
            match kind {
                Kind::Assign | Kind::Declare => {
                    self.next += 1;
                    self.variables.push(name.clone());
                    variables.push(name);
                    return Ok((variables, kind == Kind::Assign));
                }
                Kind::Comma => {
                    self.next += 1;
                    self.variables.push(name.clone());
                    variables.push(name);
                    if context != "range" || variables.len() > 1 {
                        return Err(self.error(format_args!("too many declarations in {context}")));
                    }
                    if !matches!(self.peek_visible().kind, Kind::Variable | Kind::Close | Kind::RightParen) {
                        return Err(self.error("range can only initialize variables"));
                    }
                }
                _ => {
                    self.next = begin;
                    return Ok((variables, false));
                }
            }
        }
    }

    fn command(&mut self) -> Result<Command> {
        let mut operands = Vec::new();
        loop {
            self.skip_spaces();
            if let Some(operand) = self.operand()? {
                operands.push(operand);
            }
            let token = self.take();
            match token.kind {
                Kind::Space => continue,
                Kind::Close | Kind::RightParen => self.next -= 1,
                Kind::Pipe => {}
                _ => return Err(self.unexpected(&token, "operand")),
            }
            break;
        }
        if operands.is_empty() {
            return Err(self.error("empty command"));
        }
        let first = operands.remove(0);
        Ok(Command { first, arguments: operands })
    }

    /// A term and the fields that follow it.
    fn operand(&mut self) -> Result<Option<Operand>> {
        let token = self.take();
        let Some(term) = self.term(&token)? else {
            self.next -= 1;
            return Ok(None);
        };
        let mut at = token.at;
        let mut fields = Vec::new();
        while self.peek().kind == Kind::Field {
            let field = self.take();
            // As Go has it, the last name of a chain is where its errors are.
            at = if fields.is_empty() { field.at } else { at };
            fields.push(name_of(&field));
        }
        if fields.is_empty() {
            return Ok(Some(Operand { term, at }));
        }
        let term = match term {
            Term::Field(mut names) => {
                names.append(&mut fields);
                Term::Field(names)
            }
            Term::Variable(name, _) => Term::Variable(name, fields),
            Term::Function(name) => Term::Chain(name, fields),
            Term::Parenthesized(pipe, _) => Term::Parenthesized(pipe, fields),
            other => {
                let shown = Operand { term: other, at };
                return Err(self.error(format_args!("unexpected . after term {}", literal::quote(&shown.to_string()))));
            }
        };
        Ok(Some(Operand { term, at }))
    }

    fn term(&mut self, token: &Token) -> Result<Option<Term>> {
        let text = token.text.as_ref();
        let constant = |data: Data| Term::Constant(data, text.to_owned());
        let term = match token.kind {
            Kind::Dot => Term::Dot,
            Kind::Keyword if text == "nil" => Term::Nil,
            Kind::Word if text == "true" || text == "false" => constant(Data::Bool(text == "true")),
            Kind::Word if Self::is_function(text) => Term::Function(text.to_owned()),
            Kind::Word => return Err(self.error(format_args!("function {} not defined", literal::quote(text)))),
            Kind::Field => Term::Field(vec![name_of(token)]),
            Kind::Variable if self.variables.iter().any(|v| v == text) => Term::Variable(text.to_owned(), Vec::new()),
            Kind::Variable => return Err(self.error(format_args!("undefined variable {}", literal::quote(text)))),
            Kind::Number => constant(self.number(text)?),
            Kind::Char => {
                let c = literal::character(text);
                constant(Data::Int(
                    c.ok_or_else(|| self.error(format_args!("malformed character constant: {text}")))? as i64
                ))
            }
            Kind::Quoted | Kind::Raw => {
                constant(Data::text(&literal::unquote(text).ok_or_else(|| self.error("invalid syntax"))?))
            }
            Kind::LeftParen => {
                let pipe = self.nested(|parser| parser.pipeline("parenthesized pipeline", Kind::RightParen))?;
                Term::Parenthesized(Box::new(pipe), Vec::new())
            }
            _ => return Ok(None),
        };
        Ok(Some(term))
    }

    fn number(&self, text: &str) -> std::result::Result<Data, Error> {
        match literal::number(text) {
            Some(Number::Int(value)) => Ok(Data::Int(value)),
            Some(Number::Uint(_)) => Err(self.error(format_args!("integer overflow: {}", literal::quote(text)))),
            Some(Number::Float(value)) => Ok(Data::Float(value)),
            None => Err(self.error(format_args!("illegal number syntax: {}", literal::quote(text)))),
        }
    }
}

fn begins_operand(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Char
            | Kind::Dot
            | Kind::Field
            | Kind::Word
            | Kind::Number
            | Kind::Raw
            | Kind::Quoted
            | Kind::Variable
            | Kind::LeftParen
    )
}

/// A field without its dot.
fn name_of(field: &Token) -> String {
    field.text.trim_start_matches('.').to_owned()
}
