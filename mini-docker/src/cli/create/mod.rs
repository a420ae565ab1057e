//! Making containers: `create`, and `run`, which starts them too. Their flags are one set, in groups by concept.

pub(super) mod env;
mod image;
mod mount;
mod namespaces;
mod network;
mod process;
mod resources;
mod rights;
mod run;
mod storage;
mod supervision;
mod version1;

use std::{
    fs,
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{Outcome, print, warn};
use crate::engine::{
    Engine, Error, Request, Result,
    container::Container,
    error::Context,
    monitor::frame::{INPUT, STREAMS},
};

pub(super) use network::links;
pub(super) use run::Run;
pub(super) use storage::absolute;

// What `run` and `create` have in common.
#[derive(Debug, Args)]
struct Flags {
    /// Assign a name to the container
    #[arg(long)]
    name: Option<String>,
    /// Set metadata on the container
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    label: Vec<String>,
    /// Add an annotation to the container: a note that `inspect` shows
    #[arg(long, value_name = "KEY=VALUE")]
    annotation: Vec<String>,
    /// Read labels from a file, one a line
    #[arg(long, value_name = "FILE")]
    label_file: Vec<PathBuf>,
    /// Write the container ID to a file, which must not exist yet
    #[arg(long, value_name = "FILE")]
    cidfile: Option<PathBuf>,
    #[command(flatten)]
    source: image::ImageFlags,
    #[command(flatten)]
    process: process::ProcessFlags,
    #[command(flatten)]
    network: network::NetworkFlags,
    #[command(flatten)]
    storage: storage::StorageFlags,
    #[command(flatten)]
    rights: rights::RightsFlags,
    #[command(flatten)]
    namespaces: namespaces::NamespacesFlags,
    #[command(flatten)]
    supervision: supervision::SupervisionFlags,
    #[command(flatten)]
    resources: resources::ResourcesFlags,
    #[command(flatten)]
    version1: version1::Version1Flags,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// The image, by name or id; then the command and its arguments, with all that looks like flags
    // One argument for clap: what follows the image is never a flag of ours.
    #[arg(required = true, trailing_var_arg = true, value_names = ["IMAGE", "COMMAND"], num_args = 1..)]
    image: Vec<String>,
}

impl Flags {
    /// What they ask the engine for.
    fn request(&self) -> Result<Request> {
        let mut labels = Vec::new();
        for path in &self.label_file {
            labels.extend(env::label_file(path).map_err(Error::usage)?);
        }
        labels.extend(self.label.iter().cloned());
        if let Some(label) =
            labels.iter().chain(&self.annotation).find(|label| label.is_empty() || label.starts_with('='))
        {
            return Err(Error::invalid(format!("invalid label '{label}': empty name")).usage());
        }
        let label = |text: &String| {
            let (key, value) = text.split_once('=').unwrap_or((text, ""));
            (key.to_owned(), value.to_owned())
        };
        let (image, command) = self.image.split_first().ok_or_else(|| Error::invalid("no image is given"))?;
        let mut request = Request {
            image: image.clone(),
            command: command.to_vec(),
            name: self.name.clone().filter(|name| !name.is_empty()),
            labels: labels.iter().map(label).collect(),
            annotations: self.annotation.iter().map(label).collect(),
            ..Request::default()
        };
        self.storage.fill(&mut request)?;
        self.supervision.fill(&mut request)?;
        // What is wrong there is for Docker's daemon to say, and here for its command line.
        let parts = [
            self.process.fill(&mut request),
            self.network.fill(&mut request),
            self.rights.fill(&mut request),
            self.namespaces.fill(&mut request),
            self.resources.fill(&mut request),
        ];
        parts.into_iter().collect::<Result<()>>().map_err(Error::usage)?;
        self.version1.fill(&mut request)?;
        Ok(request)
    }

    /// Makes the container, and writes its id where it was asked for.
    fn create(&self, engine: &Engine, request: &Request) -> Result<Container> {
        let cidfile = self.cidfile.as_deref().map(new_file).transpose()?;
        let container = self.source.create(engine, request).inspect_err(|_| {
            // An empty one would be in the way of the next attempt.
            if let Some(path) = &self.cidfile {
                let _ = fs::remove_file(path);
            }
        })?;
        if let Some(text) = engine.user_namespace_warning(&container.config) {
            warn(&text);
        }
        if container.config.network.discards_ports() {
            warn("Published ports are discarded when using host network mode");
        }
        if let (Some(mut file), Some(path)) = (cidfile, &self.cidfile) {
            file.write_all(container.config.id.as_bytes()).doing("write", path)?;
        }
        Ok(container)
    }
}

#[derive(Debug, Args)]
pub(super) struct Create {
    #[command(flatten)]
    flags: Flags,
}

impl Create {
    /// What its flags ask the engine for.
    pub(super) fn request(&self) -> Result<Request> {
        self.flags.request()
    }

    pub(super) fn run(self, engine: &Engine) -> Outcome {
        let mut request = self.request()?;
        // Whoever attaches to it later may bring its input.
        request.stdin_once = request.open_stdin;
        if request.supervision.attach == 0 {
            request.supervision.attach = STREAMS | if request.open_stdin { INPUT } else { 0 };
        }
        let container = self.flags.create(engine, &request)?;
        print(format_args!("{}\n", container.config.id));
        Ok(0)
    }
}

fn new_file(path: &Path) -> Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    match options.write(true).create_new(true).mode(0o644).open(path) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Err(Error::conflict(format!(
            "container ID file found, make sure the other container isn't running or delete {}",
            path.display()
        ))),
        opened => opened.doing("create", path),
    }
}
