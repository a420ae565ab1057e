//! `run`.

use std::{
    fs,
    io::{self, ErrorKind, IsTerminal, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use clap::Args;

use super::{Outcome, attach, complain, print, resources::Resources};
use crate::engine::{
    Engine, Error, Request, Result,
    container::Container,
    error::Context,
    monitor::{
        Options,
        frame::{INPUT, STREAMS},
    },
    rights::Rights,
    signal,
};

#[derive(Debug, Args)]
pub(super) struct Run {
    /// Run the container in the background and print its ID
    #[arg(short, long)]
    detach: bool,
    /// Remove the container when it exits
    #[arg(long)]
    rm: bool,
    /// Keep standard input open
    #[arg(short, long)]
    interactive: bool,
    /// Give the container a terminal
    #[arg(short, long)]
    tty: bool,
    /// Print each primitive as it acted: what it asked of the kernel, and how long that took
    #[arg(long)]
    explain: bool,
    /// Assign a name to the container
    #[arg(long)]
    name: Option<String>,
    /// Set an environment variable; without a value, pass the caller's
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    env: Vec<String>,
    /// Read environment variables from a file
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Username or UID
    #[arg(short, long, value_name = "NAME|UID[:GROUP|GID]")]
    user: Option<String>,
    /// Container host name
    #[arg(short = 'h', long, value_name = "NAME")]
    hostname: Option<String>,
    /// Overwrite the image's entry point; empty takes it away
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,
    /// Connect the container to a network: `none` (loopback only), or `host`
    #[arg(long, visible_alias = "net", default_value = "none")]
    network: String,
    /// Run an init inside the container that reaps processes and forwards signals
    #[arg(long)]
    init: bool,
    /// Set metadata on the container
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    label: Vec<String>,
    /// Write the container ID to a file, which must not exist yet
    #[arg(long, value_name = "FILE")]
    cidfile: Option<PathBuf>,
    /// Signal to stop the container
    #[arg(long, value_name = "SIGNAL")]
    stop_signal: Option<String>,
    /// Seconds that `stop` waits before it kills the container; -1: for ever
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    stop_timeout: Option<i64>,
    /// Proxy received signals to the container
    #[arg(long, default_value = "true", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    sig_proxy: bool,
    /// Add a capability to the default ones, or ALL
    #[arg(long, value_name = "CAPABILITY")]
    cap_add: Vec<String>,
    /// Drop a capability, or ALL
    #[arg(long, value_name = "CAPABILITY")]
    cap_drop: Vec<String>,
    /// Security options: seccomp=FILE|builtin|unconfined filters system calls; no-new-privileges=false lets programs
    /// gain rights by set-user-id bits, as Docker's default does
    #[arg(long, value_name = "OPTION")]
    security_opt: Vec<String>,
    /// Limit each process, as nofile=1024:2048: open files, processes of the user, core dumps, ...
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    ulimit: Vec<String>,
    #[command(flatten)]
    resources: Resources,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// The image, by name or id
    image: String,
    /// The command and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Run {
    pub(super) fn run(self, engine: &Engine) -> Outcome {
        if self.tty && self.interactive && !self.detach && !io::stdin().is_terminal() {
            // Docker's client says so, and its code is 1.
            complain(&Error::invalid("the input device is not a TTY: leave -t out to pipe input into the container"));
            return Ok(1);
        }
        let request = self.request()?;
        let cidfile = self.cidfile.as_ref().map(new_file).transpose()?;
        let container = engine.create(&request)?;
        let id = &container.config.id;
        if let (Some(mut file), Some(path)) = (cidfile, &self.cidfile) {
            file.write_all(id.as_bytes()).doing("write", path)?;
        }
        let attach = match (self.detach, self.interactive) {
            (true, _) => 0,
            (false, true) => STREAMS | INPUT,
            (false, false) => STREAMS,
        };
        let started = engine.start(id, Options { attach, explain: self.explain });
        if started.is_err() && self.rm {
            discard(engine, &container);
        }
        let started = started?;
        // With the program's own output after it.
        let _ = io::stderr().write_all(started.explanation.as_bytes());
        if self.detach {
            print(format_args!("{id}\n"));
            return Ok(0);
        }
        attach::attach(engine, &container, started.line, self.interactive, self.sig_proxy)
    }

    fn request(&self) -> Result<Request> {
        let mut env = Vec::new();
        for path in &self.env_file {
            env.extend(env_file(path)?);
        }
        for variable in &self.env {
            if variable.is_empty() || variable.starts_with('=') {
                return Err(Error::invalid(format!("invalid environment variable: {variable:?}: it has no name")));
            }
            env.extend(with_value(variable));
        }
        let label = |text: &String| {
            let (key, value) = text.split_once('=').unwrap_or((text, ""));
            (key.to_owned(), value.to_owned())
        };
        Ok(Request {
            image: self.image.clone(),
            command: self.command.clone(),
            entrypoint: self.entrypoint.clone(),
            name: self.name.clone(),
            env,
            working_dir: self.workdir.clone(),
            user: self.user.clone(),
            hostname: self.hostname.clone(),
            network: Some(self.network.clone()),
            tty: self.tty,
            open_stdin: self.interactive,
            stdin_once: self.interactive && !self.detach,
            init: self.init,
            auto_remove: self.rm,
            stop_signal: self.stop_signal.as_deref().map(signal::parse).transpose()?,
            stop_timeout: self.stop_timeout,
            labels: self.label.iter().map(label).collect(),
            rights: Rights::parse(&self.cap_add, &self.cap_drop, &self.ulimit, &self.security_opt)?,
            limits: self.resources.limits()?,
            cgroup_parent: self.resources.cgroup_parent.clone(),
        })
    }
}

/// A container with --rm that could not be started goes at once.
fn discard(engine: &Engine, container: &Container) {
    // The error of the start says more than one of this.
    let _ = engine.remove(container, true);
}

fn new_file(path: &PathBuf) -> Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    match options.write(true).create_new(true).mode(0o644).open(path) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Err(Error::conflict(format!(
            "container ID file found: {} exists: make sure that the other container is not running, or remove the file",
            path.display()
        ))),
        opened => opened.doing("create", path),
    }
}

/// `KEY=value` as it is; `KEY` with the caller's value, or not at all where the caller has none.
fn with_value(variable: &str) -> Option<String> {
    if variable.contains('=') {
        return Some(variable.to_owned());
    }
    std::env::var(variable).ok().map(|value| format!("{variable}={value}"))
}

/// Docker's format: a variable a line, `#` before a comment, no quotes, no expansion.
fn env_file(path: &PathBuf) -> Result<Vec<String>> {
    let text = fs::read_to_string(path).doing("read", path)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut variables = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key = line.split('=').next().unwrap_or_default();
        let wrong = |why| Err(Error::invalid(format!("{}:{}: variable {key:?} {why}", path.display(), number + 1)));
        if key.is_empty() {
            return wrong("has no name");
        }
        if key.contains(char::is_whitespace) {
            return wrong("contains whitespaces");
        }
        variables.extend(with_value(line));
    }
    Ok(variables)
}
