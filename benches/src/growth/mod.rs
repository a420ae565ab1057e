//! What grows with the number of containers, images, files and services: the same figures at several numbers of them.

mod containers;
mod lab;
mod plot;
mod store;

use std::{fmt::Write as _, fs, path::Path};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::{
    document::{DRY, kernel, processors, short, today},
    marked,
};

/// What any of this may end with.
pub(crate) type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// How much is measured.
#[derive(Debug, Args)]
pub struct Options {
    /// Stops at so many containers, images and services, and at fifty times as many files
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub most: u32,
    /// Only series whose name has this in it
    #[arg(long, value_name = "NAME")]
    pub only: Option<String>,
    /// Print the report, and write no file
    #[arg(long, env = DRY)]
    pub dry: bool,
}

/// One figure at several sizes.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    /// What is measured, with its unit.
    pub(crate) name: &'static str,
    /// What there is more and more of.
    pub(crate) of: &'static str,
    /// How many there were, and the figure.
    pub(crate) points: Vec<(u32, f64)>,
}

impl Series {
    pub(crate) fn new(name: &'static str, of: &'static str) -> Self {
        Self { name, of, points: Vec::new() }
    }
}

/// Measures a group of series at these sizes.
type Measure = fn(&lab::Lab, &[u32], &ProgressBar) -> Result<Vec<Series>>;

/// Name, sizes and how.
const GROUPS: [(&str, &[u32], Measure); 5] = [
    ("containers", &[1, 10, 100, 500, 1000], containers::alone),
    // A bridge has 1,023 ports.
    ("containers on a bridge", &[1, 10, 100, 500, 1000], containers::on_a_bridge),
    ("images", &[1, 10, 100, 1000], store::images),
    ("files", &[500, 5000, 50_000], store::files),
    ("services", &[1, 10, 50, 100], store::services),
];

/// How many times more files than containers are measured.
const FILES: u32 = 50;

/// Measures, prints, and writes the report.
///
/// # Errors
/// What failed first.
pub fn run(options: &Options) -> Result<()> {
    let bar = ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{spinner} {elapsed} {msg}")?);
    let mut all = Vec::new();
    for (name, sizes, measure) in GROUPS {
        if options.only.as_ref().is_some_and(|part| !name.contains(part.as_str())) {
            continue;
        }
        let most = if name == "files" { options.most.saturating_mul(FILES) } else { options.most };
        let sizes: Vec<u32> = sizes.iter().copied().filter(|size| *size <= most).collect();
        // A store for each: what is left of one group is nothing to the next.
        let lab = lab::Lab::new()?;
        let measured = measure(&lab, &sizes, &bar).and_then(|series| lab.finish().map(|()| series));
        all.extend(measured.map_err(|e| format!("{name}: {e}"))?);
    }
    bar.finish_and_clear();
    let table = table(&all)?;
    print!("{table}");
    if options.dry || options.only.is_some() {
        return Ok(());
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let series: Vec<_> =
        all.iter().map(|one| json!({ "name": one.name, "of": one.of, "points": one.points })).collect();
    let document = json!({
        "date": today(), "machine": { "kernel": kernel()?, "processors": processors()? }, "series": series,
    });
    fs::write(here.join("results/growth.json"), serde_json::to_string_pretty(&document)? + "\n")?;
    fs::write(here.join("results/growth.md"), &table)?;
    fs::write(
        here.join("../book/src/pictures/growth.svg"),
        plot::panels("What grows with the number of things", &all),
    )?;
    marked::replace(&here.join("README.md"), "growth", &table)
}

/// A row a series, its points beside each other.
fn table(all: &[Series]) -> Result<String> {
    let mut text = "| | at so many | |\n|---|---|---|\n".to_owned();
    for one in all {
        let points: Vec<_> =
            one.points.iter().map(|(size, figure)| format!("{size}: **{}**", short(*figure))).collect();
        let factor = match (one.points.first(), one.points.last()) {
            (Some((_, first)), Some((_, last))) if *first > 0.0 && one.points.len() > 1 => {
                format!("× {}", short(last / first))
            }
            _ => String::new(),
        };
        writeln!(text, "| {}, by {} | {} | {factor} |", one.name, one.of, points.join(" · "))?;
    }
    writeln!(
        text,
        "\nMedians where nothing else is said, on {}; Linux {}, {} processors.",
        today(),
        kernel()?,
        processors()?
    )?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_how_much_more_the_last_is_than_the_first() {
        let series = Series { points: vec![(1, 2.0), (10, 3.0)], ..Series::new("`ps`, ms", "containers") };
        let table = table(&[series]).unwrap();
        assert!(table.contains("| `ps`, ms, by containers | 1: **2.00** · 10: **3.00** | × 1.50 |"), "{table}");
    }
}
