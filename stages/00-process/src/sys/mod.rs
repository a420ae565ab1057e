//! Every `unsafe` block of the workspace: system calls that nix does not wrap, or wraps with an allocation.
//!
//! All functions here but `receive_fd`, `trim_memory`, `CommandLine::find`, `CommandLine::cover` and those of `xattr` may be called between `clone` and `exec`: they make system calls on
//! memory that exists already and do nothing else.
#![allow(unsafe_code)]

mod bpf;
mod datagram;
mod descriptor;
mod disk;
mod ended;
mod memory;
mod mount;
mod net;
mod netlink;
mod privilege;
mod process;
mod terminal;
mod xattr;

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

pub use bpf::{Instruction, attach_device_program, load_device_program};
pub use datagram::{BATCH, receive_many, send_many};
pub use descriptor::{inherited, read_link, receive_fd, send_fd};
pub use disk::{begin_to_write, is_clean};
pub use ended::Ended;
pub use memory::{CommandLine, Covered, SharedWord, trim_memory};
pub use mount::{
    MountAttr, OpenTree, Propagation, fsconfig_create, fsconfig_fd, fsconfig_flag, fsconfig_string, fsmount, fsopen,
    mount_id, mount_idmapped, mount_propagation, mount_setattr, move_mount, open_tree,
};
pub use net::{interface_index, loopback_up, network_cookie, owning_user_namespace};
pub use netlink::netlink_socket;
pub use privilege::{
    Capabilities, capabilities, clear_ambient, drop_bounding, is_bounding, limit, set_capabilities, set_domain_name,
    set_filter, set_limit, set_limit_of,
};
pub use process::{
    Cloned, Pointers, as_file_owner, block_signals, clone_child, clone3, close_each, close_from, close_range,
    default_signals, duplicate_to, execve, execve_at, execve_here, exit_now, fork, ignore_failed_writes, in_passing,
    kill, pidfd_exit_code, pidfd_open, pidfd_send_signal, random, reap_any, set_gid, set_groups, set_uid, wait_exit,
    wait_signal,
};
pub use terminal::{pty_peer, pty_unlock, set_controlling_terminal, set_window_size, window_size};
pub use xattr::{get_xattr, list_xattrs, set_xattr};

/// Turns a raw system call's return value into a `Result`.
fn check(value: libc::c_long) -> Result<libc::c_long, Errno> {
    if value == -1 { Err(Errno::last()) } else { Ok(value) }
}

/// As [`check`], for calls that return a new file descriptor.
fn check_fd(value: libc::c_long) -> Result<OwnedFd, Errno> {
    // SAFETY: the kernel has just returned this descriptor to us and nothing else knows its number.
    check(value).map(|fd| unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Keeps a descriptor open until exec or exit and hands out a copyable reference to it.
///
/// For the child between clone and exec, where close-on-exec is the only clean-up that there is.
pub fn keep_until_exec(fd: OwnedFd) -> BorrowedFd<'static> {
    let raw = fd.as_raw_fd();
    std::mem::forget(fd);
    // SAFETY: the owner was forgotten, so that the descriptor stays open for the rest of this process's program.
    unsafe { BorrowedFd::borrow_raw(raw) }
}
