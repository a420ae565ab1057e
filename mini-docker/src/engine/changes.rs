//! What a container has changed of its image: `diff`, and the whole of it: `export`.

use std::{
    ffi::{CStr, OsStr},
    io::{self, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use nix::{
    dir::Type,
    errno::Errno,
    fcntl::{AtFlags, OFlag, open},
    sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, lstat},
};
use rootfs::{Options, Packer};

use super::{
    Engine,
    container::Container,
    error::{Context, Error, Kind, Result},
};

/// What became of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Added,
    /// It is another, or what is in it is.
    Changed,
    /// It is gone.
    Deleted,
}

/// What the runtime mounts something over: there are only mount points.
const OURS: [&str; 9] = [
    "dev",
    "proc",
    "sys",
    "etc/hosts",
    "etc/hostname",
    "etc/resolv.conf",
    "etc/mtab",
    ".dockerenv",
    "run/.containerenv",
];

/// What a container has changed.
#[derive(Debug)]
pub struct Changes {
    /// By path.
    pub found: Vec<(String, Change)>,
    /// Whether there is more, deeper than a path name can be long.
    pub goes_deeper: bool,
}

/// Bytes of a path name that the kernel takes.
const LONGEST: usize = 4095;

struct Search {
    /// The topmost first.
    lower: Vec<PathBuf>,
    ours: Vec<PathBuf>,
    found: Vec<(String, Change)>,
    goes_deeper: bool,
    /// Where the walk is.
    at: PathBuf,
    /// The directories on the way there.
    above: Vec<Above>,
}

/// A directory of the writable layer that the walk is in.
struct Above {
    stat: FileStat,
    /// What the image has there.
    below: Option<FileStat>,
    /// How much was found before it.
    found: usize,
}

impl Engine {
    /// What the container has changed, by path.
    pub fn changes(&self, container: &Container) -> Result<Changes> {
        let config = &container.config;
        let upper = self.container_file(&config.id, "upper");
        let mounted = self
            .mounts(config)?
            .into_iter()
            .map(|mount| mount.path.to_string_lossy().trim_start_matches('/').to_owned());
        let mut search = Search {
            lower: config.layers.iter().map(|layer| self.store.layer(layer).join("fs")).collect(),
            ours: OURS.iter().map(|path| (*path).to_owned()).chain(mounted).map(PathBuf::from).collect(),
            found: Vec::new(),
            goes_deeper: false,
            at: PathBuf::new(),
            above: Vec::new(),
        };
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        match open(&upper, flags, Mode::empty()) {
            Err(Errno::ENOENT) => {}
            opened => process::walk(opened.doing("read", &upper)?, &mut search).doing("read", &upper)?,
        }
        search.found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Changes { found: search.found, goes_deeper: search.goes_deeper })
    }

    /// Writes an archive of all its files, without what is mounted in it.
    ///
    /// # Errors
    /// What cannot be read, and those of `writer`.
    pub fn export(&self, container: &Container, writer: impl Write) -> Result<()> {
        let failed = |e: &dyn std::fmt::Display| Error::new(Kind::System, format!("export the container: {e}"));
        let config = &container.config;
        let upper = self.container_file(&config.id, "upper");
        let layers = config.layers.iter().map(|layer| self.store.layer(layer).join("fs"));
        // As one more layer: a second mount with it as the upper directory would get in the way of the container's own.
        let lower: Vec<PathBuf> = Some(upper).filter(|upper| upper.exists()).into_iter().chain(layers).collect();
        let root = overlay::merged(&lower).map_err(|e| failed(&e))?;
        let options = Options::default();
        let mut packer = Packer::new(writer, &options);
        packer.tree(root.as_fd(), b"").map_err(|e| failed(&e))?;
        packer.finish().map_err(|e| failed(&e))?;
        self.emit_container(config, "export", &[]);
        Ok(())
    }
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

fn is_directory(stat: &FileStat) -> bool {
    kind(stat) == SFlag::S_IFDIR
}

fn is_whiteout(stat: &FileStat) -> bool {
    kind(stat) == SFlag::S_IFCHR && stat.st_rdev == 0
}

impl process::Visitor for Search {
    fn meet(&mut self, parent: BorrowedFd, name: &CStr, _: Option<Type>) -> io::Result<bool> {
        let relative = self.at.join(OsStr::from_bytes(name.to_bytes()));
        let Ok(stat) = fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW) else { return Ok(false) };
        if self.ours.contains(&relative) {
            return Ok(false);
        }
        // With the slash before it.
        if relative.as_os_str().len() + 1 > LONGEST {
            self.goes_deeper = true;
            return Ok(false);
        }
        if is_directory(&stat) {
            return Ok(true);
        }
        let below = self.lower(&relative);
        if is_whiteout(&stat) {
            self.found.extend(below.map(|_| (shown(&relative), Change::Deleted)));
        } else {
            let change = if below.is_some() { Change::Changed } else { Change::Added };
            self.found.push((shown(&relative), change));
        }
        Ok(false)
    }

    fn enter(&mut self, directory: BorrowedFd, name: &CStr) -> io::Result<()> {
        self.at.push(OsStr::from_bytes(name.to_bytes()));
        let below = self.lower(&self.at);
        self.above.push(Above { stat: fstat(directory)?, below, found: self.found.len() });
        Ok(())
    }

    fn leave(&mut self, _: Option<BorrowedFd>, _: &CStr) -> io::Result<()> {
        let Some(Above { stat, below, found }) = self.above.pop() else { return Ok(()) };
        let inside = self.found.len() > found;
        let change = match below {
            // Made for something to be mounted there, before anybody changed anything.
            None if inside && OURS.iter().any(|ours| Path::new(ours).starts_with(&self.at)) => Some(Change::Changed),
            None if inside || !self.leads_to_ours(&self.at) => Some(Change::Added),
            Some(below) if inside || !same(&stat, &below) && !self.leads_to_ours(&self.at) => Some(Change::Changed),
            _ => None,
        };
        self.found.extend(change.map(|change| (shown(&self.at), change)));
        self.at.pop();
        Ok(())
    }
}

impl Search {
    /// Whether the runtime has made something in the directory.
    fn leads_to_ours(&self, directory: &Path) -> bool {
        self.ours.iter().any(|ours| ours.starts_with(directory))
    }

    /// What the image has at the path. A link on the way is none: layers are not trusted, and overlayfs follows none.
    fn lower(&self, relative: &Path) -> Option<FileStat> {
        // Nothing is below what is not there, and to look for it takes longer the deeper it would be.
        if self.above.last().is_some_and(|above| !above.below.as_ref().is_some_and(is_directory)) {
            return None;
        }
        for layer in &self.lower {
            let mut at = layer.clone();
            let mut parts = relative.components().peekable();
            while let Some(part) = parts.next() {
                at.push(part);
                let Ok(found) = lstat(&at) else { break };
                if is_whiteout(&found) || (parts.peek().is_some() && !is_directory(&found)) {
                    return None;
                }
                if parts.peek().is_none() {
                    return Some(found);
                }
            }
            if relative.ancestors().skip(1).any(|above| is_opaque(&layer.join(above))) {
                return None;
            }
        }
        None
    }
}

fn is_opaque(directory: &Path) -> bool {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let Ok(opened) = open(directory, flags, Mode::empty()) else { return false };
    let Some(name) = rootfs::Whiteouts::native().opaque() else { return false };
    let mut value = [0; 1];
    process::sys::get_xattr(opened.as_fd(), name, &mut value) == Ok(1) && value == *b"y"
}

fn same(a: &FileStat, b: &FileStat) -> bool {
    let key = |stat: &FileStat| (stat.st_mode, stat.st_uid, stat.st_gid, stat.st_mtime, stat.st_mtime_nsec);
    key(a) == key(b)
}

fn shown(relative: &Path) -> String {
    format!("/{}", relative.display())
}
