//! `images`.

use clap::Args;

use crate::{
    cli::{
        Outcome,
        format::{self, Listing, Row},
        units,
    },
    engine::{
        Engine, Result,
        image::{Filters, Listed, short},
    },
};

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only show images of this name, which may be a pattern
    #[arg(value_name = "REPOSITORY[:TAG]")]
    name: Option<String>,
    /// Show all images (default hides intermediate images)
    #[arg(short, long)]
    all: bool,
    /// Show digests
    #[arg(long)]
    digests: bool,
    /// Filter output: dangling, label, before, since, reference, until
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Only display image IDs
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
        ("ID", "IMAGE ID"),
        ("Repository", "REPOSITORY"),
        ("Tag", "TAG"),
        ("Digest", "DIGEST"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("Size", "SIZE"),
        ("VirtualSize", "SIZE"),
        ("SharedSize", "SHARED SIZE"),
        ("UniqueSize", "UNIQUE SIZE"),
        ("Containers", "CONTAINERS"),
    ],
    table: "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}",
    quiet: "{{.ID}}",
    raw: Some(
        "repository: {{.Repository}}\ntag: {{.Tag}}\nimage_id: {{.ID}}\ncreated_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n",
    ),
};

const WITH_DIGESTS: Listing =
    Listing { table: "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}", ..LISTING };

/// A name of an image, in columns.
struct Name {
    repository: String,
    tag: String,
    digest: String,
}

impl List {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let mut rows = Vec::new();
        for (listed, names) in self.select(engine)? {
            rows.extend(names.into_iter().map(|name| self.row(engine, &listed, name)));
        }
        let listing = if self.digests { WITH_DIGESTS } else { LISTING };
        let format = format::choose(self.format, self.quiet, |own| &own.images_format);
        listing.print(format.as_deref(), self.quiet, rows)
    }

    fn row(&self, engine: &Engine, listed: &Listed, name: Name) -> Row {
        let image = &listed.image;
        let id = if self.no_trunc { image.digest() } else { short(&image.id).to_owned() };
        let created = image.config.created;
        let created_at = created.map_or_else(String::new, |at| at.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string());
        let size = units::size(image.size(engine));
        Row::new([
            ("ID", id.into()),
            ("Repository", name.repository.into()),
            ("Tag", name.tag.into()),
            ("Digest", name.digest.into()),
            ("CreatedSince", created.map_or_else(|| "N/A".to_owned(), units::ago).into()),
            ("CreatedAt", created_at.into()),
            ("Size", size.clone().into()),
            ("VirtualSize", size.into()),
            ("SharedSize", "N/A".into()),
            ("UniqueSize", "N/A".into()),
            ("Containers", "N/A".into()),
        ])
    }

    /// The images that are meant, each with the names to show.
    fn select(&self, engine: &Engine) -> Result<Vec<(Listed, Vec<Name>)>> {
        let known = ["dangling", "label", "label!", "before", "since", "reference", "until"];
        let mut filters = Filters::parse(engine, &self.filter, &known)?;
        if let Some(name) = &self.name {
            filters.reference(name);
        }
        let images = engine.images()?;
        let parents: Vec<_> = images.iter().filter_map(|listed| engine.notes(&listed.image.id).parent).collect();
        let mut selected = Vec::new();
        for listed in images {
            let nameless = listed.tags.is_empty() && listed.digests.is_empty();
            let intermediate = nameless && parents.iter().any(|parent| parent.hex() == listed.image.id);
            if (intermediate && !self.all) || !filters.allow(&listed, nameless && !intermediate) {
                continue;
            }
            let names = names(&listed, &filters);
            if !names.is_empty() {
                selected.push((listed, names));
            }
        }
        Ok(selected)
    }
}

/// A row for each tag, and for each repository that only knows a digest.
fn names(listed: &Listed, filters: &Filters) -> Vec<Name> {
    let none = || "<none>".to_owned();
    let mut names = Vec::new();
    for tag in listed.tags.iter().filter(|tag| filters.allow_name(&tag.repository(), &tag.to_string())) {
        let digest = listed.digests.iter().find(|digest| digest.is_beside(tag)).and_then(|digest| digest.digest());
        let digest = digest.map_or_else(none, ToString::to_string);
        names.push(Name { repository: tag.repository(), tag: tag.tag().to_owned(), digest });
    }
    for name in listed.digests.iter().filter(|name| filters.allow_name(&name.repository(), &name.to_string())) {
        if !listed.tags.iter().any(|tag| tag.is_beside(name)) {
            let digest = name.digest().map_or_else(none, ToString::to_string);
            names.push(Name { repository: name.repository(), tag: none(), digest });
        }
    }
    if listed.tags.is_empty() && listed.digests.is_empty() && !filters.wants_names() {
        names.push(Name { repository: none(), tag: none(), digest: none() });
    }
    names
}
