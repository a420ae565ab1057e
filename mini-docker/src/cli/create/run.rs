//! `run`.

use std::io::{self, IsTerminal, Write};

use clap::Args;

use super::Flags;
use crate::{
    cli::{
        Outcome, complain,
        container::session::{Manner, stay, terminal_size},
        detach_keys::DetachKeys,
        print, warn,
    },
    engine::{
        Engine, Error, Request, Result,
        container::Container,
        monitor::{
            Options,
            frame::{INPUT, STREAMS},
        },
    },
};

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Run the container in the background and print its ID
    #[arg(short, long)]
    detach: bool,
    /// Print each primitive as it acted: what it asked of the kernel, and how long that took
    #[arg(long)]
    explain: bool,
    /// Proxy received signals to the container
    #[arg(long, default_value = "true", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    sig_proxy: bool,
    /// Override the key sequence for detaching a container, ctrl-p,ctrl-q
    #[arg(long, value_name = "KEYS", value_parser = DetachKeys::parse)]
    detach_keys: Option<DetachKeys>,
    #[command(flatten)]
    flags: Flags,
}

impl Run {
    /// What its flags ask the engine for.
    pub(crate) fn request(&self) -> Result<Request> {
        self.flags.request()
    }

    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let process = &self.flags.process;
        if process.tty && process.interactive && !self.detach && !io::stdin().is_terminal() {
            // Docker's client says so, and its code is 1.
            complain(&Error::invalid("the input device is not a TTY: leave -t out to pipe input into the container"));
            return Ok(1);
        }
        let mut request = self.request()?;
        let process = &self.flags.process;
        if self.detach && request.supervision.attach != 0 {
            return Err(Error::invalid("conflicting options: cannot specify both --attach and --detach"));
        }
        let attach = match (self.detach, request.supervision.attach, process.interactive) {
            (true, ..) => 0,
            (_, 0, true) => STREAMS | INPUT,
            (_, 0, false) => STREAMS,
            // The input is there only with -i.
            (_, streams, true) => streams,
            (_, streams, false) => streams & !INPUT,
        };
        request.supervision.attach = attach;
        let keys = DetachKeys::choose(self.detach_keys, attach & INPUT != 0)?;
        request.stdin_once = request.open_stdin && !self.detach;
        let container = self.flags.create(engine, &request)?;
        let id = &container.config.id;
        let started =
            engine.start(id, Options { attach, explain: self.explain, size: terminal_size(&container.config) });
        if started.is_err() && self.flags.supervision.rm {
            discard(engine, &container);
        }
        let started = started?;
        started.warnings.iter().for_each(|text| warn(text));
        // With the program's own output after it.
        let _ = io::stderr().write_all(started.explanation.as_bytes());
        if attach & STREAMS == 0 {
            print(format_args!("{id}\n"));
        }
        if attach == 0 {
            return Ok(0);
        }
        let manner = Manner { interactive: attach & INPUT != 0, sig_proxy: self.sig_proxy, keys };
        Ok(stay(engine, &container, started.line, manner)?.code(0))
    }
}

/// A container with --rm that could not be started goes at once.
fn discard(engine: &Engine, container: &Container) {
    // The error of the start says more than one of this.
    let _ = engine.remove(container, true, true);
}
