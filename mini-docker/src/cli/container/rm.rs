//! `rm`.

use clap::Args;

use crate::{
    cli::{Outcome, complain, each_that},
    engine::{Engine, error::Kind},
};

#[derive(Debug, Args)]
pub(crate) struct Rm {
    /// Containers, by name, id, or the beginning of an id
    #[arg(value_name = "CONTAINER", required = true)]
    containers: Vec<String>,
    /// Kill a running container first; a container that is not there is no error
    #[arg(short, long)]
    force: bool,
    /// Remove the specified links, CONTAINER/ALIAS each
    #[arg(short, long, conflicts_with_all = ["force", "volumes"])]
    link: bool,
    /// Remove anonymous volumes associated with the container
    #[arg(short, long)]
    volumes: bool,
}

impl Rm {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        if self.link {
            return each_that(&self.containers, |link| engine.remove_link(link).map(|()| true));
        }
        each_that(&self.containers, |name| match engine.container(name) {
            Err(e) if self.force && e.kind == Kind::NotFound => {
                complain(&e);
                Ok(false)
            }
            // Of one that cannot be read, its id is all that is needed.
            Err(_) if self.force => engine.remove_unreadable(&engine.container_id(name)?).map(|()| true),
            found => engine.remove(&found?, self.force, self.volumes).map(|()| true),
        })
    }
}
