//! The files that a build may use.

use std::{
    fs,
    io::{self, Read},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use nix::{
    fcntl::{OFlag, open},
    sys::stat::Mode,
};

use super::dockerfile::Ignore;
use crate::engine::error::{Context as _, Error, Kind, Result};

/// A directory of the user's, and what of it is left out.
#[derive(Debug)]
pub struct Context {
    pub(super) root: OwnedFd,
    pub(super) ignore: Ignore,
}

impl Context {
    /// The files below `directory`. `ignore` is the text of a `.dockerignore`.
    pub fn new(directory: &Path, ignore: &str) -> Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let root = open(directory, flags, Mode::empty()).doing("open the build context", directory)?;
        let ignore = Ignore::parse(ignore).map_err(|e| Error::invalid(format!(".dockerignore: {}", e.message)))?;
        Ok(Self { root, ignore })
    }
}

/// The text of a small file of the user's; `None` where there is none.
pub fn read(path: &Path) -> Result<Option<String>> {
    match fs::read(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        // Comments in other encodings are common in old files.
        read => Ok(Some(String::from_utf8_lossy(&read.doing("read", path)?).into_owned())),
    }
}

/// The ignore file of a context: beside the Dockerfile with its name before it, or in the context.
pub fn ignore_file(dockerfile: Option<&Path>, directory: &Path) -> Result<String> {
    let own = dockerfile.map(|path| {
        let mut name = path.as_os_str().to_owned();
        name.push(".dockerignore");
        PathBuf::from(name)
    });
    let own = own.map(|path| read(&path)).transpose()?.flatten();
    Ok(match own {
        Some(text) => text,
        None => read(&directory.join(".dockerignore"))?.unwrap_or_default(),
    })
}

/// What comes in place of a directory.
pub enum Input {
    /// An archive, unpacked into the directory.
    Archive,
    /// A Dockerfile.
    Dockerfile(String),
}

/// Reads standard input: an archive, compressed or not, which is unpacked into `directory`, or a Dockerfile.
pub fn input(mut stream: impl Read, directory: &Path) -> Result<Input> {
    let mut start = Vec::new();
    stream.by_ref().take(512).read_to_end(&mut start).doing("read the context for", directory)?;
    if !super::copy::is_archive(&start) {
        let mut bytes = start;
        stream.take(1 << 20).read_to_end(&mut bytes).doing("read the Dockerfile for", directory)?;
        return Ok(Input::Dockerfile(String::from_utf8_lossy(&bytes).into_owned()));
    }
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let target = open(directory, flags, Mode::empty()).doing("open", directory)?;
    let options = rootfs::Options {
        devices: rootfs::Devices::Skip,
        absolute_names: rootfs::AbsoluteNames::Confine,
        ..rootfs::Options::default()
    };
    rootfs::unpack(io::Cursor::new(start).chain(stream), std::os::fd::AsFd::as_fd(&target), &options)
        .map_err(|e| Error::new(Kind::Invalid, format!("unpack the context: {e}")))?;
    Ok(Input::Archive)
}
