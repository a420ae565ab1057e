//! `restart`.

use clap::Args;

use crate::{
    cli::{Outcome, each},
    engine::{Engine, signal},
};

#[derive(Debug, Args)]
pub(crate) struct Restart {
    /// Containers, by name, id, or the beginning of an id
    #[arg(value_name = "CONTAINER", required = true)]
    containers: Vec<String>,
    /// Signal to send first
    #[arg(short, long)]
    signal: Option<String>,
    /// Seconds to wait before killing the container; -1: for ever
    #[arg(short = 't', long, alias = "time", value_name = "SECONDS", allow_negative_numbers = true)]
    timeout: Option<i64>,
}

impl Restart {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let signal = self.signal.as_deref().map(signal::parse).transpose()?;
        each(&self.containers, |name| engine.restart(&engine.container(name)?, signal, self.timeout))
    }
}
