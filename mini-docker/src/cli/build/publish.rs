//! Where what was built goes, and what is told of it.

use std::{fs, path::PathBuf};

use clap::Args;
use serde_json::json;

use super::output::Output;
use crate::{
    cli::image::push::push_quietly,
    engine::{
        Engine, Error,
        build::Request,
        digest::Digest,
        error::{Context as _, Result},
        image::Image,
        reference::Reference,
    },
};

#[derive(Debug, Args)]
pub(super) struct PublishFlags {
    /// Output destination: a directory, - for an archive on standard output, or
    /// type=local|tar|oci|docker|image|registry[,dest=PATH][,name=NAME][,push=true]
    #[arg(short, long, value_name = "DESTINATION")]
    output: Vec<String>,
    /// Make it an image of the store, as without --output: type=docker
    #[arg(long)]
    load: bool,
    /// Push the image to its registry under all its names: type=registry
    #[arg(long)]
    push: bool,
    /// Write the image ID to a file
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,
    /// Write digests and names to a file, as JSON
    #[arg(long, value_name = "FILE")]
    metadata_file: Option<PathBuf>,
}

impl PublishFlags {
    /// All places, as flags name them.
    pub(super) fn outputs(&self) -> Result<Vec<Output>> {
        let mut outputs: Vec<_> = self.output.iter().map(|text| Output::parse(text)).collect::<Result<_>>()?;
        if self.load || self.push {
            outputs.push(Output::Image { name: None, push: self.push });
        }
        Ok(outputs)
    }

    /// Writes and sends everything; `tell` is told of what was sent.
    pub(super) fn publish(
        &self,
        engine: &Engine,
        request: &Request,
        outputs: &[Output],
        image: &Image,
        tell: impl Fn(&str),
    ) -> Result<()> {
        for output in outputs {
            output.write(engine, image, &request.tags)?;
        }
        let mut sent = None;
        if outputs.iter().any(|output| matches!(output, Output::Image { push: true, .. })) {
            if request.tags.is_empty() {
                return Err(Error::invalid("tag is needed when pushing to registry: give -t NAME"));
            }
            for tag in &request.tags {
                let pushed = push_quietly(engine, tag)?;
                tell(&format!("pushing {}@{} done", tag.full(), pushed.digest));
                sent = Some(pushed.digest);
            }
        }
        if let Some(path) = &self.iidfile {
            fs::write(path, image.digest()).doing("write", path)?;
        }
        if let Some(path) = &self.metadata_file {
            fs::write(path, metadata(image, &request.tags, sent.as_ref())).doing("write", path)?;
        }
        Ok(())
    }
}

/// The keys of Docker's that are known here.
fn metadata(image: &Image, tags: &[Reference], sent: Option<&Digest>) -> String {
    let mut told = json!({
        "containerimage.config.digest": image.digest(),
        "containerimage.digest": sent.map_or_else(|| image.digest(), Digest::to_string),
    });
    if !tags.is_empty() {
        told["image.name"] = tags.iter().map(Reference::full).collect::<Vec<_>>().join(",").into();
    }
    format!("{told:#}")
}
