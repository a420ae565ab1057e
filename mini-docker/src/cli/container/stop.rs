//! `stop` and `kill`.

use clap::Args;

use crate::{
    cli::{Outcome, each},
    engine::{Engine, Result, signal},
};

#[derive(Debug, Args)]
pub(crate) struct Stop {
    /// Containers, by name, id, or the beginning of an id
    #[arg(value_name = "CONTAINER", required = true)]
    containers: Vec<String>,
    #[command(flatten)]
    manner: Manner,
}

// How containers are asked to end.
#[derive(Debug, Args)]
pub(super) struct Manner {
    /// Signal to send first
    #[arg(short, long)]
    signal: Option<String>,
    /// Seconds to wait before killing the container; -1: for ever
    #[arg(short = 't', long, alias = "time", value_name = "SECONDS", allow_negative_numbers = true)]
    pub(super) timeout: Option<i64>,
}

impl Manner {
    pub(super) fn signal(&self) -> Result<Option<i32>> {
        self.signal.as_deref().filter(|signal| !signal.is_empty()).map(signal::parse).transpose()
    }
}

impl Stop {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let Manner { timeout, .. } = self.manner;
        let signal = self.manner.signal()?;
        // All are asked first, so that they take their time side by side.
        let mut stopping: Vec<_> = self
            .containers
            .iter()
            .map(|name| Some(engine.container(name).and_then(|c| engine.begin_stop(&c, signal, timeout))))
            .collect();
        let mut asked = stopping.iter_mut();
        each(&self.containers, |_| match asked.next().and_then(Option::take) {
            Some(stopping) => engine.finish_stop(stopping?),
            None => Ok(()),
        })
    }
}

#[derive(Debug, Args)]
pub(crate) struct Kill {
    /// Containers, by name, id, or the beginning of an id
    #[arg(value_name = "CONTAINER", required = true)]
    containers: Vec<String>,
    /// Signal to send
    #[arg(short, long, default_value = "KILL")]
    signal: String,
}

impl Kill {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let signal = if self.signal.is_empty() { libc::SIGKILL } else { signal::parse(&self.signal)? };
        each(&self.containers, |name| engine.kill(&engine.container(name)?, signal))
    }
}
