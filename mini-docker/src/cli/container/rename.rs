//! `rename`.

use clap::Args;

use crate::{cli::Outcome, engine::Engine};

#[derive(Debug, Args)]
pub(crate) struct Rename {
    /// The container, by name, id, or the beginning of its id
    container: String,
    /// Its new name
    new_name: String,
}

impl Rename {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        engine.rename(&engine.container_id(&self.container)?, &self.new_name)?;
        Ok(0)
    }
}
