//! A further process in a running container: it joins what is there, and takes the second list only.

use std::{
    fs, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::PathBuf,
    time::Duration,
};

use cgroup::Cgroup;
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::Pid,
};
use process::{Child, Container, Errno, Error, Host, Join, Process, Result, spawn};

use super::{Place, ProcessSpec, explain_exec, process_list, program, user};

/// How long who joins a container may be held up in it, by a signal for example.
const PATIENCE: Duration = Duration::from_secs(10);

/// A container that runs.
#[derive(Debug)]
pub struct Running {
    /// Its first process.
    pub pid: Pid,
    /// A handle on that, which tells it from a later process of the same pid.
    pub pidfd: OwnedFd,
    /// The path of its cgroup, as in [`super::Spec`].
    pub cgroup: PathBuf,
}

/// Starts a process in a running container; the caller is its parent and reaps it. `stdio` is not used with a terminal,
/// whose controlling end the child carries.
///
/// The caller stays in its own namespaces; it has one thread, and nobody may trace it until the child is there
/// (`PR_SET_DUMPABLE` of prctl(2)).
///
/// # Errors
/// ESRCH where the container has ended.
pub fn exec(spec: &ProcessSpec, running: &Running, stdio: [Option<OwnedFd>; 3], host: &mut Host) -> Result<Child> {
    enter(spec, running, stdio, host).map_err(|e| {
        // Whatever failed: with the first process went the namespaces and the cgroup.
        if has_ended(running.pidfd.as_fd()) {
            return Error::new("join", "join the container", Errno::ESRCH).hint("it has just ended");
        }
        explain_exec(e, spec)
    })
}

fn enter(spec: &ProcessSpec, running: &Running, stdio: [Option<OwnedFd>; 3], host: &mut Host) -> Result<Child> {
    let failed = |doing: &'static str| move |e: io::Error| Error::from_io("join", doing, &e);
    // What the container has mounted over its files counts too; they are only read, and only within this root.
    let root = fs::File::open(format!("/proc/{}/root", running.pid)).map_err(|e| match e.kind() {
        // Who is ending has no root any more, before the pidfd says that he has ended.
        io::ErrorKind::NotFound => Error::new("join", "open the container's root", Errno::ESRCH),
        _ => failed("open the container's root")(e),
    })?;
    // The pid may have been given to another process before it was opened, not after.
    if has_ended(running.pidfd.as_fd()) {
        return Err(Error::new("join", "open the container's root", Errno::ESRCH));
    }
    let user = user::find(root.as_fd(), &spec.user, &spec.groups)?;
    drop(root);
    let pidfd = running.pidfd.try_clone().map_err(failed("dup(pidfd)"))?;
    let mut container = Container(vec![
        // First: limited before anything can be used up, and while the host's cgroups can be reached.
        Box::new(Cgroup::existing(&running.cgroup)?),
        Box::new(Join::all(running.pid, pidfd)),
    ]);
    let mut process = Process::new(program(spec, &user, stdio)?);
    process.primitives = process_list(spec, user.ids, Place::Later)?;
    process.patience = Some(PATIENCE);
    spawn(&mut container, &mut process, host)
}

/// Whether the process is a zombie or gone.
fn has_ended(pidfd: BorrowedFd) -> bool {
    poll(&mut [PollFd::new(pidfd, PollFlags::POLLIN)], PollTimeout::ZERO) != Ok(0)
}
