//! The syntax tree: each instruction with its keyword, flags and words, before it is known whether they make sense.

use super::{
    Lines,
    directive::Directives,
    error::{ParseError, Result},
    heredoc::{self, Heredoc},
    lines::{Reader, Statement},
    quote::quote,
    split,
};

/// ONBUILD ONBUILD ONBUILD …: refused later, and no deeper than this.
const DEEPEST: usize = 16;

/// A Dockerfile's instructions.
#[derive(Debug)]
pub struct Ast {
    /// In the file's order; at least one.
    pub nodes: Vec<Node>,
    /// What stands before them.
    pub directives: Directives,
    /// Where empty lines stand between continued ones.
    pub gaps: Vec<Lines>,
}

/// An instruction.
#[derive(Debug)]
pub struct Node {
    /// As it is written.
    pub keyword: String,
    /// The whole instruction on one line.
    pub original: String,
    /// `--name=value`, without quotes.
    pub flags: Vec<String>,
    /// What follows them.
    pub arguments: Arguments,
    /// Whether the arguments are a JSON array.
    pub json: bool,
    /// The here-documents that it begins.
    pub heredocs: Vec<Heredoc>,
    /// Where it stands.
    pub lines: Lines,
    /// The comments above it.
    pub comments: Vec<String>,
}

/// What follows an instruction's flags.
#[derive(Debug)]
pub enum Arguments {
    /// Words.
    Words(Vec<String>),
    /// ONBUILD's instruction.
    Instruction(Box<Node>),
}

impl Ast {
    /// Reads a file.
    pub fn parse(text: &str) -> Result<Self> {
        let mut reader = Reader::new(text);
        let mut nodes = Vec::new();
        let mut gaps = Vec::new();
        while let Some(statement) = reader.next()? {
            let start = statement.lines.start;
            if statement.gaps {
                gaps.push(statement.lines);
            }
            nodes.push(complete(statement, &mut reader).map_err(|e| e.at(start))?);
        }
        if nodes.is_empty() {
            return Err(ParseError::new("file with no instructions"));
        }
        Ok(Self { nodes, directives: reader.directives, gaps })
    }

    /// As BuildKit's Node.Dump: one `(keyword …)` a line.
    pub fn dump(&self) -> String {
        let lines: Vec<_> = self.nodes.iter().map(Node::dump).collect();
        lines.join("\n")
    }
}

/// The statement's node, with its here-documents read.
fn complete(statement: Statement, reader: &mut Reader) -> Result<Node> {
    let mut node = node(&statement.text, reader.directives.escape, 0)?;
    if statement.text.contains("<<") && heredoc::allowed(&node) {
        for mut heredoc in Heredoc::all(&statement.text)? {
            heredoc.content = reader.body(&heredoc.name, heredoc.chomp)?;
            node.heredocs.push(heredoc);
        }
    }
    node.lines = Lines { start: statement.lines.start, end: reader.line() };
    node.comments = statement.comments;
    Ok(node)
}

fn node(line: &str, escape: char, depth: usize) -> Result<Node> {
    let (keyword, rest) = split::cut(line.trim());
    let (flags, rest) = split::flags(rest.unwrap_or_default(), escape);
    let (arguments, json) = arguments(keyword, rest.trim(), escape, depth)?;
    Ok(Node {
        keyword: keyword.to_owned(),
        original: line.to_owned(),
        flags,
        arguments,
        json,
        heredocs: Vec::new(),
        lines: Lines::default(),
        comments: Vec::new(),
    })
}

/// The arguments of each instruction by its own rules, and whether they are a JSON array.
fn arguments(keyword: &str, rest: &str, escape: char, depth: usize) -> Result<(Arguments, bool)> {
    let plain = |words| Ok((Arguments::Words(words), false));
    let list = |text: &str| if text.is_empty() { Vec::new() } else { split::fields(text) };
    match keyword.to_ascii_lowercase().as_str() {
        "add" | "copy" | "volume" => json_or(rest, list),
        "cmd" | "entrypoint" | "run" | "shell" => json_or(rest, whole),
        "arg" => plain(split::words(rest, escape)),
        "env" => plain(pairs("ENV", rest, escape)?),
        "label" => plain(pairs("LABEL", rest, escape)?),
        "expose" | "from" => plain(list(rest)),
        "healthcheck" => health(rest),
        "maintainer" | "stopsignal" | "user" | "workdir" => plain(whole(rest)),
        "onbuild" if rest.is_empty() => plain(Vec::new()),
        "onbuild" if depth == DEEPEST => Err(ParseError::new("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")),
        "onbuild" => Ok((Arguments::Instruction(Box::new(node(rest, escape, depth + 1)?)), false)),
        // Refused later, with its name.
        _ => plain(vec![String::new()]),
    }
}

fn whole(text: &str) -> Vec<String> {
    if text.is_empty() { Vec::new() } else { vec![text.to_owned()] }
}

/// A JSON array of strings; what is no JSON is read otherwise.
fn json_or(rest: &str, otherwise: impl Fn(&str) -> Vec<String>) -> Result<(Arguments, bool)> {
    if !rest.starts_with('[') {
        return Ok((Arguments::Words(otherwise(rest)), false));
    }
    let Ok(values) = serde_json::from_str::<Vec<serde_json::Value>>(rest) else {
        return Ok((Arguments::Words(otherwise(rest)), false));
    };
    let strings = values.into_iter().map(|value| match value {
        serde_json::Value::String(text) => Ok(text),
        _ => Err(ParseError::new("when using JSON array syntax, arrays must be comprised of strings only")),
    });
    Ok((Arguments::Words(strings.collect::<Result<_>>()?), true))
}

/// `KEY=value …`, or `KEY the rest`: key, value and the sign between them, for each.
fn pairs(keyword: &str, rest: &str, escape: char) -> Result<Vec<String>> {
    let words = split::words(rest, escape);
    let Some(first) = words.first() else { return Ok(Vec::new()) };
    if !first.contains('=') {
        return match split::cut(rest) {
            (key, Some(value)) => Ok(vec![key.to_owned(), value.to_owned(), String::new()]),
            _ => Err(ParseError::new(format!("{keyword} must have two arguments"))),
        };
    }
    let mut pairs = Vec::with_capacity(3 * words.len());
    for word in &words {
        let Some((key, value)) = word.split_once('=') else {
            let message = format!("Syntax error - can't find = in {}. Must be of the form: name=value", quote(word));
            return Err(ParseError::new(message));
        };
        pairs.extend([key.to_owned(), value.to_owned(), "=".to_owned()]);
    }
    Ok(pairs)
}

/// HEALTHCHECK: a word, and then what CMD takes.
fn health(rest: &str) -> Result<(Arguments, bool)> {
    let (kind, command) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let (arguments, json) = json_or(command.trim_start(), whole)?;
    let mut words = whole(kind);
    if let Arguments::Words(command) = arguments {
        words.extend(command);
    }
    Ok((Arguments::Words(words), json))
}

impl Node {
    /// As BuildKit's Node.Dump, with its parentheses.
    fn dump(&self) -> String {
        let mut parts = vec![self.keyword.to_lowercase()];
        if !self.flags.is_empty() {
            let flags: Vec<_> = self.flags.iter().map(|flag| quote(flag)).collect();
            parts.push(format!("[{}]", flags.join(" ")));
        }
        match &self.arguments {
            Arguments::Words(words) => parts.extend(words.iter().map(|word| quote(word))),
            Arguments::Instruction(inner) => parts.push(inner.dump()),
        }
        format!("({})", parts.join(" ").trim())
    }

    /// All words, those of ONBUILD's instruction with its keyword.
    pub fn words(&self) -> Vec<String> {
        match &self.arguments {
            Arguments::Words(words) => words.clone(),
            Arguments::Instruction(inner) => {
                let mut words = vec![inner.keyword.clone()];
                words.extend(inner.words());
                words
            }
        }
    }
}
