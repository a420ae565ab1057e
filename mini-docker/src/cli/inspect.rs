//! `inspect`.

use clap::Args;
use serde_json::Value;

use super::{Outcome, complain, print};
use crate::engine::{
    Engine,
    error::{Error, Kind, Result},
    reference::Reference,
};

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// Containers or images, by name or id
    #[arg(value_name = "NAME|ID", required = true)]
    names: Vec<String>,
}

impl Inspect {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let mut objects = Vec::new();
        let mut code = 0;
        for name in &self.names {
            match inspect(engine, name) {
                Ok(object) => objects.push(object),
                Err(e) => {
                    complain(&e);
                    code = 1;
                }
            }
        }
        let text = serde_json::to_string_pretty(&objects).map_err(|e| Error::system("print", &e.into()))?;
        print(format_args!("{text}\n"));
        Ok(code)
    }
}

fn inspect(engine: &Engine, name: &str) -> Result<Value> {
    match engine.container(name) {
        Err(e) if e.kind == Kind::NotFound => {}
        found => return Ok(engine.inspect_container(&found?)),
    }
    match engine.image(name) {
        Err(e) if e.kind == Kind::NotFound || Reference::parse(name).is_err() => {
            Err(Error::not_found(format!("no such object: {name}; see `mini-docker ps -a` and `mini-docker images`")))
        }
        found => {
            let image = found?;
            let names = engine.images()?.into_iter().find(|(other, _)| other.id == image.id);
            let names: Vec<_> = names.iter().flat_map(|(_, names)| names).map(Reference::to_string).collect();
            Ok(engine.inspect_image(&image, &names))
        }
    }
}
