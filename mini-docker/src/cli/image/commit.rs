//! `commit`.

use clap::Args;

use crate::{
    cli::{Outcome, print},
    engine::{Engine, image, reference::Reference},
};

#[derive(Debug, Args)]
pub(crate) struct Commit {
    /// The container, by name or id
    container: String,
    /// Name and tag of the new image
    #[arg(value_name = "REPOSITORY[:TAG]")]
    name: Option<String>,
    /// Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")
    #[arg(short, long, default_value = "", hide_default_value = true)]
    author: String,
    /// Apply a Dockerfile instruction to the created image
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// Commit message
    #[arg(short, long, default_value = "", hide_default_value = true)]
    message: String,
    /// Pause the container during the commit
    #[arg(short, long, default_value = "true", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pause: bool,
}

impl Commit {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let name = self.name.as_deref().map(Reference::parse).transpose()?;
        let container = engine.container(&self.container)?;
        let commit =
            image::Commit { name, author: self.author, message: self.message, changes: self.change, pause: self.pause };
        let image = engine.commit(&container, &commit)?;
        print(format_args!("{}\n", image.digest()));
        Ok(0)
    }
}
