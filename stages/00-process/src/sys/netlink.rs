//! A netlink socket: the options that nix has no names for.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;

use super::{check, check_fd};

/// A close-on-exec netlink socket of `protocol` (`NETLINK_ROUTE`, `NETLINK_NETFILTER`) in this network namespace.
///
/// It answers errors in words (`NETLINK_EXT_ACK`), without a copy of the request (`NETLINK_CAP_ACK`), and takes what a
/// dump is asked to leave out seriously (`NETLINK_GET_STRICT_CHK`, Linux 4.20).
pub fn netlink_socket(protocol: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: takes integers only.
    let socket =
        check_fd(unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, protocol) }.into())?;
    for option in [libc::NETLINK_CAP_ACK, libc::NETLINK_EXT_ACK, libc::NETLINK_GET_STRICT_CHK] {
        let on: libc::c_int = 1;
        let size = size_of_val(&on) as libc::socklen_t;
        let (number, level, value) = (socket.as_raw_fd(), libc::SOL_NETLINK, (&raw const on).cast());
        // SAFETY: the value is an int that outlives the call, and its size is passed along.
        check(unsafe { libc::setsockopt(number, level, option, value, size) }.into())?;
    }
    Ok(socket)
}
