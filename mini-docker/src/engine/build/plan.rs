//! What is to be built: names resolved, variables before the first FROM, the target.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Failure,
    dockerfile::{Dockerfile, Expander, Instruction, Lines, Mount, ParseError, Stage},
    scope,
};
use crate::engine::error::Error;

/// Where a stage begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Base {
    /// Nothing.
    Scratch,
    /// An earlier stage.
    Stage(usize),
    /// An image.
    Image(String),
}

/// The stages with their bases.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) stages: Vec<(Stage, Base)>,
    /// The stage that becomes the image.
    pub(super) target: usize,
    /// Variables of the whole file.
    pub(super) globals: BTreeMap<String, String>,
}

impl Plan {
    pub(crate) fn new(
        file: Dockerfile,
        args: &BTreeMap<String, String>,
        target: Option<&str>,
    ) -> Result<Self, Failure> {
        let expander = Expander::new(file.directives.escape);
        let mut globals = scope::platform();
        for arg in &file.meta_args {
            let lookup = |name: &str| globals.get(name).cloned();
            let default = arg.default.as_ref().map(|text| expander.word(text, &lookup)).transpose();
            let value = args.get(&arg.name).cloned().or(default.map_err(|e| invalid(&e))?);
            if let Some(value) = value {
                globals.insert(arg.name.clone(), value);
            }
        }
        let mut stages: Vec<(Stage, Base)> = Vec::new();
        for stage in file.stages {
            let base = base(&stage, &stages, &expander, &globals)
                .map_err(|error| Failure { lines: Some(stage.lines), ..error.into() })?;
            stages.push((stage, base));
        }
        let last = stages.len().checked_sub(1).ok_or_else(|| no_stage(None))?;
        let target = match target.filter(|name| !name.is_empty()) {
            None => last,
            Some(name) => find(&stages, name)
                .ok_or_else(|| Error::invalid(format!("target stage {name:?} could not be found")))?,
        };
        globals.insert("TARGETSTAGE".to_owned(), stages[target].0.name.clone().unwrap_or_else(|| "default".to_owned()));
        Ok(Self { stages, target, globals })
    }

    /// The stage that `COPY --from` and mounts call `name`, which may be a later one.
    ///
    /// # Errors
    /// For a number that no stage has: it is no image's name.
    pub(super) fn stage(&self, name: &str) -> Result<Option<usize>, Error> {
        match (find(&self.stages, name), name.parse::<usize>()) {
            (None, Ok(number)) => Err(Error::invalid(format!("invalid stage index {number}"))),
            (found, _) => Ok(found),
        }
    }

    /// What a stage needs, as far as it can be told before it is built; what else turns up is built then. `is_elsewhere` says
    /// of a name that it is no stage's.
    pub(super) fn needs(&self, index: usize, is_elsewhere: impl Fn(&str) -> bool) -> BTreeSet<usize> {
        let (stage, base) = &self.stages[index];
        let mut needs = BTreeSet::new();
        if let Base::Stage(earlier) = base {
            needs.insert(*earlier);
        }
        let mut add = |name: &str| {
            if !is_elsewhere(name) {
                // A number that is none's is refused where it is used.
                needs.extend(self.stage(name).ok().flatten());
            }
        };
        for command in &stage.commands {
            match &command.instruction {
                Instruction::Copy(copy) => copy.from.iter().for_each(|name| add(name)),
                Instruction::Run(run) => {
                    let same = |value: &str| Ok::<_, ParseError>(value.to_owned());
                    let mounts = run.mounts.iter().filter_map(|text| Mount::parse(text, same).ok());
                    mounts.filter(|mount| !mount.from.is_empty()).for_each(|mount| add(&mount.from));
                }
                _ => {}
            }
        }
        needs
    }

    /// Whether a stage has this name or number.
    pub(super) fn is_called(&self, index: usize, name: &str) -> bool {
        find(&self.stages, name) == Some(index)
    }

    /// How a stage is called in messages.
    pub(super) fn name(&self, index: usize) -> String {
        match &self.stages[index].0.name {
            Some(name) => name.clone(),
            None => format!("stage-{index}"),
        }
    }
}

fn invalid(e: &ParseError) -> Error {
    Error::invalid(e.to_string())
}

fn no_stage(lines: Option<Lines>) -> Failure {
    Failure { lines, ..Error::invalid("no build stage in current context: a Dockerfile begins with FROM").into() }
}

fn find(stages: &[(Stage, Base)], name: &str) -> Option<usize> {
    let named = stages.iter().rposition(|(stage, _)| stage.name.as_deref() == Some(name.to_lowercase().as_str()));
    named.or_else(|| name.parse().ok().filter(|index| *index < stages.len()))
}

fn base(
    stage: &Stage,
    earlier: &[(Stage, Base)],
    expander: &Expander,
    globals: &BTreeMap<String, String>,
) -> Result<Base, Error> {
    let lookup = |name: &str| globals.get(name).cloned();
    let name = expander.word(&stage.base, &lookup).map_err(|e| invalid(&e))?;
    if name.is_empty() {
        return Err(Error::invalid(format!("base name ({}) should not be blank", stage.base)));
    }
    let platform = stage.platform.as_ref().map(|text| expander.word(text, &lookup)).transpose();
    if let Some(platform) = platform.map_err(|e| invalid(&e))?.filter(|platform| !platform.is_empty()) {
        scope::check_platform(&platform)?;
    }
    let named = earlier.iter().rposition(|(stage, _)| stage.name.as_deref() == Some(name.to_lowercase().as_str()));
    Ok(match (named, name.as_str()) {
        (Some(index), _) => Base::Stage(index),
        (None, "scratch") => Base::Scratch,
        (None, _) => Base::Image(name),
    })
}
