//! `system prune`.

use clap::Args;

use crate::{
    cli::{
        Outcome, build::builder::print_gone, confirm::confirmed, container::print_deleted, image::print_removed, print,
        units,
    },
    engine::{
        Engine, build::Entry, docker_config::DockerConfig, error::Error, filter::Filters,
        image::Filters as ImageFilters, network::Config as Network, select,
    },
};

#[derive(Debug, Args)]
pub(crate) struct Prune {
    /// Remove all unused images not just dangling ones
    #[arg(short, long)]
    all: bool,
    /// Provide filter values: 'until=TIME', 'label=KEY[=VALUE]', 'label!=KEY[=VALUE]'
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    force: bool,
    /// Prune anonymous volumes
    #[arg(long)]
    volumes: bool,
}

impl Prune {
    pub(crate) fn run(mut self, engine: &Engine) -> Outcome {
        self.filter = DockerConfig::read().prune_filters(&self.filter);
        let filters = Filters::parse(&self.filter, &select::PRUNE_KEYS)?;
        filters.until()?;
        if self.volumes && filters.has("until") {
            return Err(Error::invalid("the \"until\" filter is not supported with \"--volumes\""));
        }
        if !confirmed(self.force, &self.warning()) {
            return Ok(0);
        }
        let (containers, mut bytes) = engine.prune_containers(&filters)?;
        print_deleted("Containers", &containers);
        let until = filters.until()?;
        let unused =
            |network: &Network| filters.labels(&network.labels) && until.is_none_or(|until| network.created < until);
        print_deleted("Networks", &engine.prune_networks(unused)?);
        if self.volumes {
            let pruned = engine.prune_volumes(|volume| volume.anonymous && filters.labels(&volume.labels))?;
            print_deleted("Volumes", &pruned.names);
            bytes += pruned.space;
        }
        let images = engine.prune_images(self.all, &ImageFilters::parse(engine, &self.filter, &select::PRUNE_KEYS)?)?;
        if !images.removed.is_empty() {
            print(format_args!("Deleted Images:\n"));
            print_removed(&images.removed, "untagged", "deleted");
            print(format_args!("\n"));
        }
        bytes += images.reclaimed;
        // Labels are of images and containers.
        if !filters.has("label") && !filters.has("label!") {
            let meant = |entry: &Entry| (self.all || !entry.shared) && until.is_none_or(|until| entry.created < until);
            let gone = engine.prune_build_cache(0, meant)?;
            print_gone(&gone);
            bytes += gone.iter().map(|entry| entry.size).sum::<u64>();
        }
        print(format_args!("Total reclaimed space: {}\n", units::exact_size(bytes)));
        Ok(0)
    }

    fn warning(&self) -> String {
        let images = if self.all {
            "  - all images without at least one container associated to them\n"
        } else {
            "  - all dangling images\n"
        };
        let volumes = if self.volumes { "  - all anonymous volumes not used by at least one container\n" } else { "" };
        let cache = if self.all { "  - all build cache\n" } else { "  - all dangling build cache\n" };
        let mut text = format!(
            "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n{volumes}{images}{cache}"
        );
        if !self.filter.is_empty() {
            text += "\n  Items to be pruned will be filtered with:\n";
            self.filter.iter().for_each(|filter| text.extend(["  - ", filter, "\n"]));
        }
        text
    }
}
