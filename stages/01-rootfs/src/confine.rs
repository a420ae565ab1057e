//! Directories of the tree, opened so that no path leads out of it.
//!
//! Every write of this crate is a system call on one open directory with one plain name in it: no slash, no `..`, and
//! no link followed in the last step. What remains is how the directory is opened. An archive can make a link
//! `x -> /etc` and then name `x/passwd`, and an unpacker that joins strings writes to the host's file.
//!
//! openat2(2) (Linux 5.6) asks the kernel to keep within a directory. The first attempt allows no link at all
//! (`RESOLVE_NO_SYMLINKS`, `RESOLVE_BENEATH`), which is what nearly every entry needs. A directory behind a link is
//! opened as a process inside of a container would open it (`RESOLVE_IN_ROOT`): `/` and `..` end at the root of the
//! tree. Honest images need this: one part of a build links `lib -> usr/lib`, and the next one brings `lib/x`.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2, readlink},
    sys::{
        stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat, futimens, mkdirat},
        time::TimeSpec,
    },
    unistd::geteuid,
};

use crate::{
    attributes,
    error::{Error, Refusal, shown},
    name::split,
    node,
    options::Options,
};

const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

/// A directory that entries are being put into.
struct Directory {
    fd: OwnedFd,
    /// The path that it was opened by; `None` once that may lead elsewhere.
    path: Option<Vec<u8>>,
    /// What to restore when the work in it is done: every new entry would change the time.
    mtime: TimeSpec,
    /// Whether the archive describes it.
    described: bool,
    mode: Option<Mode>,
}

/// The tree that grows in the target directory.
pub(crate) struct Tree<'a> {
    root: OwnedFd,
    /// How deep the root itself lies in the host's tree.
    root_depth: usize,
    /// The directory of the last entry. Most entries lie beside the one before them.
    here: Option<Directory>,
    privileged: bool,
    options: &'a Options,
}

impl<'a> Tree<'a> {
    /// A tree in `target`, which may be an `O_PATH` descriptor.
    pub(crate) fn new(target: BorrowedFd, options: &'a Options) -> Result<Self, Error> {
        let root = openat(target, c".", DIRECTORY, Mode::empty())
            .map_err(Error::system("open the target directory for", b"the archive"))?;
        let root_depth = depth(root.as_fd()).map_err(Error::system("find the target directory for", b"the archive"))?;
        Ok(Self { root, root_depth, here: None, privileged: geteuid().is_root(), options })
    }

    /// Makes the directory `path` the one to work in. `make` is called for each missing directory before it is made.
    pub(crate) fn enter(&mut self, path: &[u8], make: &mut dyn FnMut() -> Result<(), Error>) -> Result<(), Error> {
        if self.here.as_ref().is_none_or(|here| here.path.as_deref() != Some(path)) {
            self.leave()?;
            let (fd, linked) = self.open_or_make(path, make)?;
            self.refuse_too_deep(fd.as_fd(), path, linked)?;
            let mtime = modified(&fstat(&fd).map_err(Error::system("fstat", path))?);
            self.work_in(path, fd, mtime, false)?;
        }
        Ok(())
    }

    /// Works in `fd` from here on, a real directory at `path`, and gives it `mtime` when the work is done.
    pub(crate) fn stay(&mut self, path: &[u8], fd: OwnedFd, mtime: TimeSpec) -> Result<(), Error> {
        self.work_in(path, fd, mtime, true)
    }

    fn work_in(&mut self, path: &[u8], fd: OwnedFd, mtime: TimeSpec, described: bool) -> Result<(), Error> {
        self.leave()?;
        let mut restore = None;
        if !self.privileged {
            // Root needs no permission; others cannot fill a directory that the archive has made read-only.
            let mode = Mode::from_bits_truncate(fstat(&fd).map_err(Error::system("fstat", path))?.st_mode & 0o7777);
            if !mode.contains(Mode::S_IRWXU) {
                fchmod(&fd, mode | Mode::S_IRWXU).map_err(Error::system("fchmod", path))?;
                restore = Some(mode);
            }
        }
        self.here = Some(Directory { fd, path: Some(path.to_vec()), mtime, described, mode: restore });
        Ok(())
    }

    /// Ends the work in the current directory.
    pub(crate) fn leave(&mut self) -> Result<(), Error> {
        let Some(here) = self.here.take() else {
            return Ok(());
        };
        let path = here.path.as_deref().unwrap_or_default();
        if let Some(mode) = here.mode {
            fchmod(&here.fd, mode).map_err(Error::system("fchmod", path))?;
        }
        let restored = if here.described {
            futimens(&here.fd, &TimeSpec::UTIME_OMIT, &here.mtime)
        } else {
            restore_time(here.fd.as_fd(), &here.mtime)
        };
        restored.map_err(Error::system("set the time of", path))
    }

    /// Something in the current directory was replaced. If its path goes through itself, by a link, it may now lead
    /// elsewhere.
    pub(crate) fn forget_path(&mut self) {
        if let Some(here) = &mut self.here {
            here.path = None;
        }
    }

    /// Opens the directory `path`, which is not made if it is missing; for the targets of hard links.
    pub(crate) fn open(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        self.resolve(path).map(|(fd, _)| fd)
    }

    /// The current directory, if there is one.
    pub(crate) fn here(&self) -> Result<BorrowedFd<'_>, Errno> {
        self.here.as_ref().map(|here| here.fd.as_fd()).ok_or(Errno::ENOENT)
    }

    // ANCHOR: resolve
    /// Opens a directory of the tree, and tells whether the path led through a link.
    fn resolve(&self, path: &[u8]) -> Result<(OwnedFd, bool), Errno> {
        let path = if path.is_empty() { b"." } else { path };
        let within = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
        match self.open_how(path, within) {
            Err(Errno::ELOOP) => {}
            opened => return opened.map(|fd| (fd, false)),
        }
        let as_root = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        self.open_how(path, as_root).map(|fd| (fd, true))
    }

    fn open_how(&self, path: &[u8], resolve: ResolveFlag) -> Result<OwnedFd, Errno> {
        // EAGAIN: something was renamed or mounted anywhere on the machine while the kernel followed a `..`.
        const ATTEMPTS: usize = 100;
        for _ in 0..ATTEMPTS {
            match openat2(&self.root, path, OpenHow::new().flags(DIRECTORY).resolve(resolve)) {
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                opened => return opened,
            }
        }
        Err(Errno::EAGAIN)
    }
    // ANCHOR_END: resolve

    fn open_or_make(&self, path: &[u8], make: &mut dyn FnMut() -> Result<(), Error>) -> Result<(OwnedFd, bool), Error> {
        match self.resolve(path) {
            Err(Errno::ENOENT | Errno::ENOTDIR) if !path.is_empty() => {
                let (parent, name) = split(path);
                let (parent, linked) = self.open_or_make(parent, make)?;
                make()?;
                Ok((self.make_missing(parent.as_fd(), name, path)?, linked))
            }
            opened => opened.map_err(Error::system("open the directory", path)),
        }
    }

    /// Makes a directory that the archive uses and does not describe: 0755, and the caller's.
    fn make_missing(&self, parent: BorrowedFd, name: &[u8], path: &[u8]) -> Result<OwnedFd, Error> {
        let failed = |doing| Error::system(doing, path);
        let before = modified(&fstat(parent).map_err(failed("fstat"))?);
        let mut opaque = false;
        match mkdirat(parent, name, Mode::S_IRWXU) {
            Err(Errno::EEXIST) if self.is_whiteout(parent, name) => {
                node::remove(parent, name).map_err(failed("remove"))?;
                mkdirat(parent, name, Mode::S_IRWXU).map_err(failed("mkdir"))?;
                opaque = true;
            }
            Err(Errno::EEXIST) => return Err(Refusal::Parent(shown(path)).of(path)),
            made => made.map_err(failed("mkdir"))?,
        }
        let fd = node::open_directory(parent, name).map_err(failed("open"))?;
        fchmod(&fd, Mode::from_bits_truncate(0o755)).map_err(failed("fchmod"))?;
        if opaque {
            attributes::set_opaque(fd.as_fd(), self.options).map_err(failed("make opaque"))?;
        }
        restore_time(parent, &before).map_err(failed("set the time of the parent of"))?;
        Ok(fd)
    }

    /// Whether `name` is a converted whiteout. A directory in its place must go on hiding what lower layers have.
    pub(crate) fn is_whiteout(&self, parent: BorrowedFd, name: &[u8]) -> bool {
        self.options.whiteouts != crate::Whiteouts::Literal
            && fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| stat.st_rdev == 0 && stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFCHR.bits())
    }

    /// Links can nest directories deeper than any name is long, until no path leads there. Names alone are checked
    /// already.
    fn refuse_too_deep(&self, fd: BorrowedFd, path: &[u8], linked: bool) -> Result<(), Error> {
        let most = self.options.limits.depth;
        // A path that is too long for the kernel to tell is too deep as well.
        if !linked || depth(fd).is_ok_and(|depth| depth <= self.root_depth + most) {
            return Ok(());
        }
        Err(Refusal::TooDeep(most).of(path))
    }
}

/// Directories above `fd`, in the caller's view.
fn depth(fd: BorrowedFd) -> Result<usize, Errno> {
    let path = readlink(format!("/proc/self/fd/{}", fd.as_raw_fd()).as_str())?;
    Ok(std::path::Path::new(&path).components().count())
}

/// Gives a directory the time back that it had. Of one that is somebody else's, such as /tmp, the kernel does not let us:
/// the new entries have changed it, as those of any program would.
fn restore_time(directory: BorrowedFd, mtime: &TimeSpec) -> Result<(), Errno> {
    match futimens(directory, &TimeSpec::UTIME_OMIT, mtime) {
        Err(Errno::EPERM) => Ok(()),
        restored => restored,
    }
}

fn modified(stat: &FileStat) -> TimeSpec {
    TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec)
}
