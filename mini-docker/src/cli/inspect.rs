//! `inspect`.

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::{Outcome, format};
use crate::engine::{
    Engine,
    container::Container,
    error::{Error, Kind, Result},
    reference::Reference,
};

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// Containers, images, networks or volumes, by name or id
    #[arg(value_name = "NAME|ID", required = true)]
    names: Vec<String>,
    /// Format output using a custom template: 'json', or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// Display total file sizes if the type is container
    #[arg(short, long)]
    size: bool,
    /// Only inspect objects of this type
    #[arg(long, value_enum, value_name = "TYPE")]
    r#type: Option<Type>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Type {
    Container,
    Image,
    Network,
    Volume,
}

impl Inspect {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        format::inspect(self.format.as_deref(), &self.names, |name| match self.r#type {
            None => any(engine, name, self.size),
            Some(Type::Container) => container(engine, &engine.container(name)?, self.size),
            Some(Type::Image) => image(engine, name),
            Some(Type::Network) => engine.inspect_network(&engine.network(name)?),
            Some(Type::Volume) => engine.inspect_volume(name),
        })
    }
}

// `container inspect`.
#[derive(Debug, Args)]
pub(super) struct InspectContainer {
    /// Containers, by name, id, or the beginning of an id
    #[arg(value_name = "CONTAINER", required = true)]
    names: Vec<String>,
    /// Format output using a custom template: 'json', or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// Display total file sizes
    #[arg(short, long)]
    size: bool,
}

impl InspectContainer {
    pub(super) fn run(self, engine: &Engine) -> Outcome {
        format::inspect(self.format.as_deref(), &self.names, |name| {
            container(engine, &engine.container(name)?, self.size)
        })
    }
}

fn container(engine: &Engine, container: &Container, size: bool) -> Result<Value> {
    let mut document = engine.inspect_container(container);
    if size {
        let written = engine.written(container)?;
        let image = engine.image(&container.config.image).map_or(0, |image| image.size(engine));
        document["SizeRw"] = written.into();
        document["SizeRootFs"] = (written + image).into();
    }
    Ok(document)
}

/// A container, or else an image, a network, a volume.
fn any(engine: &Engine, name: &str, size: bool) -> Result<Value> {
    match engine.container(name) {
        Err(e) if e.kind == Kind::NotFound => {}
        found => return container(engine, &found?, size),
    }
    match image(engine, name) {
        Err(e) if e.kind == Kind::NotFound || Reference::parse(name).is_err() => {}
        found => return found,
    }
    match engine.network(name) {
        Err(e) if e.kind == Kind::NotFound => {}
        found => return engine.inspect_network(&found?),
    }
    match engine.inspect_volume(name) {
        Err(e) if e.kind == Kind::NotFound => {
            Err(Error::not_found(format!("No such object: {name}; see `mini-docker ps -a` and `mini-docker images`")))
        }
        found => found,
    }
}

pub(super) fn image(engine: &Engine, name: &str) -> Result<Value> {
    engine.inspect_image(&engine.names_of(engine.image(name)?)?)
}
