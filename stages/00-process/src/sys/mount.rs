//! The mount API of Linux 5.2 (fsopen(2), fsmount(2), open_tree(2), move_mount(2)) and mount_setattr(2) of 5.12.
//!
//! It makes mounts as file descriptors that stand nowhere yet. What is wrong is known before anything is visible, and
//! a mount is put in its place when nothing outside the container can be reached any more.

use std::{
    ffi::CStr,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
    ptr,
};

use nix::errno::Errno;

use super::{check, check_fd};

/// Attributes of one mount (`MOUNT_ATTR_…` of mount_setattr(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MountAttr(pub u64);

impl MountAttr {
    /// No write through this mount.
    pub const READ_ONLY: Self = Self(libc::MOUNT_ATTR_RDONLY);
    /// Set-user-id bits and file capabilities have no effect.
    pub const NO_SUID: Self = Self(libc::MOUNT_ATTR_NOSUID);
    /// Device files cannot be opened.
    pub const NO_DEV: Self = Self(libc::MOUNT_ATTR_NODEV);
    /// Nothing can be executed.
    pub const NO_EXEC: Self = Self(libc::MOUNT_ATTR_NOEXEC);

    /// Both sets of attributes.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These without those of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all attributes of `other` are in.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// How [`open_tree`] opens a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenTree {
    /// A private copy of the one mount, attached nowhere: what `mount --bind` makes.
    Clone,
    /// The same with all mounts below it: `mount --rbind`.
    CloneAll,
}

/// fsopen(2): begins the making of a filesystem of type `kind`.
pub fn fsopen(kind: &CStr) -> Result<OwnedFd, Errno> {
    const FSOPEN_CLOEXEC: i32 = 1;
    // SAFETY: the string is null-terminated and outlives the call.
    check_fd(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) })
}

fn fsconfig(
    context: BorrowedFd,
    command: u32,
    key: *const libc::c_char,
    value: *const libc::c_char,
    aux: i32,
) -> Result<(), Errno> {
    // SAFETY: key and value are null or C strings that outlive the call; each command below passes what it needs.
    check(unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, key, value, aux) }).map(drop)
}

/// fsconfig(2): sets the option `key=value`. The kernel takes values of up to 255 bytes.
pub fn fsconfig_string(context: BorrowedFd, key: &CStr, value: &CStr) -> Result<(), Errno> {
    const FSCONFIG_SET_STRING: u32 = 1;
    fsconfig(context, FSCONFIG_SET_STRING, key.as_ptr(), value.as_ptr(), 0)
}

/// fsconfig(2): sets the option `key` that has no value.
pub fn fsconfig_flag(context: BorrowedFd, key: &CStr) -> Result<(), Errno> {
    const FSCONFIG_SET_FLAG: u32 = 0;
    fsconfig(context, FSCONFIG_SET_FLAG, key.as_ptr(), ptr::null(), 0)
}

/// fsconfig(2): sets the option `key` to the file or directory `value`.
///
/// # Errors
/// EINVAL where the filesystem takes no descriptor for this option: overlayfs does from Linux 6.13 on.
pub fn fsconfig_fd(context: BorrowedFd, key: &CStr, value: BorrowedFd) -> Result<(), Errno> {
    const FSCONFIG_SET_FD: u32 = 5;
    fsconfig(context, FSCONFIG_SET_FD, key.as_ptr(), ptr::null(), value.as_raw_fd())
}

/// fsconfig(2): creates the filesystem from the options given so far.
pub fn fsconfig_create(context: BorrowedFd) -> Result<(), Errno> {
    const FSCONFIG_CMD_CREATE: u32 = 6;
    fsconfig(context, FSCONFIG_CMD_CREATE, ptr::null(), ptr::null(), 0)
}

/// fsmount(2): a mount of the created filesystem, attached nowhere; also a directory to open files through.
pub fn fsmount(context: BorrowedFd, attr: MountAttr) -> Result<OwnedFd, Errno> {
    const FSMOUNT_CLOEXEC: u32 = 1;
    // SAFETY: takes integers only.
    check_fd(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, attr.0) })
}

/// open_tree(2) on `path` below `directory` (`None`: the working directory); an empty path means `directory` itself.
pub fn open_tree(directory: Option<BorrowedFd>, path: &CStr, how: OpenTree) -> Result<OwnedFd, Errno> {
    let mut flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_EMPTY_PATH as u32;
    if how == OpenTree::CloneAll {
        flags |= libc::AT_RECURSIVE as u32;
    }
    let directory = directory.map_or(libc::AT_FDCWD, |fd| fd.as_raw_fd());
    // SAFETY: the string is null-terminated and outlives the call.
    check_fd(unsafe { libc::syscall(libc::SYS_open_tree, directory, path.as_ptr(), flags) })
}

/// move_mount(2): attaches the mount `from` at `path` below `directory` (`None`: the working directory; an empty path:
/// `directory` itself).
///
/// A symbolic link as the last component is not followed, and then refused by the kernel (it is no mount point).
pub fn move_mount(from: BorrowedFd, directory: Option<BorrowedFd>, path: &CStr) -> Result<(), Errno> {
    const MOVE_MOUNT_F_EMPTY_PATH: u32 = 0x04;
    const MOVE_MOUNT_T_EMPTY_PATH: u32 = 0x40;
    let directory = directory.map_or(libc::AT_FDCWD, |fd| fd.as_raw_fd());
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    let (from, empty) = (from.as_raw_fd(), c"".as_ptr());
    // SAFETY: both strings are null-terminated and outlive the call.
    check(unsafe { libc::syscall(libc::SYS_move_mount, from, empty, directory, path.as_ptr(), flags) }).map(drop)
}

/// The number of the mount that `path` is in (statx(2), `STATX_MNT_ID`, Linux 5.8), symbolic links followed.
pub fn mount_id(path: &CStr) -> Result<u64, Errno> {
    // SAFETY: statx is a structure of integers, for which all zeros is a value.
    let mut found: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: the string is null-terminated and outlives the call, which writes one statx.
    check(unsafe { libc::statx(libc::AT_FDCWD, path.as_ptr(), 0, libc::STATX_MNT_ID, &raw mut found) }.into())?;
    Ok(found.stx_mnt_id)
}

/// mount_setattr(2): adds `set` to the attributes of the mount `fd`, and of all below it if `recursive`.
pub fn mount_setattr(fd: BorrowedFd, set: MountAttr, recursive: bool) -> Result<(), Errno> {
    let attr = libc::mount_attr { attr_set: set.0, attr_clr: 0, propagation: 0, userns_fd: 0 };
    set_attributes(fd, &attr, recursive)
}

/// Which mounts that are made or unmounted later the copies of a mount tell each other of (mount_namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Propagation {
    /// None.
    #[default]
    Private,
    /// Those made in the original appear here.
    Slave,
    /// Both ways, where the original is shared.
    Shared,
}

/// mount_setattr(2): sets the propagation of the mount `fd`, and of all below it if `recursive`.
pub fn mount_propagation(fd: BorrowedFd, propagation: Propagation, recursive: bool) -> Result<(), Errno> {
    let propagation = match propagation {
        Propagation::Private => libc::MS_PRIVATE,
        Propagation::Slave => libc::MS_SLAVE,
        Propagation::Shared => libc::MS_SHARED,
    };
    let attr = libc::mount_attr { attr_set: 0, attr_clr: 0, propagation, userns_fd: 0 };
    set_attributes(fd, &attr, recursive)
}

/// mount_setattr(2): shows what the mount `fd`, attached nowhere yet, holds with the owners that the maps of the user
/// namespace `maps` make of them, and if `recursive` what all mounts below it hold: all, or none of them. Needs
/// `CAP_SYS_ADMIN` in the user namespace of each filesystem.
///
/// # Errors
/// EINVAL: a filesystem cannot (ext4 and XFS can from Linux 5.12 on, Btrfs 5.15, tmpfs 6.3); EPERM: one is idmapped.
pub fn mount_idmapped(fd: BorrowedFd, maps: BorrowedFd, recursive: bool) -> Result<(), Errno> {
    let userns_fd = maps.as_raw_fd() as u64;
    let attr = libc::mount_attr { attr_set: libc::MOUNT_ATTR_IDMAP, attr_clr: 0, propagation: 0, userns_fd };
    set_attributes(fd, &attr, recursive)
}

fn set_attributes(fd: BorrowedFd, attr: &libc::mount_attr, recursive: bool) -> Result<(), Errno> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    let (fd, size) = (fd.as_raw_fd(), size_of::<libc::mount_attr>());
    // SAFETY: the structure outlives the call and its size is passed along; the kernel only reads it.
    check(unsafe { libc::syscall(libc::SYS_mount_setattr, fd, c"".as_ptr(), flags, ptr::from_ref(attr), size) })
        .map(drop)
}
