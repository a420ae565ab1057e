//! A directory's content in another directory: owners, modes, times, attributes, links.
//!
//! Every step is taken from a descriptor, and no link is followed: a container may have the target, and change it
//! meanwhile. A file appears whole or not at all, and what has the name already stays: so the copying can be done again.

use std::{
    collections::HashMap,
    ffi::{CStr, CString},
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

use nix::{
    dir::Dir,
    errno::Errno,
    fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat},
    sys::{
        stat::{FchmodatFlags, FileStat, Mode, SFlag, UtimensatFlags, fchmodat, fstat, mkdirat, mknodat, utimensat},
        time::TimeSpec,
    },
    unistd::{Gid, Uid, UnlinkatFlags, fchownat, linkat, symlinkat, unlinkat},
};
use process::sys;

/// What a file is called while it is copied, where the filesystem has no files without names.
const TEMPORARY: &CStr = c".mini-docker-copying";

const PATH_ONLY: OFlag = OFlag::O_PATH.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);
const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// Copies what is in the directory `from`, and its own owner, mode and attributes, to the directory `to`.
pub(super) fn tree(from: &OwnedFd, to: &OwnedFd) -> io::Result<()> {
    let to = openat(to, c".", DIRECTORY, Mode::empty())?;
    let mut copying = Copying { root: &to, links: HashMap::new() };
    copying.directory(from, &to, Path::new(""))?;
    attributes(from, &to, &fstat(from)?)
}

struct Copying<'a> {
    root: &'a OwnedFd,
    /// Where the first name of a file with several is.
    links: HashMap<(u64, u64), PathBuf>,
}

impl Copying<'_> {
    /// `path` is that of `to` below the root.
    fn directory(&mut self, from: &OwnedFd, to: &OwnedFd, path: &Path) -> io::Result<()> {
        match unlinkat(to, TEMPORARY, UnlinkatFlags::NoRemoveDir) {
            Err(Errno::ENOENT | Errno::EISDIR) => {}
            removed => removed?,
        }
        // A descriptor of its own: this one's position would be the directory's.
        let mut list = Dir::openat(from, c".", DIRECTORY, Mode::empty())?;
        for entry in list.iter() {
            let entry = entry?;
            let name = entry.file_name();
            if name != c"." && name != c".." {
                self.entry(
                    from,
                    to,
                    name,
                    &path.join(std::str::from_utf8(name.to_bytes()).map_or_else(|_| os(name), PathBuf::from)),
                )?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, from: &OwnedFd, to: &OwnedFd, name: &CStr, path: &Path) -> io::Result<()> {
        let source = openat(from, name, PATH_ONLY, Mode::empty())?;
        let like = fstat(&source)?;
        let kind = SFlag::from_bits_truncate(like.st_mode) & SFlag::S_IFMT;
        if kind == SFlag::S_IFDIR {
            exists(mkdirat(to, name, Mode::S_IRWXU))?;
            let target = match openat(to, name, DIRECTORY, Mode::empty()) {
                // Something else has the name.
                Err(Errno::ENOTDIR | Errno::ELOOP) => return Ok(()),
                target => target?,
            };
            let source = openat(from, name, DIRECTORY, Mode::empty())?;
            self.directory(&source, &target, path)?;
            return attributes(&source, &target, &like);
        }
        if like.st_nlink > 1 {
            let first = (like.st_dev, like.st_ino);
            if let Some(other) = self.links.get(&first) {
                return self.link(other, to, name);
            }
            self.links.insert(first, path.to_owned());
        }
        match kind {
            SFlag::S_IFREG => file(from, to, name, &like),
            SFlag::S_IFLNK => {
                let there = symlinkat(readlinkat(from, name)?.as_os_str(), to, name);
                finish(there, &source, to, name, &like)
            }
            // A socket is of a process that is not there.
            SFlag::S_IFSOCK => Ok(()),
            _ => finish(mknodat(to, name, kind, Mode::empty(), like.st_rdev), &source, to, name, &like),
        }
    }

    /// Another name for what was copied to `other`.
    fn link(&self, other: &Path, to: &OwnedFd, name: &CStr) -> io::Result<()> {
        let confined = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
        let other = openat2(self.root, other, OpenHow::new().flags(PATH_ONLY).resolve(confined))?;
        exists(linkat(AT_FDCWD, fd_path(&other).as_c_str(), to, name, AtFlags::AT_SYMLINK_FOLLOW))?;
        Ok(())
    }
}

fn os(name: &CStr) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::OsStr::from_bytes(name.to_bytes()).into()
}

/// A file, which gets its name last of all.
fn file(from: &OwnedFd, to: &OwnedFd, name: &CStr, like: &FileStat) -> io::Result<()> {
    let mut source =
        File::from(openat(from, name, OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())?);
    let owner = Mode::S_IRUSR | Mode::S_IWUSR;
    let unnamed = openat(to, c".", OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC, owner);
    let (target, is_named) = match unnamed {
        Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::ENOENT | Errno::EINVAL) => {
            let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_RDWR | OFlag::O_CLOEXEC;
            (openat(to, TEMPORARY, flags, owner)?, true)
        }
        made => (made?, false),
    };
    let mut target = File::from(target);
    let copied = io::copy(&mut source, &mut target).map(drop);
    let target = OwnedFd::from(target);
    let copied = copied.and_then(|()| attributes(&OwnedFd::from(source), &target, like)).and_then(|()| {
        let link = linkat(AT_FDCWD, fd_path(&target).as_c_str(), to, name, AtFlags::AT_SYMLINK_FOLLOW);
        Ok(exists(link).map(drop)?)
    });
    if is_named {
        unlinkat(to, TEMPORARY, UnlinkatFlags::NoRemoveDir)?;
    }
    copied
}

/// Gives what was just made, or made before and interrupted, what its source has.
fn finish(made: nix::Result<()>, source: &OwnedFd, to: &OwnedFd, name: &CStr, like: &FileStat) -> io::Result<()> {
    if exists(made)? {
        // Only what is surely ours.
        let there = openat(to, name, PATH_ONLY, Mode::empty())?;
        let found = fstat(&there)?;
        if found.st_mode & SFlag::S_IFMT.bits() != like.st_mode & SFlag::S_IFMT.bits() || found.st_rdev != like.st_rdev
        {
            return Ok(());
        }
        return attributes(source, &there, like);
    }
    attributes(source, &openat(to, name, PATH_ONLY, Mode::empty())?, like)
}

/// Whether it was there already; other errors stay errors.
fn exists(made: nix::Result<()>) -> nix::Result<bool> {
    match made {
        Ok(()) => Ok(false),
        Err(Errno::EEXIST) => Ok(true),
        Err(errno) => Err(errno),
    }
}

/// Owner, extended attributes, mode and time, in the order in which one does not undo the other.
fn attributes(from: &OwnedFd, to: &OwnedFd, like: &FileStat) -> io::Result<()> {
    let flags = AtFlags::AT_EMPTY_PATH | AtFlags::AT_SYMLINK_NOFOLLOW;
    fchownat(to, c"", Some(Uid::from_raw(like.st_uid)), Some(Gid::from_raw(like.st_gid)), flags)?;
    xattrs(from, to)?;
    let path = fd_path(to);
    if like.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFLNK.bits() {
        fchmodat(AT_FDCWD, path.as_c_str(), Mode::from_bits_truncate(like.st_mode), FchmodatFlags::FollowSymlink)?;
    }
    let modified = TimeSpec::new(like.st_mtime, like.st_mtime_nsec);
    let accessed = TimeSpec::new(like.st_atime, like.st_atime_nsec);
    utimensat(AT_FDCWD, path.as_c_str(), &accessed, &modified, UtimensatFlags::FollowSymlink)?;
    Ok(())
}

fn xattrs(from: &OwnedFd, to: &OwnedFd) -> io::Result<()> {
    for name in sys::list_xattrs(from.as_fd())? {
        // These are the filesystem's own.
        if [&b"trusted."[..], b"user.overlay."].iter().any(|own| name.to_bytes().starts_with(own)) {
            continue;
        }
        let mut value = vec![0; 65_536];
        let length = match sys::get_xattr(from.as_fd(), &name, &mut value) {
            Err(Errno::ENODATA) => continue,
            length => length?,
        };
        match sys::set_xattr(to.as_fd(), &name, &value[..length]) {
            // A filesystem without them, or without labels.
            Err(Errno::EOPNOTSUPP) => {}
            set => set?,
        }
    }
    Ok(())
}

/// The file behind a descriptor, whatever has become of its name.
fn fd_path(fd: &OwnedFd) -> CString {
    CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap_or_default()
}
