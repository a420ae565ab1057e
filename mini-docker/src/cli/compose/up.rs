//! `compose up` and `compose down`.

use clap::Args;

use super::images::{Images, ensure};
use crate::{
    cli::{Outcome, image::pull::When},
    compose::{
        execute::{Running, Up as Request},
        service::Service,
    },
    engine::error::{Error, Result},
};

#[derive(Debug, Args)]
pub(super) struct Up {
    /// Detached mode: run containers in the background. The only one yet: see `compose logs` for what they write
    #[arg(short, long)]
    detach: bool,
    /// Recreate containers even if their configuration and image haven't changed
    #[arg(long, conflicts_with = "no_recreate")]
    force_recreate: bool,
    /// If containers already exist, don't recreate them
    #[arg(long)]
    no_recreate: bool,
    /// Don't start linked services
    #[arg(long)]
    no_deps: bool,
    /// Don't start the services after creating them
    #[arg(long)]
    no_start: bool,
    /// Remove containers for services not defined in the Compose file
    #[arg(long)]
    remove_orphans: bool,
    /// Scale SERVICE to NUM instances
    #[arg(long, value_name = "SERVICE=NUM", value_parser = scale)]
    scale: Vec<(String, usize)>,
    /// Wait for services to be running|healthy. Implies detached mode
    #[arg(long)]
    wait: bool,
    /// Pull image before running
    #[arg(long, value_enum, value_name = "WHEN")]
    pull: Option<When>,
    /// Pull without printing progress information
    #[arg(long)]
    quiet_pull: bool,
    /// Seconds before a container that is to be replaced is killed
    #[arg(short, long, value_name = "SECONDS", allow_hyphen_values = true)]
    timeout: Option<i64>,
    /// The services; all where none is named
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

fn scale(text: &str) -> Result<(String, usize), String> {
    let invalid = || format!("invalid --scale option {text:?}: write it as SERVICE=NUM");
    let (name, count) = text.split_once('=').ok_or_else(invalid)?;
    Ok((name.to_owned(), count.parse().map_err(|_| invalid())?))
}

impl Up {
    pub(super) fn services(&self) -> &[String] {
        &self.services
    }

    pub(super) fn run(self, running: Running) -> Outcome {
        if !(self.detach || self.wait || self.no_start) {
            return Err(Error::invalid(
                "compose up stays not in the foreground yet: add -d, and see `mini-docker compose logs`",
            ));
        }
        for (name, _) in &self.scale {
            running.service(name)?;
        }
        let services = running.ordered(&self.services, self.no_deps)?;
        services.iter().try_for_each(Service::check)?;
        ensure(running, &services, &Images { pull: self.pull, quiet: self.quiet_pull })?;
        let containers = running.up(&Request {
            services: self.services,
            no_deps: self.no_deps,
            force_recreate: self.force_recreate,
            no_recreate: self.no_recreate,
            no_start: self.no_start,
            remove_orphans: self.remove_orphans,
            scale: self.scale.into_iter().collect(),
            timeout: self.timeout,
        })?;
        if self.wait {
            for container in containers.iter().filter(|c| c.config.supervision.health.is_some()) {
                running.await_health(container)?;
            }
        }
        Ok(0)
    }
}

#[derive(Debug, Args)]
pub(super) struct Down {
    /// Remove named volumes declared in the "volumes" section and anonymous volumes
    #[arg(short, long)]
    volumes: bool,
    /// Remove containers for services not defined in the Compose file
    #[arg(long)]
    remove_orphans: bool,
    /// Seconds before a container is killed
    #[arg(short, long, value_name = "SECONDS", allow_hyphen_values = true)]
    timeout: Option<i64>,
}

impl Down {
    pub(super) fn run(self, running: Running) -> Outcome {
        running.down(self.timeout, self.volumes, self.remove_orphans).map(|()| 0)
    }
}
