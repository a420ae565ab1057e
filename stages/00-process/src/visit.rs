//! Ways into a container from outside.

use std::{
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use nix::{
    errno::Errno,
    sched::{CloneFlags, setns},
    unistd::Pid,
};

use crate::{
    error::{Error, Result},
    sys::{self, Cloned},
};

/// The process by which a container's namespaces and files are reached: its first one, or the program of an init that has
/// closed itself to all but root of the machine.
pub fn way_in(first: Pid) -> Pid {
    match fs::metadata(format!("/proc/{first}/ns/pid")) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            let children = fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap_or_default();
            children.split(' ').find_map(|pid| pid.parse().ok()).map_or(first, Pid::from_raw)
        }
        _ => first,
    }
}

/// Does `work` in the network namespace of the process behind `pidfd` (setns(2), Linux 5.8), and comes back.
///
/// What is opened there stays there: a socket belongs to the namespace that it was made in. Only the calling thread goes.
///
/// # Errors
/// ESRCH: the process has ended.
///
/// # Panics
/// Where there is no way back: in the wrong namespace everything else would be wrong too.
pub fn in_network_of<T>(pidfd: BorrowedFd, work: impl FnOnce() -> std::result::Result<T, Errno>) -> Result<T> {
    let here = File::open("/proc/thread-self/ns/net")
        .map_err(|e| Error::from_io("network", "open /proc/thread-self/ns/net", &e))?;
    let failed = |what: &'static str| move |errno| Error::new("network", what, errno);
    setns(pidfd, CloneFlags::CLONE_NEWNET).map_err(failed("setns(CLONE_NEWNET)"))?;
    let done = work();
    setns(here, CloneFlags::CLONE_NEWNET).expect("the way back into the host's network namespace");
    done.map_err(failed("act in the container's network"))
}

/// Sockets that `make` makes in the network namespace of the process behind `pidfd`, by a process of ours: for root of a
/// user namespace, who would not come back to a network that is not his. The caller has one thread.
///
/// # Errors
/// As [`in_network_of`].
pub fn sockets_from_network_of(
    pidfd: BorrowedFd,
    make: impl FnOnce() -> std::result::Result<Vec<OwnedFd>, Errno>,
) -> Result<Vec<OwnedFd>> {
    let failed = |errno| Error::new("network", "make sockets in the container's network", errno);
    let (ours, theirs) = UnixStream::pair().map_err(|e| Error::from_io("network", "socketpair()", &e))?;
    match sys::fork().map_err(failed)? {
        Cloned::Child => {
            let sent = setns(pidfd, CloneFlags::CLONE_NEWNET).and_then(|()| make()).and_then(|sockets| {
                sockets.iter().try_for_each(|socket| sys::send_fd(theirs.as_fd(), &[1], socket.as_fd()))
            });
            sys::exit_now(sent.err().map_or(0, |errno| errno as i32))
        }
        Cloned::Parent(pid, _) => {
            let helper = sys::pidfd_open(pid).map_err(failed)?;
            drop(theirs);
            let mut sockets = Vec::new();
            while let (1, Some(socket)) = sys::receive_fd(ours.as_fd(), &mut [0]).map_err(failed)? {
                sockets.push(socket);
            }
            match sys::wait_exit(helper.as_fd()).map_err(failed)? {
                0 => Ok(sockets),
                errno => Err(failed(Errno::from_raw(errno))),
            }
        }
    }
}
