//! The one request to a network interface that needs no netlink.

use std::{
    mem,
    os::fd::{AsRawFd, BorrowedFd},
};

use nix::{
    errno::Errno,
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};

use super::check;

/// Sets the loopback interface of this network namespace up (netdevice(7), `SIOCSIFFLAGS`).
///
/// # Errors
/// EPERM without `CAP_NET_ADMIN` in the user namespace that owns the network namespace.
pub fn loopback_up() -> Result<(), Errno> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: ifreq is a byte array and a union of integers, for which all zeros is a value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
    // SAFETY: SIOCSIFFLAGS reads the name and the flags of the structure, which outlives the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) }.into()).map(drop)
}

/// The number of the network namespace that a socket belongs to (socket(7) does not have it yet: `SO_NETNS_COOKIE`,
/// Linux 5.14). No two namespaces have the same until the next boot.
///
/// # Errors
/// ENOPROTOOPT: an older kernel.
pub fn network_cookie(socket: BorrowedFd) -> Result<u64, Errno> {
    const SO_NETNS_COOKIE: libc::c_int = 71;
    let mut cookie = 0_u64;
    let mut size = size_of::<u64>() as libc::socklen_t;
    let value = (&raw mut cookie).cast();
    // SAFETY: value and size are of one integer, which outlives the call.
    let got = unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, SO_NETNS_COOKIE, value, &raw mut size) };
    check(got.into()).map(|_| cookie)
}
