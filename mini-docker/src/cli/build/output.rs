//! `--output`: where what was built goes.

use std::{
    fs::{self},
    io::Write,
    path::{Path, PathBuf},
};

use crate::{
    cli::{container::warn_of, out},
    engine::{
        Engine, Error,
        error::{Context as _, Result},
        image::Image,
        reference::Reference,
    },
};

/// One `--output`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// Into the store, by one more name, and to the registries of all its names.
    Image { name: Option<String>, push: bool },
    /// The files, below a directory.
    Local(PathBuf),
    /// The files, as an archive.
    Tar(PathBuf),
    /// The image, as `save` writes it: an OCI layout that Docker loads too.
    Archive(PathBuf),
}

/// Where `-` leads.
const STDOUT: &str = "-";

impl Output {
    /// `DIRECTORY`, `-`, or `type=TYPE[,dest=PATH]`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        if text == STDOUT {
            return Ok(Self::Tar(STDOUT.into()));
        }
        if !text.contains('=') {
            return Ok(Self::Local(text.into()));
        }
        let (mut kind, mut destination, mut name, mut push) = ("", None, None, false);
        for field in text.split(',') {
            match field.split_once('=') {
                Some(("type", value)) => kind = value,
                Some(("dest", value)) => destination = Some(PathBuf::from(value)),
                Some(("name", value)) => name = Some(value.to_owned()),
                Some(("push", value @ ("true" | "false"))) => push = value == "true",
                _ => {
                    return Err(Error::invalid(format!(
                        "invalid --output {text:?}: {field} is not supported: give type=TYPE,dest=PATH"
                    )));
                }
            }
        }
        let is_image = matches!((kind, &destination), ("image" | "registry" | "docker", None));
        if (name.is_some() || push) && !is_image {
            return Err(Error::invalid(format!(
                "invalid --output {text:?}: name and push are of type=image; name an archive's image with -t"
            )));
        }
        let needed =
            || Error::invalid(format!("dest is required for {kind} output: give --output type={kind},dest=PATH"));
        match (kind, destination) {
            ("image" | "registry" | "docker", None) => Ok(Self::Image { name, push: push || kind == "registry" }),
            ("local", destination) => destination.map(Self::Local).ok_or_else(needed),
            ("tar", destination) => Ok(Self::Tar(destination.unwrap_or_else(|| STDOUT.into()))),
            ("oci", destination) => Ok(Self::Archive(destination.unwrap_or_else(|| STDOUT.into()))),
            ("docker", Some(destination)) => Ok(Self::Archive(destination)),
            ("", _) => Err(Error::invalid(format!("type is required for output: {text:?}"))),
            _ => Err(Error::invalid(format!(
                "invalid --output {text:?}: the types are image, registry, local, tar, oci and docker"
            ))),
        }
    }

    /// One more name of the image.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Image { name, .. } => name.as_deref(),
            _ => None,
        }
    }

    /// Whether it takes files, and no image.
    pub(super) fn is_files(&self) -> bool {
        matches!(self, Self::Local(_) | Self::Tar(_))
    }

    /// Whether it is standard output's turn.
    pub(super) fn is_stdout(&self) -> bool {
        matches!(self, Self::Tar(path) | Self::Archive(path) if path == Path::new(STDOUT))
    }

    pub(super) fn write(&self, engine: &Engine, image: &Image, tags: &[Reference]) -> Result<()> {
        match self {
            Self::Image { .. } => Ok(()),
            Self::Local(path) => {
                fs::create_dir_all(path).doing("make the directory", path)?;
                let left_out = engine.export_files(image, path)?;
                warn_of(&left_out, "an archive has them: -o type=tar,dest=FILE");
                Ok(())
            }
            Self::Tar(path) => to(path, |writer| engine.pack_files(image, writer)),
            Self::Archive(path) => {
                let names: Vec<_> = tags.iter().map(Reference::full).collect();
                let names = if names.is_empty() { vec![image.digest()] } else { names };
                to(path, |writer| engine.save(&names, writer))
            }
        }
    }
}

/// Writes a file, or `-`, standard output.
pub(super) fn to(path: &Path, act: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    out::archive(Some(path).filter(|path| *path != Path::new(STDOUT)), act)
}
