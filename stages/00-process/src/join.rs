//! The namespaces of a process that runs: what a second process of a container has instead of a [`Container`] of its own.
//!
//! [`Container`]: crate::Container

use std::{
    cell::RefCell,
    fs,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::MetadataExt,
    },
};

use nix::{
    errno::Errno,
    sched::{CloneFlags, setns},
    sys::prctl,
    unistd::Pid,
};

use crate::{
    error::{Error, Result},
    primitive::{CloneArgs, Host, Inside, Primitive},
};

/// Namespaces of another process, joined by its pidfd (setns(2), Linux 5.8).
#[derive(Debug)]
pub struct Join {
    pid: Pid,
    pidfd: OwnedFd,
    wanted: CloneFlags,
    /// What of `wanted` is not ours already; setns(2) refuses one's own user namespace.
    flags: CloneFlags,
    /// A copy of the pidfd for the clone, where the pid namespace is among them.
    birthplace: RefCell<Option<OwnedFd>>,
}

/// The flag of each namespace, and its name in /proc/PID/ns.
const ALL: [(CloneFlags, &str); 7] = [
    (CloneFlags::CLONE_NEWUSER, "user"),
    (CloneFlags::CLONE_NEWUTS, "uts"),
    (CloneFlags::CLONE_NEWIPC, "ipc"),
    (CloneFlags::CLONE_NEWNET, "net"),
    (CloneFlags::CLONE_NEWPID, "pid"),
    (CloneFlags::CLONE_NEWCGROUP, "cgroup"),
    (CloneFlags::CLONE_NEWNS, "mnt"),
];

impl Join {
    /// Those of `wanted` that the process behind `pidfd` has, `pid` being its number here.
    pub fn new(pid: Pid, pidfd: OwnedFd, wanted: CloneFlags) -> Self {
        Self { pid, pidfd, wanted, flags: CloneFlags::empty(), birthplace: RefCell::new(None) }
    }

    /// All of them.
    pub fn all(pid: Pid, pidfd: OwnedFd) -> Self {
        Self::new(pid, pidfd, ALL.iter().fold(CloneFlags::empty(), |all, (flag, _)| all | *flag))
    }
}

impl Primitive for Join {
    fn name(&self) -> &'static str {
        "join"
    }

    /// A name in /proc/PID/ns may be another process's by now; then the wrong flags go to the right pidfd, which is dead.
    fn prepare(&mut self, host: &mut Host) -> Result<()> {
        let inode = |path: String| fs::metadata(path).map(|found| found.ino());
        for (flag, name) in ALL.into_iter().filter(|(flag, _)| self.wanted.contains(*flag)) {
            let (here, there) =
                (inode(format!("/proc/self/ns/{name}")), inode(format!("/proc/{}/ns/{name}", self.pid)));
            let there = there.map_err(|e| Error::from_io("join", format!("open /proc/{}/ns/{name}", self.pid), &e))?;
            // A kernel without such namespaces has no file here either.
            if here.is_ok_and(|here| here != there) {
                self.flags |= flag;
            }
        }
        if self.flags.contains(CloneFlags::CLONE_NEWPID) {
            let copy = self.pidfd.try_clone().map_err(|e| Error::from_io("join", "dup(pidfd)", &e))?;
            self.birthplace = RefCell::new(Some(copy));
        }
        // From its birth in the other pid namespace on the child can be seen in there, and has the host's memory and
        // descriptors until it executes the program: nobody may open those in /proc, or trace it (ptrace(2)).
        host.act(|| "prctl(PR_SET_DUMPABLE, 0)".to_owned(), || prctl::set_dumpable(false))
    }

    fn clone_args(&self, args: &mut CloneArgs) {
        // Another of these in the list may have it.
        if let Some(birthplace) = self.birthplace.take() {
            args.pid_namespace = Some(birthplace);
        }
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(0);
        let rest = self.flags & !CloneFlags::CLONE_NEWPID;
        if rest.is_empty() { Ok(()) } else { setns(self.pidfd.as_fd(), rest) }
    }

    fn step(&self, _: u16) -> String {
        let names: Vec<_> = ALL.iter().filter(|(flag, _)| self.flags.contains(*flag)).map(|(_, name)| *name).collect();
        format!("setns(pidfd of {}, {})", self.pid, names.join("|"))
    }

    fn hint(&self, _: u16, errno: Errno) -> Option<String> {
        (errno == Errno::ESRCH).then(|| "the process has ended".to_owned())
    }
}
