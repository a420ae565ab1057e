//! Extended attributes (xattr(7)) of an open file.

use std::{
    ffi::{CStr, CString},
    os::fd::{AsRawFd, BorrowedFd},
};

use nix::errno::Errno;

use super::check;

/// `/proc/self/fd/N`: unlike `fsetxattr`, a path takes descriptors opened with `O_PATH`.
fn fd_path(fd: BorrowedFd) -> CString {
    CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd())).expect("no null in digits")
}

/// Sets the attribute `name` of the file behind `fd`, which may be an `O_PATH` descriptor. Allocates.
pub fn set_xattr(fd: BorrowedFd, name: &CStr, value: &[u8]) -> Result<(), Errno> {
    let path = fd_path(fd);
    // SAFETY: strings are null-terminated; pointer and length are those of one slice.
    let done = unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    check(done.into()).map(drop)
}

/// Reads the attribute `name` of the file behind `fd` into `buffer` and returns its length in bytes. Allocates.
///
/// # Errors
/// ENODATA where the file has none of that name, ERANGE where it is longer than the buffer.
pub fn get_xattr(fd: BorrowedFd, name: &CStr, buffer: &mut [u8]) -> Result<usize, Errno> {
    let path = fd_path(fd);
    let (start, size) = (buffer.as_mut_ptr().cast(), buffer.len());
    // SAFETY: strings are null-terminated; the kernel writes at most `size` bytes to the buffer.
    let length = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), start, size) };
    check(length as i64).map(|length| length as usize)
}
