//! What was seen: on the terminal, and beside other engines in table.md.

use std::{fmt::Write as _, fs, path::Path, process::ExitCode};

use crate::{
    attack::{Attack, Defence, Outcome},
    target::{self, HARDER, OURS},
};

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
        for engine in [OURS, HARDER] {
            match self.outcome(engine, Defence::On) {
                Some(Outcome::Stopped(_) | Outcome::Not(_)) => {}
                other => return Some(format!("not stopped by {engine}: {}", shown(other))),
            }
        }
        match self.outcome(OURS, Defence::Off) {
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
        let verdict = match (row.outcome(OURS, Defence::On), &failure) {
            (_, Some(_)) => "FAILED",
            (Some(Outcome::Not(_)), _) => "not here",
            _ => "stopped",
        };
        tried += usize::from(verdict != "not here");
        stopped += usize::from(failure.is_none() && verdict == "stopped");
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

/// Above the table.
const HEAD: &str = "# Attacks, beside other engines\n\n\
Written by `make attacks`: what was seen, and nothing else. \"Gets through\" means that the attack got what it wanted from an engine \
as it is installed; what it wants is a step, and mostly not yet the host. runc runs what `runc spec` writes, which has no filter of \
system calls: its callers give one. —: the engine has nothing to attack there, or this machine's kernel has not; not tried: it did not take what the attack begins with.";

/// Writes the table of all engines that were there.
pub(crate) fn write(rows: &[Row]) {
    let seen = |engine: &&str| rows.iter().any(|row| row.outcome(engine, Defence::On).is_some());
    let engines: Vec<&str> = [OURS, HARDER, "docker", "runc"].into_iter().filter(seen).collect();
    let mut text = format!("{HEAD} {}.\n\n", target::versions().join("; "));
    let line = "---|".repeat(engines.len());
    let _ = writeln!(text, "| attack | known as | {} |\n|---|---|{line}", engines.join(" | "));
    for row in rows {
        let cell = |engine: &&str| match row.outcome(engine, Defence::On) {
            Some(Outcome::Stopped(_)) => "stopped",
            Some(Outcome::Through(_)) => "**gets through**",
            Some(Outcome::Broken(_)) => "not tried",
            Some(Outcome::Not(_)) | None => "—",
        };
        let cells: Vec<&str> = engines.iter().map(cell).collect();
        let _ = writeln!(text, "| {}: {} | {} | {} |", row.family, row.name, row.cve, cells.join(" | "));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/attacks/table.md");
    fs::write(path, text).expect("write the table");
}
