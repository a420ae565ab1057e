//! `logs`.

use std::io::{self, Write};

use clap::Args;

use crate::{
    cli::Outcome,
    engine::{Engine, log::Stream},
};

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// The container, by name, id, or the beginning of its id
    container: String,
    /// Show timestamps
    #[arg(short, long)]
    timestamps: bool,
    /// Number of lines to show from the end of the logs, or `all`
    #[arg(short = 'n', long, default_value = "all", value_name = "LINES", allow_negative_numbers = true)]
    tail: String,
}

impl Logs {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let container = engine.container(&self.container)?;
        let entries = engine.logs(&container)?;
        // A negative number, or a word, means all, as in Docker.
        let lines = self.tail.parse::<usize>().unwrap_or(usize::MAX);
        let mut left = entries.iter().filter(|entry| entry.log.ends_with('\n')).count();
        if entries.last().is_some_and(|entry| !entry.log.ends_with('\n')) {
            left += 1;
        }
        let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
        for entry in &entries {
            let ends = entry.log.ends_with('\n');
            if left <= lines {
                let to: &mut dyn Write = if entry.stream == Stream::Stderr { &mut err } else { &mut out };
                let time = if self.timestamps { format!("{} ", entry.time) } else { String::new() };
                if write!(to, "{time}{}", entry.log).is_err() {
                    break;
                }
            }
            left -= usize::from(ends);
        }
        let _ = out.flush();
        Ok(0)
    }
}
