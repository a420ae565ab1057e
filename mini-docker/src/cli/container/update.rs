//! `update`.

use clap::Args;

use crate::{
    cli::{Outcome, each, limits::ContainerLimits},
    engine::{Changes, Engine, Error, container::supervision::RestartPolicy},
};

#[derive(Debug, Args)]
pub(crate) struct Update {
    /// Containers, by name, id, or the beginning of an id
    #[arg(value_name = "CONTAINER", required = true)]
    containers: Vec<String>,
    #[command(flatten)]
    limits: ContainerLimits,
    /// Processes and threads; -1 or 0: any number
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pids_limit: Option<i64>,
    /// When to start the container again: no, on-failure[:N], always, unless-stopped
    #[arg(long, value_name = "POLICY")]
    restart: Option<String>,
}

impl Update {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let limits = cgroup::Limits { pids: self.pids_limit, ..self.limits.limits() };
        let restart = self.restart.as_deref().map(RestartPolicy::parse).transpose()?;
        if restart.is_none() && limits == cgroup::Limits::default() {
            return Err(Error::invalid("you must provide one or more flags when using this command"));
        }
        let changes = Changes { limits, restart };
        each(&self.containers, |name| engine.container_id(name).and_then(|id| engine.update(&id, &changes)))
    }
}
