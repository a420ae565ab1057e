//! `volume`: all that is done with volumes.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    Outcome, each,
    format::{self, Listing, Row},
    print, units,
};
use crate::{
    cli::confirm::confirmed,
    engine::{
        Engine, Error,
        docker_config::DockerConfig,
        filter::Filters,
        volume::{LOCAL, NewVolume, Volume},
    },
};

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(super) enum Command {
    /// Create a volume
    Create(Create),
    /// List volumes
    #[command(visible_alias = "list")]
    Ls(Ls),
    /// Display detailed information on one or more volumes
    Inspect(Inspect),
    /// Remove one or more volumes, which no container uses
    #[command(visible_alias = "remove")]
    Rm(Rm),
    /// Remove unused local volumes
    Prune(Prune),
}

impl Command {
    pub(super) fn run(self, engine: &Engine) -> Outcome {
        match self {
            Self::Create(command) => command.run(engine),
            Self::Ls(command) => command.run(engine),
            Self::Inspect(command) => command.run(engine),
            Self::Rm(command) => command.run(engine),
            Self::Prune(command) => command.run(engine),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// Its name; made up where it is missing
    #[arg(value_name = "VOLUME")]
    volume: Option<String>,
    /// Specify volume name
    #[arg(long, hide = true)]
    name: Option<String>,
    /// Specify volume driver name: `local`
    #[arg(short, long, default_value = LOCAL, value_name = "DRIVER")]
    driver: String,
    /// Set driver specific options: `type`, `o` and `device`, as of mount(8)
    #[arg(short, long, value_name = "KEY=VALUE")]
    opt: Vec<String>,
    /// Set metadata for a volume
    #[arg(long, value_name = "KEY[=VALUE]")]
    label: Vec<String>,
}

impl Create {
    fn run(self, engine: &Engine) -> Outcome {
        if self.volume.is_some() && self.name.is_some() {
            let why = "conflicting options: cannot specify a volume name through both --name and as a positional arg";
            return Err(Error::invalid(why));
        }
        let volume = engine.create_volume(NewVolume {
            name: self.volume.or(self.name).unwrap_or_default(),
            driver: self.driver,
            labels: pairs(&self.label),
            options: pairs(&self.opt),
            anonymous: false,
        })?;
        print(format_args!("{}\n", volume.name));
        Ok(0)
    }
}

fn pairs(texts: &[String]) -> BTreeMap<String, String> {
    let pair = |text: &String| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        (key.to_owned(), value.to_owned())
    };
    texts.iter().map(pair).collect()
}

#[derive(Debug, Args)]
pub(super) struct Ls {
    /// Only display volume names
    #[arg(short, long)]
    quiet: bool,
    /// Provide filter values: 'dangling=true', 'driver', 'label', 'name'
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Format output: 'table', 'table TEMPLATE', 'json', or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

const LISTING: Listing = Listing {
    headings: &[
        ("Name", "VOLUME NAME"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("Mountpoint", "MOUNTPOINT"),
        ("Links", "LINKS"),
        ("Size", "SIZE"),
        ("Labels", "LABELS"),
        ("Status", "STATUS"),
        ("Availability", "AVAILABILITY"),
        ("Group", "GROUP"),
    ],
    table: "{{.Driver}}\t{{.Name}}",
    quiet: "{{.Name}}",
    raw: Some("name: {{.Name}}\ndriver: {{.Driver}}\n"),
};

impl Ls {
    fn run(self, engine: &Engine) -> Outcome {
        let filters = Filters::parse(&self.filter, &["dangling", "driver", "label", "label!", "name"])?;
        let dangling = filters.switch("dangling")?;
        let users = if dangling.is_some() { engine.volume_users()? } else { BTreeMap::new() };
        let shown = engine.volumes()?.into_iter().filter(|volume| {
            dangling.is_none_or(|dangling| dangling != users.contains_key(&volume.name))
                && filters.exact("driver", LOCAL)
                && filters.found_in("name", &volume.name)
                && filters.labels(&volume.labels)
        });
        let format = format::choose(self.format, self.quiet, |own| &own.volumes_format);
        LISTING.print(format.as_deref(), self.quiet, shown.map(|volume| row(engine, &volume)))
    }
}

fn row(engine: &Engine, volume: &Volume) -> Row {
    // What only another API has to say.
    let unknown = || json!("N/A");
    Row::new([
        ("Name", json!(volume.name)),
        ("Driver", json!(LOCAL)),
        ("Scope", json!("local")),
        ("Mountpoint", json!(engine.volume_path(&volume.name).display().to_string())),
        ("Links", unknown()),
        ("Size", unknown()),
        ("Status", unknown()),
        ("Availability", unknown()),
        ("Group", unknown()),
    ])
    .labels(&volume.labels)
}

#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// Volumes
    #[arg(value_name = "VOLUME", required = true)]
    volumes: Vec<String>,
    /// Format output using a custom template: 'json', or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

impl Inspect {
    fn run(self, engine: &Engine) -> Outcome {
        format::inspect(self.format.as_deref(), &self.volumes, |name| engine.inspect_volume(name))
    }
}

#[derive(Debug, Args)]
pub(super) struct Rm {
    /// Volumes
    #[arg(value_name = "VOLUME", required = true)]
    volumes: Vec<String>,
    /// A volume that is not there is no error
    #[arg(short, long)]
    force: bool,
}

impl Rm {
    fn run(self, engine: &Engine) -> Outcome {
        each(&self.volumes, |name| engine.remove_volume(name, self.force))
    }
}

#[derive(Debug, Args)]
pub(super) struct Prune {
    /// Remove all unused volumes, not just anonymous ones
    #[arg(short, long)]
    all: bool,
    /// Provide filter values: 'label=KEY[=VALUE]', 'label!=KEY[=VALUE]', 'all=true'
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    force: bool,
}

impl Prune {
    fn run(self, engine: &Engine) -> Outcome {
        let filter = DockerConfig::read().prune_filters(&self.filter);
        let filters = Filters::parse(&filter, &["all", "label", "label!"])?;
        let all = filters.switch("all")?;
        if self.all && all.is_some() {
            return Err(Error::invalid("conflicting options: cannot specify both --all and --filter all"));
        }
        let all = self.all || all == Some(true);
        let which = if all { "all" } else { "anonymous" };
        let what = format!("{which} local volumes not used by at least one container");
        if !confirmed(self.force, &format!("WARNING! This will remove {what}.")) {
            return Err(Error::invalid("volume prune has been cancelled"));
        }
        let pruned = engine.prune_volumes(|volume| (all || volume.anonymous) && filters.labels(&volume.labels))?;
        if !pruned.names.is_empty() {
            print(format_args!("Deleted Volumes:\n{}\n\n", pruned.names.join("\n")));
        }
        print(format_args!("Total reclaimed space: {}\n", units::exact_size(pruned.space)));
        Ok(0)
    }
}
