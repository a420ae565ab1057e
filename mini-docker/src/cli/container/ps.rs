//! `ps`.

use clap::Args;
use jiff::Timestamp;

use crate::{
    cli::{
        Outcome,
        format::{Listing, Row},
        template, units,
    },
    engine::{
        Engine,
        container::{Container, State},
        image::short,
    },
};

#[derive(Debug, Args)]
pub(crate) struct Ps {
    /// Show all containers (default shows just running)
    #[arg(short, long)]
    all: bool,
    /// Only display container IDs
    #[arg(short, long)]
    quiet: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Format output: 'table', 'table TEMPLATE', 'json', or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

const LISTING: Listing = Listing {
    headings: &[
        ("ID", "CONTAINER ID"),
        ("Names", "NAMES"),
        ("Image", "IMAGE"),
        ("Command", "COMMAND"),
        ("CreatedAt", "CREATED AT"),
        ("RunningFor", "CREATED"),
        ("Ports", "PORTS"),
        ("State", "STATE"),
        ("Status", "STATUS"),
        ("Size", "SIZE"),
        ("Labels", "LABELS"),
        ("Mounts", "MOUNTS"),
        ("LocalVolumes", "LOCAL VOLUMES"),
        ("Networks", "NETWORKS"),
    ],
    table: "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}",
    quiet: "{{.ID}}",
    raw: None,
};

impl Ps {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let containers = engine.containers()?;
        let shown = containers.iter().filter(|c| self.all || c.status.state == State::Running);
        LISTING.print(self.format.as_deref(), self.quiet, shown.map(|container| self.row(container)))
    }

    fn row(&self, container: &Container) -> Row {
        let config = &container.config;
        let id = if self.no_trunc { &config.id } else { short(&config.id) };
        Row::new([
            ("ID", id.into()),
            ("Names", config.name.as_str().into()),
            ("Image", config.image_name.as_str().into()),
            ("Command", command(container, self.no_trunc).into()),
            ("RunningFor", units::ago(config.created).into()),
            ("Ports", "".into()),
            ("State", state(container.status.state).into()),
            ("Status", status(container).into()),
        ])
        .labels(&config.labels)
    }
}

fn state(state: State) -> &'static str {
    match state {
        State::Created => "created",
        State::Running => "running",
        State::Exited => "exited",
    }
}

/// In quotes, and at most 20 characters of it. Arguments with spaces have quotes of their own.
fn command(container: &Container, whole: bool) -> String {
    let mut words = container.config.entrypoint.iter().chain(&container.config.command).cloned();
    let program = words.next().into_iter();
    let text = program.chain(words.map(|word| if word.contains(' ') { format!("'{word}'") } else { word }));
    let text = text.collect::<Vec<_>>().join(" ");
    if whole || text.chars().count() <= 20 {
        return template::quote(&text);
    }
    template::quote(&(text.chars().take(19).collect::<String>() + "…"))
}

fn status(container: &Container) -> String {
    let since =
        |at: Option<Timestamp>| units::duration(at.map_or(0, |at| Timestamp::now().duration_since(at).as_secs()));
    match container.status.state {
        State::Created => "Created".to_owned(),
        State::Running => format!("Up {}", since(container.status.started)),
        State::Exited => format!("Exited ({}) {} ago", container.status.exit_code, since(container.status.finished)),
    }
}
