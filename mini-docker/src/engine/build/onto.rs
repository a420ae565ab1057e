//! Writing into a stage's files: every path is resolved in its root (openat2(2), `RESOLVE_IN_ROOT`), so that a link in a
//! hostile image leads nowhere else.

use std::{
    collections::VecDeque,
    ffi::OsString,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Component, Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2, readlinkat},
    sys::stat::{FileStat, Mode, SFlag, fstatat, mkdirat},
    unistd::{Gid, Uid, fchownat},
};

use super::workspace::Workspace;
use crate::{
    engine::error::{Context, Error, Kind, Result},
    runtime,
};

/// User and group ids.
pub(super) type Owner = (u32, u32);

pub(super) const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

/// Opens a path as a process in `root` would.
pub(super) fn open_in(root: BorrowedFd, path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
    let confined = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let relative = path.strip_prefix("/").unwrap_or(path);
    let path = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
    loop {
        // EAGAIN: something was renamed meanwhile.
        match openat2(root, path, OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(confined)) {
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            opened => return opened,
        }
    }
}

/// What is at a name, itself a link or not; `None` where nothing is.
pub(super) fn look(parent: BorrowedFd, name: &Path) -> Result<Option<FileStat>, Errno> {
    match fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Err(Errno::ENOENT) => Ok(None),
        found => found.map(Some),
    }
}

pub(super) fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

/// Whether a path is a directory, links followed.
pub(super) fn is_directory(root: BorrowedFd, path: &Path) -> bool {
    open_in(root, path, DIRECTORY | OFlag::O_PATH).is_ok()
}

/// Links that are followed on the way to a directory, as the kernel does.
const MOST_LINKS: usize = 40;

/// Opens a directory, and makes what is missing of it, mode 0755. A link that leads nowhere gets its target.
pub(super) fn make(root: BorrowedFd, path: &Path, owner: Owner) -> Result<OwnedFd> {
    let nowhere = || Errno::EEXIST;
    match make_plain(root, path, owner)? {
        Some(made) => Ok(made),
        None => make_plain(root, &resolve(root, path)?, owner)?.ok_or_else(nowhere).doing("make the directory", path),
    }
}

/// The same; `None` at a link that leads nowhere.
fn make_plain(root: BorrowedFd, path: &Path, owner: Owner) -> Result<Option<OwnedFd>> {
    let mut here = open_in(root, Path::new("/"), DIRECTORY).doing("open", Path::new("/"))?;
    let mut so_far = PathBuf::from("/");
    for name in names(path) {
        so_far.push(&name);
        here = match open_in(root, &so_far, DIRECTORY) {
            Ok(opened) => opened,
            Err(Errno::ENOENT) => match mkdirat(here.as_fd(), name.as_os_str(), Mode::from_bits_truncate(0o755)) {
                Ok(()) => {
                    chown(here.as_fd(), Path::new(&name), owner).doing("give away", &so_far)?;
                    open_in(root, &so_far, DIRECTORY).doing("open", &so_far)?
                }
                Err(Errno::EEXIST) => return Ok(None),
                Err(e) => return Err(e).doing("make the directory", &so_far),
            },
            Err(Errno::ENOTDIR) => {
                return Err(Error::invalid(format!("cannot copy to non-directory: {}", so_far.display())));
            }
            Err(e) => return Err(e).doing("open", &so_far),
        };
    }
    Ok(Some(here))
}

/// Where a path leads when the links on its way are followed, the last one too; what is not there is taken as it stands.
pub(super) fn resolve(root: BorrowedFd, path: &Path) -> Result<PathBuf> {
    let mut resolved = PathBuf::from("/");
    let mut left: VecDeque<OsString> = path.components().map(|part| part.as_os_str().to_owned()).collect();
    let mut links = 0;
    while let Some(name) = left.pop_front() {
        match name.as_encoded_bytes() {
            b"/" => resolved = PathBuf::from("/"),
            b"." => {}
            b".." => drop(resolved.pop()),
            _ => {
                let parent = open_in(root, &resolved, DIRECTORY | OFlag::O_PATH);
                let target = parent.and_then(|parent| readlinkat(parent, name.as_os_str()));
                match target {
                    Ok(_) if links == MOST_LINKS => return Err(Errno::ELOOP).doing("resolve", path),
                    Ok(target) => {
                        links += 1;
                        let inner: Vec<_> = Path::new(&target).components().map(|c| c.as_os_str().to_owned()).collect();
                        inner.into_iter().rev().for_each(|part| left.push_front(part));
                    }
                    // No link, or nothing.
                    Err(_) => resolved.push(name),
                }
            }
        }
    }
    Ok(resolved)
}

/// The names in a path.
fn names(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        _ => None,
    })
}

pub(super) fn chown(parent: BorrowedFd, name: &Path, (uid, gid): Owner) -> Result<(), Errno> {
    fchownat(parent, name, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::AT_SYMLINK_NOFOLLOW)
}

/// Who `--chown` and USER mean; a user without a group is its own group's.
pub(super) fn owner(workspace: &Workspace, text: &str) -> Result<Owner> {
    if let Some(owner) = numeric_owner(text) {
        return Ok(owner);
    }
    runtime::owner(workspace.root(), text).map_err(|e| Error::new(Kind::Invalid, e.to_string()))
}

/// The same, where no names have to be looked up.
pub(super) fn numeric_owner(text: &str) -> Option<Owner> {
    if text.is_empty() {
        return Some((0, 0));
    }
    let (user, group) = text.split_once(':').unwrap_or((text, text));
    Some((user.parse().ok()?, group.parse().ok()?))
}

/// A directory for WORKDIR.
pub(super) fn directory(workspace: &Workspace, path: &str, user: &str) -> Result<()> {
    if is_directory(workspace.root(), Path::new(path)) {
        return Ok(());
    }
    make(workspace.root(), Path::new(path), owner(workspace, user)?).map(drop)
}
