//! Building images from Dockerfiles.
//!
//! A stage is built when something needs it: the target, a FROM, a COPY, a mount. Each instruction that writes files does
//! so through an overlay over the layers so far, in a scratch directory; its upper directory becomes the next layer by a
//! rename. What has been built before is found in the [`cache`]. A build that is killed leaves whole layers, which the
//! next one finds, and a scratch directory, which a sweep removes with what its journal knows of.

mod agent;
mod cache;
mod change;
mod configure;
pub mod context;
mod copy;
pub mod dockerfile;
mod epoch;
pub(crate) mod expand;
mod export;
mod images;
mod inline;
pub mod lint;
mod mounts;
mod onto;
pub mod outline;
pub(crate) mod plan;
mod prune;
pub mod remote;
mod run;
pub(crate) mod scope;
mod stage;
mod step;
mod workers;
mod workspace;

use std::{collections::BTreeMap, path::PathBuf};

use jiff::Timestamp;

use super::{
    Engine,
    digest::Digest,
    error::{Error, Result},
    image::{Image, ImageConfig, Intake, Notes},
    reference::Reference,
};
pub use change::change;
use context::Context;
use dockerfile::{Dockerfile, Expander, Lines};
pub use images::{Get, Place, Pull};
pub use inline::{Steps, Whose};
use plan::Plan;
pub use prune::Entry;
pub use scope::check_platform;
use stage::Stage;
pub use step::Environs;

/// What to build, and how.
#[derive(Debug)]
pub struct Request {
    /// The Dockerfile's text.
    pub dockerfile: String,
    /// Where COPY and ADD take files from.
    pub context: Context,
    /// The stage to build, by name or number; the last one where it is missing.
    pub target: Option<String>,
    /// Values of ARGs.
    pub args: BTreeMap<String, String>,
    /// Labels over the Dockerfile's.
    pub labels: BTreeMap<String, String>,
    /// Names of the image.
    pub tags: Vec<Reference>,
    /// Whether everything is built anew.
    pub no_cache: bool,
    /// Stages that are built anew, by name or number.
    pub no_cache_of: Vec<String>,
    /// What RUN may use.
    pub environs: Environs,
    /// Whether it becomes an image of the store; its files are there in any case.
    pub record: bool,
    /// Whether the image tells others what its steps made: see [`Engine::import_cache`].
    pub inline_cache: bool,
    /// Whether the caller asks what the steps made.
    pub keep_steps: bool,
    /// Whether it tells that time passes while steps run, several times a second.
    pub ticks: bool,
    /// Whether a failure tells what there was before it.
    pub debug: bool,
    /// Gets images from elsewhere.
    pub pull: Pull,
    /// Other places that FROM and `--from` may name.
    pub contexts: BTreeMap<String, Place>,
    /// Sockets of agents for `RUN --mount=type=ssh`, by their ids.
    pub agents: BTreeMap<String, PathBuf>,
    /// Secrets for `RUN --mount=type=secret`, by their ids.
    pub secrets: BTreeMap<String, Vec<u8>>,
}

/// What happens while an image is built: with several stages at once, to several steps at once.
#[derive(Debug)]
pub enum Event<'a> {
    /// An instruction is about to be executed; `name` is as in `[stage 2/5] RUN make`.
    Step {
        /// Number of the step in this build, from 1.
        number: usize,
        /// Its stage, place and text.
        name: &'a str,
    },
    /// A step has been executed before.
    Cached {
        /// Its number.
        number: usize,
    },
    /// What a step's program wrote.
    Output {
        /// The step's number.
        number: usize,
        /// Part of a line, or several.
        bytes: &'a [u8],
    },
    /// An image is not here, and comes from elsewhere.
    Pull(&'a str),
    /// Time passes while steps run: see [`Request::ticks`].
    Tick,
    /// The Dockerfile has what is better written otherwise. It comes first, if it comes.
    Warnings(&'a [lint::Warning]),
    /// A step is done.
    Done {
        /// Its number.
        number: usize,
    },
}

/// Is told what happens.
pub type Progress<'a> = dyn FnMut(Event) + 'a;

/// Why an image could not be built.
#[derive(Debug)]
pub struct Failure {
    /// What is wrong.
    pub error: Error,
    /// Where in the Dockerfile.
    pub lines: Option<Lines>,
    /// The number of the step that failed, if it was one.
    pub step: Option<usize>,
    /// What its stage was before the step that failed, where [`Request::debug`] asks for it.
    pub before: Option<Box<ImageConfig>>,
    /// Whether warnings are the reason, by the Dockerfile's own wish.
    pub is_lint: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, lines: None, step: None, before: None, is_lint: false }
    }
}

/// How often it is told that time passes.
const TICK: std::time::Duration = std::time::Duration::from_millis(250);

/// One build.
struct Builder<'a> {
    engine: &'a Engine,
    request: &'a Request,
    plan: Plan,
    expander: Expander,
    intake: Intake<'a>,
    progress: &'a mut Progress<'a>,
    /// Stages that are built, by their numbers.
    built: BTreeMap<usize, Stage>,
    /// Stages that are being built, for cycles.
    building: Vec<usize>,
    /// Images that were pulled for it.
    pulled: Vec<String>,
    /// When everything is said to have been made.
    epoch: Option<Timestamp>,
    /// What its steps made.
    kept: Vec<inline::Kept>,
    /// Layers that this build counts on.
    leased: Vec<Digest>,
    steps: usize,
}

impl Engine {
    /// Builds an image.
    pub fn build<'a>(
        &'a self,
        request: &'a Request,
        progress: &'a mut Progress<'a>,
    ) -> Result<(Image, Steps), Failure> {
        let file = Dockerfile::parse(&request.dockerfile).map_err(|e| {
            let lines = e.line.map(|line| Lines { start: line, end: line });
            Failure { lines, ..Error::invalid(e.to_string()).into() }
        })?;
        let around = lint::Around { engine: Some(self), context: Some(&request.context) };
        let checked = lint::checked(&request.dockerfile, &request.args, around)?;
        if !checked.warnings.is_empty() {
            progress(Event::Warnings(&checked.warnings));
        }
        if let Some(error) = checked.error() {
            return Err(Failure { is_lint: true, ..error.into() });
        }
        let expander = Expander::new(file.directives.escape);
        let epoch = epoch::of(&request.args)?;
        let plan = Plan::new(file, &request.args, request.target.as_deref())?;
        self.clear_abandoned_steps()?;
        let mut builder = Builder {
            engine: self,
            request,
            plan,
            expander,
            intake: self.intake()?,
            progress,
            built: BTreeMap::new(),
            building: Vec::new(),
            pulled: Vec::new(),
            epoch,
            kept: Vec::new(),
            leased: Vec::new(),
            steps: 0,
        };
        let target = builder.plan.target;
        let stage = builder.prepare(target).and_then(|()| builder.stage(target)).map_err(|failure| {
            let step = failure.step.or(Some(builder.steps).filter(|number| *number > 0));
            Failure { step, ..failure }
        })?;
        let steps = Steps(builder.kept.clone());
        Ok((builder.finish(stage)?, steps))
    }
}

impl Engine {
    /// Makes an image without a name of what a stage was before a step: see [`Failure::before`].
    pub fn record_state(&self, state: &ImageConfig) -> Result<Image> {
        let bytes = serde_json::to_vec(state).map_err(|e| Error::system("write the configuration", &e.into()))?;
        self.intake()?.finish(&bytes, None, &Notes::default(), &[])
    }
}

impl Builder<'_> {
    /// Records the image.
    fn finish(self, stage: Stage) -> Result<Image> {
        let Stage { mut image, base, .. } = stage;
        if !self.request.labels.is_empty() {
            image.config.labels.get_or_insert_default().extend(self.request.labels.clone());
        }
        image.created = self
            .epoch
            .or_else(|| image.history.iter().rev().find_map(|entry| entry.created))
            .or_else(|| Some(Timestamp::now()));
        let bytes = self.encode(&image)?;
        if !self.request.record {
            return Ok(Image { id: Digest::of(&bytes).hex().to_owned(), config: image });
        }
        let notes = Notes { parent: base, tagged: None };
        let image = self.intake.finish(&bytes, None, &notes, &self.request.tags)?;
        for name in &self.request.tags {
            self.engine.emit_tag(&image.id, name);
        }
        Ok(image)
    }

    /// Keeps a layer from being removed while the build goes on.
    fn lease(&mut self, layers: &[Digest]) -> Result<()> {
        let new: Vec<_> = layers.iter().filter(|layer| !self.leased.contains(layer)).cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        self.intake.lease(&new)?;
        self.leased.extend(new);
        Ok(())
    }
}
