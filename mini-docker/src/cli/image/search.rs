//! `search`.

use clap::Args;

use crate::{
    cli::{
        Outcome,
        format::{Listing, Row},
    },
    engine::{
        error::{Error, Result},
        registry::{Hit, search},
    },
};

#[derive(Debug, Args)]
pub(crate) struct Search {
    /// Words in the name or the description, perhaps after a registry: HOST/TERM
    term: String,
    /// Filter output: stars=NUMBER, is-official=BOOL, is-automated=BOOL
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Format output: 'table', 'table TEMPLATE', 'json', or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Max number of search results
    #[arg(long, default_value_t = 25, value_name = "NUMBER")]
    limit: u32,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
}

const LISTING: Listing = Listing {
    headings: &[
        ("Name", "NAME"),
        ("Description", "DESCRIPTION"),
        ("StarCount", "STARS"),
        ("IsOfficial", "OFFICIAL"),
        ("IsAutomated", "AUTOMATED"),
    ],
    table: "{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}",
    quiet: "{{.Name}}",
    raw: None,
};

impl Search {
    pub(crate) fn run(self) -> Outcome {
        let filters = self.filter.iter().map(|text| Filter::parse(text)).collect::<Result<Vec<_>>>()?;
        let mut hits = search(&self.term, self.limit)?;
        hits.retain(|hit| filters.iter().all(|filter| filter.allows(hit)));
        LISTING.print(self.format.as_deref(), false, hits.iter().map(|hit| self.row(hit)))
    }

    fn row(&self, hit: &Hit) -> Row {
        let description = hit.description.as_deref().unwrap_or_default();
        let description = match description.char_indices().nth(44) {
            Some((at, _)) if !self.no_trunc && description[at..].chars().count() > 1 => {
                format!("{}\u{2026}", &description[..at])
            }
            _ => description.to_owned(),
        };
        let ok = |yes: bool| if yes { "[OK]" } else { "" };
        Row::new([
            ("Name", hit.name.as_str().into()),
            ("Description", description.into()),
            ("StarCount", hit.star_count.to_string().into()),
            ("IsOfficial", ok(hit.is_official).into()),
            ("IsAutomated", ok(hit.is_automated).into()),
        ])
    }
}

#[derive(Debug)]
enum Filter {
    Stars(u64),
    Official(bool),
    Automated(bool),
}

impl Filter {
    fn parse(text: &str) -> Result<Self> {
        let invalid =
            || Error::invalid(format!("invalid filter {text:?}: known are stars, is-official and is-automated"));
        let (key, value) = text.split_once('=').ok_or_else(invalid)?;
        let parsed = match key {
            "stars" => value.parse().ok().map(Self::Stars),
            "is-official" => value.parse().ok().map(Self::Official),
            "is-automated" => value.parse().ok().map(Self::Automated),
            _ => None,
        };
        parsed.ok_or_else(invalid)
    }

    fn allows(&self, hit: &Hit) -> bool {
        match self {
            Self::Stars(least) => hit.star_count >= *least,
            Self::Official(wanted) => hit.is_official == *wanted,
            Self::Automated(wanted) => hit.is_automated == *wanted,
        }
    }
}
