//! Acts in another user namespace, from which there is no way back: by a process of their own.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, OwnedFd},
};

use nix::sched::{CloneFlags, setns};

use crate::{
    join::become_root,
    sys::{self, Cloned},
};

/// A process that acts as root of a user namespace: what it makes belongs to the namespace's ids, and who owns what it
/// looks at it sees as they do.
#[derive(Debug)]
pub struct Aside {
    pidfd: OwnedFd,
    said: File,
}

impl Aside {
    /// Begins `act` in the user namespace behind `namespace`. The caller has one thread, and root's rights over the
    /// namespace. What `act` returns is handed over; descriptors are as after fork(2).
    pub fn begin(namespace: impl AsFd, act: impl FnOnce() -> Vec<u8>) -> io::Result<Self> {
        let (theirs, ours) = io::pipe()?;
        match sys::fork()? {
            Cloned::Child => {
                drop(theirs);
                let entered = setns(namespace, CloneFlags::CLONE_NEWUSER).and_then(|()| become_root());
                let done = entered.map_err(io::Error::from).and_then(|()| (&ours).write_all(&act()));
                sys::exit_now(done.map_or_else(|e| e.raw_os_error().unwrap_or(libc::EIO), |()| 0))
            }
            Cloned::Parent(pid, _) => {
                let pidfd = sys::pidfd_open(pid)?;
                Ok(Self { pidfd, said: File::from(OwnedFd::from(theirs)) })
            }
        }
    }

    /// Waits for the end, and for what it has returned.
    pub fn end(mut self) -> io::Result<Vec<u8>> {
        let mut said = Vec::new();
        self.said.read_to_end(&mut said)?;
        match sys::wait_exit(self.pidfd.as_fd())? {
            0 => Ok(said),
            code => Err(io::Error::from_raw_os_error(code)),
        }
    }
}
