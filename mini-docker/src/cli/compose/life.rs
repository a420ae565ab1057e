//! What is done to containers of services that are there.

use std::time::Duration;

use clap::Args;

use crate::{
    cli::{Outcome, confirm::confirmed},
    compose::execute::Running,
    engine::{
        container::Container,
        error::{Error, Result},
        signal,
    },
};

#[derive(Debug, Args)]
pub(super) struct Services {
    /// The services; all where none is named
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

impl Services {
    pub(super) fn services(&self) -> &[String] {
        &self.services
    }

    pub(super) fn each(self, running: Running, act: &dyn Fn(&Container) -> Result<()>) -> Outcome {
        running.of(&self.services)?.iter().try_for_each(act).map(|()| 0)
    }

    /// The same of those that run, with a word when it is done.
    pub(super) fn each_active(self, running: Running, word: &str, act: &dyn Fn(&Container) -> Result<()>) -> Outcome {
        self.each(running, &|container| {
            if container.status.state.is_active() {
                act(container).inspect(|()| running.say_of(container, word))
            } else {
                Ok(())
            }
        })
    }
}

#[derive(Debug, Args)]
pub(super) struct Start {
    /// Wait for services to be running|healthy
    #[arg(long)]
    wait: bool,
    /// Maximum duration in seconds to wait for the project to be running|healthy
    #[arg(long, value_name = "SECONDS")]
    wait_timeout: Option<u64>,
    #[command(flatten)]
    services: Services,
}

impl Start {
    pub(super) fn services(&self) -> &[String] {
        self.services.services()
    }

    pub(super) fn run(self, running: Running) -> Outcome {
        let services = running.ordered(self.services(), false)?;
        if running.of(self.services())?.is_empty() {
            return Err(Error::not_found(format!(
                "no container of project {:?} to start: make them first (mini-docker compose up, or create)",
                running.project.name
            )));
        }
        running.start_services(&services, false)?;
        if self.wait {
            let names: Vec<_> = services.iter().map(|service| service.name.to_owned()).collect();
            running.await_ready(running.of(&names)?, self.wait_timeout.map(Duration::from_secs))?;
        }
        Ok(0)
    }
}

#[derive(Debug, Args)]
pub(super) struct Restart {
    /// Don't restart dependent services
    #[arg(long)]
    no_deps: bool,
    #[command(flatten)]
    timed: Timed,
}

impl Restart {
    pub(super) fn services(&self) -> &[String] {
        self.timed.services()
    }

    pub(super) fn run(self, running: Running) -> Outcome {
        running.restart(self.timed.services(), self.no_deps, self.timed.timeout).map(|()| 0)
    }
}

#[derive(Debug, Args)]
pub(super) struct Timed {
    /// Seconds before a container is killed
    #[arg(short, long, value_name = "SECONDS", allow_hyphen_values = true)]
    timeout: Option<i64>,
    #[command(flatten)]
    services: Services,
}

impl Timed {
    pub(super) fn services(&self) -> &[String] {
        self.services.services()
    }

    pub(super) fn stop(self, running: Running) -> Outcome {
        running.stop(&running.of(&self.services.services)?, self.timeout).map(|()| 0)
    }
}

#[derive(Debug, Args)]
pub(super) struct Kill {
    /// Signal to send
    #[arg(short, long, default_value = "KILL")]
    signal: String,
    /// Remove containers for services not defined in the Compose file
    #[arg(long)]
    remove_orphans: bool,
    #[command(flatten)]
    services: Services,
}

impl Kill {
    pub(super) fn services(&self) -> &[String] {
        self.services.services()
    }

    pub(super) fn run(self, running: Running) -> Outcome {
        let signal = signal::parse(&self.signal)?;
        if self.remove_orphans {
            running.remove_orphans(None)?;
        }
        self.services.each(running, &|container| running.kill(container, signal))
    }
}

#[derive(Debug, Args)]
pub(super) struct Rm {
    /// Don't ask to confirm removal
    #[arg(short, long)]
    force: bool,
    /// Stop the containers, if required, before removing
    #[arg(short, long)]
    stop: bool,
    /// Remove any anonymous volumes attached to containers
    #[arg(short, long)]
    volumes: bool,
    #[command(flatten)]
    services: Services,
}

impl Rm {
    pub(super) fn services(&self) -> &[String] {
        self.services.services()
    }

    pub(super) fn run(self, running: Running) -> Outcome {
        if !confirmed(self.force, "Going to remove the stopped containers of these services.") {
            return Ok(0);
        }
        if self.stop {
            running.stop(&running.of(&self.services.services)?, None)?;
        }
        let volumes = self.volumes;
        self.services.each(running, &|container| {
            if container.status.state.is_active() { Ok(()) } else { running.remove(container, volumes) }
        })
    }
}
