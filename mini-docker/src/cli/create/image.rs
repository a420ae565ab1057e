//! Flags about where the image comes from.

use clap::Args;

use crate::{
    cli::image::pull::{When, before},
    engine::{Engine, Request, Result, container::Container, error::Kind},
};

#[derive(Debug, Args)]
pub(super) struct ImageFlags {
    /// Pull image before creating
    #[arg(long, value_enum, default_value = "missing", value_name = "WHEN")]
    pull: When,
    /// Use the image for this platform, as linux/arm64
    #[arg(long, value_name = "OS/ARCHITECTURE")]
    platform: Option<String>,
    /// Suppress the pull output
    #[arg(short, long)]
    quiet: bool,
}

impl ImageFlags {
    /// Makes the container; its image is pulled where that is wanted.
    pub(super) fn create(&self, engine: &Engine, request: &Request) -> Result<Container> {
        let pull = || before(engine, &request.image, self.pull, self.platform.as_deref(), self.quiet);
        if self.pull == When::Always || self.platform.is_some() {
            pull()?;
        }
        match engine.create(request) {
            Err(e) if self.pull == When::Missing && e.kind == Kind::NotFound && !has(engine, &request.image) => {
                pull()?;
                engine.create(request)
            }
            created => created,
        }
    }
}

fn has(engine: &Engine, image: &str) -> bool {
    !matches!(engine.image(image), Err(e) if e.kind == Kind::NotFound)
}
