//! `cargo run -p check -- NN`: builds the reader's exercise NN, and looks at it from outside as the kernel does.
#![forbid(unsafe_code)]

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use clap::Parser;

/// Checks an exercise of the book
#[derive(Debug, Parser)]
struct Arguments {
    /// The number of the exercise's chapter; without it, all are listed
    #[arg(value_name = "NN")]
    number: Option<String>,
    /// Show the hint in the place of checking
    #[arg(long)]
    hint: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("check: {e}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let exercises = exercises(&repository.join("book/exercises"))?;
    let Some(number) = &arguments.number else {
        for exercise in &exercises {
            println!("{}", name(exercise));
        }
        return Ok(true);
    };
    let number = format!("{number:0>2}");
    let exercise = exercises.iter().find(|path| name(path).starts_with(&format!("{number}-")));
    let exercise = exercise.ok_or_else(|| format!("there is no exercise {number}: cargo run -p check lists them"))?;
    if arguments.hint {
        print!("{}", fs::read_to_string(exercise.join("hint.md"))?);
        return Ok(true);
    }
    let package = format!("exercise-{number}");
    let mut build = Command::new("cargo");
    if !build.args(["build", "-q", "-p", &package]).current_dir(&repository).status()?.success() {
        return Err(format!("{} does not compile yet", exercise.join("src/main.rs").display()).into());
    }
    let target = std::env::current_exe()?.parent().map(Path::to_owned).unwrap_or_default();
    let root = target.join("exercises-rootfs");
    if !root.exists() {
        let fetch = Command::new(repository.join("rootfs-fetch.sh")).arg("busybox").arg(&root).output()?;
        if !fetch.status.success() {
            return Err(String::from_utf8_lossy(&fetch.stderr).into_owned().into());
        }
    }
    let mut check = Command::new("sh");
    check.arg(exercise.join("check.sh")).env("PROGRAM", target.join(&package)).env("ROOTFS", root);
    let passed = check.status()?.success();
    println!("{}", if passed { "passed" } else { "not yet: --hint shows a way" });
    Ok(passed)
}

/// The exercises' directories, in order.
fn exercises(directory: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let entries = fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
    let mut all: Vec<_> = entries.into_iter().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    all.sort();
    Ok(all)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
