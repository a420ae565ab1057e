//! Every report, one after the other, and then what is made of them: the goals, and the pages of the book.

use std::{
    env,
    ffi::{OsStr, OsString},
    path::Path,
    process::Command,
    time::Instant,
};

use clap::Args;

use crate::{document::DRY, ground::Ground};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// How much is measured.
#[derive(Debug, Args)]
pub struct Options {
    /// All at a small size, in some ten minutes, and nothing is written down
    #[arg(long)]
    pub quick: bool,
    /// Only steps whose name has this in it
    #[arg(long, value_name = "NAME")]
    pub only: Option<String>,
}

/// This program, where a command begins with it.
const OWN: &str = "benches";
/// The ladder's, which is built with it.
const STAGES: &str = "stages";

/// The packages whose programs take part.
const MEASURED: [&str; 6] = ["-p", "mini-docker", "-p", "benches", "-p", "stage-*"];

/// A command of the repository's root, and its arguments at full size and at a small one.
struct Step {
    name: &'static str,
    command: &'static [&'static str],
    full: &'static [&'static str],
    quick: &'static [&'static str],
}

/// What is measured, and after it what shows it.
const STEPS: [Step; 14] = [
    step("start", &["benches/startup.sh"], &["200"], &["10"]),
    step("startup", &[OWN, "startup"], &["--runs", "60"], &["--quick"]),
    step("stages", &[STAGES], &["200"], &["10"]),
    step("timeline", &["book/pictures/record.sh"], &["200"], &["5"]),
    step("growth", &[OWN, "growth"], &[], &["--most", "10"]),
    step("images", &["benches/images.sh"], &["3"], &["1", "20"]),
    step("layers", &["benches/layers.sh"], &["5"], &["1", "16", "200"]),
    step("build", &["benches/build.sh"], &["3"], &["1", "200"]),
    step("compose", &["benches/compose.sh"], &["3"], &["1"]),
    step("networks", &["benches/networks.sh"], &["20"], &["3", "1"]),
    step("budgets", &[OWN, "budgets"], &[], &[]),
    step("the timeline's picture", &["cargo", "run", "-q", "-p", "pictures"], &[], &[]),
    // The pages are as they were where nothing is written down.
    step(
        "the book's pages",
        &["cargo", "test", "-q", "-p", "tests", "--test", "book"],
        &["the_book_is_whole"],
        &["--no-run"],
    ),
    step("the table of stages", &["cargo", "test", "-q", "-p", "tests", "--test", "table"], &[], &["--no-run"]),
];

const fn step(
    name: &'static str,
    command: &'static [&'static str],
    full: &'static [&'static str],
    quick: &'static [&'static str],
) -> Step {
    Step { name, command, full, quick }
}

/// Runs all, whether or not one of them fails.
///
/// # Errors
/// Who failed.
pub fn run(options: &Options) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = plain(&cargo).args(["build", "--release", "--locked"]).args(MEASURED).current_dir(&root).status()?;
    if !built.success() {
        return Err("cargo build --release failed".into());
    }
    let ground = Ground::new();
    let mut failed = Vec::new();
    let is_wanted = |step: &&Step| options.only.as_ref().is_none_or(|part| step.name.contains(part.as_str()));
    for step in STEPS.iter().filter(is_wanted) {
        println!("\n== {} ==\n", step.name);
        let (first, rest) = step.command.split_first().ok_or("no command")?;
        let program: OsString = match *first {
            // By its path: cargo has built this very program anew, and the one that runs is no file any more.
            OWN | STAGES => crate::built()?.join(first).into(),
            "cargo" => cargo.clone(),
            other => root.join(other).into(),
        };
        let mut command = plain(&program);
        command.args(rest).args(if options.quick { step.quick } else { step.full }).current_dir(&root);
        command.envs(ground.environment());
        if options.quick {
            command.env(DRY, "true");
        } else {
            command.env("UPDATE_BOOK", "1").env("UPDATE_READMES", "1");
        }
        let start = Instant::now();
        let ended = command.status().map_err(|e| e.to_string());
        println!("\n{}: {} s", step.name, start.elapsed().as_secs());
        match ended {
            Ok(status) if status.success() => {}
            Ok(status) => failed.push(format!("{}: {status}", step.name)),
            Err(e) => failed.push(format!("{}: {e}", step.name)),
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("; ").into()) }
}

/// A command that does not know in which package cargo runs this one: a build that asks for that would be made again.
fn plain(program: &OsStr) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO_PKG_")) {
        command.env_remove(name);
    }
    command.env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_MANIFEST_PATH");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A script that nobody runs is measured by nobody.
    #[test]
    fn every_script_is_a_step() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let files = std::fs::read_dir(here).unwrap().map(|entry| entry.unwrap().path());
        let scripts = files.filter(|path| path.extension().is_some_and(|extension| extension == "sh"));
        for script in scripts.filter(|path| !path.ends_with("common.sh")) {
            let script = script.file_name().unwrap().to_str().unwrap();
            let command = format!("benches/{script}");
            assert!(STEPS.iter().any(|step| step.command == [command.as_str()]), "{command}");
        }
    }
}
