//! What a template consists of; printed, it is Go's spelling of it, which error messages show.

use std::{collections::BTreeMap, fmt};

use super::data::Data;

/// What stands between two delimiters, or in the whole template.
pub(super) type List = Vec<Node>;

/// Templates by name: `{{define}}` and `{{block}}`.
pub(super) type Definitions = BTreeMap<String, List>;

/// A piece of output.
#[derive(Debug)]
pub(super) enum Node {
    Text(String),
    /// `{{pipeline}}`
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Break,
    Continue,
    /// `{{template "name" pipeline}}`, and where it stands.
    Template(String, Option<Pipe>, usize),
}

/// `{{if}}`, `{{with}}` or `{{range}}`, up to its `{{end}}`.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) pipe: Pipe,
    pub(super) body: List,
    pub(super) otherwise: List,
}

/// Commands, each with the one before it as its last argument.
#[derive(Debug)]
pub(super) struct Pipe {
    /// Variables that get the value.
    pub(super) variables: Vec<String>,
    /// Whether they are there already: `=`, not `:=`.
    pub(super) assigns: bool,
    pub(super) commands: Vec<Command>,
}

/// An operand, or a function and its arguments.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) first: Operand,
    pub(super) arguments: Vec<Operand>,
}

/// A term, and where it stands: in bytes from the beginning.
#[derive(Debug)]
pub(super) struct Operand {
    pub(super) term: Term,
    pub(super) at: usize,
}

/// What can be evaluated.
#[derive(Debug)]
pub(super) enum Term {
    Dot,
    Nil,
    /// The value, and how it was written.
    Constant(Data, String),
    /// `.A.B`
    Field(Vec<String>),
    /// `$x.A.B`
    Variable(String, Vec<String>),
    Function(String),
    /// `(pipeline).A.B`
    Parenthesized(Box<Pipe>, Vec<String>),
    /// `function.A.B`
    Chain(String, Vec<String>),
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.variables.is_empty() {
            write!(f, "{} {} ", self.variables.join(", "), if self.assigns { "=" } else { ":=" })?;
        }
        for (i, command) in self.commands.iter().enumerate() {
            write!(f, "{}{command}", if i > 0 { " | " } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        self.arguments.iter().try_for_each(|argument| write!(f, " {argument}"))
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = |f: &mut fmt::Formatter<'_>, names: &[String]| names.iter().try_for_each(|n| write!(f, ".{n}"));
        match &self.term {
            Term::Dot => f.write_str("."),
            Term::Nil => f.write_str("nil"),
            Term::Constant(_, text) | Term::Function(text) => f.write_str(text),
            Term::Field(names) => fields(f, names),
            Term::Variable(name, names) | Term::Chain(name, names) => {
                f.write_str(name)?;
                fields(f, names)
            }
            Term::Parenthesized(pipe, names) => {
                write!(f, "({pipe})")?;
                fields(f, names)
            }
        }
    }
}
