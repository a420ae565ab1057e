//! `inspect`.

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::{Outcome, format};
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
    /// Format output using a custom template: 'json', or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// Only inspect objects of this type
    #[arg(long, value_enum, value_name = "TYPE")]
    r#type: Option<Type>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Type {
    Container,
    Image,
    Volume,
}

impl Inspect {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        format::inspect(self.format.as_deref(), &self.names, |name| match self.r#type {
            None => any(engine, name),
            Some(Type::Container) => Ok(engine.inspect_container(&engine.container(name)?)),
            Some(Type::Image) => image(engine, name),
            Some(Type::Volume) => engine.inspect_volume(name),
        })
    }
}

/// A container, or else an image, or else a volume.
fn any(engine: &Engine, name: &str) -> Result<Value> {
    match engine.container(name) {
        Err(e) if e.kind == Kind::NotFound => {}
        found => return Ok(engine.inspect_container(&found?)),
    }
    match image(engine, name) {
        Err(e) if e.kind == Kind::NotFound || Reference::parse(name).is_err() => {}
        found => return found,
    }
    match engine.inspect_volume(name) {
        Err(e) if e.kind == Kind::NotFound => {
            Err(Error::not_found(format!("no such object: {name}; see `mini-docker ps -a` and `mini-docker images`")))
        }
        found => found,
    }
}

pub(super) fn image(engine: &Engine, name: &str) -> Result<Value> {
    engine.inspect_image(&engine.names_of(engine.image(name)?)?)
}
