//! The command line: what Docker's users type.

mod build;
mod check;
mod completion;
mod compose;
mod confirm;
mod container;
mod create;
mod debug_parse;
mod detach_keys;
mod events;
mod flags;
mod format;
mod globals;
mod image;
mod inspect;
mod leaks;
mod limits;
mod network;
mod out;
mod system;
pub(crate) mod table;
pub(crate) mod template;
mod units;
mod usage;
mod volume;

use std::{
    env,
    ffi::OsString,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use process::sys;

use crate::{
    engine::{Engine, error::Error},
    rootless::Place,
};

/// Containers from scratch: a lightweight engine without a daemon.
#[derive(Debug, Parser)]
#[command(
    name = "mini-docker",
    version,
    disable_version_flag = true,
    max_term_width = 110,
    arg_required_else_help = true
)]
struct Arguments {
    /// Where images and containers are kept (default /var/lib/mini-docker; without root ~/.local/share/mini-docker)
    #[arg(long, global = true, env = "MINI_DOCKER_ROOT", value_name = "DIR")]
    root: Option<PathBuf>,
    #[command(flatten)]
    globals: globals::Globals,
    /// Print version information and quit
    #[arg(short, long, action = clap::ArgAction::Version)]
    version: Option<bool>,
    #[command(subcommand)]
    command: Command,
}

// A group of commands. Clap describes arguments only where they are asked for, but nested commands at once, unless they
// are arguments. No words for users: a command's own come from where it is named.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
struct Group<T: Subcommand> {
    #[command(subcommand)]
    command: Box<T>,
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
enum Command {
    /// Create and run a new container from an image
    // As in Docker, -h is the host name.
    #[command(disable_help_flag = true)]
    Run(Box<create::Run>),
    /// Create a new container
    #[command(disable_help_flag = true)]
    Create(Box<create::Create>),
    /// List containers
    Ps(container::Ps),
    /// Remove one or more containers
    Rm(container::Rm),
    /// Start one or more stopped containers
    Start(container::Start),
    /// Attach standard input, output, and error to a running container
    Attach(container::Attach),
    /// Stop one or more running containers
    Stop(container::Stop),
    /// Restart one or more containers
    Restart(container::Restart),
    /// Pause all processes within one or more containers
    Pause(container::Pause),
    /// Unpause all processes within one or more containers
    Unpause(container::Unpause),
    /// Rename a container
    Rename(container::Rename),
    /// Update configuration of one or more containers
    Update(container::Update),
    /// Kill one or more running containers
    Kill(container::Kill),
    /// Copy files/folders between a container and the local filesystem
    Cp(container::Cp),
    /// Inspect changes to files or directories on a container's filesystem
    Diff(container::Diff),
    /// Export a container's filesystem as a tar archive
    Export(container::Export),
    /// Execute a command in a running container
    Exec(container::Exec),
    /// Fetch the logs of a container
    Logs(container::Logs),
    /// List port mappings or a specific mapping for the container
    Port(container::Port),
    /// Display a live stream of container(s) resource usage statistics
    Stats(container::Stats),
    /// Display the running processes of a container
    Top(container::Top),
    /// Block until one or more containers stop, then print their exit codes
    Wait(container::Wait),
    /// Display detailed information on containers and images, as JSON
    Inspect(inspect::Inspect),
    /// Create a new image from a container's changes
    Commit(image::Commit),
    /// Show the history of an image
    History(image::History),
    /// Create an image from a root filesystem: a tar archive, compressed or not
    Import(image::Import),
    /// List images
    Images(image::List),
    /// Load images from a tar archive or STDIN
    Load(image::Load),
    /// Log in to a registry
    Login(image::Login),
    /// Log out from a registry
    Logout(image::Logout),
    /// Download an image from a registry
    Pull(image::Pull),
    /// Upload an image to a registry
    Push(image::Push),
    /// Remove one or more images
    Rmi(image::Rmi),
    /// Save one or more images to a tar archive (streamed to STDOUT by default)
    Save(image::Save),
    /// Search a registry for images
    Search(image::Search),
    /// Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE
    Tag(image::Tag),
    /// Manage images
    Image(Group<image::Command>),
    /// Manage the engine
    System(Group<system::Command>),
    /// Show the version information
    Version(system::Version),
    /// Display system-wide information
    Info(system::Info),
    /// Say what this machine lacks for containers, and what to do about it
    Doctor(system::Doctor),
    /// Verify what the store holds, and repair it
    Check(check::Check),
    /// List what stands in the kernel that no container owns
    Leaks(leaks::Leaks),
    /// Generate the autocompletion script for a shell
    Completion(completion::Completion),
    /// Write manual pages
    #[command(hide = true)]
    Man(completion::Man),
    /// Define and run multi-container applications
    Compose(Box<compose::Compose>),
    /// Build an image from a Dockerfile
    Build(Box<build::Build>),
    /// Manage builds
    #[command(visible_alias = "buildx")]
    Builder(Group<build::builder::Command>),
    /// Get real time events: what happens to containers
    Events(events::Events),
    /// Manage containers
    Container(Group<container::Command>),
    /// Manage volumes
    Volume(Group<volume::Command>),
    /// Read Dockerfiles from standard input, one JSON request a line
    #[command(hide = true)]
    DebugParse(debug_parse::DebugParse),
    /// Manage networks
    Network(Group<network::Command>),
}

impl Command {
    fn run(self, engine: &Engine) -> Outcome {
        match self {
            Self::Run(command) => command.run(engine),
            Self::Create(command) => command.run(engine),
            Self::Ps(command) => command.run(engine),
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
            Self::Commit(command) => command.run(engine),
            Self::History(command) => command.run(engine),
            Self::Import(command) => command.run(engine),
            Self::Images(command) => command.run(engine),
            Self::Load(command) => command.run(engine),
            Self::Login(command) => command.run(engine),
            Self::Logout(command) => command.run(engine),
            Self::Pull(command) => command.run(engine),
            Self::Push(command) => command.run(engine),
            Self::Rmi(command) => command.run(engine),
            Self::Save(command) => command.run(engine),
            Self::Search(command) => command.run(),
            Self::Tag(command) => command.run(engine),
            Self::Image(group) => group.command.run(engine),
            Self::System(group) => group.command.run(engine),
            Self::Version(command) => command.run(),
            Self::Info(command) => command.run(engine),
            Self::Doctor(command) => command.run(Some(engine.root().to_owned())),
            Self::Check(command) => command.run(engine),
            Self::Leaks(command) => command.run(engine),
            Self::Completion(command) => command.run(),
            Self::Man(command) => command.run(),
            Self::Compose(command) => command.run(engine),
            Self::Events(command) => command.run(engine),
            Self::Container(group) => group.command.run(engine),
            Self::Volume(group) => group.command.run(engine),
            Self::Build(command) => command.run(engine),
            Self::Builder(group) => group.command.run(engine),
            Self::DebugParse(_) => debug_parse::DebugParse::run(),
            Self::Network(group) => group.command.run(engine),
        }
    }

    /// Reads what the flags of `run` and `create` ask for; nothing of other commands.
    fn request(&self) -> Result<(), Error> {
        match self {
            Self::Run(command) => command.request().map(drop),
            Self::Create(command) => command.request().map(drop),
            _ => Ok(()),
        }
    }

    /// Whether errors have the exit codes of `run`: 125, 126, 127.
    fn runs(&self) -> bool {
        match self {
            Self::Run(_) => true,
            Self::Container(group) => group.command.runs(),
            _ => false,
        }
    }
}

/// Reads the words of a command line, and does nothing.
pub(crate) fn read(words: &[String]) -> Result<(), String> {
    let words: Vec<_> = ["mini-docker"].into_iter().chain(words.iter().map(String::as_str)).map(Into::into).collect();
    let arguments = flags::read(&words).map_err(|e| e.to_string())?;
    arguments.command.request().map_err(|e| e.to_string())
}

/// A command's end: an exit code, or the one line that says why not.
type Outcome = Result<u8, Error>;

/// The words of this process's command line. By the name of the first Compose it is `compose`.
fn words() -> Vec<OsString> {
    let mut words: Vec<_> = env::args_os().collect();
    if words.first().is_some_and(|own| Path::new(own).file_name().is_some_and(|name| name == "docker-compose")) {
        words.insert(1, "compose".into());
    }
    words
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    sys::ignore_failed_writes();
    let arguments = match flags::read(&words()) {
        Ok(arguments) => arguments,
        Err(e) => return usage::complain(&e),
    };
    let runs = arguments.command.runs();
    if let Err(e) = arguments.globals.apply() {
        complain(&e);
        return ExitCode::from(1);
    }
    let debug = globals::Debug::begin(&arguments);
    let outcome = match arguments.command {
        // These need no store.
        Command::DebugParse(_) => debug_parse::DebugParse::run(),
        Command::Version(command) => command.run(),
        Command::Search(command) => command.run(),
        Command::Doctor(command) => command.run(arguments.root),
        Command::Completion(command) => command.run(),
        Command::Man(command) => command.run(),
        command => Place::find(arguments.root).and_then(|place| {
            debug.works_on(&place.root);
            let engine = Engine::open(&place.root, &place.run)?;
            command.run(&engine)
        }),
    };
    let outcome = outcome.and_then(|code| match out::failure() {
        Some(e) if code == 0 => Err(e),
        _ => Ok(code),
    });
    let code = outcome.unwrap_or_else(|e| {
        complain(&e);
        if runs { e.run_exit_code() } else { e.exit_code() }
    });
    debug.end(code);
    code.into()
}

fn complain(error: &Error) {
    tell!("mini-docker: {error}");
}

/// Says what is no error.
fn warn(text: &str) {
    tell!("WARNING: {text}");
}

/// Does one thing to each of several objects, as Docker does: all are tried, each that succeeds is printed.
fn each(names: &[String], mut act: impl FnMut(&str) -> Result<(), Error>) -> Outcome {
    each_that(names, |name| act(name).map(|()| true))
}

/// As [`each`], where success may be silent.
fn each_that(names: &[String], mut act: impl FnMut(&str) -> Result<bool, Error>) -> Outcome {
    let mut code = 0;
    for name in names {
        match act(name) {
            Ok(true) => print(format_args!("{name}\n")),
            Ok(false) => {}
            Err(e) => {
                complain(&e);
                code = 1;
            }
        }
    }
    Ok(code)
}

/// Prints without dying of a closed pipe: `mini-docker ps | head -1`. What else fails is said at the end.
fn print(text: std::fmt::Arguments) {
    let _ = out::Stdout.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn no_command_is_described_before_it_is_asked_for() {
        let mut all = super::Arguments::command();
        let described =
            |one: &&clap::Command| one.get_arguments().next().is_some() || one.get_subcommands().next().is_some();
        let at_once: Vec<_> = all.get_subcommands().filter(described).map(clap::Command::get_name).collect();
        assert_eq!(at_once, [""; 0], "`defer` keeps a start from paying for all of them");
        all.build();
        assert!(all.find_subcommand("run").as_ref().is_some_and(described));
    }

    /// A doc comment on what is flattened into a command would be the command's description.
    #[test]
    fn commands_say_what_their_list_says_of_them() {
        fn check(listed: &clap::Command, wrong: &mut Vec<String>) {
            for inner in listed.get_subcommands() {
                let about = inner.get_about().map(ToString::to_string).unwrap_or_default();
                if about.is_empty() || about.ends_with('.') {
                    wrong.push(format!("{} {}: {about:?}", listed.get_name(), inner.get_name()));
                }
                check(inner, wrong);
            }
        }
        let mut all = super::Arguments::command();
        let listed: Vec<_> =
            all.get_subcommands().map(|one| (one.get_name().to_owned(), one.get_about().cloned())).collect();
        all.build();
        for (name, about) in listed {
            let built = all.find_subcommand(&name).and_then(|one| one.get_about().cloned());
            assert_eq!(built.map(|about| about.to_string()), about.map(|about| about.to_string()), "{name} --help");
        }
        let mut wrong = Vec::new();
        check(&all, &mut wrong);
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn flags_do_not_contradict_each_other() {
        super::Arguments::command().debug_assert();
    }
}
