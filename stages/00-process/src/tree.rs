//! A walk through a directory tree, as deep as it is, whoever changes it meanwhile.
//!
//! A container makes directories deeper than any path name is long (`PATH_MAX`), and than a process may have descriptors,
//! and puts a link in the place of a directory that was one a moment ago. So no path is ever put together: each directory
//! is opened by one plain name in the one above it, no link followed, and only the upper ones stay open. The way back up
//! from below them is `..`, which is believed only where it is the directory that the walk came from.

use std::{
    ffi::{CStr, CString},
    fs, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use nix::{
    dir::{Dir, Type},
    errno::Errno,
    fcntl::{OFlag, open, openat},
    sys::stat::{Mode, fstat},
    unistd::{UnlinkatFlags, unlinkat},
};

/// Directories that stay open on the way down; deeper than nearly all trees.
const KEPT: usize = 64;

const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

/// What is done on a walk.
pub trait Visitor {
    /// Meets a name in the directory `parent`; whether to enter it later, where it is a directory. Not all filesystems tell
    /// `kind`.
    ///
    /// # Errors
    /// What ends the walk.
    fn meet(&mut self, parent: BorrowedFd, name: &CStr, kind: Option<Type>) -> io::Result<bool>;

    /// Has opened a directory that it met, and goes on in it.
    ///
    /// # Errors
    /// As [`Visitor::meet`].
    fn enter(&mut self, _directory: BorrowedFd, _name: &CStr) -> io::Result<()> {
        Ok(())
    }

    /// Is back from all that is in the directory. `parent` is `None` where that was moved elsewhere meanwhile.
    ///
    /// # Errors
    /// As [`Visitor::meet`].
    fn leave(&mut self, _parent: Option<BorrowedFd>, _name: &CStr) -> io::Result<()> {
        Ok(())
    }
}

/// One directory on the way from the root to where the walk is.
struct Level {
    name: CString,
    /// `None` while the walk is far below.
    open: Option<OwnedFd>,
    /// Device and inode, of one that is not open.
    id: (u64, u64),
    /// What is to be entered yet.
    below: Vec<CString>,
}

impl Level {
    /// Meets all that is in a directory.
    fn read(directory: OwnedFd, name: CString, visitor: &mut dyn Visitor) -> io::Result<Self> {
        let mut below = Vec::new();
        for entry in Dir::from_fd(directory.try_clone()?)?.iter() {
            let entry = entry?;
            let name = entry.file_name();
            if name != c"." && name != c".." && visitor.meet(directory.as_fd(), name, entry.file_type())? {
                below.push(name.to_owned());
            }
        }
        Ok(Self { name, open: Some(directory), id: (0, 0), below })
    }

    fn close(&mut self) -> io::Result<()> {
        if let Some(open) = self.open.take() {
            self.id = id(open.as_fd())?;
        }
        Ok(())
    }

    /// Opens it again from the directory below it, if it still is above that.
    fn open_from(&mut self, below: BorrowedFd) -> io::Result<()> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        match openat(below, c"..", flags, Mode::empty()) {
            Err(Errno::ENOENT) => {}
            above => self.open = Some(above?).filter(|above| id(above.as_fd()).is_ok_and(|id| id == self.id)),
        }
        Ok(())
    }
}

fn id(directory: BorrowedFd) -> nix::Result<(u64, u64)> {
    fstat(directory).map(|stat| (stat.st_dev, stat.st_ino))
}

/// Walks through all that is in the directory `root`, which is opened for reading. What goes meanwhile is left out.
///
/// # Errors
/// A directory that cannot be read, and those of the visitor.
pub fn walk(root: OwnedFd, visitor: &mut dyn Visitor) -> io::Result<()> {
    let mut levels = vec![Level::read(root, CString::default(), visitor)?];
    while let Some(level) = levels.last_mut() {
        if let (Some(here), Some(name)) = (&level.open, level.below.pop()) {
            let directory = match openat(here, name.as_c_str(), DIRECTORY | OFlag::O_NOFOLLOW, Mode::empty()) {
                Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => continue,
                opened => opened?,
            };
            visitor.enter(directory.as_fd(), &name)?;
            let next = Level::read(directory, name, visitor)?;
            if levels.len() > KEPT
                && let Some(above) = levels.last_mut()
            {
                above.close()?;
            }
            levels.push(next);
            continue;
        }
        // Up, and further up from what is not where it was.
        while let Some(done) = levels.pop() {
            let Some(above) = levels.last_mut() else { return Ok(()) };
            if let (None, Some(below)) = (&above.open, &done.open) {
                above.open_from(below.as_fd())?;
            }
            let parent = above.open.as_ref().map(AsFd::as_fd);
            visitor.leave(parent, &done.name)?;
            if parent.is_some() {
                break;
            }
        }
    }
    Ok(())
}

/// Removes a directory with all that is in it, or whatever else is there; a link is not followed.
///
/// # Errors
/// ENOENT where nothing is there; ENOTEMPTY where somebody makes files in it meanwhile.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    match open(path, DIRECTORY | OFlag::O_NOFOLLOW, Mode::empty()) {
        Err(Errno::ENOTDIR | Errno::ELOOP) => fs::remove_file(path),
        opened => {
            walk(opened?, &mut Removal)?;
            fs::remove_dir(path)
        }
    }
}

struct Removal;

impl Removal {
    fn unlink(parent: BorrowedFd, name: &CStr, how: UnlinkatFlags) -> nix::Result<()> {
        match unlinkat(parent, name, how) {
            Err(Errno::ENOENT) => Ok(()),
            removed => removed,
        }
    }
}

impl Visitor for Removal {
    fn meet(&mut self, parent: BorrowedFd, name: &CStr, kind: Option<Type>) -> io::Result<bool> {
        if kind == Some(Type::Directory) {
            return Ok(true);
        }
        match Self::unlink(parent, name, UnlinkatFlags::NoRemoveDir) {
            Err(Errno::EISDIR) => Ok(true),
            removed => Ok(removed.map(|()| false)?),
        }
    }

    fn leave(&mut self, parent: Option<BorrowedFd>, name: &CStr) -> io::Result<()> {
        // Of what was moved the directory that it was in says that it is not empty, if it is not.
        Ok(parent.map_or(Ok(()), |parent| Self::unlink(parent, name, UnlinkatFlags::RemoveDir))?)
    }
}
