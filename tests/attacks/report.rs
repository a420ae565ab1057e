//! What was seen: on the terminal, and beside other engines in report.md.

use std::{fmt::Write as _, fs, path::Path, process::ExitCode};

use crate::attack::{Attack, Defence, Outcome};

/// One attack, and how it ended.
pub(crate) struct Row {
    family: &'static str,
    name: String,
    cve: &'static str,
    off: &'static str,
    pub(crate) seen: Vec<Seen>,
}

/// How it ended against one engine.
pub(crate) struct Seen {
    pub(crate) engine: &'static str,
    pub(crate) defence: Defence,
    pub(crate) outcome: Outcome,
}

impl Row {
    pub(crate) fn new(attack: &Attack) -> Self {
        let Attack { family, name, cve, off, .. } = attack;
        Self { family, name: name.clone(), cve, off, seen: Vec::new() }
    }

    fn outcome(&self, engine: &str, defence: Defence) -> Option<&Outcome> {
        self.seen.iter().find(|seen| seen.engine == engine && seen.defence == defence).map(|seen| &seen.outcome)
    }

    /// What is wrong with it, for our own engine.
    fn failure(&self) -> Option<String> {
        match self.outcome("mini-docker", Defence::On) {
            Some(Outcome::Stopped(_) | Outcome::Not(_)) => {}
            other => return Some(format!("not stopped: {}", shown(other))),
        }
        match self.outcome("mini-docker", Defence::Off) {
            Some(Outcome::Through(_) | Outcome::Not(_)) => None,
            other => Some(format!("without its defence ({}) it should get through: {}", self.off, shown(other))),
        }
    }
}

fn shown(outcome: Option<&Outcome>) -> String {
    outcome.map_or_else(|| "not tried".to_owned(), ToString::to_string)
}

/// Prints the table and the counts, and what was said where `verbose`; an error where one got through.
pub(crate) fn print(rows: &[Row], verbose: bool) -> ExitCode {
    let (mut tried, mut stopped, mut failed) = (0, 0, 0);
    for row in rows {
        let Row { family, name, cve, off, .. } = row;
        let failure = row.failure();
        let verdict = match (row.outcome("mini-docker", Defence::On), &failure) {
            (_, Some(_)) => "FAILED",
            (Some(Outcome::Not(_)), _) => "not here",
            _ => "stopped",
        };
        tried += usize::from(verdict != "not here");
        stopped += usize::from(matches!(row.outcome("mini-docker", Defence::On), Some(Outcome::Stopped(_))));
        println!("{verdict:8} {family}: {name}{}{cve} [{off}]", if cve.is_empty() { "" } else { ", " });
        for Seen { engine, defence, outcome } in &row.seen {
            if verbose || matches!(outcome, Outcome::Not(_)) {
                println!("         {engine} {defence:?}: {outcome}");
            }
        }
        if let Some(failure) = failure {
            failed += 1;
            println!("         {failure}");
        }
    }
    println!("attacks tried: {tried}, stopped: {stopped}, wrong: {failed}");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Writes the table of all engines.
pub(crate) fn write(rows: &[Row]) {
    let engines = ["mini-docker", "docker", "runc"];
    let mut text = "| attack | known as | mini-docker | docker | runc |\n|---|---|---|---|---|\n".to_owned();
    for row in rows {
        let cells = engines.map(|engine| match row.outcome(engine, Defence::On) {
            Some(Outcome::Stopped(_)) => "stopped",
            Some(Outcome::Through(_)) => "**gets through**",
            Some(Outcome::Broken(_)) => "failed",
            Some(Outcome::Not(_)) | None => "—",
        });
        let _ = writeln!(text, "| {}: {} | {} | {} |", row.family, row.name, row.cve, cells.join(" | "));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/attacks/table.md");
    fs::write(path, text).expect("write the table");
}
