//! `exec`: a further process in a running container, with this command as its parent.

use std::{
    io::{self, IsTerminal},
    os::fd::AsFd,
    path::PathBuf,
};

use clap::Args;
use process::sys;

use super::proxy;
use crate::{
    cli::{Outcome, complain, create::env, detach_keys::DetachKeys},
    engine::{Engine, Error, container::Container, error::Kind, exec},
};

// Signals that this command gets are passed on to the process, which ends with the container at the latest.
#[derive(Debug, Args)]
pub(crate) struct Exec {
    /// Detached mode: run the command in the background, where the container's first process inherits it
    #[arg(short, long)]
    detach: bool,
    /// Set environment variables; without a value, pass the caller's
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    env: Vec<String>,
    /// Read environment variables from a file
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Keep standard input open
    #[arg(short, long)]
    interactive: bool,
    /// Give the command all capabilities; system calls are filtered as for the container
    #[arg(long)]
    privileged: bool,
    /// Give the command a terminal
    #[arg(short, long)]
    tty: bool,
    /// Username or UID, by the container's own list of users
    #[arg(short, long, value_name = "NAME|UID[:GROUP|GID]")]
    user: Option<String>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Override the key sequence for detaching a container, ctrl-p,ctrl-q
    #[arg(long, value_name = "KEYS", value_parser = DetachKeys::parse)]
    detach_keys: Option<DetachKeys>,
    /// The container, by name or id; then the command and its arguments, with all that looks like flags
    // One argument for clap: what follows the container is never a flag of ours.
    #[arg(required = true, trailing_var_arg = true, value_names = ["CONTAINER", "COMMAND"], num_args = 2..)]
    container: Vec<String>,
}

impl Exec {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        if self.tty && self.interactive && !self.detach && !io::stdin().is_terminal() {
            return Err(Error::invalid("the input device is not a TTY: leave -t out to pipe input into the command"));
        }
        let [container, command @ ..] = self.container.as_slice() else {
            return Err(Error::invalid("no container is given"));
        };
        let request = exec::Exec {
            env: env::collect(&self.env_file, &self.env)?,
            command: command.to_vec(),
            working_dir: self.workdir.filter(|directory| !directory.is_empty()),
            user: self.user.filter(|user| !user.is_empty()),
            privileged: self.privileged,
            tty: self.tty,
            size: sys::window_size(io::stdout().as_fd()).ok().filter(|size| *size != (0, 0)),
            stdin: self.interactive,
        };
        let container = engine.container(container)?;
        let keys = DetachKeys::choose(self.detach_keys, self.interactive)?;
        execute(engine, &container, &request, self.detach, keys)
    }
}

/// Runs the process and stays with it, unless it is to run alone.
pub(crate) fn execute(
    engine: &Engine,
    container: &Container,
    request: &exec::Exec,
    detach: bool,
    keys: DetachKeys,
) -> Outcome {
    let outcome = if detach {
        engine.exec_detached(container, request).map(|()| 0)
    } else {
        proxy::run(engine, container, request, keys)
    };
    match outcome {
        // The codes of the command itself; everything else is Docker's 1.
        Err(e) if matches!(e.kind, Kind::CommandNotFound | Kind::CannotExecute) => {
            complain(&e);
            Ok(e.run_exit_code())
        }
        outcome => outcome,
    }
}
