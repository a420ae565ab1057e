//! A container's files, running or not, opened from outside: no program of the container has a part in it.
//!
//! Every path is resolved in its root by openat2(2) with `RESOLVE_IN_ROOT`: links in it lead nowhere else, whoever
//! changes them meanwhile.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::MetadataExt},
    },
    path::{Component, Path, PathBuf},
};

use mount::Source;
use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2, readlinkat},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::stat::{FileStat, SFlag, fstat},
};
use process::{Host, Journal, Primitive, sys::MountAttr};

use super::{
    Engine,
    container::{Container, State},
    error::{Error, Kind, Result},
    files::Lock,
    lifecycle::first_process,
};

/// Links that are followed to one file, as by the kernel.
const MOST_LINKS: usize = 40;

/// Milliseconds that a process may take from the loss of its root to its end, on a busy machine.
const ENDING: u16 = 10_000;

/// Where paths begin: the host, or a container.
#[derive(Debug)]
pub enum Tree {
    /// The host's own files.
    Host,
    /// A container's.
    Container(Root),
}

/// A container's root, with what is mounted in it.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
    /// The user namespace of one that runs, whose ids its files have: where it is not ours.
    owner: Option<OwnedFd>,
    read_only: bool,
    /// Of one that does not run: by path, the deepest first.
    mounts: Vec<(PathBuf, OwnedFd, bool)>,
    /// Nobody starts it meanwhile.
    _lock: Option<Lock>,
}

/// A place in a tree: a directory, and a name in it.
#[derive(Debug)]
pub struct Spot {
    /// The directory.
    pub parent: OwnedFd,
    /// A plain name in it; `.` is the directory itself.
    pub name: OsString,
    /// What is there.
    pub found: Option<FileStat>,
    /// Whether nothing may be written there.
    pub read_only: bool,
}

impl Spot {
    fn is(&self, kind: SFlag) -> bool {
        self.found.is_some_and(|stat| SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) == kind)
    }

    /// Whether a directory is there.
    pub fn is_directory(&self) -> bool {
        self.is(SFlag::S_IFDIR)
    }

    /// Opens the directory that is there.
    pub fn directory(&self) -> nix::Result<OwnedFd> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        nix::fcntl::openat(&self.parent, self.name.as_os_str(), flags, nix::sys::stat::Mode::empty())
    }
}

impl Engine {
    /// The files of a container: with all its mounts, as its processes see them.
    pub fn tree(&self, container: &Container) -> Result<Tree> {
        let failed = |e: &dyn std::fmt::Display| Error::new(Kind::System, format!("open the container's files: {e}"));
        if container.status.state != State::Exited
            && let Some(first) = first_process(&container.status)
            && let Some(root) = Root::running(container, &first).map_err(|e| failed(&e))?
        {
            return Ok(Tree::Container(root));
        }
        let lock = self.lock_container(&container.config.id)?;
        let config = &container.config;
        let mut host = Host::new(Journal::in_memory());
        let mut overlay = overlay::Overlay::new(self.lower(config)?, self.store.container(&config.id));
        overlay.prepare(&mut host).map_err(|e| failed(&e))?;
        let fd = host.root.take().ok_or_else(|| failed(&"it has no root"))?;
        let mut mounts = Vec::new();
        for entry in self.mounts(config)? {
            if let Source::Open(tree) = &entry.source {
                let fd = tree.fd.try_clone().map_err(|e| failed(&e))?;
                let path = PathBuf::from(OsStr::from_bytes(entry.path.to_bytes()));
                mounts.push((path, fd, entry.attr.has(MountAttr::READ_ONLY)));
            }
        }
        mounts.sort_by_key(|(path, ..)| std::cmp::Reverse(path.components().count()));
        Ok(Tree::Container(Root { fd, owner: None, read_only: config.storage.read_only, mounts, _lock: Some(lock) }))
    }
}

impl Root {
    /// That of one that runs; `None` where it has ended meanwhile.
    fn running(container: &Container, first: &OwnedFd) -> io::Result<Option<Self>> {
        let way_in = process::way_in(nix::unistd::Pid::from_raw(container.status.pid));
        let opened = File::open(format!("/proc/{way_in}/root"))
            .and_then(|fd| Ok((fd, File::open(format!("/proc/{way_in}/ns/user"))?)));
        let has_ended =
            |timeout| Ok::<_, Errno>(poll(&mut [PollFd::new(first.as_fd(), PollFlags::POLLIN)], timeout)? > 0);
        let (fd, owner) = match opened {
            // Who is ending has no root any more, before the pidfd says that he has ended.
            Err(e) if e.kind() == io::ErrorKind::NotFound || e.raw_os_error() == Some(Errno::ESRCH as i32) => {
                return if has_ended(PollTimeout::from(ENDING))? { Ok(None) } else { Err(e) };
            }
            opened => opened?,
        };
        // The pid may have been another's by then; alive now, it was its own.
        if has_ended(PollTimeout::ZERO)? {
            return Ok(None);
        }
        let ours = fs::metadata("/proc/self/ns/user").and_then(|ours| Ok(ours.ino() == owner.metadata()?.ino()));
        let owner = Some(owner.into()).filter(|_| !ours.unwrap_or(true));
        Ok(Some(Self { fd: fd.into(), owner, read_only: false, mounts: Vec::new(), _lock: None }))
    }

    /// The mount that a path without links and `..` is in, and the way from there.
    fn mount(&self, path: &Path) -> (BorrowedFd<'_>, PathBuf, bool) {
        let inside =
            self.mounts.iter().find_map(|(at, fd, read_only)| Some((fd, path.strip_prefix(at).ok()?, read_only)));
        match inside {
            Some((fd, rest, read_only)) => (fd.as_fd(), rest.to_owned(), *read_only),
            None => (self.fd.as_fd(), path.strip_prefix("/").unwrap_or(path).to_owned(), self.read_only),
        }
    }
}

impl Tree {
    /// The user namespace in which its files have their owners; `None`: ours.
    pub fn owner(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Container(Root { owner: Some(owner), .. }) => Some(owner.as_fd()),
            _ => None,
        }
    }

    /// Opens a directory of the tree, links followed.
    fn directory(&self, path: &Path) -> nix::Result<(OwnedFd, bool)> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        match self {
            Self::Host => nix::fcntl::open(path, flags, nix::sys::stat::Mode::empty()).map(|fd| (fd, false)),
            Self::Container(root) => {
                let (mount, rest, read_only) = root.mount(path);
                let rest = if rest.as_os_str().is_empty() { PathBuf::from(".") } else { rest };
                let how = OpenHow::new()
                    .flags(flags)
                    .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
                openat2(mount, &rest, how).map(|fd| (fd, read_only))
            }
        }
    }

    /// Finds the place that `path` names; with `follow`, the one that a link there leads to.
    ///
    /// # Errors
    /// ENOENT, ENOTDIR and their like for the directory; that nothing is at the place itself is no error.
    pub fn find(&self, path: &Path, follow: bool) -> nix::Result<Spot> {
        let mut path = self.absolute(path);
        for _ in 0..MOST_LINKS {
            let name = path.file_name().map_or_else(|| OsString::from("."), OsStr::to_owned);
            let above =
                if path.file_name().is_some() { path.parent().unwrap_or(Path::new("/")) } else { path.as_path() };
            // What is mounted at the place itself is what is there.
            let mounted = matches!(self, Self::Container(root) if root.mounts.iter().any(|(at, fd, _)| *at == path && is_directory(fd)));
            let (parent, name, read_only) = if mounted {
                let (parent, read_only) = self.directory(&path)?;
                (parent, OsString::from("."), read_only)
            } else {
                let (parent, read_only) = self.directory(above)?;
                (parent, name, read_only)
            };
            let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let found = match nix::fcntl::openat(&parent, name.as_os_str(), flags, nix::sys::stat::Mode::empty()) {
                Ok(fd) => Some(fstat(&fd)?),
                Err(Errno::ENOENT) => None,
                Err(errno) => return Err(errno),
            };
            let spot = Spot { parent, name, found, read_only };
            if !(follow && spot.is(SFlag::S_IFLNK)) {
                return Ok(spot);
            }
            let target = readlinkat(&spot.parent, spot.name.as_os_str())?;
            path = self.absolute(&above.join(target));
        }
        Err(Errno::ELOOP)
    }

    /// In a container, `..` is taken away before links are followed, as Docker does.
    fn absolute(&self, path: &Path) -> PathBuf {
        if matches!(self, Self::Host) {
            // Without one there is nothing that a relative path could mean.
            return std::env::current_dir().unwrap_or_default().join(path).components().collect();
        }
        let mut clean = PathBuf::from("/");
        for part in path.components() {
            match part {
                Component::Normal(name) => clean.push(name),
                Component::ParentDir => drop(clean.pop()),
                _ => {}
            }
        }
        clean
    }
}

fn is_directory(fd: &OwnedFd) -> bool {
    fstat(fd).is_ok_and(|stat| SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFDIR)
}
