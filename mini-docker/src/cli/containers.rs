//! `ps`, `rm`, `stop`, `kill`, `logs`, `wait`, `inspect`.

use std::io::{self, Write};

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use super::{Outcome, complain, each, each_that, print, table};
use crate::engine::{
    Engine,
    container::{Container, State},
    error::{Error, Kind, Result},
    image::short,
    log::Stream,
    reference::Reference,
    signal,
};

#[derive(Debug, Args)]
pub(super) struct Ps {
    /// Show all containers (default shows just running)
    #[arg(short, long)]
    all: bool,
    /// Only display container IDs
    #[arg(short, long)]
    quiet: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
}

impl Ps {
    pub(super) fn run(self, engine: &Engine) -> Outcome {
        let containers = engine.containers()?;
        let shown = containers.iter().filter(|c| self.all || c.status.state == State::Running);
        let id = |c: &Container| {
            if self.no_trunc { c.config.id.clone() } else { short(&c.config.id).to_owned() }
        };
        if self.quiet {
            shown.for_each(|c| print(format_args!("{}\n", id(c))));
            return Ok(0);
        }
        let rows: Vec<_> = shown
            .map(|c| {
                vec![
                    id(c),
                    c.config.image_name.clone(),
                    command(c, self.no_trunc),
                    table::ago(c.config.created),
                    status(c),
                    String::new(),
                    c.config.name.clone(),
                ]
            })
            .collect();
        let heading = ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"];
        print(format_args!("{}", table::render(&heading, &rows)));
        Ok(0)
    }
}

/// In quotes, and at most 20 characters of it.
fn command(container: &Container, whole: bool) -> String {
    let words: Vec<_> = container.config.entrypoint.iter().chain(&container.config.command).cloned().collect();
    let text = words.join(" ");
    if whole || text.chars().count() <= 20 {
        return format!("\"{text}\"");
    }
    format!("\"{}…\"", text.chars().take(19).collect::<String>())
}

fn status(container: &Container) -> String {
    let since =
        |at: Option<Timestamp>| table::duration(at.map_or(0, |at| Timestamp::now().duration_since(at).as_secs()));
    match container.status.state {
        State::Created => "Created".to_owned(),
        State::Running => format!("Up {}", since(container.status.started)),
        State::Exited => format!("Exited ({}) {} ago", container.status.exit_code, since(container.status.finished)),
    }
}

#[derive(Debug, Args)]
pub(super) struct Rm {
    /// Containers, by name, id, or the beginning of an id
    #[arg(value_name = "CONTAINER", required = true)]
    containers: Vec<String>,
    /// Kill a running container first; a container that is not there is no error
    #[arg(short, long)]
    force: bool,
}

impl Rm {
    pub(super) fn run(self, engine: &Engine) -> Outcome {
        each_that(&self.containers, |name| match engine.container(name) {
            Err(e) if self.force && e.kind == Kind::NotFound => {
                complain(&e);
                Ok(false)
            }
            found => engine.remove(&found?, self.force).map(|()| true),
        })
    }
}

#[derive(Debug, Args)]
pub(super) struct Stop {
    /// Containers, by name, id, or the beginning of an id
    #[arg(value_name = "CONTAINER", required = true)]
    containers: Vec<String>,
    /// Signal to send first
    #[arg(short, long)]
    signal: Option<String>,
    /// Seconds to wait before killing the container; -1: for ever
    #[arg(short = 't', long, visible_alias = "time", value_name = "SECONDS", allow_negative_numbers = true)]
    timeout: Option<i64>,
}

impl Stop {
    pub(super) fn run(self, engine: &Engine) -> Outcome {
        let signal = self.signal.as_deref().map(signal::parse).transpose()?;
        // All are asked first, so that they take their time side by side.
        let mut stopping: Vec<_> = self
            .containers
            .iter()
            .map(|name| Some(engine.container(name).and_then(|c| engine.begin_stop(&c, signal, self.timeout))))
            .collect();
        let mut asked = stopping.iter_mut();
        each(&self.containers, |_| match asked.next().and_then(Option::take) {
            Some(stopping) => engine.finish_stop(stopping?),
            None => Ok(()),
        })
    }
}

#[derive(Debug, Args)]
pub(super) struct Kill {
    /// Containers, by name, id, or the beginning of an id
    #[arg(value_name = "CONTAINER", required = true)]
    containers: Vec<String>,
    /// Signal to send
    #[arg(short, long, default_value = "KILL")]
    signal: String,
}

impl Kill {
    pub(super) fn run(self, engine: &Engine) -> Outcome {
        let signal = signal::parse(&self.signal)?;
        each(&self.containers, |name| {
            let container = engine.container(name)?;
            if signal != libc::SIGKILL {
                return engine.signal(&container, signal);
            }
            // Nothing outlives it: a kill that has returned has happened.
            if container.status.state != State::Running {
                return engine.signal(&container, signal);
            }
            let stopping = engine.begin_stop(&container, Some(signal), None)?;
            engine.finish_stop(stopping)
        })
    }
}

#[derive(Debug, Args)]
pub(super) struct Logs {
    /// The container, by name, id, or the beginning of its id
    container: String,
    /// Show timestamps
    #[arg(short, long)]
    timestamps: bool,
    /// Number of lines to show from the end of the logs, or `all`
    #[arg(short = 'n', long, default_value = "all", value_name = "LINES", allow_negative_numbers = true)]
    tail: String,
}

impl Logs {
    pub(super) fn run(self, engine: &Engine) -> Outcome {
        let container = engine.container(&self.container)?;
        let entries = engine.logs(&container)?;
        // A negative number, or a word, means all, as in Docker.
        let lines = self.tail.parse::<usize>().unwrap_or(usize::MAX);
        let mut left = entries.iter().filter(|entry| entry.log.ends_with('\n')).count();
        if entries.last().is_some_and(|entry| !entry.log.ends_with('\n')) {
            left += 1;
        }
        let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
        for entry in &entries {
            let ends = entry.log.ends_with('\n');
            if left <= lines {
                let to: &mut dyn Write = if entry.stream == Stream::Stderr { &mut err } else { &mut out };
                let time = if self.timestamps { format!("{} ", entry.time) } else { String::new() };
                if write!(to, "{time}{}", entry.log).is_err() {
                    break;
                }
            }
            left -= usize::from(ends);
        }
        let _ = out.flush();
        Ok(0)
    }
}

#[derive(Debug, Args)]
pub(super) struct Wait {
    /// Containers, by name, id, or the beginning of an id
    #[arg(value_name = "CONTAINER", required = true)]
    containers: Vec<String>,
}

impl Wait {
    pub(super) fn run(self, engine: &Engine) -> Outcome {
        let mut failed = 0;
        for name in &self.containers {
            match engine.container(name).and_then(|container| engine.wait(&container)) {
                Ok(code) => print(format_args!("{code}\n")),
                Err(e) => {
                    complain(&e);
                    failed = 1;
                }
            }
        }
        Ok(failed)
    }
}

#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// Containers or images, by name or id
    #[arg(value_name = "NAME|ID", required = true)]
    names: Vec<String>,
}

impl Inspect {
    pub(super) fn run(self, engine: &Engine) -> Outcome {
        let mut objects = Vec::new();
        let mut code = 0;
        for name in &self.names {
            match inspect(engine, name) {
                Ok(object) => objects.push(object),
                Err(e) => {
                    complain(&e);
                    code = 1;
                }
            }
        }
        let text = serde_json::to_string_pretty(&objects).map_err(|e| Error::system("print", &e.into()))?;
        print(format_args!("{text}\n"));
        Ok(code)
    }
}

fn inspect(engine: &Engine, name: &str) -> Result<Value> {
    match engine.container(name) {
        Err(e) if e.kind == Kind::NotFound => {}
        found => return Ok(engine.inspect_container(&found?)),
    }
    match engine.image(name) {
        Err(e) if e.kind == Kind::NotFound || Reference::parse(name).is_err() => {
            Err(Error::not_found(format!("no such object: {name}; see `mini-docker ps -a` and `mini-docker images`")))
        }
        found => {
            let image = found?;
            let names = engine.images()?.into_iter().find(|(other, _)| other.id == image.id);
            let names: Vec<_> = names.iter().flat_map(|(_, names)| names).map(Reference::to_string).collect();
            Ok(engine.inspect_image(&image, &names))
        }
    }
}
