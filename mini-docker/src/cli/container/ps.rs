//! `ps`.

use std::{cell::RefCell, collections::HashMap};

use clap::Args;
use jiff::{Timestamp, tz::TimeZone};

use super::ports;
use crate::{
    cli::{
        Outcome, complain,
        format::{self, Listing, Row},
        template::{self, Fields},
        units, warn,
    },
    engine::{
        Engine,
        container::{
            Container, State,
            health::Verdict,
            storage::{From, Point},
        },
        error::Result,
        filter::Filters,
        image::short,
        select::KEYS,
    },
};

#[derive(Debug, Args)]
pub(crate) struct Ps {
    /// Show all containers (default shows just running)
    #[arg(short, long)]
    all: bool,
    /// Filter output based on conditions provided: `KEY=VALUE`
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,
    /// Format output: 'table', 'table TEMPLATE', 'json', 'raw', or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show n last created containers (includes all states)
    #[arg(short = 'n', long, value_name = "N", allow_negative_numbers = true)]
    last: Option<i64>,
    /// Show the latest created container (includes all states)
    #[arg(short, long)]
    latest: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only display container IDs
    #[arg(short, long)]
    quiet: bool,
    /// Display total file sizes
    #[arg(short, long)]
    size: bool,
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
        ("Platform", "PLATFORM"),
    ],
    table: "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}",
    quiet: "{{.ID}}",
    raw: Some(
        "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\ncreated_at: {{.CreatedAt}}\n\
         state: {{.State}}\nstatus: {{.Status}}\nnames: {{.Names}}\nlabels: {{.Labels}}\nports: {{.Ports}}\n",
    ),
};

const WITH_SIZES: Listing = Listing {
    table: "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}\t{{.Size}}",
    ..LISTING
};

impl Ps {
    pub(crate) fn run(mut self, engine: &Engine) -> Outcome {
        if self.quiet && self.format.take().is_some() {
            warn("Ignoring custom format, because both --format and --quiet are set.");
        }
        self.format = format::choose(self.format, self.quiet, |own| &own.ps_format);
        let filters = Filters::parse(&self.filter, &KEYS)?;
        let last = self.last.or(self.latest.then_some(1));
        let limit = last.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
        let sizes = self.size || self.format.as_ref().is_some_and(|format| format.contains(".Size"));
        let selected = engine.select(&filters, self.all, limit)?;
        let listing = if self.size { &WITH_SIZES } else { &LISTING };
        let view = View::new(listing.fields(self.format.as_deref(), self.quiet), self.no_trunc, sizes);
        let rows: Result<Vec<_>> = selected.iter().map(|it| view.row(engine, it)).collect();
        listing.print(self.format.as_deref(), self.quiet, rows?)
    }
}

/// What a listing shows of a container.
pub(crate) struct View {
    /// Which columns.
    fields: Fields,
    /// Whether nothing is shortened.
    whole: bool,
    /// Whether sizes are measured.
    sizes: bool,
    /// What the images' names mean, each looked up once.
    images: RefCell<HashMap<String, Option<String>>>,
}

impl View {
    /// A view of these columns.
    pub(crate) fn new(fields: Fields, whole: bool, sizes: bool) -> Self {
        Self { fields, whole, sizes, images: RefCell::default() }
    }

    /// As it was named; by its id where the name means another image now, or none.
    fn image(&self, engine: &Engine, container: &Container) -> String {
        let (name, id) = (&container.config.image_name, &container.config.image);
        let mut known = self.images.borrow_mut();
        let means = known.entry(name.clone()).or_insert_with(|| engine.image_id(name).ok());
        match (is_id(name, id) || means.as_ref() != Some(id), self.whole) {
            (false, _) => name.clone(),
            (true, false) => short(id).to_owned(),
            (true, true) => format!("sha256:{id}"),
        }
    }

    /// A container's row in a listing. Of a thousand containers most of the time would go into columns that nobody sees.
    pub(crate) fn row(&self, engine: &Engine, container: &Container) -> Result<Row> {
        let config = &container.config;
        let points = || config.storage.points.iter();
        let size = || if self.sizes { size_of(engine, container) } else { "0B".to_owned() };
        let row = Row::shown(
            &self.fields,
            [
                ("ID", &|| Ok(if self.whole { &config.id } else { short(&config.id) }.into())),
                ("Names", &|| Ok(config.name.as_str().into())),
                ("Image", &|| Ok(self.image(engine, container).into())),
                ("Command", &|| Ok(command(container, self.whole).into())),
                ("CreatedAt", &|| Ok(created_at(config.created).into())),
                ("RunningFor", &|| Ok(units::ago(config.created).into())),
                ("Ports", &|| Ok(ports::shown(&engine.ports_object(container).unwrap_or_default()).into())),
                ("State", &|| Ok(container.status.state.name().into())),
                ("Status", &|| Ok(status(engine, container).into())),
                ("Size", &|| Ok(size().into())),
                ("Mounts", &|| {
                    Ok(points().map(|point| mounted(point, self.whole)).collect::<Vec<_>>().join(",").into())
                }),
                ("LocalVolumes", &|| {
                    Ok(points().filter(|point| matches!(point.from, From::Volume { .. })).count().to_string().into())
                }),
                ("Networks", &|| Ok(config.network.names().collect::<Vec<_>>().join(",").into())),
            ],
        )?;
        Ok(row.labels(&config.labels))
    }
}

/// Whether a text is the beginning of the image's id.
fn is_id(text: &str, image: &str) -> bool {
    let id = text.strip_prefix("sha256:").unwrap_or(text);
    id.len() >= 12 && image.starts_with(id)
}

/// The name of a volume, or the place on the host.
fn mounted(point: &Point, whole: bool) -> String {
    let name = match &point.from {
        From::Bind { path, .. } => path,
        From::Tmpfs(_) => "",
        From::Volume { name, .. } => name,
    };
    if whole { name.to_owned() } else { ellipsis(name, 15) }
}

/// What cannot be read of one container is no reason to say nothing of others.
fn size_of(engine: &Engine, container: &Container) -> String {
    let written = match engine.written(container) {
        Ok(written) => written,
        Err(e) => {
            complain(&e);
            return "N/A".to_owned();
        }
    };
    let image = engine.image(&container.config.image).map_or(0, |image| image.size(engine));
    format!("{} (virtual {})", units::size(written), units::size(written + image))
}

/// In the local time zone, as Go prints it.
fn created_at(at: Timestamp) -> String {
    at.to_zoned_datetime(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string()
}

/// At most `most` characters.
fn ellipsis(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).collect::<String>() + "…"
}

/// In quotes, and at most 20 characters of it. Arguments with spaces have quotes of their own.
fn command(container: &Container, whole: bool) -> String {
    let mut words = container.config.entrypoint.iter().chain(&container.config.command).cloned();
    let program = words.next().into_iter();
    let text = program.chain(words.map(|word| if word.contains(' ') { format!("'{word}'") } else { word }));
    let text = text.collect::<Vec<_>>().join(" ");
    template::quote(&if whole { text } else { ellipsis(&text, 20) })
}

fn status(engine: &Engine, container: &Container) -> String {
    let status = &container.status;
    let since = |at: Option<Timestamp>| at.map_or_else(|| units::duration(0), units::since);
    let up = || format!("Up {}", since(status.started));
    match status.state {
        State::Created => "Created".to_owned(),
        State::Paused => format!("{} (Paused)", up()),
        State::Restarting => format!("Restarting ({}) {} ago", status.exit_code, since(status.finished)),
        State::Exited => format!("Exited ({}) {} ago", status.exit_code, since(status.finished)),
        State::Running => match engine.health(container) {
            None => up(),
            Some(Verdict::Starting) => format!("{} (health: starting)", up()),
            Some(health) => format!("{} ({})", up(), health.name()),
        },
    }
}

/// The containers' part of `system df -v`.
pub(crate) const USAGE: Listing = Listing {
    table: "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}",
    ..LISTING
};

/// The rows of [`USAGE`].
pub(crate) fn usage(engine: &Engine) -> Result<Vec<Row>> {
    let selected = engine.select(&Filters::default(), true, None)?;
    // Who asks for a document gets all of it.
    let view = View::new(Fields::all(), false, true);
    selected.iter().map(|it| view.row(engine, it)).collect()
}
