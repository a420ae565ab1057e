//! `compose`: several services from one description.

mod build;
mod config;
mod foreground;
mod images;
mod life;
mod list;
mod logs;
mod look;
mod others;
mod output;
mod run;
mod up;
mod watch;
mod watching;

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand};

use super::{Outcome, print};
use crate::{
    compose::{
        Options, Project,
        execute::{Manner, Running},
    },
    engine::{
        Engine, Result,
        error::{Error, Kind},
    },
};

#[derive(Debug, Args)]
#[command(version, display_name = "mini-docker compose version", disable_version_flag = true)]
pub(super) struct Compose {
    /// Show the Compose version information
    #[arg(short, long, action = ArgAction::Version)]
    version: Option<bool>,
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
    /// Control max parallelism, -1 for unlimited
    #[arg(
        long,
        value_name = "NUMBER",
        env = "COMPOSE_PARALLEL_LIMIT",
        default_value = "-1",
        allow_hyphen_values = true,
        hide_env_values = true
    )]
    parallel: i64,
    /// Control when to print the names of containers in colours
    #[arg(long, value_name = "WHEN", default_value = "auto", value_parser = ["never", "always", "auto"])]
    ansi: String,
    /// How to say what is done: a line a step, or with `quiet` not at all
    #[arg(long, value_name = "TYPE", env = "COMPOSE_PROGRESS", hide_env_values = true, default_value = "auto", value_parser = ["auto", "plain", "tty", "quiet"])]
    progress: String,
    /// Show more output: there is no more
    #[arg(long, hide = true)]
    verbose: bool,
    /// Include all resources, even those not used by services
    #[arg(long)]
    all_resources: bool,
    /// Name containers and images with underscores, as the first Compose did
    #[arg(long)]
    compatibility: bool,
    /// Say what `up`, `create` and `down` would do
    #[arg(long)]
    dry_run: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
enum Command {
    /// Parse, resolve and render the compose files in canonical form
    #[command(visible_alias = "convert")]
    Config(config::Config),
    /// Create and start containers
    Up(up::Up),
    /// Creates containers for a service
    Create(up::Create),
    /// Scale services
    Scale(up::Scale),
    /// Stop and remove containers, networks
    Down(up::Down),
    /// Build or rebuild services
    Build(build::Build),
    /// Pull service images
    Pull(build::Pull),
    /// Push service images
    Push(build::Push),
    /// List containers
    Ps(look::Ps),
    /// View output from containers
    Logs(logs::Logs),
    /// Run a one-off command on a service
    Run(run::Run),
    /// Execute a command in a running container
    Exec(run::Exec),
    /// Start services
    Start(life::Start),
    /// Stop services
    Stop(life::Timed),
    /// Restart service containers
    Restart(life::Restart),
    /// Pause services
    Pause(life::Services),
    /// Unpause services
    Unpause(life::Services),
    /// Force stop service containers
    Kill(life::Kill),
    /// Removes stopped service containers
    Rm(life::Rm),
    /// Attach local standard input, output, and error streams to a service's running container
    Attach(others::Attach),
    /// Create a new image from a service container's changes
    Commit(others::Commit),
    /// Copy files/folders between a service container and the local filesystem
    Cp(others::Cp),
    /// Receive real time events from containers
    Events(watching::Events),
    /// Export a service container's filesystem as a tar archive
    Export(others::Export),
    /// List images used by the created containers
    Images(list::Images),
    /// List running compose projects
    Ls(list::Ls),
    /// Print the public port for a port binding
    Port(others::Port),
    /// Display a live stream of container(s) resource usage statistics
    Stats(others::Stats),
    /// Display the running processes
    Top(others::Top),
    /// Show the Compose version information
    Version(list::Version),
    /// List volumes
    Volumes(list::Volumes),
    /// Watch build context for service and rebuild/refresh containers when files are updated
    Watch(watch::Watch),
    /// Block until containers of all (or specified) services stop
    Wait(watching::Wait),
}

impl Compose {
    pub(super) fn run(self, engine: &Engine) -> Outcome {
        let mut options = Options {
            files: self.file,
            name: self.project_name,
            profiles: self.profile,
            env_files: self.env_file,
            directory: self.project_directory,
            compatibility: self.compatibility,
            ..Options::default()
        };
        options.named = self.command.services().to_vec();
        let manner = Manner {
            parallel: usize::try_from(self.parallel).ok().filter(|&limit| limit > 0),
            colors: match self.ansi.as_str() {
                "never" => Some(false),
                "always" => Some(true),
                _ => None,
            },
            quiet: self.progress == "quiet",
            dry: self.dry_run,
            all_resources: self.all_resources,
        };
        match self.command {
            Command::Config(command) => command.run(&mut options),
            Command::Ls(command) => command.run(engine),
            Command::Version(command) => command.run(),
            command => {
                let found = Project::name_without_files(&options).filter(|_| !command.needs_files());
                let project = match found {
                    Some(name) => match (Project::found(engine, &name), &command) {
                        // It is down already.
                        (Err(e), Command::Down(_)) if e.kind == Kind::NotFound => {
                            super::complain(&e);
                            return Ok(0);
                        }
                        (found, _) => found?,
                    },
                    None => load(&options)?,
                };
                if manner.dry && command.changes() {
                    return Err(Error::invalid("--dry-run is there for up, create and down: leave it out"));
                }
                command.act(Running { project: &project, engine, manner })
            }
        }
    }
}

impl Command {
    /// Whether what is there does not say all that it needs.
    fn needs_files(&self) -> bool {
        matches!(
            self,
            Self::Up(_)
                | Self::Create(_)
                | Self::Scale(_)
                | Self::Run(_)
                | Self::Build(_)
                | Self::Pull(_)
                | Self::Push(_)
                | Self::Watch(_)
        )
    }

    /// Whether it changes something, and cannot say what it would.
    fn changes(&self) -> bool {
        !matches!(
            self,
            Self::Up(_)
                | Self::Create(_)
                | Self::Down(_)
                | Self::Ps(_)
                | Self::Logs(_)
                | Self::Images(_)
                | Self::Port(_)
                | Self::Top(_)
                | Self::Stats(_)
                | Self::Events(_)
                | Self::Volumes(_)
        )
    }

    /// The services that it names.
    fn services(&self) -> &[String] {
        match self {
            Self::Config(command) => command.services(),
            Self::Up(command) => command.services(),
            Self::Down(command) => command.services(),
            Self::Create(command) => command.services(),
            Self::Build(command) => command.services(),
            Self::Pull(command) => command.services(),
            Self::Push(command) => command.services(),
            Self::Ps(command) => command.services(),
            Self::Logs(command) => command.services(),
            Self::Run(command) => command.services(),
            Self::Exec(command) => command.services(),
            Self::Start(command) => command.services(),
            Self::Pause(services) | Self::Unpause(services) => services.services(),
            Self::Stop(command) => command.services(),
            Self::Restart(command) => command.services(),
            Self::Kill(command) => command.services(),
            Self::Rm(command) => command.services(),
            Self::Wait(command) => command.services(),
            Self::Watch(command) => command.services(),
            _ => &[],
        }
    }

    fn act(self, running: Running) -> Outcome {
        let engine = running.engine;
        match self {
            Self::Config(_) | Self::Ls(_) | Self::Version(_) => Ok(0),
            Self::Create(command) => command.run(running),
            Self::Scale(command) => command.run(running),
            Self::Attach(command) => command.run(running),
            Self::Commit(command) => command.run(running),
            Self::Cp(command) => command.run(running),
            Self::Events(command) => command.run(running),
            Self::Export(command) => command.run(running),
            Self::Images(command) => command.run(running),
            Self::Port(command) => command.run(running),
            Self::Stats(command) => command.run(running),
            Self::Top(command) => command.run(running),
            Self::Volumes(command) => command.run(running),
            Self::Wait(command) => command.run(running),
            Self::Watch(command) => command.run(running),
            Self::Up(command) => command.run(running),
            Self::Down(command) => command.run(running),
            Self::Build(command) => command.run(running),
            Self::Pull(command) => command.run(running),
            Self::Push(command) => command.run(running),
            Self::Ps(command) => command.run(running),
            Self::Logs(command) => command.run(running),
            Self::Run(command) => command.run(running),
            Self::Exec(command) => command.run(running),
            Self::Start(command) => command.run(running),
            Self::Stop(command) => command.stop(running),
            Self::Restart(command) => command.run(running),
            Self::Pause(services) => services.each_active(running, "Paused", &|c| engine.pause(&c.config.id)),
            Self::Unpause(services) => services.each_active(running, "Unpaused", &|c| engine.unpause(&c.config.id)),
            Self::Kill(command) => command.run(running),
            Self::Rm(command) => command.run(running),
        }
    }
}

/// Reads the project that the flags name.
fn load(options: &Options) -> Result<Project> {
    let project = Project::load(options)?;
    for warning in &project.warnings {
        tell!("mini-docker: warning: {warning}");
    }
    Ok(project)
}

/// A line each.
fn print_lines<T: std::fmt::Display>(lines: impl IntoIterator<Item = T>) {
    lines.into_iter().for_each(|line| print(format_args!("{line}\n")));
}
