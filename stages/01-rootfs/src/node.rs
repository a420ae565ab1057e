//! One function for each kind of file. `name` is always a plain name in the directory `parent`.
//!
//! Each tries to make something new first, which is the common case and one system call; only EEXIST leads to a
//! removal. A file in the place of a link is therefore never written through it.

use std::{
    ffi::OsStr,
    fs::File,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::FileExt},
    },
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, openat},
    sys::stat::{FileStat, Mode, SFlag, fstatat, makedev, mkdirat, mknodat},
    unistd::{UnlinkatFlags, linkat, symlinkat, unlinkat},
};

use crate::{
    archive::{Archive, Entry},
    error::{Error, Refusal, shown},
    header::Kind,
    name,
    options::AbsoluteNames,
    unpack::CHUNK,
};

/// Whether making something had to remove what was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    /// Nothing was there.
    New,
    /// Something was, and is gone.
    Replaced,
}

/// Calls `create`, and once more after a removal if something is in the way.
pub(crate) fn replacing<T>(
    parent: BorrowedFd,
    name: &[u8],
    mut create: impl FnMut() -> Result<T, Errno>,
) -> Result<(T, Made), Errno> {
    match create() {
        Err(Errno::EEXIST) => {
            remove(parent, name)?;
            create().map(|new| (new, Made::Replaced))
        }
        created => created.map(|new| (new, Made::New)),
    }
}

/// Removes a file, or a directory with all that it holds, following no link.
pub(crate) fn remove(parent: BorrowedFd, name: &[u8]) -> Result<(), Errno> {
    match unlinkat(parent, name, UnlinkatFlags::NoRemoveDir) {
        Err(Errno::EISDIR) => {}
        removed => return removed,
    }
    // What stands before the name is a link of the kernel's own to a directory that is open already.
    let path = Path::new("/proc/self/fd").join(parent.as_raw_fd().to_string()).join(OsStr::from_bytes(name));
    process::remove_tree(&path).map_err(|e| e.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
}

/// Opens a directory that is there. ENOTDIR or ELOOP: it is something else, or a link, if only to a directory.
pub(crate) fn open_directory(parent: BorrowedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(parent, name, flags, Mode::empty())
}

/// A directory, or the one that is there. Its mode is set later.
pub(crate) fn directory(parent: BorrowedFd, name: &[u8]) -> Result<(OwnedFd, Made), Errno> {
    let open = || open_directory(parent, name);
    match mkdirat(parent, name, Mode::S_IRWXU) {
        Ok(()) => return open().map(|fd| (fd, Made::New)),
        Err(Errno::EEXIST) => {}
        Err(errno) => return Err(errno),
    }
    match open() {
        Err(Errno::ENOTDIR | Errno::ELOOP) => {}
        opened => return opened.map(|fd| (fd, Made::New)),
    }
    remove(parent, name)?;
    mkdirat(parent, name, Mode::S_IRWXU)?;
    open().map(|fd| (fd, Made::Replaced))
}

/// A new, empty regular file, open for writing. Special mode bits are set later.
pub(crate) fn file(parent: BorrowedFd, name: &[u8], mode: u32) -> Result<(File, Made), Errno> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let permissions = Mode::from_bits_truncate(mode & 0o777);
    replacing(parent, name, || openat(parent, name, flags, permissions)).map(|(fd, made)| (File::from(fd), made))
}

/// Writes an entry's contents. Long runs of zeros become holes: they cost no space, whoever put them into the archive.
pub(crate) fn write_contents<R: std::io::Read>(
    file: &File,
    entry: &Entry,
    archive: &mut Archive<R>,
    buffer: &mut [u8],
) -> Result<(), Error> {
    static ZEROS: [u8; CHUNK] = [0; CHUNK];
    let failed = |doing, e: &std::io::Error| {
        Error::system(doing, &entry.name)(e.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
    };
    let mut written = 0;
    let mut end = 0;
    for &(offset, length) in &entry.contents.pieces {
        archive.count_hole(offset - end)?;
        end = offset + length;
        let mut at = offset;
        while at < end {
            let part = &mut buffer[..(end - at).min(CHUNK as u64) as usize];
            archive.read_contents(part)?;
            // A page is the least that a hole can save.
            if part.len() < 4096 || part != &ZEROS[..part.len()] {
                file.write_all_at(part, at).map_err(|e| failed("write", &e))?;
                written = at + part.len() as u64;
            }
            at += part.len() as u64;
        }
    }
    archive.count_hole(entry.contents.size - end)?;
    if written < entry.contents.size {
        file.set_len(entry.contents.size).map_err(|e| failed("ftruncate", &e))?;
    }
    Ok(())
}

/// A symbolic link. Its target is only text here: whoever follows it later does so inside of the container's root.
pub(crate) fn symlink(parent: BorrowedFd, name: &[u8], target: &[u8]) -> Result<Made, Errno> {
    replacing(parent, name, || symlinkat(target, parent, name)).map(|((), made)| made)
}

/// A FIFO or a device.
pub(crate) fn special(parent: BorrowedFd, name: &[u8], entry: &Entry) -> Result<Made, Error> {
    let (kind, device) = match entry.kind {
        Kind::Fifo => (SFlag::S_IFIFO, 0),
        kind => {
            // 12 and 20 bits, makedev(3); what is cut off would name another device.
            let known = entry.device.filter(|&(major, minor)| major < 1 << 12 && minor < 1 << 20);
            let (major, minor) = known.ok_or_else(|| Refusal::DeviceNumber.of(&entry.name))?;
            let kind = if kind == Kind::Block { SFlag::S_IFBLK } else { SFlag::S_IFCHR };
            (kind, makedev(major.into(), minor.into()))
        }
    };
    let mode = Mode::from_bits_truncate(entry.mode & 0o777);
    replacing(parent, name, || mknodat(parent, name, kind, mode, device))
        .map(|((), made)| made)
        .map_err(Error::system("mknod", &entry.name))
}

/// A further name for a file that the archive has made before. `open` opens a directory of the tree.
///
/// The target is a name in the archive, not a path of the host; a slash before it is the root's. A link as the target
/// is linked to, not followed.
pub(crate) fn hard_link(
    parent: BorrowedFd,
    name: &[u8],
    entry: &Entry,
    limits: &crate::Limits,
    open: impl FnOnce(&[u8]) -> Result<OwnedFd, Errno>,
) -> Result<Made, Error> {
    let target = || shown(&entry.link);
    let path = name::normalise(&entry.link, AbsoluteNames::Confine, limits)
        .map_err(|_| Refusal::HardLinkOutside(target()).of(&entry.name))?;
    let missing = |errno| match errno {
        Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP => Refusal::HardLinkMissing(target()).of(&entry.name),
        errno => Error::system("link", &entry.name)(errno),
    };
    let (from, last) = name::split(&path);
    let from = open(from).map_err(missing)?;
    let last = if last.is_empty() { b"." } else { last };
    let old = fstatat(&from, last, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(missing)?;
    if old.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits() {
        return Err(Refusal::HardLinkDirectory(target()).of(&entry.name));
    }
    // To itself, or to what it is linked to already: the removal below could take the last name away.
    let same = |there: FileStat| (there.st_dev, there.st_ino) == (old.st_dev, old.st_ino);
    if fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok_and(same) {
        return Ok(Made::New);
    }
    replacing(parent, name, || linkat(from.as_fd(), last, parent, name, AtFlags::empty()))
        .map(|((), made)| made)
        .map_err(missing)
}
