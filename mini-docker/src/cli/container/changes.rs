//! `diff` and `export`: what a container has made of its image.

use std::path::PathBuf;

use clap::Args;

use crate::{
    cli::{Outcome, out, print, warn},
    engine::{Engine, changes::Change},
};

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The container, by name or id
    container: String,
}

impl Diff {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let changes = engine.changes(&engine.container(&self.container)?)?;
        for (path, change) in changes.found {
            let letter = match change {
                Change::Added => 'A',
                Change::Changed => 'C',
                Change::Deleted => 'D',
            };
            print(format_args!("{letter} {}\n", out::line(&path)));
        }
        if changes.goes_deeper {
            warn("what lies deeper than a path name can be long (4095 bytes) is not listed");
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
        out::archive(self.output.as_deref(), |writer| engine.export(&container, writer)).map(|()| 0)
    }
}
