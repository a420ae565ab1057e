//! `cargo run --release -p benches -- startup`: containers, virtual machines and peers beside each other.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use benches::{all, budgets, growth, startup};
use clap::{Parser, Subcommand};

/// Measures what a reader can measure again
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    report: Report,
}

#[derive(Debug, Subcommand)]
enum Report {
    /// How long it takes until a program runs and serves, and what memory that costs: a process, containers, machines
    Startup(startup::Options),
    /// What grows with the number of containers, images, files and services
    Growth(growth::Options),
    /// What was promised, what was measured last, and whether that is enough
    Budgets,
    /// All of them and the scripts beside, one after the other, and then the pages that show them
    All(all::Options),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().report {
        Report::Startup(options) => startup::run(&options),
        Report::Growth(options) => growth::run(&options),
        Report::Budgets => budgets::run(),
        Report::All(options) => all::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("benches: {e}");
            ExitCode::FAILURE
        }
    }
}
