//! `attach`.

use std::io::{self, IsTerminal};

use clap::Args;

use super::session::{Ended, Manner, stay};
use crate::{
    cli::{Outcome, detach_keys::DetachKeys},
    engine::{
        Engine, Error,
        monitor::frame::{INPUT, STREAMS},
    },
};

#[derive(Debug, Args)]
pub(crate) struct Attach {
    /// The container, by name, id, or the beginning of its id
    container: String,
    /// Override the key sequence for detaching a container, ctrl-p,ctrl-q
    #[arg(long, value_name = "KEYS", value_parser = DetachKeys::parse)]
    detach_keys: Option<DetachKeys>,
    /// Do not attach standard input
    #[arg(long)]
    no_stdin: bool,
    /// Proxy received signals to the container
    #[arg(long, default_value = "true", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    sig_proxy: bool,
}

impl Attach {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let container = engine.container(&self.container)?;
        if container.config.tty && !self.no_stdin && !io::stdin().is_terminal() {
            return Err(Error::invalid("the input device is not a TTY: --no-stdin shows the container's output alone"));
        }
        let interactive = container.config.open_stdin && !self.no_stdin;
        let keys = DetachKeys::choose(self.detach_keys, interactive)?;
        let line = engine.attach(&container, if interactive { STREAMS | INPUT } else { STREAMS })?;
        let manner = Manner { interactive, sig_proxy: self.sig_proxy, keys };
        match stay(engine, &container, line, manner)? {
            // Docker's words, and its exit code.
            Ended::Detached => Err(Error::conflict("read escape sequence")),
            ended => Ok(ended.code(0)),
        }
    }
}
