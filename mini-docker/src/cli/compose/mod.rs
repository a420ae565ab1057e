//! `compose`: several services from one description.

mod config;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Outcome, print};
use crate::{
    compose::{Options, Project},
    engine::{Engine, Result},
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
}

impl Compose {
    pub(super) fn run(self, _engine: &Engine) -> Outcome {
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
