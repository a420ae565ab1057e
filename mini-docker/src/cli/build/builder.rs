//! `builder`: builds, and their cache.

use clap::{Args, Subcommand};

use crate::{
    cli::{Outcome, confirm::confirmed, print, units},
    engine::{Engine, bytes::parse as bytes, filter::Filters},
};

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(in crate::cli) enum Command {
    /// Build an image from a Dockerfile
    Build(Box<super::Build>),
    /// Remove build cache
    Prune(Prune),
}

impl Command {
    pub(in crate::cli) fn run(self, engine: &Engine) -> Outcome {
        match self {
            Self::Build(command) => command.run(engine),
            Self::Prune(command) => command.run(engine),
        }
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Prune {
    /// Remove all unused build cache, not just dangling ones: those that images share too
    #[arg(short, long)]
    all: bool,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    force: bool,
    /// Provide filter values (e.g. 'until=24h', 'id=ID', 'type=regular|exec.cachemount', 'description=TEXT')
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
    /// Amount of disk space to keep for cache
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    keep_storage: Option<u64>,
}

const KEYS: [&str; 5] = ["until", "id", "type", "description", "shared"];

impl Prune {
    fn run(self, engine: &Engine) -> Outcome {
        let filters = Filters::parse(&self.filter, &KEYS)?;
        let (until, shared) = (filters.until()?, filters.switch("shared")?);
        let what = if self.all { "all build cache" } else { "all dangling build cache" };
        if !confirmed(self.force, &format!("WARNING! This will remove {what}.")) {
            return Ok(0);
        }
        let gone = engine.prune_build_cache(self.keep_storage.unwrap_or(0), |entry| {
            (self.all || !entry.shared)
                && until.is_none_or(|until| entry.created < until)
                && shared.is_none_or(|shared| entry.shared == shared)
                && filters.any("id", |id| entry.id.starts_with(id))
                && filters.exact("type", entry.kind)
                && filters.found_in("description", &entry.description)
        })?;
        print_gone(&gone);
        let size = gone.iter().map(|entry| entry.size).sum();
        print(format_args!("Total reclaimed space: {}\n", units::exact_size(size)));
        Ok(0)
    }
}

/// A section of what a prune removed.
pub(in crate::cli) fn print_gone(gone: &[crate::engine::build::Entry]) {
    if gone.is_empty() {
        return;
    }
    print(format_args!("Deleted build cache objects:\n"));
    for entry in gone {
        print(format_args!(
            "{}
",
            entry.id.chars().take(25).collect::<String>()
        ));
    }
    print(format_args!("\n"));
}
