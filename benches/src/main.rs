//! `cargo run --release -p benches -- startup`: containers, virtual machines and peers beside each other.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use benches::startup;
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
}

fn main() -> ExitCode {
    let Report::Startup(options) = Arguments::parse().report;
    match startup::run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("benches: {e}");
            ExitCode::FAILURE
        }
    }
}
