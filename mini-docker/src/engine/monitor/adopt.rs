//! A new monitor for a container whose own was killed.
//!
//! Output goes on from where it stopped: the pipes are opened again through the program's descriptors. A terminal went
//! with the old monitor, and so did the input. How a process ended that is not its child, the new monitor learns from
//! the pidfd, where the kernel can tell.

use std::{
    fs,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::{fs::OpenOptionsExt, net::UnixStream},
    },
};

use nix::{
    fcntl::OFlag,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::stat::fstat,
};
use process::{
    Child,
    sys::{self, Cloned},
};

use super::{
    Monitor, OWN_STEPS, detach,
    health::Checker,
    life::{Life, Streams},
    oom::Oom,
    title,
};
use crate::engine::{
    Engine,
    container::Container,
    error::{Error, Result},
    files::Lock,
};

/// How long an ended process may wait for whoever inherited it to reap it, in milliseconds.
const REAPING: u16 = 10_000;

/// Forks a monitor for a container that is active without one, and returns when it is there. `first` is the container's
/// first process; without one it is about to be started again. `lock` is the container's.
pub fn adopt(engine: &Engine, container: &Container, first: Option<OwnedFd>, lock: Lock) -> Result<()> {
    let failed = |e: io::Error| Error::system("start a new monitor for the container", &e);
    let (mut ours, theirs) = UnixStream::pair().map_err(failed)?;
    match sys::fork().map_err(|e| failed(e.into()))? {
        Cloned::Child => {
            drop(ours);
            let mut keep = vec![theirs.as_raw_fd(), lock.file().as_raw_fd()];
            keep.extend(first.as_ref().map(AsRawFd::as_raw_fd));
            let served = detach(&title(&container.config.id), &keep)
                .map_err(|e| failed(e.into()))
                .and_then(|()| Monitor::new(engine, container))
                .and_then(|mut monitor| {
                    if first.is_none() {
                        // What was made for a start that did not come about.
                        let _ = engine.leave_networks(&container.config.id);
                        let _ = monitor.journal.undo_to(OWN_STEPS);
                    }
                    drop(lock);
                    // The command that adopts may have been killed; the container needs a monitor all the same.
                    let _ = (&theirs).write_all(&[1]);
                    drop(theirs);
                    let life = first.map(|first| taken_over(&monitor, first));
                    monitor.run(life)
                });
            sys::exit_now(i32::from(served.is_err()))
        }
        Cloned::Parent(..) => {
            drop(theirs);
            // Whether it came up or not: the next command would try again.
            ours.read(&mut [0]).map(drop).map_err(failed)
        }
    }
}

// ANCHOR: adopt
fn taken_over(monitor: &Monitor, first: OwnedFd) -> Life {
    let status = &monitor.status;
    let pid = process::way_in(nix::unistd::Pid::from_raw(status.pid)).as_raw();
    let output = |number: usize| reopen(pid, number, status.pipes[number - 1]);
    let streams = Streams { stdin: None, stdout: output(1), stderr: output(2) };
    let child = Child { pid: nix::unistd::Pid::from_raw(status.pid), pidfd: first, descriptors: Vec::new() };
    let network = monitor.engine.attend_again(&monitor.container.config, &child);
    let mut life = Life::new(child, streams);
    life.network = network;
    life.oom = Oom::watch(monitor.engine, &monitor.container.config);
    life.health = Checker::new(monitor, false);
    life
}

/// The reading end of the pipe behind a descriptor of the program, if it still is that pipe: it may have put anything in
/// its place, so that only the reference is opened before the inode is known.
fn reopen(pid: i32, number: usize, inode: u64) -> Option<OwnedFd> {
    let open = |path: String, flags: OFlag| {
        fs::OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).map(OwnedFd::from).ok()
    };
    let reference = open(format!("/proc/{pid}/fd/{number}"), OFlag::O_PATH)?;
    let is_it = inode != 0 && fstat(&reference).is_ok_and(|stat| stat.st_ino == inode);
    is_it.then(|| open(format!("/proc/self/fd/{}", reference.as_raw_fd()), OFlag::O_NONBLOCK))?
}
// ANCHOR_END: adopt

/// How somebody else's child ended. The kernel tells when it is reaped.
pub(super) fn exit_code(pidfd: BorrowedFd) -> Option<i32> {
    // Asked for nothing, poll(2) still says when it is reaped: POLLHUP.
    let mut reaped = [PollFd::new(pidfd.as_fd(), PollFlags::empty())];
    let _ = poll(&mut reaped, PollTimeout::from(REAPING));
    sys::pidfd_exit_code(pidfd)
}
