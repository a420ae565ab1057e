//! `wait`.

use clap::Args;

use crate::{
    cli::{Outcome, complain, print},
    engine::Engine,
};

#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// Containers, by name, id, or the beginning of an id
    #[arg(value_name = "CONTAINER", required = true)]
    containers: Vec<String>,
}

impl Wait {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let mut failed = 0;
        for name in &self.containers {
            match engine.container(name).and_then(|container| engine.wait(&container)) {
                Ok(code) => print(format_args!("{code}\n")),
                Err(e) => {
                    complain(&e);
                    failed = 1;
                }
            }
        }
        Ok(failed)
    }
}
