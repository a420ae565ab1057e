//! `restart`.

use clap::Args;

use super::stop::Manner;
use crate::{
    cli::{Outcome, each},
    engine::Engine,
};

#[derive(Debug, Args)]
pub(crate) struct Restart {
    /// Containers, by name, id, or the beginning of an id
    #[arg(value_name = "CONTAINER", required = true)]
    containers: Vec<String>,
    #[command(flatten)]
    manner: Manner,
}

impl Restart {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let signal = self.manner.signal()?;
        each(&self.containers, |name| engine.restart(&engine.container(name)?, signal, self.manner.timeout))
    }
}
