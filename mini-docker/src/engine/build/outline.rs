//! What a Dockerfile has and takes, without building it: its stages, and the values, secrets and agents that a target asks for.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Failure,
    dockerfile::{Ast, Dockerfile, Expander, Instruction, Lines, Mount, MountKind, ParseError},
    expand::expand,
    plan::{Base, Plan},
};
use crate::engine::error::{Error, Result};

/// A stage.
#[derive(Debug)]
pub struct Target {
    /// AS …
    pub name: Option<String>,
    /// Whether it is built where none is named.
    pub default: bool,
    /// The comment above it that begins with its name, without that.
    pub description: String,
    /// What it stands on, as it is written.
    pub base: String,
    /// Its `--platform`, as it is written.
    pub platform: Option<String>,
    /// Its FROM.
    pub lines: Lines,
}

/// A value that a target takes.
#[derive(Debug)]
pub struct Arg {
    /// Its name.
    pub name: String,
    /// What it is.
    pub value: String,
    /// The comment above it that begins with its name, without that.
    pub description: String,
    /// Its ARG.
    pub lines: Lines,
}

/// What a target takes.
#[derive(Debug, Default)]
pub struct Outline {
    /// The target's name.
    pub name: Option<String>,
    /// The comment above it.
    pub description: String,
    /// Values.
    pub args: Vec<Arg>,
    /// Secrets, whether they are required, and where.
    pub secrets: Vec<(String, bool, Lines)>,
    /// Agents.
    pub ssh: Vec<(String, bool, Lines)>,
    /// Caches of `RUN --mount=type=cache`.
    pub caches: Vec<(String, Lines)>,
}

/// The stages, in the file's order.
///
/// # Errors
/// Where it is no Dockerfile, or has no such target.
pub fn targets(text: &str, args: &BTreeMap<String, String>, target: Option<&str>) -> Result<Vec<Target>, Failure> {
    let comments = comments(text)?;
    let plan = plan(text, args, target)?;
    let last = plan.stages.len().saturating_sub(1);
    let describe = |(index, (stage, _)): (usize, &(super::dockerfile::Stage, Base))| Target {
        name: stage.name.clone(),
        default: index == last,
        description: description(&comments, stage.lines, stage.name.as_deref()),
        base: stage.base.clone(),
        platform: stage.platform.clone(),
        lines: stage.lines,
    };
    Ok(plan.stages.iter().enumerate().map(describe).collect())
}

/// What a target and all that it needs take.
///
/// # Errors
/// Where it is no Dockerfile, or has no such target.
pub fn outline(text: &str, args: &BTreeMap<String, String>, target: Option<&str>) -> Result<Outline, Failure> {
    let comments = comments(text)?;
    let file = Dockerfile::parse(text).map_err(|e| invalid(&e))?;
    let globals: Vec<_> = file.meta_args.iter().map(|arg| arg.name.clone()).collect();
    let expander = Expander::new(file.directives.escape);
    let plan = plan(text, args, target)?;
    let (stage, _) = &plan.stages[plan.target];
    let mut outline = Outline {
        name: stage.name.clone(),
        description: description(&comments, stage.lines, stage.name.as_deref()),
        ..Outline::default()
    };
    let mut needed = BTreeSet::new();
    let mut left = vec![plan.target];
    while let Some(index) = left.pop() {
        if needed.insert(index) {
            left.extend(plan.needs(index, |_| false));
        }
    }
    for index in &needed {
        // What FROM uses is asked for before the first of them.
        let base = &plan.stages[*index].0.base;
        for name in
            globals.iter().filter(|name| base.contains(&format!("${name}")) || base.contains(&format!("${{{name}")))
        {
            let lines =
                comments.iter().find(|comment| comment.is_arg(name)).map_or(Lines::default(), |comment| comment.lines);
            let value = plan.globals.get(name).cloned().unwrap_or_default();
            outline.arg(&comments, name, value, lines);
        }
    }
    let mut values: Vec<BTreeMap<String, String>> = vec![BTreeMap::new(); plan.stages.len()];
    for (index, (stage, base)) in plan.stages.iter().enumerate() {
        if let Base::Stage(earlier) = base {
            values[index] = values[*earlier].clone();
        }
        for command in &stage.commands {
            let known = values[index].clone();
            let lookup = |name: &str| known.get(name).cloned();
            let instruction = expand(&command.instruction, lookup, &expander)?;
            match instruction {
                Instruction::Arg(list) => {
                    for arg in list {
                        let value = args
                            .get(&arg.name)
                            .cloned()
                            .or(arg.default)
                            .or_else(|| plan.globals.get(&arg.name).cloned());
                        if needed.contains(&index) {
                            outline.arg(&comments, &arg.name, value.clone().unwrap_or_default(), command.lines);
                        }
                        values[index].extend(value.map(|value| (arg.name, value)));
                    }
                }
                Instruction::Env(pairs) => values[index].extend(pairs.into_iter().map(|pair| (pair.key, pair.value))),
                Instruction::Run(run) if needed.contains(&index) => {
                    for text in &run.mounts {
                        let mount =
                            Mount::parse(text, |value| expander.word(value, &lookup)).map_err(|e| invalid(&e))?;
                        outline.mount(&mount, command.lines);
                    }
                }
                _ => {}
            }
        }
    }
    outline.args.sort_by_key(|arg| arg.lines.start);
    Ok(outline)
}

impl Outline {
    fn arg(&mut self, comments: &[Comment], name: &str, value: String, lines: Lines) {
        if self.args.iter().any(|arg| arg.name == name) {
            return;
        }
        let description = description(comments, lines, Some(name));
        self.args.push(Arg { name: name.to_owned(), value, description, lines });
    }

    fn mount(&mut self, mount: &Mount, lines: Lines) {
        let file_name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        let named = |default: String| if mount.id.is_empty() { default } else { mount.id.clone() };
        let list = match mount.kind {
            MountKind::Secret => &mut self.secrets,
            MountKind::Ssh => &mut self.ssh,
            MountKind::Cache => return self.caches.push((named(mount.target.clone()), lines)),
            _ => return,
        };
        let name = match mount.kind {
            MountKind::Ssh => named("default".to_owned()),
            _ => named(if mount.source.is_empty() { file_name(&mount.target) } else { mount.source.clone() }),
        };
        match list.iter_mut().find(|(other, ..)| *other == name) {
            Some((_, required, _)) => *required |= mount.required,
            None => list.push((name, mount.required, lines)),
        }
    }
}

/// An instruction's comments.
struct Comment {
    keyword: String,
    source: String,
    lines: Lines,
    text: Vec<String>,
}

impl Comment {
    fn is_arg(&self, name: &str) -> bool {
        let names = || self.source.split_whitespace().skip(1).filter_map(|word| word.split('=').next());
        self.keyword == "ARG" && names().any(|other| other == name)
    }
}

fn comments(text: &str) -> Result<Vec<Comment>> {
    let ast = Ast::parse(text).map_err(|e| invalid(&e))?;
    let comment = |node: super::dockerfile::Node| Comment {
        keyword: node.keyword.to_uppercase(),
        source: node.original,
        lines: node.lines,
        text: node.comments,
    };
    Ok(ast.nodes.into_iter().map(comment).collect())
}

/// What the comments above an instruction say of a name.
fn description(comments: &[Comment], lines: Lines, name: Option<&str>) -> String {
    let above = comments.iter().find(|comment| comment.lines == lines);
    let lines = above.iter().flat_map(|comment| &comment.text);
    let mut said = lines.filter_map(|line| line.strip_prefix(name?)?.strip_prefix(' '));
    said.next().unwrap_or_default().trim().to_owned()
}

fn plan(text: &str, args: &BTreeMap<String, String>, target: Option<&str>) -> Result<Plan, Failure> {
    Plan::new(Dockerfile::parse(text).map_err(|e| invalid(&e))?, args, target)
}

fn invalid(e: &ParseError) -> Error {
    Error::invalid(e.to_string())
}
