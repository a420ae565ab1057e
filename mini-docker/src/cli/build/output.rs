//! `--output`: where what was built goes.

use std::{
    fs::{self},
    io::Write,
    path::{Path, PathBuf},
};

use crate::{
    cli::out,
    engine::{
        Engine, Error,
        error::{Context as _, Result},
        image::Image,
    },
};

/// One `--output`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// Into the store.
    Image,
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
        let (mut kind, mut destination) = ("", None);
        for field in text.split(',') {
            match field.split_once('=') {
                Some(("type", value)) => kind = value,
                Some(("dest", value)) => destination = Some(PathBuf::from(value)),
                _ => {
                    return Err(Error::invalid(format!(
                        "invalid --output {text:?}: {field} is not supported: give type=TYPE,dest=PATH"
                    )));
                }
            }
        }
        let needed =
            || Error::invalid(format!("dest is required for {kind} output: give --output type={kind},dest=PATH"));
        match (kind, destination) {
            ("image" | "docker", None) => Ok(Self::Image),
            ("local", destination) => destination.map(Self::Local).ok_or_else(needed),
            ("tar", destination) => Ok(Self::Tar(destination.unwrap_or_else(|| STDOUT.into()))),
            ("oci", destination) => Ok(Self::Archive(destination.unwrap_or_else(|| STDOUT.into()))),
            ("docker", Some(destination)) => Ok(Self::Archive(destination)),
            ("", _) => Err(Error::invalid(format!("type is required for output: {text:?}"))),
            _ => Err(Error::invalid(format!(
                "invalid --output {text:?}: the types are image, local, tar, oci and docker"
            ))),
        }
    }

    /// Whether it is standard output's turn.
    pub(super) fn is_stdout(&self) -> bool {
        matches!(self, Self::Tar(path) | Self::Archive(path) if path == Path::new(STDOUT))
    }

    pub(super) fn write(&self, engine: &Engine, image: &Image) -> Result<()> {
        match self {
            Self::Image => Ok(()),
            Self::Local(path) => {
                fs::create_dir_all(path).doing("make the directory", path)?;
                engine.export_files(image, path)
            }
            Self::Tar(path) => to(path, |writer| engine.pack_files(image, writer)),
            Self::Archive(path) => to(path, |writer| engine.save(&[image.digest()], writer)),
        }
    }
}

/// Writes a file, or `-`, standard output.
pub(super) fn to(path: &Path, act: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    out::archive(Some(path).filter(|path| *path != Path::new(STDOUT)), act)
}
