//! `pull`, and what `run` and `create` pull by themselves.

use std::{
    env,
    os::fd::AsFd,
    process::{Command, Stdio},
};

use clap::Args;

use super::progress::{Direction, shown};
use crate::{
    cli::{Outcome, print},
    engine::{
        Engine, Error,
        error::{Kind, Result},
        image::platform::Platform,
        reference::Reference,
        registry::{self, credentials},
        store::RUN,
    },
};

#[derive(Debug, Args)]
pub(crate) struct Pull {
    /// The image
    #[arg(value_name = "NAME[:TAG|@DIGEST]")]
    name: String,
    /// Download all tagged images in the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Suppress verbose output
    #[arg(short, long)]
    quiet: bool,
    /// Pull the image for this platform, as linux/arm64
    #[arg(long, value_name = "OS/ARCHITECTURE")]
    platform: Option<String>,
    /// For `run`, which names the image itself
    #[arg(long, hide = true)]
    without_name: bool,
}

impl Pull {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let platform = self.platform.as_deref().map(Platform::parse).transpose()?;
        let bare = Reference::parse_bare(&self.name)?;
        if self.all_tags {
            if bare.own_tag().is_some() || bare.digest().is_some() {
                return Err(Error::invalid("tag can't be used with --all-tags/-a"));
            }
            for tag in registry::tags(&bare)? {
                self.pull(engine, &bare.with_tag(&tag)?, platform.as_ref())?;
            }
            print(format_args!("{}/{}\n", bare.domain(), bare.path()));
            return Ok(0);
        }
        if bare.own_tag().is_none() && bare.digest().is_none() && !self.quiet {
            print(format_args!("Using default tag: latest\n"));
        }
        let reference = Reference::parse(&self.name)?;
        self.pull(engine, &reference, platform.as_ref())?;
        if !self.without_name {
            print(format_args!("{}\n", reference.full()));
        }
        Ok(0)
    }

    fn pull(&self, engine: &Engine, reference: &Reference, platform: Option<&Platform>) -> Result<()> {
        let progress = shown(Direction::Pull, self.quiet);
        let pulled = engine.pull(reference, platform, progress.as_ref())?;
        if !self.quiet {
            let news = if pulled.newer { "Downloaded newer image for" } else { "Image is up to date for" };
            print(format_args!("Digest: {}\nStatus: {news} {reference}\n", pulled.digest));
        }
        Ok(())
    }
}

/// When to pull before a container is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum When {
    /// Each time
    Always,
    /// If the store does not have the image
    Missing,
    /// Not at all
    Never,
}

/// Pulls the image of a container that is about to be made, if it should be. In a process of its own: what starts a
/// container has one thread, and a monitor that comes of it a small memory.
pub(crate) fn before(engine: &Engine, name: &str, when: When, platform: Option<&str>, quiet: bool) -> Result<()> {
    let wanted = platform.map(Platform::parse).transpose()?;
    let missing = match (when, engine.image(name)) {
        (When::Never, _) => false,
        (When::Always, _) => true,
        (When::Missing, Ok(image)) => wanted.is_some_and(|wanted| {
            let config = &image.config;
            let own = Platform {
                architecture: config.architecture.clone(),
                os: config.os.clone(),
                variant: config.variant.clone(),
            };
            wanted.fits(&own).is_none()
        }),
        (When::Missing, Err(e)) if e.kind == Kind::NotFound => true,
        (When::Missing, Err(e)) => return Err(e),
    };
    if !missing {
        return Ok(());
    }
    let reference = Reference::parse(name)?;
    if when == When::Missing && !quiet {
        tell!("Unable to find image '{reference}' locally");
    }
    let failed = |e: std::io::Error| Error::system("start the pull", &e);
    let this = env::current_exe().map_err(failed)?;
    let stderr = std::io::stderr().as_fd().try_clone_to_owned().map_err(failed)?;
    let mut command = Command::new(this);
    if let Some(directory) = credentials::directory() {
        command.arg("--config").arg(directory);
    }
    command.env(RUN, engine.volatile());
    command.arg("--root").arg(engine.root()).args(["pull", "--without-name"]);
    command.args(platform.map(|platform| ["--platform", platform]).iter().flatten());
    command.args(quiet.then_some("--quiet")).args(["--", &reference.full()]).stdin(Stdio::null()).stdout(stderr);
    match command.status().map_err(failed)? {
        status if status.success() => Ok(()),
        _ => Err(Error::not_found(format!("no image {reference}: the pull has failed"))),
    }
}
