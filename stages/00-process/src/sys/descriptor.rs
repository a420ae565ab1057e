//! Descriptors: what they carry between processes, and what is behind one.

use std::{
    io::IoSliceMut,
    mem,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use nix::{
    errno::Errno,
    sys::socket::{ControlMessageOwned, MsgFlags, recvmsg},
};

use super::check;

/// Sends `bytes` with a copy of `fd` over a Unix socket (unix(7), `SCM_RIGHTS`), without allocating.
pub fn send_fd(socket: BorrowedFd, bytes: &[u8], fd: BorrowedFd) -> Result<(), Errno> {
    #[repr(C)]
    struct Control {
        header: libc::cmsghdr,
        fd: RawFd,
    }
    // SAFETY: cmsghdr and the descriptor are integers, for which all zeros is a value.
    let mut control: Control = unsafe { mem::zeroed() };
    control.header.cmsg_level = libc::SOL_SOCKET;
    control.header.cmsg_type = libc::SCM_RIGHTS;
    control.header.cmsg_len = mem::offset_of!(Control, fd) + size_of::<RawFd>();
    control.fd = fd.as_raw_fd();
    let mut iov = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: msghdr is integers and pointers, for which all zeros (null) is a value.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut iov;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of::<Control>();
    // SAFETY: every pointer in the message is to a local that outlives the call; sendmsg does not write to them.
    check(unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) } as i64).map(drop)
}

/// A descriptor by the number that this process was started with; `None` where it is not open, or a standard stream.
/// Nobody else may own it.
pub fn inherited(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: takes integers only.
    let is_open = number > 2 && unsafe { libc::fcntl(number, libc::F_GETFD) } >= 0;
    // SAFETY: it is open, and by the caller's word nobody else's.
    is_open.then(|| unsafe { OwnedFd::from_raw_fd(number) })
}

/// Receives a packet of up to `buffer.len()` bytes and the descriptor that came with it, if any (close-on-exec).
///
/// Returns 0 bytes at the end of the stream. Allocates.
pub fn receive_fd(socket: BorrowedFd, buffer: &mut [u8]) -> Result<(usize, Option<OwnedFd>), Errno> {
    let mut space = nix::cmsg_space!([RawFd; 1]);
    let mut iov = [IoSliceMut::new(buffer)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut iov, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut received = None;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = control {
            for fd in fds {
                // SAFETY: the kernel has just made this descriptor for us and nothing else knows its number.
                received = Some(unsafe { OwnedFd::from_raw_fd(fd) });
            }
        }
    }
    Ok((message.bytes, received))
}

/// readlinkat(2): the target of the symbolic link `fd`, opened with `O_PATH | O_NOFOLLOW`, into `buffer`. Returns its length
/// in bytes, which is the buffer's where that is too short.
pub fn read_link(fd: BorrowedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    let (start, size) = (buffer.as_mut_ptr().cast(), buffer.len());
    // SAFETY: the path is empty, which means `fd` itself; the kernel writes at most `size` bytes to the buffer.
    let length = unsafe { libc::readlinkat(fd.as_raw_fd(), c"".as_ptr(), start, size) };
    check(length as i64).map(|length| length as usize)
}
