//! The files that a build may use.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2},
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

/// Bytes of the largest file that is read whole.
const LARGEST: u64 = 16 << 20;

/// The text of a small file; `None` where there is none. Whoever made the files below `root` may have put links there, which
/// lead nowhere else; without it, it is the user's own file.
pub fn read(root: Option<&Path>, path: &Path) -> Result<Option<String>> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let opened = match root {
        None => open(path, flags, Mode::empty()),
        Some(root) => {
            let within = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
            let directory = open(root, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty());
            let directory = directory.doing("open the build context", root)?;
            // A FIFO would wait for a writer.
            let flags = flags | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
            openat2(directory, path, OpenHow::new().flags(flags).resolve(within))
        }
    };
    let file = match opened {
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
        file => File::from(file.doing("open", path)?),
    };
    if root.is_some() && !file.metadata().doing("look at", path)?.is_file() {
        return Err(Error::invalid(format!(
            "read {}: it is no regular file: put the text itself there",
            path.display()
        )));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).doing("read", path)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Error::invalid(format!(
            "read {}: it has more than {} MiB: make it smaller",
            path.display(),
            LARGEST >> 20
        )));
    }
    // Comments in other encodings are common in old files.
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The ignore file of a context: beside the Dockerfile with its name before it, or in the context; `root` as in [`read`].
pub fn ignore_file(root: Option<&Path>, dockerfile: Option<&Path>, directory: &Path) -> Result<String> {
    let own = dockerfile.map(|path| {
        let mut name = path.as_os_str().to_owned();
        name.push(".dockerignore");
        PathBuf::from(name)
    });
    let own = own.map(|path| read(root, &path)).transpose()?.flatten();
    Ok(match own {
        Some(text) => text,
        // The user's own may be a link to one that several contexts share: to leave it out would let in what it names.
        None if root.is_none() => read(None, &directory.join(".dockerignore"))?.unwrap_or_default(),
        None => read(root, Path::new(".dockerignore"))?.unwrap_or_default(),
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
