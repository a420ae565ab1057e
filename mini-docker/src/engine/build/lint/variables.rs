//! What can be told only with the values of variables: those that nobody has set, images that are none without the user's
//! values, and files that are left out.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use super::{Around, Warning};
use crate::engine::{
    build::{
        dockerfile::{Command, Dockerfile, Expander, Instruction, clean, nearest},
        expand::expand,
        plan::{Base, Plan},
        scope,
    },
    reference::Reference,
};

/// FROM whose image has no name unless the user gives values.
pub(super) fn defaults(file: &Dockerfile) -> Vec<Warning> {
    let expander = Expander::new(file.directives.escape);
    let mut globals = scope::platform();
    for arg in &file.meta_args {
        let lookup = |name: &str| globals.get(name).cloned();
        let value = arg.default.as_ref().and_then(|text| expander.word(text, &lookup).ok());
        globals.extend(value.map(|value| (arg.name.clone(), value)));
    }
    let lookup = |name: &str| globals.get(name).cloned();
    let is_none = |base: &str| expander.word(base, &lookup).is_ok_and(|name| Reference::parse(&name).is_err());
    let text = |base: &str| format!("Default value for ARG {base} results in empty or invalid base image name");
    let stages = file.stages.iter().filter(|stage| stage.base.contains('$') && is_none(&stage.base));
    stages
        .map(|stage| Warning { rule: "InvalidDefaultArgInFrom", text: text(&stage.base), lines: stage.lines })
        .collect()
}

/// What instructions use.
pub(super) fn in_use(file: Dockerfile, args: &BTreeMap<String, String>, around: Around) -> Vec<Warning> {
    let expander = Expander::new(file.directives.escape);
    let globals: Vec<String> = file.meta_args.iter().map(|arg| arg.name.clone()).collect();
    // What is no plan is refused elsewhere.
    let Ok(plan) = Plan::new(file, args, None) else { return Vec::new() };
    let mut look = Look { around, expander, globals, warnings: Vec::new() };
    let mut stages: Vec<Option<BTreeSet<String>>> = Vec::new();
    for (stage, base) in &plan.stages {
        let mut known = match base {
            Base::Scratch => Some(BTreeSet::from(["PATH".to_owned()])),
            Base::Stage(earlier) => stages[*earlier].clone(),
            Base::Image(name) => look.variables_of(name),
        };
        for command in &stage.commands {
            look.ignored(command);
            if let Some(known) = &mut known {
                look.command(command, known);
            }
        }
        stages.push(known);
    }
    look.warnings
}

struct Look<'a> {
    around: Around<'a>,
    expander: Expander,
    globals: Vec<String>,
    warnings: Vec<Warning>,
}

impl Look<'_> {
    /// The names of an image's variables; `None` where the image is not here, and may have any.
    fn variables_of(&self, image: &str) -> Option<BTreeSet<String>> {
        let image = self.around.engine?.image(image).ok()?;
        let env = image.config.config.env.unwrap_or_default();
        let names = env.iter().filter_map(|variable| variable.split('=').next());
        Some(names.chain(["PATH"]).map(str::to_owned).collect())
    }

    fn command(&mut self, command: &Command, known: &mut BTreeSet<String>) {
        let used = RefCell::new(Vec::new());
        let lookup = |name: &str| {
            let value = known.contains(name).then(|| "x".to_owned());
            if value.is_none() && !used.borrow().iter().any(|other| other == name) {
                used.borrow_mut().push(name.to_owned());
            }
            value
        };
        // What cannot be expanded is refused elsewhere.
        let _ = expand(&command.instruction, lookup, &self.expander);
        for name in used.into_inner() {
            // What says what is to be if it is not there need not be there.
            let is_asked = |sign: &&str| command.source.contains(&format!("${{{name}{sign}"));
            if ["-", ":-", "+", ":+", "?", ":?"].iter().any(is_asked) {
                continue;
            }
            let options = self.globals.iter().chain(&*known).map(String::as_str);
            let near = nearest(&name, options).map(|near| format!(" (did you mean ${near}?)")).unwrap_or_default();
            let text = format!("Usage of undefined variable '${name}'{near}");
            self.warnings.push(Warning { rule: "UndefinedVar", text, lines: command.lines });
        }
        match &command.instruction {
            Instruction::Arg(args) => known.extend(args.iter().map(|arg| arg.name.clone())),
            Instruction::Env(pairs) => known.extend(pairs.iter().map(|pair| pair.key.clone())),
            _ => {}
        }
    }

    /// Files that a COPY names and the context leaves out.
    fn ignored(&mut self, command: &Command) {
        let (verb, copy) = match &command.instruction {
            Instruction::Copy(copy) => ("Copy", copy),
            Instruction::Add(copy) => ("Add", copy),
            _ => return,
        };
        let Some(context) = self.around.context.filter(|_| copy.from.is_none()) else { return };
        for source in copy.sources.iter().filter(|source| !source.contains('$') && !source.contains("://")) {
            let path = clean(&format!("/{source}"));
            let path = path.trim_start_matches('/');
            if !path.is_empty() && context.ignore.excludes(path) {
                let text = format!("Attempting to {verb} file {path:?} that is excluded by .dockerignore");
                self.warnings.push(Warning { rule: "CopyIgnoredFile", text, lines: command.lines });
            }
        }
    }
}
