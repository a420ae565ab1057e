//! `system df`.

use clap::Args;
use serde_json::{Value, json};

use crate::{
    cli::{
        Outcome, container,
        format::{Listing, Row, document},
        print, units,
    },
    engine::{Engine, Result, build::Entry, usage::Usage},
};

#[derive(Debug, Args)]
pub(crate) struct Df {
    /// Format output: 'table', 'table TEMPLATE', 'json', or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show detailed information on space usage
    #[arg(short, long)]
    verbose: bool,
}

const LISTING: Listing = Listing {
    headings: &[
        ("Type", "TYPE"),
        ("TotalCount", "TOTAL"),
        ("Active", "ACTIVE"),
        ("Size", "SIZE"),
        ("Reclaimable", "RECLAIMABLE"),
    ],
    table: "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}",
    quiet: "",
    raw: None,
};

const IMAGES: Listing = Listing {
    headings: &[
        ("Repository", "REPOSITORY"),
        ("Tag", "TAG"),
        ("ID", "IMAGE ID"),
        ("CreatedSince", "CREATED"),
        ("Size", "SIZE"),
        ("SharedSize", "SHARED SIZE"),
        ("UniqueSize", "UNIQUE SIZE"),
        ("Containers", "CONTAINERS"),
    ],
    table: "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}",
    quiet: "",
    raw: None,
};

const VOLUMES: Listing = Listing {
    headings: &[("Name", "VOLUME NAME"), ("Links", "LINKS"), ("Size", "SIZE")],
    table: "{{.Name}}\t{{.Links}}\t{{.Size}}",
    quiet: "",
    raw: None,
};

const CACHE: Listing = Listing {
    headings: &[
        ("ID", "CACHE ID"),
        ("CacheType", "CACHE TYPE"),
        ("Size", "SIZE"),
        ("CreatedSince", "CREATED"),
        ("Shared", "SHARED"),
    ],
    table: "{{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.Shared}}",
    quiet: "",
    raw: None,
};

impl Df {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        if self.verbose {
            let details = Details::of(engine)?;
            return match self.format.as_deref().filter(|format| !["", "table"].contains(format)) {
                Some(template) => document(template, &details.into_document()),
                None => details.print(),
            };
        }
        let containers = engine.containers()?;
        let rows = [
            ("Images", engine.image_usage(&containers)?),
            ("Containers", engine.container_usage(&containers)?),
            ("Local Volumes", engine.volume_usage()?),
            ("Build Cache", engine.build_cache_usage()?),
        ];
        LISTING.print(self.format.as_deref(), false, rows.map(|(kind, usage)| row(kind, usage)))
    }
}

fn row(kind: &str, usage: Usage) -> Row {
    let reclaimable = match (usage.reclaimable * 100).checked_div(usage.size) {
        Some(percent) => format!("{} ({percent}%)", units::exact_size(usage.reclaimable)),
        None => units::exact_size(usage.reclaimable),
    };
    Row::new([
        ("Type", kind.into()),
        ("TotalCount", usage.total.to_string().into()),
        ("Active", usage.active.to_string().into()),
        ("Size", units::exact_size(usage.size).into()),
        ("Reclaimable", reclaimable.into()),
    ])
}

/// What `-v` shows.
struct Details {
    images: Vec<Row>,
    containers: Vec<Row>,
    volumes: Vec<Row>,
    cache: Vec<Row>,
    cache_size: u64,
}

impl Details {
    fn of(engine: &Engine) -> Result<Self> {
        let entries = engine.build_cache()?;
        Ok(Self {
            images: images(engine)?,
            containers: container::usage(engine)?,
            volumes: volumes(engine)?,
            cache_size: entries.iter().map(|entry| entry.size).sum(),
            cache: entries.iter().map(cache_row).collect(),
        })
    }

    fn print(self) -> Outcome {
        print(format_args!("Images space usage:\n\n"));
        IMAGES.print(None, false, self.images)?;
        print(format_args!("\nContainers space usage:\n\n"));
        container::USAGE.print(None, false, self.containers)?;
        print(format_args!("\nLocal Volumes space usage:\n\n"));
        VOLUMES.print(None, false, self.volumes)?;
        print(format_args!("\nBuild cache usage: {}\n\n", units::exact_size(self.cache_size)));
        CACHE.print(None, false, self.cache)
    }

    /// One document, as Docker's.
    fn into_document(self) -> Value {
        let list = |rows: Vec<Row>| rows.into_iter().map(Row::into_document).collect::<Vec<_>>();
        json!({
            "Images": list(self.images),
            "Containers": list(self.containers),
            "Volumes": list(self.volumes),
            "BuildCache": list(self.cache),
        })
    }
}

fn images(engine: &Engine) -> Result<Vec<Row>> {
    let containers = engine.containers()?;
    let mut images = Vec::new();
    let all = engine.images()?;
    let shared = engine.shared_sizes(&all)?;
    for (listed, shared) in all.into_iter().zip(shared) {
        let size = listed.image.size(engine);
        let users = containers.iter().filter(|container| container.config.image == listed.image.id).count();
        let names = listed.tags.iter().map(|name| (name.repository(), name.tag().to_owned()));
        let mut names: Vec<_> = names.collect();
        if names.is_empty() {
            names.push(("<none>".to_owned(), "<none>".to_owned()));
        }
        images.extend(names.into_iter().map(|(repository, tag)| {
            Row::new([
                ("Repository", repository.into()),
                ("Tag", tag.into()),
                ("ID", crate::engine::image::short(&listed.image.id).into()),
                ("CreatedSince", listed.image.config.created.map_or("N/A".to_owned(), units::ago).into()),
                ("Size", units::exact_size(size).into()),
                ("SharedSize", units::exact_size(shared).into()),
                ("UniqueSize", units::exact_size(size.saturating_sub(shared)).into()),
                ("Containers", users.to_string().into()),
            ])
        }));
    }
    Ok(images)
}

fn volumes(engine: &Engine) -> Result<Vec<Row>> {
    let (users, _) = engine.known_volume_users()?;
    let row = |name: &String| {
        Ok(Row::new([
            ("Name", name.as_str().into()),
            ("Links", users.get(name).map_or(0, Vec::len).to_string().into()),
            ("Size", units::exact_size(engine.volume_size(name)?).into()),
        ]))
    };
    engine.volumes()?.iter().map(|volume| row(&volume.name)).collect()
}

fn cache_row(entry: &Entry) -> Row {
    Row::new([
        ("ID", entry.id.chars().take(12).collect::<String>().into()),
        ("CacheType", entry.kind.into()),
        ("Size", units::exact_size(entry.size).into()),
        ("CreatedSince", units::ago(entry.created).into()),
        ("Shared", entry.shared.to_string().into()),
    ])
}
