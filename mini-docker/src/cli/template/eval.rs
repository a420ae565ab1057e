//! Walks the tree and writes.

use std::{fmt::Display, rc::Rc};

use super::{
    Error, Template,
    ast::{Branch, Command, List, Node, Operand, Pipe, Term},
    data::{Data, Nil, Struct},
    functions, print,
};

/// How deep templates may call each other.
const DEPTH: usize = 100;
/// How many nodes and commands may be evaluated.
const STEPS: usize = 1_000_000;
/// How long the output, and each text in between, may become, in bytes.
pub(super) const LENGTH: usize = 16 << 20;

/// What Docker's functions do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Their work.
    Data,
    /// Nothing: the data are headings.
    Heading,
}

/// How a list ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

type Result<T> = std::result::Result<T, Error>;

/// Renders a template.
pub(super) fn render(template: &Template, data: &Data, mode: Mode) -> Result<String> {
    let variables = vec![("$".to_owned(), data.clone())];
    let mut run = Run { template, mode, name: "", variables, output: String::new(), steps: 0, depth: 0 };
    run.list(data, &template.body)?;
    Ok(run.output)
}

struct Run<'a> {
    template: &'a Template,
    mode: Mode,
    /// Of the template that is walked.
    name: &'a str,
    variables: Vec<(String, Data)>,
    output: String,
    steps: usize,
    depth: usize,
}

impl<'a> Run<'a> {
    fn error(&self, at: usize, node: &dyn Display, message: impl Display) -> Error {
        Error::executing(&self.template.text, at, self.name, &node.to_string(), message)
    }

    fn step(&mut self, at: usize, node: &dyn Display) -> Result<()> {
        self.steps += 1;
        let message = match () {
            () if self.steps > STEPS => "the template takes too long",
            () if self.output.len() > LENGTH => "the output is too long",
            () => return Ok(()),
        };
        Err(self.error(at, node, message))
    }

    fn list(&mut self, dot: &Data, list: &'a List) -> Result<Flow> {
        for node in list {
            let flow = self.node(dot, node)?;
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn node(&mut self, dot: &Data, node: &'a Node) -> Result<Flow> {
        match node {
            Node::Text(text) => self.output.push_str(text),
            Node::Action(pipe) => {
                let value = self.pipeline(dot, pipe)?;
                if pipe.variables.is_empty() {
                    print::push_shown(&mut self.output, &value);
                }
            }
            Node::If(branch) | Node::With(branch) => {
                let scope = self.variables.len();
                let value = self.pipeline(dot, &branch.pipe)?;
                let inner = if matches!(node, Node::With(_)) { &value } else { dot };
                let flow =
                    if value.truth() { self.list(inner, &branch.body) } else { self.list(dot, &branch.otherwise) };
                self.variables.truncate(scope);
                return flow;
            }
            Node::Range(branch) => {
                let scope = self.variables.len();
                let flow = self.range(dot, branch);
                self.variables.truncate(scope);
                return flow;
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
            Node::Template(name, pipe, at) => self.call(dot, name, pipe.as_ref(), *at)?,
        }
        Ok(Flow::On)
    }

    fn call(&mut self, dot: &Data, name: &'a str, pipe: Option<&'a Pipe>, at: usize) -> Result<()> {
        let shown = format!("{{{{template {}}}}}", super::literal::quote(name));
        let body = self.template.defined.get(name);
        let body = body.ok_or_else(|| self.error(at, &shown, format_args!("template {name:?} not defined")))?;
        self.step(at, &shown)?;
        if self.depth == DEPTH {
            return Err(self.error(at, &shown, format_args!("exceeded maximum template depth ({DEPTH})")));
        }
        let data = pipe.map_or(Ok(Data::Missing), |pipe| self.pipeline(dot, pipe))?;
        let variables = std::mem::replace(&mut self.variables, vec![("$".to_owned(), data.clone())]);
        let caller = std::mem::replace(&mut self.name, name);
        self.depth += 1;
        self.list(&data, body)?;
        self.depth -= 1;
        self.name = caller;
        self.variables = variables;
        Ok(())
    }

    fn range(&mut self, dot: &Data, branch: &'a Branch) -> Result<Flow> {
        let value = self.pipeline(dot, &branch.pipe)?;
        let at = branch.pipe.commands.first().map_or(0, |command| command.first.at);
        // The pipeline has declared them, with the whole as their value.
        let scope = self.variables.len();
        let numbered = |(i, item): (usize, &Data)| (Data::Int(i as i64), item.clone());
        let items: Box<dyn Iterator<Item = (Data, Data)>> = match &value {
            Data::List(items) => Box::new(items.iter().enumerate().map(numbered)),
            Data::Map(map) => Box::new(map.entries.iter().map(|(key, item)| (Data::Text(key.clone()), item.clone()))),
            Data::Int(count) => Box::new((0..*count).map(|i| (Data::Int(i), Data::Int(i)))),
            Data::Missing | Data::Nil(_) => Box::new(std::iter::empty()),
            other => {
                let message = format_args!("range can't iterate over {}", print::plain(other)).to_string();
                return Err(self.error(at, &branch.pipe, message));
            }
        };
        let mut none = true;
        for (key, item) in items {
            none = false;
            self.step(at, &branch.pipe)?;
            self.declare_item(&branch.pipe, scope, key, &item, matches!(value, Data::Int(_)), at)?;
            let flow = self.list(&item, &branch.body)?;
            self.variables.truncate(scope);
            if flow == Flow::Break {
                break;
            }
        }
        if none { self.list(dot, &branch.otherwise) } else { Ok(Flow::On) }
    }

    fn declare_item(
        &mut self,
        pipe: &Pipe,
        scope: usize,
        key: Data,
        item: &Data,
        counts: bool,
        at: usize,
    ) -> Result<()> {
        let values = match pipe.variables.len() {
            0 => return Ok(()),
            1 => vec![item.clone()],
            _ if counts => {
                return Err(self.error(at, pipe, "can't use an integer to iterate over more than one variable"));
            }
            _ => vec![key, item.clone()],
        };
        if pipe.assigns {
            return pipe.variables.iter().zip(values).try_for_each(|(name, value)| self.assign(name, value, at, pipe));
        }
        let first = scope - pipe.variables.len();
        self.variables[first..].iter_mut().zip(values).for_each(|(variable, value)| variable.1 = value);
        Ok(())
    }

    fn assign(&mut self, name: &str, value: Data, at: usize, node: &dyn Display) -> Result<()> {
        match self.variables.iter_mut().rev().find(|(variable, _)| variable == name) {
            Some(variable) => variable.1 = value,
            None => return Err(self.error(at, node, format_args!("undefined variable: {name}"))),
        }
        Ok(())
    }

    fn pipeline(&mut self, dot: &Data, pipe: &'a Pipe) -> Result<Data> {
        let mut value = None;
        for command in &pipe.commands {
            self.step(command.first.at, command)?;
            value = Some(self.command(dot, command, value)?);
        }
        let value = value.unwrap_or(Data::Missing);
        let at = pipe.commands.first().map_or(0, |command| command.first.at);
        for name in &pipe.variables {
            if pipe.assigns {
                self.assign(name, value.clone(), at, pipe)?;
            } else {
                self.variables.push((name.clone(), value.clone()));
            }
        }
        Ok(value)
    }

    /// `last` is the value of the command before, which is the last argument of this one.
    fn command(&mut self, dot: &Data, command: &'a Command, last: Option<Data>) -> Result<Data> {
        let first = &command.first;
        if let Term::Function(name) = &first.term {
            return self.function(dot, name, command, last);
        }
        let has_arguments = last.is_some() || !command.arguments.is_empty();
        let (Term::Field(names), true) = (&first.term, has_arguments) else {
            if has_arguments {
                let message = match &first.term {
                    Term::Variable(_, names) | Term::Chain(_, names) if !names.is_empty() => {
                        format!("{} has arguments but cannot be invoked as function", names.join("."))
                    }
                    _ => format!("can't give argument to non-function {first}"),
                };
                return Err(self.error(first.at, first, message));
            }
            if matches!(first.term, Term::Nil) {
                return Err(self.error(first.at, first, "nil is not a command"));
            }
            return self.operand(dot, first);
        };
        // The one method that there is.
        let [names @ .., method] = names.as_slice() else { return Ok(Data::Missing) };
        let receiver = self.fields(dot.clone(), names, first)?;
        let mut arguments = Vec::new();
        for argument in &command.arguments {
            arguments.push(self.operand(dot, argument)?);
        }
        arguments.extend(last);
        match (&receiver, arguments.as_slice()) {
            (Data::Struct(row), [Data::Text(key)]) if row.is_row() && method == "Label" => {
                let label = row.labels.as_ref().and_then(|labels| labels.get(key.as_ref()));
                Ok(Data::text(label.and_then(|label| label.as_str()).unwrap_or_default()))
            }
            // A label's heading is its last word.
            (Data::Map(_), [Data::Text(key)]) if self.mode == Mode::Heading && method == "Label" => {
                Ok(Data::text(&key.rsplit('.').next().unwrap_or_default().replace(['-', '_'], " ")))
            }
            _ => Err(self.error(
                first.at,
                first,
                format_args!("{method} has arguments but cannot be invoked as function"),
            )),
        }
    }

    fn operand(&mut self, dot: &Data, operand: &'a Operand) -> Result<Data> {
        match &operand.term {
            Term::Dot => Ok(dot.clone()),
            Term::Nil => Ok(Data::Missing),
            Term::Constant(value, _) => Ok(value.clone()),
            Term::Field(names) => self.fields(dot.clone(), names, operand),
            Term::Variable(name, names) => {
                let value = self.variables.iter().rev().find(|(variable, _)| variable == name);
                let value = value.map(|(_, value)| value.clone());
                let value =
                    value.ok_or_else(|| self.error(operand.at, operand, format_args!("undefined variable: {name}")))?;
                self.fields(value, names, operand)
            }
            Term::Parenthesized(pipe, names) => {
                self.step(operand.at, operand)?;
                let value = self.pipeline(dot, pipe)?;
                self.fields(value, names, operand)
            }
            Term::Function(name) => self.invoke(name, Vec::new(), operand.at, operand),
            Term::Chain(name, names) => {
                let value = self.invoke(name, Vec::new(), operand.at, operand)?;
                self.fields(value, names, operand)
            }
        }
    }

    fn fields(&self, mut value: Data, names: &[String], operand: &Operand) -> Result<Data> {
        for name in names {
            value = field(&value, name).map_err(|message| self.error(operand.at, operand, message))?;
        }
        Ok(value)
    }

    fn function(&mut self, dot: &Data, name: &str, command: &'a Command, last: Option<Data>) -> Result<Data> {
        let mut arguments = Vec::with_capacity(command.arguments.len() + 1);
        // These two do not look further than they must.
        let ends = match name {
            "and" => Some(false),
            "or" => Some(true),
            _ => None,
        };
        for argument in &command.arguments {
            let value = self.operand(dot, argument)?;
            if ends == Some(value.truth()) {
                return Ok(value);
            }
            arguments.push(value);
        }
        arguments.extend(last);
        self.invoke(name, arguments, command.first.at, command)
    }

    fn invoke(&mut self, name: &str, arguments: Vec<Data>, at: usize, node: &dyn Display) -> Result<Data> {
        let Some(function) = functions::find(name) else {
            return Err(self.error(at, node, format_args!("{name:?} is not a defined function")));
        };
        let found = arguments.len();
        if !function.takes.contains(&found) {
            let least = *function.takes.start();
            let wanted = if *function.takes.end() > least { format!("at least {least}") } else { least.to_string() };
            let message = format_args!("wrong number of args for {name}: want {wanted} got {found}").to_string();
            return Err(self.error(at, &name, message));
        }
        if self.mode == Mode::Heading && function.spares_headings {
            return Ok(arguments.into_iter().next().unwrap_or(Data::Missing));
        }
        (function.call)(&arguments).map_err(|problem| match problem {
            functions::Problem::Argument(message) => self.error(at, node, message),
            functions::Problem::Call(message) => self.error(at, node, format_args!("error calling {name}: {message}")),
        })
    }
}

/// The name of a document's field that Go calls otherwise: initialisms are capitals there (`ID`, `NanoCPUs`, `APIVersion`).
fn as_written(name: &str) -> String {
    const INITIALISMS: [&str; 7] = ["ID", "CPU", "DNS", "API", "HTTPS", "HTTP", "IP"];
    let lower = |name: String, word: &&str| name.replace(*word, &format!("{}{}", &word[..1], word[1..].to_lowercase()));
    INITIALISMS.iter().fold(name.to_owned(), lower)
}

/// A field of a structure, or a key of a map.
fn field(value: &Data, name: &str) -> std::result::Result<Data, String> {
    let row_lacks = |it: &Rc<Struct>| {
        if it.is_row() {
            format!("can't evaluate field {name} in this listing")
        } else {
            format!("map has no entry for key {name:?}")
        }
    };
    match value {
        Data::Struct(it) => it.get(name).or_else(|| it.get(&as_written(name))).ok_or_else(|| row_lacks(it)),
        Data::Map(map) => Ok(map.get(name).cloned().unwrap_or(Data::Missing)),
        Data::Missing | Data::Nil(Nil::Map) => Ok(Data::Missing),
        Data::Nil(Nil::Pointer) => Err(format!("nil pointer evaluating interface {{}}.{name}")),
        other => Err(format!("can't evaluate field {name} in type {}", other.type_name())),
    }
}
