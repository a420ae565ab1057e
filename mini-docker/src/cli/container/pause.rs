//! `pause` and `unpause`.

use clap::Args;

use crate::{
    cli::{Outcome, each},
    engine::Engine,
};

#[derive(Debug, Args)]
pub(crate) struct Pause {
    /// Containers, by name, id, or the beginning of an id
    #[arg(value_name = "CONTAINER", required = true)]
    containers: Vec<String>,
}

impl Pause {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        each(&self.containers, |name| engine.container_id(name).and_then(|id| engine.pause(&id)))
    }
}

#[derive(Debug, Args)]
pub(crate) struct Unpause {
    /// Containers, by name, id, or the beginning of an id
    #[arg(value_name = "CONTAINER", required = true)]
    containers: Vec<String>,
}

impl Unpause {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        each(&self.containers, |name| engine.container_id(name).and_then(|id| engine.unpause(&id)))
    }
}
