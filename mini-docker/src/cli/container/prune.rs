//! `container prune`.

use clap::Args;

use crate::{
    cli::{Outcome, confirm::confirmed, print, units},
    engine::{Engine, docker_config::DockerConfig, filter::Filters, select},
};

#[derive(Debug, Args)]
pub(crate) struct Prune {
    /// Provide filter values: 'until=TIME', 'label=KEY[=VALUE]', 'label!=KEY[=VALUE]'
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    force: bool,
}

impl Prune {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let filter = DockerConfig::read().prune_filters(&self.filter);
        let filters = Filters::parse(&filter, &select::PRUNE_KEYS)?;
        filters.until()?;
        if !confirmed(self.force, "WARNING! This will remove all stopped containers.") {
            return Ok(0);
        }
        let (ids, bytes) = engine.prune_containers(&filters)?;
        print_deleted("Containers", &ids);
        print(format_args!("Total reclaimed space: {}\n", units::exact_size(bytes)));
        Ok(0)
    }
}

/// A section of what a prune removed; none where there is nothing.
pub(crate) fn print_deleted(what: &str, names: &[String]) {
    if !names.is_empty() {
        print(format_args!("Deleted {what}:\n{}\n\n", names.join("\n")));
    }
}
