//! `compose ps`.

use std::fmt::Write as _;

use clap::Args;

use super::print_lines;
use crate::{
    cli::{Outcome, print, table},
    compose::execute::{Running, label},
    engine::container::{Container, State},
};

#[derive(Debug, Args)]
pub(super) struct Ps {
    /// Show all stopped containers
    #[arg(short, long)]
    all: bool,
    /// Only display IDs
    #[arg(short, long)]
    quiet: bool,
    /// Display services
    #[arg(long)]
    services: bool,
    /// The services; all where none is named
    #[arg(value_name = "SERVICE")]
    names: Vec<String>,
}

impl Ps {
    pub(super) fn services(&self) -> &[String] {
        &self.names
    }

    pub(super) fn run(self, running: Running) -> Outcome {
        let mut containers = running.of(&self.names)?;
        containers.retain(|c| self.all || c.status.state.is_active());
        if self.quiet {
            print_lines(containers.iter().map(|c| &c.config.id));
        } else if self.services {
            let mut services: Vec<_> = containers.iter().map(|c| label(c, "service")).collect();
            services.dedup();
            print_lines(services);
        } else {
            let mut text = "NAME\tIMAGE\tSERVICE\tSTATUS\tPORTS\n".to_owned();
            for container in &containers {
                let config = &container.config;
                let _ = writeln!(
                    text,
                    "{}\t{}\t{}\t{}\t{}",
                    config.name,
                    config.image_name,
                    label(container, "service"),
                    status(container),
                    config.network.publish.join(", ")
                );
            }
            print(format_args!("{}", table::align(&text)));
        }
        Ok(0)
    }
}

fn status(container: &Container) -> String {
    match container.status.state {
        State::Exited => format!("Exited ({})", container.status.exit_code),
        state => state.name().to_owned(),
    }
}
