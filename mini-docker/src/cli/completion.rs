//! `completion` and `man`: what is generated from the command line's own description.

use std::{fs, io, path::PathBuf};

use clap::{Args, CommandFactory, ValueEnum};

use super::{Arguments, Outcome};
use crate::engine::error::{Context, Error};

#[derive(Debug, Args)]
pub(super) struct Completion {
    /// The shell that is to complete
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Completion {
    /// Needs no store.
    pub(super) fn run(self) -> Outcome {
        let shell = match self.shell {
            Shell::Bash => clap_complete::Shell::Bash,
            Shell::Zsh => clap_complete::Shell::Zsh,
            Shell::Fish => clap_complete::Shell::Fish,
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Arguments::command(), "mini-docker", &mut script);
        // Whoever reads it may have read enough.
        let _ = io::Write::write_all(&mut super::out::Stdout, &script);
        Ok(0)
    }
}

#[derive(Debug, Args)]
pub(super) struct Man {
    /// Where the pages go; made where it is missing
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

impl Man {
    /// Needs no store.
    pub(super) fn run(self) -> Outcome {
        fs::create_dir_all(&self.directory).doing("make the directory", &self.directory)?;
        let doing = format!("write the man pages to {}", self.directory.display());
        clap_mangen::generate_to(Arguments::command(), &self.directory).map_err(|e| Error::system(doing, &e))?;
        Ok(0)
    }
}
