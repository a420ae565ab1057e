//! One stage: from its base through its instructions.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Builder, Event, Failure, cache, configure,
    dockerfile::{Arg, Command, Instruction, Lines, trigger},
    epoch,
    expand::expand,
    plan::Base,
    scope,
    workspace::{Unmasked, Workspace},
};
use crate::engine::{
    digest::Digest,
    error::{Error, Result},
    files::Locking,
    image::{History, ImageConfig},
};

/// A stage as far as it is built.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Stage {
    /// What becomes its image.
    pub(super) image: ImageConfig,
    /// The image that it stands on.
    pub(super) base: Option<Digest>,
    /// The cache's name of its files.
    pub(super) key: String,
    /// Variables in scope: the image's, and ARGs.
    pub(super) env: Vec<String>,
    /// The names of those that are ARGs.
    pub(super) args: Vec<String>,
    /// Its number.
    pub(super) index: usize,
    /// Whether it has a CMD of its own.
    command_set: bool,
    /// Steps that write files, and how many there are.
    step: usize,
    steps: usize,
}

/// What a step did.
pub(super) struct Step<'a> {
    /// For the history.
    pub(super) words: &'a str,
    /// For people: the instruction as it stands in the file.
    pub(super) source: &'a str,
    pub(super) key: String,
    /// Whether its layer is made without looking at those below it, and so may stand on others: `--link`.
    pub(super) alone: bool,
}

impl Builder<'_> {
    /// The stage of this number, built if it is not yet.
    pub(super) fn stage(&mut self, index: usize) -> Result<Stage, Failure> {
        if let Some(stage) = self.built.get(&index) {
            return Ok(stage.clone());
        }
        let (parsed, base) = self.plan.stages[index].clone();
        let at = |error: Error| Failure { lines: Some(parsed.lines), ..error.into() };
        if self.building.contains(&index) {
            return Err(at(Error::invalid(format!(
                "circular dependency detected on stage: {}",
                self.plan.name(index)
            ))));
        }
        self.building.push(index);
        let mut stage = self.base(index, &base).map_err(|failure| failure.at(parsed.lines))?;
        let triggers = stage.image.config.on_build.take().unwrap_or_default();
        let triggers =
            triggers.iter().map(|text| trigger(text, '\\').map(|command| Command { lines: parsed.lines, ..command }));
        let mut commands: Vec<Command> =
            triggers.collect::<Result<_, _>>().map_err(|e| at(Error::invalid(format!("ONBUILD: {}", e.message))))?;
        commands.extend(parsed.commands);
        stage.steps = 1 + commands.iter().filter(|command| writes(&command.instruction)).count();
        for command in &commands {
            self.command(&mut stage, command).map_err(|failure| {
                let own = || self.request.debug.then(|| Box::new(stage.image.clone()));
                Failure { before: failure.before.clone().or_else(own), ..failure.at(command.lines) }
            })?;
        }
        self.building.pop();
        self.built.insert(index, stage.clone());
        Ok(stage)
    }

    fn base(&mut self, index: usize, base: &Base) -> Result<Stage, Failure> {
        let mut stage = match base {
            Base::Stage(earlier) => Stage { index, step: 1, ..self.stage(*earlier)? },
            Base::Scratch => {
                let mut image = ImageConfig::new();
                "/".clone_into(&mut image.config.working_dir);
                Stage::new(index, image, None)
            }
            Base::Image(name) => {
                let (image, id) = self.base_image(name)?;
                Stage::new(index, image, id)
            }
        };
        let env = stage.image.config.env.get_or_insert_default();
        if scope::get(env, "PATH").is_none() {
            env.push(format!("PATH={}", process::DEFAULT_PATH));
        }
        for variable in env {
            if let Some((key, value)) = variable.split_once('=') {
                scope::set(&mut stage.env, key, value);
            }
        }
        if let (Some(epoch), Base::Image(_) | Base::Scratch) = (self.epoch, base) {
            stage.key = cache::key(&[epoch::NAME, &epoch.as_second().to_string(), &stage.key]);
        }
        stage.command_set = false;
        Ok(stage)
    }

    fn command(&mut self, stage: &mut Stage, command: &Command) -> Result<(), Failure> {
        let instruction = expand(&command.instruction, |name| stage.variable(name), &self.expander)?;
        match &instruction {
            Instruction::Arg(args) => {
                for arg in args {
                    self.arg(stage, arg)?;
                }
                stage.remark(&command.source);
            }
            Instruction::Maintainer(name) => {
                name.clone_into(&mut stage.image.author);
                stage.remark(&command.source);
            }
            Instruction::Run(run) => self.run(stage, command, run)?,
            Instruction::Add(copy) => self.copy(stage, command, copy, true)?,
            Instruction::Copy(copy) => self.copy(stage, command, copy, false)?,
            Instruction::Workdir(_) => {
                configure::apply(&mut stage.image.config, &instruction, &mut stage.command_set)?;
                self.workdir(stage, command)?;
            }
            _ => {
                configure::apply(&mut stage.image.config, &instruction, &mut stage.command_set)?;
                if let Instruction::Env(pairs) = &instruction {
                    for pair in pairs {
                        scope::set(&mut stage.env, &pair.key, &pair.value);
                    }
                }
                stage.remark(&command.source);
            }
        }
        Ok(())
    }

    /// ARG: the user's value, the default, or that of the same ARG before the first FROM.
    fn arg(&self, stage: &mut Stage, arg: &Arg) -> Result<()> {
        let given = self.request.args.get(&arg.name);
        let value = given.or(arg.default.as_ref()).or_else(|| self.plan.globals.get(&arg.name));
        if let Some(value) = value {
            scope::set(&mut stage.env, &arg.name, value);
        }
        if !stage.args.contains(&arg.name) {
            stage.args.push(arg.name.clone());
        }
        Ok(())
    }

    /// WORKDIR makes its directory, which then is the user's.
    fn workdir(&mut self, stage: &mut Stage, command: &Command) -> Result<(), Failure> {
        let path = stage.image.config.working_dir.clone();
        let user = stage.image.config.user.clone();
        let words = format!("WORKDIR {path}");
        let key = cache::key(&["workdir", &stage.key, &path, &user]);
        let step = Step { words: &words, source: &command.source, key, alone: false };
        self.announce(stage, step.source);
        if self.reuse(stage, &step)? {
            return Ok(());
        }
        self.change(stage, &step, |workspace| super::onto::directory(workspace, &path, &user))
    }

    /// Tells that a step begins.
    pub(super) fn announce(&mut self, stage: &mut Stage, source: &str) {
        stage.step += 1;
        self.steps += 1;
        let name = if self.plan.stages.len() > 1 { format!("{} ", self.plan.name(stage.index)) } else { String::new() };
        let name = format!("[{name}{}/{}] {source}", stage.step, stage.steps);
        (self.progress)(Event::Step { number: self.steps, name: &name });
    }

    /// Takes what the cache has for a step; whether it has anything.
    pub(super) fn reuse(&mut self, stage: &mut Stage, step: &Step) -> Result<bool> {
        let anew = &self.request.no_cache_of;
        if self.request.no_cache || !anew.is_empty() && anew.iter().any(|name| self.plan.is_called(stage.index, name)) {
            return Ok(false);
        }
        let Some(record) = self.engine.cached(&step.key)? else { return Ok(false) };
        if let Some(layer) = &record.layer {
            self.lease(std::slice::from_ref(layer))?;
            if !self.intake.has(layer) {
                return Ok(false);
            }
        }
        (self.progress)(Event::Cached { number: self.steps });
        self.keep(&step.key, &record);
        stage.add(step, record.layer, record.created);
        Ok(true)
    }

    /// Executes a step that changes files from outside of a container.
    pub(super) fn change(
        &mut self,
        stage: &mut Stage,
        step: &Step,
        act: impl FnOnce(&Workspace) -> Result<()>,
    ) -> Result<(), Failure> {
        let base = self.intake.directory()?;
        let workspace =
            if step.alone { Workspace::alone(&base)? } else { Workspace::new(self.engine, &stage.image, &base)? };
        let unmasked = Unmasked::new();
        act(&workspace)?;
        drop(unmasked);
        let upper = workspace.into_upper()?;
        self.take(stage, step, upper.as_deref())
    }

    /// Makes a layer of what a step has changed.
    pub(super) fn take(
        &mut self,
        stage: &mut Stage,
        step: &Step,
        upper: Option<&std::path::Path>,
    ) -> Result<(), Failure> {
        if let (Some(upper), Some(epoch)) = (upper, self.epoch) {
            epoch::clamp(upper, epoch)?;
        }
        // Until it is known who counts on the layer.
        let _no_removal = self.engine.store.lock(Locking::Shared)?;
        let layer = upper.map(|upper| self.intake.tree(upper, crate::engine::image::Take::Move, &[])).transpose()?;
        if let Some(layer) = &layer {
            self.lease(std::slice::from_ref(layer))?;
        }
        let record =
            cache::Record { layer, created: self.epoch.unwrap_or_else(Timestamp::now), step: step.source.to_owned() };
        self.engine.remember(&step.key, &record)?;
        self.keep(&step.key, &record);
        stage.add(step, record.layer, record.created);
        (self.progress)(Event::Done { number: self.steps });
        Ok(())
    }
}

impl Failure {
    /// Adds where it is, unless that is known.
    fn at(mut self, lines: Lines) -> Self {
        self.lines.get_or_insert(lines);
        self
    }
}

fn writes(instruction: &Instruction) -> bool {
    use Instruction::{Add, Copy, Run, Workdir};
    matches!(instruction, Add(_) | Copy(_) | Run(_) | Workdir(_))
}

impl Stage {
    fn new(index: usize, image: ImageConfig, base: Option<Digest>) -> Self {
        let layers: Vec<_> = image.rootfs.diff_ids.iter().map(Digest::hex).collect();
        let key = cache::key(&[&["from"], &layers[..]].concat());
        Self { image, base, key, env: Vec::new(), args: Vec::new(), index, command_set: false, step: 1, steps: 1 }
    }

    /// The value of a variable.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        scope::get(&self.env, name)
    }

    /// Notes an instruction that made no layer.
    fn remark(&mut self, words: &str) {
        let created = self.image.history.iter().rev().find_map(|entry| entry.created).or(self.image.created);
        self.image.history.push(History {
            created,
            created_by: words.to_owned(),
            empty_layer: true,
            ..History::default()
        });
    }

    fn add(&mut self, step: &Step, layer: Option<Digest>, created: Timestamp) {
        self.image.history.push(History {
            created: Some(created),
            created_by: step.words.to_owned(),
            empty_layer: layer.is_none(),
            ..History::default()
        });
        self.image.rootfs.diff_ids.extend(layer);
        self.key = if step.alone { cache::key(&["on", &self.key, &step.key]) } else { step.key.clone() };
    }
}
