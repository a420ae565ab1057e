//! `builder`: builds, and their cache.

use clap::{Args, Subcommand};

use crate::{
    cli::{Outcome, confirm::confirmed, print, table::align, units},
    engine::{
        Engine, build::Entry, bytes::parse as bytes, docker_config::DockerConfig, error::Result, filter::Filters,
    },
};

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(in crate::cli) enum Command {
    /// Build an image from a Dockerfile
    Build(Box<super::Build>),
    /// Remove build cache
    Prune(Prune),
    /// Disk usage: what the build cache has
    Du(Du),
    /// Show the version: this program's own
    Version(Version),
}

impl Command {
    pub(in crate::cli) fn run(self, engine: &Engine) -> Outcome {
        match self {
            Self::Build(command) => command.run(engine),
            Self::Prune(command) => command.run(engine),
            Self::Du(command) => command.run(engine),
            Self::Version(_) => Version::run(),
        }
    }
}

/// By which programs find out whether there is `buildx`.
#[derive(Debug, Args)]
#[command(about = "Show the version: this program's own")]
pub(in crate::cli) struct Version {}

impl Version {
    fn run() -> Outcome {
        print(format_args!("mini-docker v{}\n", env!("CARGO_PKG_VERSION")));
        Ok(0)
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
    #[arg(long, visible_aliases = ["reserved-space", "max-used-space"], value_name = "BYTES", value_parser = bytes)]
    keep_storage: Option<u64>,
}

const KEYS: [&str; 5] = ["until", "id", "type", "description", "shared"];

impl Prune {
    fn run(self, engine: &Engine) -> Outcome {
        // Labels are of images and containers.
        let mut filters = DockerConfig::read().prune_filters(&self.filter);
        filters.retain(|filter| self.filter.contains(filter) || filter.starts_with("until="));
        let meant = meant(&filters)?;
        let what = if self.all { "all build cache" } else { "all dangling build cache" };
        if !confirmed(self.force, &format!("WARNING! This will remove {what}.")) {
            return Ok(0);
        }
        let gone = engine
            .prune_build_cache(self.keep_storage.unwrap_or(0), |entry| (self.all || !entry.shared) && meant(entry))?;
        print_gone(&gone);
        let size = gone.iter().map(|entry| entry.size).sum();
        print(format_args!("Total reclaimed space: {}\n", units::exact_size(size)));
        Ok(0)
    }
}

/// The entries that filters mean.
fn meant(filters: &[String]) -> Result<impl Fn(&Entry) -> bool> {
    let filters = Filters::parse(filters, &KEYS)?;
    let (until, shared) = (filters.until()?, filters.switch("shared")?);
    Ok(move |entry: &Entry| {
        until.is_none_or(|until| entry.created < until)
            && shared.is_none_or(|shared| entry.shared == shared)
            && filters.any("id", |id| entry.id.starts_with(id))
            && filters.exact("type", entry.kind)
            && filters.found_in("description", &entry.description)
    })
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Du {
    /// Provide filter values, as for prune
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
    /// Say what each is of
    #[arg(long)]
    verbose: bool,
}

impl Du {
    fn run(self, engine: &Engine) -> Outcome {
        let meant = meant(&self.filter)?;
        let entries: Vec<_> = engine.build_cache()?.into_iter().filter(meant).collect();
        let size = |wanted: &dyn Fn(&Entry) -> bool| {
            let bytes = entries.iter().filter(|entry| wanted(entry)).map(|entry| entry.size).sum();
            units::exact_size(bytes)
        };
        if self.verbose {
            for entry in &entries {
                print(format_args!(
                    "ID:\t\t{}\nCreated at:\t{}\nReclaimable:\t{}\nShared:\t\t{}\nSize:\t\t{}\nDescription:\t{}\nType:\t\t{}\n\n",
                    short(entry),
                    entry.created,
                    !entry.shared,
                    entry.shared,
                    units::exact_size(entry.size),
                    entry.description,
                    entry.kind
                ));
            }
        } else {
            let line = |entry: &Entry| {
                let size = units::exact_size(entry.size);
                format!("{}\t{}\t{size}\t{}\n", short(entry), !entry.shared, units::ago(entry.created))
            };
            let lines: String = entries.iter().map(line).collect();
            print(format_args!("{}", align(&format!("ID\tRECLAIMABLE\tSIZE\tLAST ACCESSED\n{lines}"))));
        }
        print(format_args!("Reclaimable:\t{}\nTotal:\t\t{}\n", size(&|entry| !entry.shared), size(&|_| true)));
        Ok(0)
    }
}

/// As much of its id as is shown.
fn short(entry: &Entry) -> String {
    entry.id.chars().take(25).collect()
}

/// A section of what a prune removed.
pub(in crate::cli) fn print_gone(gone: &[Entry]) {
    if gone.is_empty() {
        return;
    }
    print(format_args!("Deleted build cache objects:\n"));
    for entry in gone {
        print(format_args!("{}\n", short(entry)));
    }
    print(format_args!("\n"));
}
