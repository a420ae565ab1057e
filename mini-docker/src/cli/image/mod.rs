//! `image`: all that is done with images. The everyday commands have a short form of their own.

mod commit;
mod history;
mod import;
mod inspect;
mod list;
mod login;
mod progress;
mod prune;
pub(super) mod pull;
pub(super) mod push;
mod rmi;
mod save;
mod search;
mod tag;

use clap::Subcommand;

use super::Outcome;
use crate::engine::Engine;

pub(super) use commit::Commit;
pub(super) use history::History;
pub(super) use import::Import;
pub(super) use list::List;
pub(super) use login::{Login, Logout};
pub(super) use pull::Pull;
pub(super) use push::Push;
pub(super) use rmi::{Rmi, print_removed};
pub(super) use save::{Load, Save};
pub(super) use search::Search;
pub(super) use tag::Tag;

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(super) enum Command {
    /// Show the history of an image
    History(History),
    /// Create an image from a root filesystem: a tar archive, compressed or not
    Import(Import),
    /// Build an image from a Dockerfile
    Build(Box<super::build::Build>),
    /// Display detailed information on one or more images, as JSON
    Inspect(inspect::Inspect),
    /// Load images from a tar archive or STDIN
    Load(Load),
    /// List images
    #[command(visible_alias = "list")]
    Ls(List),
    /// Remove unused images
    Prune(prune::Prune),
    /// Download an image from a registry
    Pull(Pull),
    /// Upload an image to a registry
    Push(Push),
    /// Save one or more images to a tar archive (streamed to STDOUT by default)
    Save(Save),
    /// Remove one or more images
    #[command(visible_alias = "remove")]
    Rm(Rmi),
    /// Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE
    Tag(Tag),
}

impl Command {
    pub(super) fn run(self, engine: &Engine) -> Outcome {
        match self {
            Self::History(command) => command.run(engine),
            Self::Import(command) => command.run(engine),
            Self::Build(command) => command.run(engine),
            Self::Inspect(command) => command.run(engine),
            Self::Ls(command) => command.run(engine),
            Self::Load(command) => command.run(engine),
            Self::Prune(command) => command.run(engine),
            Self::Pull(command) => command.run(engine),
            Self::Push(command) => command.run(engine),
            Self::Save(command) => command.run(engine),
            Self::Rm(command) => command.run(engine),
            Self::Tag(command) => command.run(engine),
        }
    }
}
