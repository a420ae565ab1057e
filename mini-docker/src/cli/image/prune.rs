//! `image prune`.

use clap::Args;

use super::rmi::print_removed;
use crate::{
    cli::{Outcome, confirm::confirmed, print, units},
    engine::{Engine, docker_config::DockerConfig, image::Filters},
};

#[derive(Debug, Args)]
pub(crate) struct Prune {
    /// Remove all unused images, not just dangling ones
    #[arg(short, long)]
    all: bool,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    force: bool,
    /// Provide filter values (e.g. "until=TIMESTAMP", "label=KEY=VALUE")
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
}

impl Prune {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let filter = DockerConfig::read().prune_filters(&self.filter);
        let filters = Filters::parse(engine, &filter, &["dangling", "label", "label!", "until"])?;
        let all = self.all || filters.dangling() == Some(false);
        let what =
            if all { "all images without at least one container associated to them" } else { "all dangling images" };
        if !confirmed(self.force, &format!("WARNING! This will remove {what}.")) {
            return Ok(0);
        }
        let pruned = engine.prune_images(all, &filters)?;
        if !pruned.removed.is_empty() {
            print(format_args!("Deleted Images:\n"));
            print_removed(&pruned.removed, "untagged", "deleted");
            print(format_args!("\n"));
        }
        print(format_args!("Total reclaimed space: {}\n", units::exact_size(pruned.reclaimed)));
        Ok(0)
    }
}
