//! Writing to the disk in time.

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
