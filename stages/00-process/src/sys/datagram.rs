//! Many datagrams with one call (recvmmsg(2), sendmmsg(2)), which is most of what a busy server over UDP saves.

use std::{
    array, mem,
    net::{Ipv4Addr, SocketAddrV4},
    os::fd::{AsRawFd, BorrowedFd},
    ptr,
};

use nix::errno::Errno;

use super::check;

/// The most datagrams of one call.
pub const BATCH: usize = 32;

fn empty_header() -> libc::mmsghdr {
    // SAFETY: mmsghdr is integers and pointers, for which all zeros (null) is a value.
    unsafe { mem::zeroed() }
}

fn empty_address() -> libc::sockaddr_in {
    // SAFETY: sockaddr_in is integers, for which all zeros is a value.
    unsafe { mem::zeroed() }
}

/// Receives what is there, up to [`BATCH`] datagrams over IPv4, without waiting: each into one of `buffers`, with its
/// length and sender in `from`. Returns their number.
///
/// A length greater than its buffer's is the length of a datagram that did not fit.
///
/// # Errors
/// EAGAIN: none is there.
pub fn receive_many<const SIZE: usize>(
    socket: BorrowedFd,
    buffers: &mut [[u8; SIZE]],
    from: &mut [(usize, SocketAddrV4)],
) -> Result<usize, Errno> {
    let mut addresses: [_; BATCH] = array::from_fn(|_| empty_address());
    let mut parts = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH];
    let mut headers: [_; BATCH] = array::from_fn(|_| empty_header());
    let count = buffers.len().min(from.len()).min(BATCH);
    for at in 0..count {
        parts[at] = libc::iovec { iov_base: buffers[at].as_mut_ptr().cast(), iov_len: SIZE };
        headers[at].msg_hdr.msg_name = (&raw mut addresses[at]).cast();
        headers[at].msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
        headers[at].msg_hdr.msg_iov = &raw mut parts[at];
        headers[at].msg_hdr.msg_iovlen = 1;
    }
    let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
    // SAFETY: the first `count` headers point to one buffer, one address and one iovec each, with their lengths; all
    // outlive the call.
    let received =
        unsafe { libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count as u32, flags as _, ptr::null_mut()) };
    let received = check(received.into())? as usize;
    for at in 0..received {
        let address = Ipv4Addr::from(u32::from_be(addresses[at].sin_addr.s_addr));
        from[at] = (headers[at].msg_len as usize, SocketAddrV4::new(address, u16::from_be(addresses[at].sin_port)));
    }
    Ok(received)
}

/// Sends up to [`BATCH`] datagrams over IPv4 without waiting, and returns how many of them went.
///
/// # Errors
/// Why the first of them did not.
pub fn send_many(socket: BorrowedFd, datagrams: &[(Vec<u8>, SocketAddrV4)]) -> Result<usize, Errno> {
    let mut addresses: [_; BATCH] = array::from_fn(|_| empty_address());
    let mut parts = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH];
    let mut headers: [_; BATCH] = array::from_fn(|_| empty_header());
    let count = datagrams.len().min(BATCH);
    for (at, (bytes, to)) in datagrams.iter().take(count).enumerate() {
        addresses[at].sin_family = libc::AF_INET as libc::sa_family_t;
        addresses[at].sin_port = to.port().to_be();
        addresses[at].sin_addr.s_addr = u32::from(*to.ip()).to_be();
        parts[at] = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        headers[at].msg_hdr.msg_name = (&raw mut addresses[at]).cast();
        headers[at].msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
        headers[at].msg_hdr.msg_iov = &raw mut parts[at];
        headers[at].msg_hdr.msg_iovlen = 1;
    }
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the first `count` headers point to one buffer, one address and one iovec each, with their lengths; all
    // outlive the call, which writes to none of the buffers.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count as u32, flags as _) };
    check(sent.into()).map(|sent| sent as usize)
}
