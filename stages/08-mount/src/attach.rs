//! Putting one mount in its place, after the pivot.

use std::os::fd::{AsFd, BorrowedFd};

use nix::{
    fcntl::{AT_FDCWD, AtFlags, OFlag, open, openat},
    sys::stat::{FchmodatFlags, Mode, SFlag, fchmod, fchmodat, fstat, mknod, mode_t},
    unistd::{Gid, Uid, fchownat, mkdir, symlinkat, unlink},
};
use process::{
    Errno,
    sys::{self, OpenTree},
};

use crate::{
    entry::{Mount, Node, Source, Target},
    place,
};

/// The files of /proc that may be covered, as runc has them: what a container's own view of the machine replaces.
const COVERABLE: [&str; 10] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/slabinfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/sys/crypto/fips_enabled",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/uptime",
];

/// Puts one mount in its place, which is made where the image lacks it.
pub(crate) fn attach(entry: &Mount, detached: Option<BorrowedFd>) -> Result<(), Errno> {
    match &entry.source {
        Source::Link(target) => return symlinkat(target.as_c_str(), AT_FDCWD, entry.path.as_c_str()),
        Source::Node(node) => return make_node(entry, node),
        Source::Directory => return place::find(&entry.path, Target::Directory).map(drop),
        Source::Seal => {
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let here = open(entry.path.as_c_str(), flags, Mode::empty())?;
            return sys::mount_setattr(here.as_fd(), entry.attr, false);
        }
        _ => {}
    }
    let attached = match detached {
        Some(detached) if entry.follows => attach_following(entry, detached),
        Some(detached) => attach_fixed(entry, detached),
        None => attach_itself(entry),
    };
    match attached {
        // A file of another kernel's /proc: nothing to protect.
        Err(Errno::ENOENT) if entry.target == Target::Present => Ok(()),
        attached => attached,
    }
}

fn attach_following(entry: &Mount, detached: BorrowedFd) -> Result<(), Errno> {
    let place = place::find(&entry.path, entry.target)?;
    if place::is_proc(&place.fd)? {
        let path = entry.path.to_bytes();
        let is_proc_itself = path == b"/proc" && place::is_proc(detached)?;
        if !is_proc_itself && !COVERABLE.iter().any(|coverable| coverable.as_bytes() == path) {
            return Err(Errno::EACCES);
        }
    }
    if !place.is_new && entry.source.is_tmpfs_of_any_mode() {
        // As runc has it: /tmp stays open to all, and /root to none.
        let mode = Mode::from_bits_truncate(fstat(&place.fd)?.st_mode);
        let root = openat(detached, c".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        fchmod(&root, mode)?;
    }
    sys::move_mount(detached, Some(place.fd.as_fd()), c"")
}

fn attach_fixed(entry: &Mount, detached: BorrowedFd) -> Result<(), Errno> {
    match sys::move_mount(detached, None, &entry.path) {
        Err(Errno::ENOENT) => {
            make_target(entry)?;
            sys::move_mount(detached, None, &entry.path)
        }
        moved => moved,
    }
}

fn attach_itself(entry: &Mount) -> Result<(), Errno> {
    let tree = sys::open_tree(None, &entry.path, OpenTree::Clone)?;
    sys::mount_setattr(tree.as_fd(), entry.attr, false)?;
    sys::move_mount(tree.as_fd(), None, &entry.path)
}

fn make_target(entry: &Mount) -> Result<(), Errno> {
    const DIRECTORY: mode_t = 0o755;
    if entry.target == Target::Present {
        return Err(Errno::ENOENT);
    }
    let make = || {
        if entry.target == Target::Directory {
            return mkdir(entry.path.as_c_str(), Mode::from_bits_truncate(DIRECTORY));
        }
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        open(entry.path.as_c_str(), flags, Mode::from_bits_truncate(0o644)).map(drop)
    };
    match make() {
        Err(Errno::ENOENT) => make_parents(entry).and_then(|()| make()),
        done => done,
    }
}

/// In the place of what the image has there: a path whose last part is no link, in directories that lead nowhere else.
fn make_node(entry: &Mount, node: &Node) -> Result<(), Errno> {
    let path = entry.path.as_c_str();
    let mode = Mode::from_bits_truncate(node.mode);
    let make = || mknod(path, SFlag::from_bits_truncate(node.mode & SFlag::S_IFMT.bits()), mode, node.device);
    match make() {
        Err(Errno::EEXIST) => unlink(path).and_then(|()| make())?,
        Err(Errno::ENOENT) => make_parents(entry).and_then(|()| make())?,
        outcome => outcome?,
    }
    if (node.uid, node.gid) != (0, 0) {
        let (uid, gid) = (Uid::from_raw(node.uid), Gid::from_raw(node.gid));
        fchownat(AT_FDCWD, path, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)?;
    }
    // Whatever the mask of modes takes away.
    fchmodat(AT_FDCWD, path, mode, FchmodatFlags::FollowSymlink)
}

fn make_parents(entry: &Mount) -> Result<(), Errno> {
    for parent in &entry.parents {
        match mkdir(parent.as_c_str(), Mode::from_bits_truncate(0o755)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// What the user can do about `errno`.
pub fn hint(entry: &Mount, attaching: bool, errno: Errno) -> Option<&'static str> {
    match errno {
        Errno::EACCES if attaching && entry.follows => Some("nothing is mounted inside /proc, by whatever links"),
        Errno::ENOTDIR | Errno::EINVAL if attaching && entry.follows => Some(
            "are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type",
        ),
        Errno::ELOOP if attaching && entry.follows => Some("the image has links there that lead in a circle"),
        Errno::EINVAL | Errno::ELOOP if attaching => {
            Some("the image has a symbolic link there; nothing is mounted through links")
        }
        Errno::EPERM => Some("in a user namespace this needs a host whose /proc and /sys are not covered in part"),
        _ => None,
    }
}
