//! `network rm` and `network prune`.

use clap::Args;

use crate::{
    cli::{Outcome, confirm::confirmed, container::print_deleted, each_that},
    engine::{Engine, docker_config::DockerConfig, error::Kind, filter::Filters, network::Config, select},
};

#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// Networks, by name, id, or the beginning of an id
    #[arg(value_name = "NETWORK", required = true)]
    networks: Vec<String>,
    /// Do not error if the network does not exist
    #[arg(short, long)]
    force: bool,
}

impl Remove {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        each_that(&self.networks, |name| match engine.network(name) {
            Err(e) if self.force && e.kind == Kind::NotFound => Ok(false),
            found => engine.remove_network(&found?).map(|()| true),
        })
    }
}

#[derive(Debug, Args)]
pub(crate) struct Prune {
    /// Provide filter values: label, label!, until
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    force: bool,
}

impl Prune {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let filter = DockerConfig::read().prune_filters(&self.filter);
        let filters = Filters::parse(&filter, &select::PRUNE_KEYS)?;
        let until = filters.until()?;
        let warning = "WARNING! This will remove all custom networks not used by at least one container.";
        if !confirmed(self.force, warning) {
            return Ok(0);
        }
        let meant =
            |network: &Config| filters.labels(&network.labels) && until.is_none_or(|until| network.created < until);
        let removed = engine.prune_networks(meant)?;
        print_deleted("Networks", &removed);
        Ok(0)
    }
}
