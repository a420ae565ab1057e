//! `diff` and `export`: what a container has made of its image.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal, Write},
    path::PathBuf,
};

use clap::Args;

use crate::{
    cli::{Outcome, out::Stdout, print},
    engine::{Engine, Error, changes::Change, error::Context},
};

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The container, by name or id
    container: String,
}

impl Diff {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        for (path, change) in engine.changes(&engine.container(&self.container)?)? {
            let letter = match change {
                Change::Added => 'A',
                Change::Changed => 'C',
                Change::Deleted => 'D',
            };
            print(format_args!("{letter} {path}\n"));
        }
        Ok(0)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Write to a file, instead of STDOUT
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The container, by name or id
    container: String,
}

impl Export {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let container = engine.container(&self.container)?;
        let Some(path) = self.output else {
            if io::stdout().is_terminal() {
                return Err(Error::invalid("cowardly refusing to save to a terminal: use the -o flag or redirect"));
            }
            return engine.export(&container, Stdout).map(|()| 0);
        };
        // Whole or not at all: another file of that name stays until this one is complete.
        let part = path.with_extension(format!("part-{}", std::process::id()));
        let mut file = BufWriter::new(File::create(&part).doing("create", &part)?);
        let written = engine.export(&container, &mut file).and_then(|()| file.flush().doing("write", &part));
        let done = written.and_then(|()| std::fs::rename(&part, &path).doing("create", &path));
        if done.is_err() {
            let _ = std::fs::remove_file(&part);
        }
        done.map(|()| 0)
    }
}
