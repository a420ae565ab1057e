//! `rmi`.

use clap::Args;

use crate::{
    cli::{Outcome, complain, print},
    engine::{Engine, error::Kind, image::Removed},
};

#[derive(Debug, Args)]
pub(crate) struct Rmi {
    /// Images, by name or id
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
    /// Force removal of the image: of several names by its id, or of one that a stopped container uses
    #[arg(short, long)]
    force: bool,
    /// Do not delete untagged parents
    #[arg(long)]
    no_prune: bool,
}

impl Rmi {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let mut code = 0;
        for name in &self.images {
            match engine.remove_image(name, self.force, !self.no_prune) {
                Ok(removed) => print_removed(&removed, "Untagged", "Deleted"),
                Err(e) => {
                    complain(&e);
                    // As with Docker, what is not there cannot be in the way of a forced removal.
                    code = if self.force && e.kind == Kind::NotFound { code } else { 1 };
                }
            }
        }
        Ok(code)
    }
}

/// What was removed, a line each.
pub(in crate::cli) fn print_removed(removed: &[Removed], untagged: &str, deleted: &str) {
    for part in removed {
        match part {
            Removed::Untagged(name) => print(format_args!("{untagged}: {name}\n")),
            Removed::Deleted(id) => print(format_args!("{deleted}: {id}\n")),
        }
    }
}
