//! `tag`.

use clap::Args;

use crate::{
    cli::Outcome,
    engine::{Engine, Error, reference::Reference},
};

#[derive(Debug, Args)]
pub(crate) struct Tag {
    /// The image, by name or id
    #[arg(value_name = "SOURCE_IMAGE[:TAG]")]
    source: String,
    /// Its new name
    #[arg(value_name = "TARGET_IMAGE[:TAG]")]
    target: String,
}

impl Tag {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let target = Reference::parse(&self.target)?;
        if target.digest().is_some() {
            return Err(Error::invalid(format!("refusing to create a tag with a digest reference: {}", self.target)));
        }
        if target.repository() == "sha256" {
            return Err(Error::invalid(
                "refusing to create an ambiguous tag using digest algorithm as name: choose another one",
            ));
        }
        let image = engine.image(&self.source)?;
        engine.tag(&image.id, &target)?;
        Ok(0)
    }
}
