//! What the disk has of a file, and when.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

use super::check;

/// Has the kernel begin to write to the disk what it has of `file` in memory alone, and waits for nothing
/// (sync_file_range(2)). `length` bytes from `from` on; 0 is all to the end. Nothing is known to be on the disk after
/// it: that is what fsync(2) and syncfs(2) say, which then take less long.
///
/// # Errors
/// ESPIPE of what is no file; EIO, ENOSPC.
pub fn begin_to_write(file: BorrowedFd, from: u64, length: u64) -> Result<(), Errno> {
    let (from, length) = (from.cast_signed(), length.cast_signed());
    // SAFETY: takes integers only.
    check(unsafe { libc::sync_file_range(file.as_raw_fd(), from, length, libc::SYNC_FILE_RANGE_WRITE) }.into())
        .map(drop)
}

/// The number of cachestat(2) on all machines (since 424 they are the same), and its structures: the libc crate has them not.
const CACHESTAT: libc::c_long = 451;

#[repr(C)]
struct Range {
    from: u64,
    /// 0: all to the end.
    length: u64,
}

#[repr(C)]
#[derive(Default)]
struct Cached {
    pages: u64,
    dirty: u64,
    in_writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// Whether the disk has all that was written to `file`, or is about to have it (cachestat(2)). Only then who has it mapped
/// tells the kernel of the next write to it, which makes the file's times younger: a page that is dirty already is
/// written to without anybody's knowing. `file` is open for reading, and its owner's the caller's or the caller may write to it.
///
/// # Errors
/// ENOSYS before Linux 6.5; EOPNOTSUPP of huge pages; EPERM of somebody else's file.
pub fn is_clean(file: BorrowedFd) -> Result<bool, Errno> {
    let range = Range { from: 0, length: 0 };
    let mut cached = Cached::default();
    let (range, into) = (&raw const range, &raw mut cached);
    // SAFETY: both structures live until the call returns, are laid out as the kernel's, and it writes to the second alone.
    check(unsafe { libc::syscall(CACHESTAT, file.as_raw_fd(), range, into, 0) })?;
    Ok(cached.dirty == 0)
}
