//! `system df`.

use clap::Args;

use crate::{
    cli::{
        Outcome, container,
        format::{Listing, Row},
        print, units,
    },
    engine::{Engine, usage::Usage},
};

#[derive(Debug, Args)]
pub(crate) struct Df {
    /// Format output: 'table', 'table TEMPLATE', 'json', or a Go template
    #[arg(long, value_name = "FORMAT", conflicts_with = "verbose")]
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
        ("Created", "CREATED"),
        ("Size", "SIZE"),
        ("Containers", "CONTAINERS"),
    ],
    table: "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.Created}}\t{{.Size}}\t{{.Containers}}",
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
            return verbose(engine);
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

fn verbose(engine: &Engine) -> Outcome {
    let containers = engine.containers()?;
    print(format_args!("Images space usage:\n\n"));
    let mut images = Vec::new();
    for listed in engine.images()? {
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
                ("Created", listed.image.config.created.map_or("N/A".to_owned(), units::ago).into()),
                ("Size", units::exact_size(listed.image.size(engine)).into()),
                ("Containers", users.to_string().into()),
            ])
        }));
    }
    IMAGES.print(None, false, images)?;
    print(format_args!("\nContainers space usage:\n\n"));
    container::print_usage(engine)?;
    print(format_args!("\nLocal Volumes space usage:\n\n"));
    let users = engine.volume_users()?;
    let mut volumes = Vec::new();
    for volume in engine.volumes()? {
        volumes.push(Row::new([
            ("Name", volume.name.as_str().into()),
            ("Links", users.get(&volume.name).map_or(0, Vec::len).to_string().into()),
            ("Size", units::exact_size(engine.volume_size(&volume.name)?).into()),
        ]));
    }
    VOLUMES.print(None, false, volumes)?;
    let entries = engine.build_cache()?;
    let size = entries.iter().map(|entry| entry.size).sum();
    print(format_args!("\nBuild cache usage: {}\n\n", units::exact_size(size)));
    let entries = entries.iter().map(|entry| {
        Row::new([
            ("ID", entry.id.chars().take(12).collect::<String>().into()),
            ("CacheType", entry.kind.into()),
            ("Size", units::exact_size(entry.size).into()),
            ("CreatedSince", units::ago(entry.created).into()),
            ("Shared", entry.shared.to_string().into()),
        ])
    });
    CACHE.print(None, false, entries)?;
    Ok(0)
}
