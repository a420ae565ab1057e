//! Work beside other work, in a process of its own: whoever clones a container has one thread.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use nix::{
    errno::Errno,
    fcntl::OFlag,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{prctl, signal::Signal},
    unistd::{getpid, getppid, pipe2},
};
use process::sys::{self, Cloned};

use crate::engine::error::{Error, Result};

/// A process that does something, and dies with its parent. Dropped before its end, it is killed.
#[derive(Debug)]
pub struct Job {
    pidfd: OwnedFd,
    answer: File,
}

impl Job {
    /// Begins it. The caller has one thread.
    pub fn begin(work: impl FnOnce() -> Result<()>) -> Result<Self> {
        let failed = |e: Errno| Error::system("start a process to work beside this one", &e.into());
        let (ours, theirs) = pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
        let parent = getpid();
        match sys::fork().map_err(failed)? {
            Cloned::Child => {
                drop(ours);
                let outcome = match prctl::set_pdeathsig(Signal::SIGKILL) {
                    // It may have died before that.
                    Ok(()) if getppid() == parent => work(),
                    _ => sys::exit_now(1),
                };
                if let Err(e) = &outcome {
                    let _ = File::from(theirs).write_all(&serde_json::to_vec(e).unwrap_or_default());
                }
                sys::exit_now(i32::from(outcome.is_err()))
            }
            Cloned::Parent(pid, _) => {
                let pidfd = sys::pidfd_open(pid).map_err(failed)?;
                Ok(Self { pidfd, answer: ours.into() })
            }
        }
    }

    /// Readable when it has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Whether [`Job::finish`] has not to wait.
    pub fn has_ended(&self) -> bool {
        poll(&mut [PollFd::new(self.pidfd(), PollFlags::POLLIN)], PollTimeout::ZERO) != Ok(0)
    }

    /// Waits for its end, and passes on what went wrong.
    pub fn finish(mut self) -> Result<()> {
        let failed = |e: std::io::Error| Error::system("wait for a process of this command", &e);
        let code = sys::wait_exit(self.pidfd()).map_err(|e| failed(e.into()))?;
        if code == 0 {
            return Ok(());
        }
        let mut json = Vec::new();
        self.answer.read_to_end(&mut json).map_err(failed)?;
        Err(serde_json::from_slice(&json).unwrap_or_else(|_| Error::conflict("a process of this command was killed")))
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // One that has ended is only waited for.
        let _ = sys::pidfd_send_signal(self.pidfd(), libc::SIGKILL);
        let _ = sys::wait_exit(self.pidfd());
    }
}
