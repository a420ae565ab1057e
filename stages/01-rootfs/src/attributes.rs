//! Owner, mode, extended attributes and times, in the order in which they do not undo each other.
//!
//! chown(2) clears the set-user-id and set-group-id bits and the file capabilities, and a write clears them too. So:
//! contents, owner, mode, extended attributes; and the time last, because nothing comes after it.

use std::{
    ffi::CString,
    os::fd::{AsFd, BorrowedFd},
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, openat},
    sys::{
        stat::{FchmodatFlags, FileStat, Mode, UtimensatFlags, fchmod, fchmodat, fstat, fstatat, futimens, utimensat},
        time::TimeSpec,
    },
    unistd::{Gid, Uid, fchown, fchownat},
};
use process::sys;

use crate::{
    archive::Entry,
    error::{Error, Refusal, shown},
    header::Kind,
    options::{Options, Owners, Summary},
    pack::Xattrs,
};

/// For an open file or directory, but for the time. Nothing is set that is right already.
pub(crate) fn apply(fd: BorrowedFd, entry: &Entry, options: &Options, summary: &mut Summary) -> Result<(), Error> {
    let now = fstat(fd).map_err(Error::system("fstat", &entry.name))?;
    if let Some((uid, gid)) = new_owner(&now, entry, options) {
        fchown(fd, Some(uid), Some(gid)).map_err(Error::system("chown", &entry.name))?;
    }
    let wanted = mode(entry, options, summary);
    if now.st_mode & 0o7777 != wanted {
        fchmod(fd, Mode::from_bits_truncate(wanted)).map_err(Error::system("chmod", &entry.name))?;
    }
    set_xattrs(fd, entry, options, summary)
}

/// The time of an open file.
pub(crate) fn set_time(fd: BorrowedFd, entry: &Entry) -> Result<(), Error> {
    futimens(fd, &TimeSpec::UTIME_OMIT, &entry.mtime).map_err(Error::system("set the time of", &entry.name))
}

/// For what cannot be opened without an effect: links, FIFOs and devices. `name` is a plain name in `parent`.
pub(crate) fn apply_at(
    parent: BorrowedFd,
    name: &[u8],
    entry: &Entry,
    options: &Options,
    summary: &mut Summary,
) -> Result<(), Error> {
    let failed = |doing| Error::system(doing, &entry.name);
    let now = fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(failed("stat"))?;
    if let Some((uid, gid)) = new_owner(&now, entry, options) {
        fchownat(parent, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW).map_err(failed("chown"))?;
    }
    // A symbolic link has no mode of its own.
    let wanted = mode(entry, options, summary);
    if entry.kind != Kind::Symlink && now.st_mode & 0o7777 != wanted {
        let mode = Mode::from_bits_truncate(wanted);
        fchmodat(parent, name, mode, FchmodatFlags::NoFollowSymlink).map_err(failed("chmod"))?;
    }
    if !entry.xattrs.is_empty() {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(parent, name, flags, Mode::empty()).map_err(failed("open"))?;
        set_xattrs(fd.as_fd(), entry, options, summary)?;
    }
    utimensat(parent, name, &TimeSpec::UTIME_OMIT, &entry.mtime, UtimensatFlags::NoFollowSymlink)
        .map_err(failed("set the time of"))
}

/// Makes a directory hide all that lower layers have in it.
pub(crate) fn set_opaque(fd: BorrowedFd, options: &Options) -> Result<(), Errno> {
    options.whiteouts.opaque().map_or(Ok(()), |name| sys::set_xattr(fd, name, b"y"))
}

fn new_owner(now: &FileStat, entry: &Entry, options: &Options) -> Option<(Uid, Gid)> {
    let wanted = options.owners == Owners::Archive && (now.st_uid, now.st_gid) != (entry.uid, entry.gid);
    wanted.then(|| (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid)))
}

/// The mode that it gets. To a directory the bits lend no rights.
fn mode(entry: &Entry, options: &Options, summary: &mut Summary) -> u32 {
    let bits = if options.set_ids || entry.kind != Kind::File { 0 } else { entry.mode & 0o6000 };
    if bits != 0 || !options.set_ids && entry.xattrs.iter().any(|(name, _)| name == CAPABILITY) {
        summary.cleared_set_ids += 1;
    }
    entry.mode & !bits
}

const CAPABILITY: &[u8] = b"security.capability";

/// Attributes that tell overlayfs what a file is.
fn is_overlay(name: &[u8]) -> bool {
    name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.")
}

/// Whether an attribute is on the list of those that archives bring and take.
fn is_allowed(name: &[u8], options: &Options) -> bool {
    let matches = |allowed: &[u8]| if allowed.ends_with(b".") { name.starts_with(allowed) } else { name == allowed };
    options.xattrs.iter().any(|allowed| matches(allowed.as_bytes()))
}

/// The attributes of a file that go into an archive, by name.
pub(crate) fn xattrs(fd: BorrowedFd, path: &[u8], options: &Options) -> Result<Xattrs, Error> {
    let failed = |errno| Error::system("read the extended attributes of", path)(errno);
    let mut list = match sys::list_xattrs(fd) {
        Err(Errno::EOPNOTSUPP) => return Ok(Vec::new()),
        list => list.map_err(failed)?,
    };
    list.retain(|name| is_allowed(name.to_bytes(), options) && !is_overlay(name.to_bytes()));
    list.sort_unstable();
    let mut xattrs = Vec::with_capacity(list.len());
    for name in list {
        // XATTR_SIZE_MAX, xattr(7).
        let mut value = vec![0; 64 << 10];
        match sys::get_xattr(fd, &name, &mut value) {
            // It has just been removed.
            Err(Errno::ENODATA) => continue,
            length => value.truncate(length.map_err(failed)?),
        }
        xattrs.push((name.into_bytes(), value));
    }
    Ok(xattrs)
}

/// Refuses attributes that no archive may set, before anything is made for the entry.
pub(crate) fn check_xattrs(entry: &Entry) -> Result<(), Refusal> {
    match entry.xattrs.iter().find(|(name, _)| is_overlay(name) || name.contains(&0)) {
        Some((name, _)) => Err(Refusal::Xattr(shown(name))),
        None => Ok(()),
    }
}

fn set_xattrs(fd: BorrowedFd, entry: &Entry, options: &Options, summary: &mut Summary) -> Result<(), Error> {
    for (name, value) in &entry.xattrs {
        if !options.set_ids && name == CAPABILITY {
            continue;
        }
        let allowed = is_allowed(name, options);
        let Ok(name) = CString::new(name.as_slice()) else {
            continue;
        };
        let set = if allowed { sys::set_xattr(fd, &name, value) } else { Err(Errno::EOPNOTSUPP) };
        // EOPNOTSUPP: not every filesystem has every kind. EPERM: only root sets capabilities, and nobody sets `user.`
        // attributes of a link or a device.
        let may_fail = options.owners == Owners::Caller || !matches!(entry.kind, Kind::File | Kind::Directory);
        match set {
            Err(Errno::EOPNOTSUPP) => summary.skipped_xattrs += 1,
            Err(Errno::EPERM) if may_fail => summary.skipped_xattrs += 1,
            set => set.map_err(Error::system("set an extended attribute of", &entry.name))?,
        }
    }
    Ok(())
}
