//! `container`: all that is done with containers. The everyday commands have a short form of their own.

pub(super) mod attach;
mod changes;
mod cp;
mod exec;
mod logs;
mod pause;
mod port;
mod ports;
mod proxy;
mod prune;
mod ps;
mod rename;
mod restart;
mod rm;
pub(super) mod session;
mod start;
mod stats;
mod stop;
mod top;
mod update;
mod wait;

use clap::Subcommand;

use super::{
    Outcome,
    create::{Create, Run},
    image::Commit,
    inspect::InspectContainer,
};
use crate::engine::Engine;

pub(super) use attach::Attach;
pub(super) use changes::{Diff, Export};
pub(super) use cp::{Cp, warn_of};
pub(super) use exec::{Exec, execute};
pub(super) use logs::Logs;
pub(super) use pause::{Pause, Unpause};
pub(super) use port::{Port, addresses};
pub(super) use prune::{Prune, print_deleted};
pub(super) use ps::{Ps, USAGE, View, usage};
pub(super) use rename::Rename;
pub(super) use restart::Restart;
pub(super) use rm::Rm;
pub(super) use start::Start;
pub(super) use stats::Stats;
pub(super) use stop::{Kill, Stop};
pub(super) use top::Top;
pub(super) use update::Update;
pub(super) use wait::Wait;

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(super) enum Command {
    /// Create a new image from a container's changes
    Commit(Commit),
    /// Create a new container
    #[command(disable_help_flag = true)]
    Create(Box<Create>),
    /// Create and run a new container from an image
    // As in Docker, -h is the host name.
    #[command(disable_help_flag = true)]
    Run(Box<Run>),
    /// List containers
    #[command(visible_aliases = ["list", "ps"])]
    Ls(Ps),
    /// Remove all stopped containers
    Prune(Prune),
    /// Remove one or more containers
    #[command(visible_alias = "remove")]
    Rm(Rm),
    /// Start one or more stopped containers
    Start(Start),
    /// Attach standard input, output, and error to a running container
    Attach(Attach),
    /// Stop one or more running containers
    Stop(Stop),
    /// Restart one or more containers
    Restart(Restart),
    /// Pause all processes within one or more containers
    Pause(Pause),
    /// Unpause all processes within one or more containers
    Unpause(Unpause),
    /// Rename a container
    Rename(Rename),
    /// Update configuration of one or more containers
    Update(Update),
    /// Kill one or more running containers
    Kill(Kill),
    /// Copy files/folders between a container and the local filesystem
    Cp(Cp),
    /// Inspect changes to files or directories on a container's filesystem
    Diff(Diff),
    /// Export a container's filesystem as a tar archive
    Export(Export),
    /// Execute a command in a running container
    Exec(Exec),
    /// Fetch the logs of a container
    Logs(Logs),
    /// List port mappings or a specific mapping for the container
    Port(Port),
    /// Display a live stream of container(s) resource usage statistics
    Stats(Stats),
    /// Display the running processes of a container
    Top(Top),
    /// Block until one or more containers stop, then print their exit codes
    Wait(Wait),
    /// Display detailed information on one or more containers
    Inspect(InspectContainer),
}

impl Command {
    pub(super) fn run(self, engine: &Engine) -> Outcome {
        match self {
            Self::Commit(command) => command.run(engine),
            Self::Create(command) => command.run(engine),
            Self::Run(command) => command.run(engine),
            Self::Ls(command) => command.run(engine),
            Self::Prune(command) => command.run(engine),
            Self::Rm(command) => command.run(engine),
            Self::Start(command) => command.run(engine),
            Self::Attach(command) => command.run(engine),
            Self::Stop(command) => command.run(engine),
            Self::Restart(command) => command.run(engine),
            Self::Pause(command) => command.run(engine),
            Self::Unpause(command) => command.run(engine),
            Self::Rename(command) => command.run(engine),
            Self::Update(command) => command.run(engine),
            Self::Kill(command) => command.run(engine),
            Self::Cp(command) => command.run(engine),
            Self::Diff(command) => command.run(engine),
            Self::Export(command) => command.run(engine),
            Self::Exec(command) => command.run(engine),
            Self::Logs(command) => command.run(engine),
            Self::Port(command) => command.run(engine),
            Self::Stats(command) => command.run(engine),
            Self::Top(command) => command.run(engine),
            Self::Wait(command) => command.run(engine),
            Self::Inspect(command) => command.run(engine),
        }
    }

    /// Whether errors have the exit codes of `run`: 125, 126, 127.
    pub(super) fn runs(&self) -> bool {
        matches!(self, Self::Run(_))
    }
}
