//! Extended attributes (xattr(7)) of an open file.

use std::{
    ffi::{CStr, CString, c_char, c_int},
    os::fd::{AsRawFd, BorrowedFd},
};

use nix::errno::Errno;

use super::check;

/// Makes a call by the descriptor; where that is one of `O_PATH`, by `/proc/self/fd/N`, which takes longer.
fn by_fd_or_path(
    fd: BorrowedFd,
    by_fd: impl FnOnce(c_int) -> i64,
    by_path: impl FnOnce(*const c_char) -> i64,
) -> Result<usize, Errno> {
    let done = match check(by_fd(fd.as_raw_fd())) {
        Err(Errno::EBADF) => {
            let path = CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd())).expect("no null in digits");
            check(by_path(path.as_ptr()))
        }
        done => done,
    };
    done.map(|length| length as usize)
}

/// Sets the attribute `name` of the file behind `fd`, which may be an `O_PATH` descriptor. Allocates then.
pub fn set_xattr(fd: BorrowedFd, name: &CStr, value: &[u8]) -> Result<(), Errno> {
    let (start, size) = (value.as_ptr().cast(), value.len());
    by_fd_or_path(
        fd,
        // SAFETY: the name is null-terminated; pointer and length are those of one slice.
        |fd| unsafe { libc::fsetxattr(fd, name.as_ptr(), start, size, 0) }.into(),
        // SAFETY: as above, and the path is null-terminated.
        |path| unsafe { libc::setxattr(path, name.as_ptr(), start, size, 0) }.into(),
    )
    .map(drop)
}

/// Reads the attribute `name` of the file behind `fd` into `buffer` and returns its length in bytes. Allocates.
///
/// # Errors
/// ENODATA where the file has none of that name, ERANGE where it is longer than the buffer.
pub fn get_xattr(fd: BorrowedFd, name: &CStr, buffer: &mut [u8]) -> Result<usize, Errno> {
    let (start, size) = (buffer.as_mut_ptr().cast(), buffer.len());
    by_fd_or_path(
        fd,
        // SAFETY: the name is null-terminated; the kernel writes at most `size` bytes to the buffer.
        |fd| unsafe { libc::fgetxattr(fd, name.as_ptr(), start, size) } as i64,
        // SAFETY: as above, and the path is null-terminated.
        |path| unsafe { libc::getxattr(path, name.as_ptr(), start, size) } as i64,
    )
}

/// The names of all attributes of the file behind `fd`, which may be an `O_PATH` descriptor. Allocates then.
pub fn list_xattrs(fd: BorrowedFd) -> Result<Vec<CString>, Errno> {
    // Most files have none, or few.
    let mut buffer = [0; 1024];
    match list(fd, &mut buffer) {
        Err(Errno::ERANGE) => {}
        length => return length.map(|length| split(&buffer[..length])),
    }
    // XATTR_LIST_MAX, xattr(7).
    let mut buffer = vec![0; 64 << 10];
    list(fd, &mut buffer).map(|length| split(&buffer[..length]))
}

fn list(fd: BorrowedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    let (start, size) = (buffer.as_mut_ptr().cast(), buffer.len());
    by_fd_or_path(
        fd,
        // SAFETY: the kernel writes at most `size` bytes to the buffer.
        |fd| unsafe { libc::flistxattr(fd, start, size) } as i64,
        // SAFETY: as above, and the path is null-terminated.
        |path| unsafe { libc::listxattr(path, start, size) } as i64,
    )
}

fn split(names: &[u8]) -> Vec<CString> {
    names.split(|&b| b == 0).filter(|name| !name.is_empty()).filter_map(|name| CString::new(name).ok()).collect()
}
