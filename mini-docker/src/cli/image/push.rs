//! `push`.

use clap::Args;

use super::progress::{Direction, Quiet, shown};
use crate::{
    cli::{Outcome, print},
    engine::{Engine, Error, error::Result, image::Image, reference::Reference, registry::Pushed},
};

#[derive(Debug, Args)]
pub(crate) struct Push {
    /// The image
    #[arg(value_name = "NAME[:TAG]")]
    name: String,
    /// Push all tags of an image to the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Suppress verbose output
    #[arg(short, long)]
    quiet: bool,
}

impl Push {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let bare = Reference::parse_bare(&self.name)?;
        if self.all_tags {
            if bare.own_tag().is_some() {
                return Err(Error::invalid("tag can't be used with --all-tags/-a"));
            }
            let tags = engine.images()?.into_iter().flat_map(|listed| listed.tags);
            let tags: Vec<_> = tags.filter(|tag| tag.is_beside(&bare)).collect();
            if tags.is_empty() {
                let message = format!("An image does not exist locally with the tag: {}", bare.repository());
                return Err(Error::not_found(message));
            }
            tags.iter().try_for_each(|tag| self.push(engine, tag))?;
        } else {
            if bare.own_tag().is_none() && bare.digest().is_none() && !self.quiet {
                print(format_args!("Using default tag: latest\n"));
            }
            self.push(engine, &Reference::parse(&self.name)?)?;
        }
        Ok(0)
    }

    fn push(&self, engine: &Engine, reference: &Reference) -> Result<()> {
        push(engine, reference, self.quiet)
    }
}

/// Pushes an image of one name.
pub(crate) fn push(engine: &Engine, reference: &Reference, quiet: bool) -> Result<()> {
    let progress = shown(Direction::Push, quiet);
    let pushed = engine.push(reference, progress.as_ref())?;
    if quiet {
        print(format_args!("{}\n", reference.full()));
    } else {
        print(format_args!("{}: digest: {} size: {}\n", reference.tag(), pushed.digest, pushed.size));
    }
    Ok(())
}

/// Pushes an image of one name, and shows nothing.
pub(crate) fn push_quietly(engine: &Engine, reference: &Reference) -> Result<Pushed> {
    engine.push(reference, &Quiet)
}

/// Pushes an image under a name that it does not have here, and shows nothing.
pub(crate) fn push_as(engine: &Engine, image: &Image, reference: &Reference) -> Result<Pushed> {
    engine.push_as(image, reference, &Quiet)
}
