//! Requests to network interfaces that need no netlink.

use std::{
    ffi::CStr,
    mem,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
};

use nix::{
    errno::Errno,
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};

use super::{check, check_fd};

/// Sets the loopback interface of this network namespace up (netdevice(7), `SIOCSIFFLAGS`).
///
/// # Errors
/// EPERM without `CAP_NET_ADMIN` in the user namespace that owns the network namespace.
pub fn loopback_up() -> Result<(), Errno> {
    let (socket, mut request) = request(c"lo")?;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
    // SAFETY: SIOCSIFFLAGS reads the name and the flags of the structure, which outlives the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) }.into()).map(drop)
}

/// The user namespace that a namespace belongs to (`NS_GET_USERNS` of ioctl_ns(2), Linux 4.9).
///
/// # Errors
/// EPERM: it is not below our own.
pub fn owning_user_namespace(namespace: BorrowedFd) -> Result<OwnedFd, Errno> {
    const NS_GET_USERNS: libc::Ioctl = 0xb701;
    // SAFETY: takes no argument, and returns a new descriptor.
    check_fd(unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_USERNS) }.into())
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

/// The index of the interface `name` in this network namespace (netdevice(7), `SIOCGIFINDEX`).
///
/// # Errors
/// ENODEV where there is none of that name.
pub fn interface_index(name: &CStr) -> Result<u32, Errno> {
    let (socket, mut request) = request(name)?;
    // SAFETY: SIOCGIFINDEX reads the name of the structure, which outlives the call, and writes its index.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFINDEX, &raw mut request) }.into())?;
    // SAFETY: the call has succeeded, and filled this member of the union.
    Ok(unsafe { request.ifr_ifru.ifru_ifindex }.cast_unsigned())
}

/// A socket to ask through, and a request about the interface `name`.
fn request(name: &CStr) -> Result<(OwnedFd, libc::ifreq), Errno> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: ifreq is a byte array and a union of integers, for which all zeros is a value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    let name = name.to_bytes();
    // The last byte stays zero.
    if name.len() >= request.ifr_name.len() {
        return Err(Errno::ENODEV);
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name) {
        *to = *from as libc::c_char;
    }
    Ok((socket, request))
}
