//! Acts of the host in a container's network.

use std::{fs::File, os::fd::BorrowedFd};

use nix::{
    errno::Errno,
    sched::{CloneFlags, setns},
};

use crate::error::{Error, Result};

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
