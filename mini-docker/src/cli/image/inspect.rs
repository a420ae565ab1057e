//! `image inspect`.

use clap::Args;

use crate::{
    cli::{Outcome, format, inspect},
    engine::Engine,
};

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// Images, by name or id
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
    /// Format output using a custom template: 'json', or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

impl Inspect {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        format::inspect(self.format.as_deref(), &self.images, |name| inspect::image(engine, name))
    }
}
