//! The command line that all stage binaries share: `stage-NN-name [--explain] ROOTFS COMMAND…`.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::{
    error::EXEC,
    exec::{DEFAULT_PATH, Program},
    foreground,
    primitive::Host,
    spawn::{Container, Process},
    undo::Journal,
};

/// What a stage's binary was asked to do.
#[derive(Debug)]
pub struct Invocation {
    /// The root filesystem: a directory (an archive for stage 01).
    pub rootfs: PathBuf,
    /// The program and its arguments.
    pub command: Vec<OsString>,
}

impl Invocation {
    /// The process that the command asks for, with a small environment of its own: nothing of the caller's leaks in.
    ///
    /// # Errors
    /// A command with a null byte in it.
    pub fn process(&self) -> Result<Process, String> {
        let mut environment = vec![format!("PATH={DEFAULT_PATH}"), "HOME=/".to_owned()];
        environment.extend(std::env::var("TERM").map(|term| format!("TERM={term}")));
        let program = Program::new(&self.command, &environment).map_err(|e| format!("the command: {e}"))?;
        Ok(Process { die_with_parent: true, ..Process::new(program) })
    }
}

/// The `main` of a stage's binary. `lists` composes the container so far.
///
/// Exit codes are Docker's: the command's own, 125 when there is no container, 126 and 127 when its command cannot be
/// executed or is not there.
pub fn main(
    name: &'static str,
    about: &'static str,
    lists: impl FnOnce(&Invocation) -> Result<(Container, Process), String>,
) -> ExitCode {
    main_with(name, about, foreground::run, lists)
}

/// What runs the two lists to their end: [`foreground::run`], or the same with a terminal (stage 10).
pub type Runner = fn(&mut Container, &mut Process, &mut Host) -> crate::Result<i32>;

/// As [`main`], with another runner.
pub fn main_with(
    name: &'static str,
    about: &'static str,
    runner: Runner,
    lists: impl FnOnce(&Invocation) -> Result<(Container, Process), String>,
) -> ExitCode {
    main_with_options(name, about, Vec::new(), |invocation, _| {
        lists(invocation).map(|(container, process)| (container, process, runner))
    })
}

/// As [`main_with`], with options of the stage's own, which also say what the runner does.
pub fn main_with_options<R: FnOnce(&mut Container, &mut Process, &mut Host) -> crate::Result<i32>>(
    name: &'static str,
    about: &'static str,
    options: Vec<Arg>,
    compose: impl FnOnce(&Invocation, &ArgMatches) -> Result<(Container, Process, R), String>,
) -> ExitCode {
    let arguments = [
        Arg::new("explain").long("explain").action(ArgAction::SetTrue).help("Print each primitive as it acted"),
        Arg::new("rootfs")
            .value_name("ROOTFS")
            .required(true)
            .value_parser(value_parser!(PathBuf))
            .help("The root filesystem; see rootfs-fetch.sh"),
        Arg::new("command")
            .value_name("COMMAND")
            .required(true)
            .num_args(1..)
            .trailing_var_arg(true)
            .allow_hyphen_values(true)
            .value_parser(value_parser!(OsString))
            .help("The program to run in it, and its arguments"),
    ];
    let command = Command::new(name).about(about).args(options).args(arguments);
    let matches = match command.try_get_matches() {
        Ok(matches) => matches,
        Err(e) => {
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { 125 } else { 0 });
        }
    };
    let invocation = Invocation {
        rootfs: matches.get_one::<PathBuf>("rootfs").cloned().unwrap_or_default(),
        command: matches.get_many::<OsString>("command").unwrap_or_default().cloned().collect(),
    };
    match compose(&invocation, &matches) {
        Ok((container, process, runner)) => run(name, container, process, matches.get_flag("explain"), runner),
        Err(e) => {
            eprintln!("{name}: {e}");
            ExitCode::from(125)
        }
    }
}

fn run(
    name: &str,
    mut container: Container,
    mut process: Process,
    explain: bool,
    runner: impl FnOnce(&mut Container, &mut Process, &mut Host) -> crate::Result<i32>,
) -> ExitCode {
    let mut host = Host::new(Journal::in_memory());
    if explain {
        host.explain();
    }
    let code = runner(&mut container, &mut process, &mut host);
    if explain {
        eprint!("{}", host.trace());
    }
    match code {
        Ok(code) => ExitCode::from(code as u8),
        Err(e) => {
            eprintln!("{name}: {e}");
            ExitCode::from(exit_code(&e))
        }
    }
}

/// Docker's exit code for a container that did not start: 127 no such program, 126 it cannot be executed, else 125.
pub fn exit_code(error: &crate::Error) -> u8 {
    use nix::errno::Errno;
    match (error.primitive, error.errno) {
        (EXEC, Errno::ENOENT | Errno::ENOTDIR) => 127,
        (EXEC, _) => 126,
        _ => 125,
    }
}
