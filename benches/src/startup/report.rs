//! The report as JSON, as tables of benches/README.md, and as a chart for the book.

use std::{fmt::Write as _, fs, path::Path};

use serde_json::{Value, json};

use super::{Measured, Options, Result, chart, contestant::Contestant, sample::Sample};
use crate::document::{kernel, processors, short, today};

const HERE: &str = env!("CARGO_MANIFEST_DIR");

pub(crate) fn write(
    all: &[(Contestant, Measured)],
    missing: &[String],
    failed: &[String],
    options: &Options,
    runs: usize,
    slow_runs: usize,
) -> Result<()> {
    let table = table(all, missing, failed, runs, slow_runs)?;
    print!("{table}");
    if options.dry || options.only.is_some() {
        return Ok(());
    }
    let results = Path::new(HERE).join("results");
    fs::create_dir_all(&results)?;
    fs::write(results.join("startup.json"), serde_json::to_string_pretty(&document(all, runs, slow_runs)?)? + "\n")?;
    fs::write(results.join("startup.md"), &table)?;
    let rows: Vec<_> = all
        .iter()
        .filter(|(one, _)| !one.name.starts_with("stage-"))
        .filter_map(|(one, measured)| Some((one.name.clone(), Sample::new(&measured.apart).median()?)))
        .collect();
    let pictures = Path::new(HERE).join("../book/src/pictures");
    fs::create_dir_all(&pictures)?;
    fs::write(
        pictures.join("startup.svg"),
        chart::bars("Until the program's first word, 100 ms after the run before", &rows),
    )?;
    crate::marked::replace(&Path::new(HERE).join("README.md"), "report", &table)
}

/// What all are compared with.
const PEER: &str = "bubblewrap";

fn table(
    all: &[(Contestant, Measured)],
    missing: &[String],
    failed: &[String],
    runs: usize,
    slow_runs: usize,
) -> Result<String> {
    let empty = Measured::default();
    let of = |name: &str| all.iter().find(|(one, _)| one.name == name).map_or(&empty, |(_, measured)| measured);
    let base = all.iter().find(|(one, _)| one.base).map_or(&empty, |(_, measured)| measured);
    let compared = if of(PEER).apart.is_empty() { base } else { of(PEER) };
    let mut text = "| contestant | first word, ms | p95 | × bubblewrap | 100 ms apart, ms | p95 | × bubblewrap | first answer by HTTP, ms | memory beside the program, MB |\n|---|---|---|---|---|---|---|---|---|\n".to_owned();
    for (one, measured) in all {
        let [close, apart, http] = [&measured.close, &measured.apart, &measured.http].map(|times| Sample::new(times));
        let ratio = |own: &[f64], other: &[f64]| {
            let ratio = Sample::ratio(own, other);
            match (ratio.median(), ratio.bounds()) {
                (Some(median), Some((low, high))) => format!("{} ({} to {})", short(median), short(low), short(high)),
                _ => String::new(),
            }
        };
        let cell = |value: Option<f64>| value.map(short).unwrap_or_default();
        writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            one.name,
            cell(close.median()),
            cell(close.p95()),
            ratio(&measured.close, &compared.close),
            cell(apart.median()),
            cell(apart.p95()),
            ratio(&measured.apart, &compared.apart),
            cell(http.median()),
            cell(measured.memory.map(|bytes| bytes as f64 / 1e6)),
        )?;
    }
    writeln!(
        text,
        "\n{runs} turns, {slow_runs} of HTTP and of machines, on {}; Linux {}, {} processors. A ratio is the median of the turns', with bounds of 95 % confidence.",
        today(),
        kernel()?,
        processors()?
    )?;
    let mut versions: Vec<&str> =
        all.iter().map(|(one, _)| one.version.as_str()).filter(|version| !version.is_empty()).collect();
    versions.dedup();
    writeln!(text, "{}.", versions.join("; "))?;
    for (what, list) in [("Not here", missing), ("Failed", failed)] {
        let mut list = list.to_vec();
        list.dedup();
        if !list.is_empty() {
            writeln!(text, "{what}: {}.", list.join("; "))?;
        }
    }
    Ok(text)
}

fn document(all: &[(Contestant, Measured)], runs: usize, slow_runs: usize) -> Result<Value> {
    let one = |(one, measured): &(Contestant, Measured)| {
        json!({
            "name": one.name, "version": one.version, "virtual_machine": one.machine,
            "first_word_ms": measured.close, "first_word_apart_ms": measured.apart, "end_ms": measured.end,
            "first_answer_ms": measured.http, "memory_bytes": measured.memory,
        })
    };
    let contestants: Vec<_> = all.iter().map(one).collect();
    Ok(json!({
        "date": today(), "machine": { "kernel": kernel()?, "processors": processors()? },
        "turns": runs, "slow_turns": slow_runs, "contestants": contestants,
    }))
}
