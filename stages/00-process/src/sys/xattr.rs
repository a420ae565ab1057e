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

/// The names of all attributes of the file behind `fd`, which may be an `O_PATH` descriptor. Allocates.
pub fn list_xattrs(fd: BorrowedFd) -> Result<Vec<CString>, Errno> {
    let path = fd_path(fd);
    // Most files have none, or few.
    let mut buffer = [0; 1024];
    match list(&path, &mut buffer) {
        Err(Errno::ERANGE) => {}
        length => return length.map(|length| split(&buffer[..length])),
    }
    // XATTR_LIST_MAX, xattr(7).
    let mut buffer = vec![0; 64 << 10];
    list(&path, &mut buffer).map(|length| split(&buffer[..length]))
}

fn list(path: &CStr, buffer: &mut [u8]) -> Result<usize, Errno> {
    let (start, size) = (buffer.as_mut_ptr().cast(), buffer.len());
    // SAFETY: the path is null-terminated; the kernel writes at most `size` bytes to the buffer.
    check(unsafe { libc::listxattr(path.as_ptr(), start, size) } as i64).map(|length| length as usize)
}

fn split(names: &[u8]) -> Vec<CString> {
    names.split(|&b| b == 0).filter(|name| !name.is_empty()).filter_map(|name| CString::new(name).ok()).collect()
}
