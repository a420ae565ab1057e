//! `compose`: several services from one description.

mod config;
mod life;
mod look;
mod up;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Outcome, print};
use crate::{
    compose::{Options, Project, execute::Running},
    engine::{Engine, Result, container::Container},
};

#[derive(Debug, Args)]
pub(super) struct Compose {
    /// Compose configuration files
    #[arg(short, long, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// Project name
    #[arg(short, long, value_name = "NAME")]
    project_name: Option<String>,
    /// Specify a profile to enable
    #[arg(long, value_name = "PROFILE")]
    profile: Vec<String>,
    /// Specify an alternate environment file
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Specify an alternate working directory (default: the path of the first Compose file)
    #[arg(long, value_name = "DIR")]
    project_directory: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Parse, resolve and render the compose files in canonical form
    #[command(visible_alias = "convert")]
    Config(config::Config),
    /// Create and start containers
    Up(up::Up),
    /// Stop and remove containers, networks
    Down(up::Down),
    /// List containers
    Ps(look::Ps),
    /// View output from containers
    Logs(look::Logs),
    /// Start services
    Start(life::Services),
    /// Stop services
    Stop(life::Timed),
    /// Restart service containers
    Restart(life::Timed),
    /// Pause services
    Pause(life::Services),
    /// Unpause services
    Unpause(life::Services),
    /// Force stop service containers
    Kill(life::Kill),
    /// Removes stopped service containers
    Rm(life::Rm),
}

impl Compose {
    pub(super) fn run(self, engine: &Engine) -> Outcome {
        let mut options = Options {
            files: self.file,
            name: self.project_name,
            profiles: self.profile,
            env_files: self.env_file,
            directory: self.project_directory,
            ..Options::default()
        };
        match self.command {
            Command::Config(command) => command.run(&mut options),
            command => {
                let project = load(&options)?;
                command.act(Running { project: &project, engine })
            }
        }
    }
}

impl Command {
    fn act(self, running: Running) -> Outcome {
        let each = |services: life::Services, act: &dyn Fn(&Container) -> Result<()>| services.each(running, act);
        match self {
            Self::Config(_) => Ok(0),
            Self::Up(command) => command.run(running),
            Self::Down(command) => command.run(running),
            Self::Ps(command) => command.run(running),
            Self::Logs(command) => command.run(running),
            Self::Start(services) => services.start(running),
            Self::Stop(command) => command.stop(running),
            Self::Restart(command) => command.restart(running),
            Self::Pause(services) => each(services, &|c| running.engine.pause(&c.config.id)),
            Self::Unpause(services) => each(services, &|c| running.engine.unpause(&c.config.id)),
            Self::Kill(command) => command.run(running),
            Self::Rm(command) => command.run(running),
        }
    }
}

/// Reads the project that the flags name.
fn load(options: &Options) -> Result<Project> {
    Project::load(options)
}

/// A line each.
fn print_lines<T: std::fmt::Display>(lines: impl IntoIterator<Item = T>) {
    lines.into_iter().for_each(|line| print(format_args!("{line}\n")));
}
