//! `system`: what the engine is, what it takes, and what can go.

mod df;
mod doctor;
mod info;
mod prune;
mod version;

use clap::Subcommand;

use super::Outcome;
use crate::engine::Engine;

pub(super) use doctor::Doctor;
pub(super) use info::Info;
pub(super) use version::Version;

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(super) enum Command {
    /// Show disk usage
    Df(df::Df),
    /// Get real time events: what happens to containers
    Events(super::events::Events),
    /// Display system-wide information
    Info(Info),
    /// Remove unused data
    Prune(prune::Prune),
}

impl Command {
    pub(super) fn run(self, engine: &Engine) -> Outcome {
        match self {
            Self::Df(command) => command.run(engine),
            Self::Events(command) => command.run(engine),
            Self::Info(command) => command.run(engine),
            Self::Prune(command) => command.run(engine),
        }
    }
}
