//! `history`.

use clap::Args;

use crate::{
    cli::{
        Outcome,
        format::{Listing, Row},
        units,
    },
    engine::{
        Engine,
        image::{Step, short},
    },
};

#[derive(Debug, Args)]
pub(crate) struct History {
    /// The image, by name or id
    image: String,
    /// Print sizes and dates in human readable format
    #[arg(short = 'H', long, default_value = "true", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    human: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only show image IDs
    #[arg(short, long)]
    quiet: bool,
    /// Format output: 'table', 'table TEMPLATE', 'json', or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

const LISTING: Listing = Listing {
    headings: &[
        ("ID", "IMAGE"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("CreatedBy", "CREATED BY"),
        ("Size", "SIZE"),
        ("Comment", "COMMENT"),
    ],
    table: "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
    quiet: "{{.ID}}",
    raw: None,
};

const EXACT: Listing = Listing { table: "{{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}", ..LISTING };

impl History {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let image = engine.image(&self.image)?;
        let steps = engine.history(&image)?;
        let listing = if self.human { LISTING } else { EXACT };
        listing.print(self.format.as_deref(), self.quiet, steps.iter().map(|step| self.row(step)))
    }

    fn row(&self, step: &Step) -> Row {
        let id = match &step.id {
            Some(id) if self.no_trunc => format!("sha256:{id}"),
            Some(id) => short(id).to_owned(),
            None => "<missing>".to_owned(),
        };
        let created_by = step.created_by.replace('\t', " ");
        let created_by = if self.no_trunc { created_by } else { ellipsis(&created_by, 45) };
        let size = if self.human { units::size(step.size) } else { step.size.to_string() };
        let created_at = step.created.map_or_else(String::new, |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        Row::new([
            ("ID", id.into()),
            ("CreatedSince", step.created.map_or_else(|| "N/A".to_owned(), units::ago).into()),
            ("CreatedAt", created_at.into()),
            ("CreatedBy", created_by.into()),
            ("Size", size.into()),
            ("Comment", step.comment.as_str().into()),
        ])
    }
}

/// As much of a text as fits, with an ellipsis where it does not.
fn ellipsis(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width - 1).chain(['\u{2026}']).collect()
}
