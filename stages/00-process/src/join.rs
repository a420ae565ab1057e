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
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sched::{CloneFlags, setns},
    sys::prctl,
    unistd::Pid,
};

use crate::{
    error::{Error, Result},
    maps::IdMaps,
    namespace::in_initial_user_namespace,
    primitive::{Birthplace, Child, CloneArgs, Host, Inside, Primitive},
    sys,
};

/// Namespaces of another process, joined by its pidfd (setns(2), Linux 5.8).
#[derive(Debug)]
pub struct Join {
    pid: Pid,
    pidfd: OwnedFd,
    wanted: CloneFlags,
    /// The namespace itself, where it is one alone: to join by pidfd takes the right to trace the process, which who is in
    /// its user namespace already may not have.
    one: Option<OwnedFd>,
    /// What of `wanted` is not ours already; setns(2) refuses one's own user namespace.
    flags: CloneFlags,
    /// What the child is born in, where the pid namespace is among them.
    birthplace: RefCell<Option<Birthplace>>,
    /// Whether this process could be looked into before.
    was_dumpable: bool,
}

/// The user namespace of another process, for a container that shares others of its namespaces: only who is in the
/// namespace that they belong to has rights over them. First in the list, as it stands for a user namespace of its own.
#[derive(Debug)]
pub struct JoinUser {
    pid: Pid,
    pidfd: OwnedFd,
    /// `None` where it is ours.
    namespace: RefCell<Option<OwnedFd>>,
    found: bool,
}

impl JoinUser {
    /// That of the process behind `pidfd`, `pid` being its number here.
    pub fn new(pid: Pid, pidfd: OwnedFd) -> Self {
        Self { pid, pidfd, namespace: RefCell::new(None), found: false }
    }
}

/// Whether the process is a zombie or gone.
fn is_gone(pidfd: &OwnedFd) -> bool {
    poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO) != Ok(0)
}

impl Primitive for JoinUser {
    fn name(&self) -> &'static str {
        "join"
    }

    /// A second call does nothing.
    fn prepare(&mut self, host: &mut Host) -> Result<()> {
        if self.found {
            return Ok(());
        }
        let path = format!("/proc/{}/ns/user", self.pid);
        let failed = |e: std::io::Error| Error::from_io("join", format!("open {path}"), &e);
        let namespace = fs::File::open(&path).map_err(failed)?;
        let there = namespace.metadata().map_err(failed)?.ino();
        let maps = IdMaps::of(self.pid)?;
        // The pid may have been another process's by then; alive now, it was its own.
        if is_gone(&self.pidfd) {
            return Err(Error::new("join", format!("open {path}"), Errno::ESRCH).hint("the process has ended"));
        }
        self.found = true;
        if fs::metadata("/proc/self/ns/user").map_err(failed)?.ino() == there {
            return Ok(());
        }
        host.unprivileged = true;
        host.maps = Some(maps);
        host.idmap = Some(namespace.try_clone().map_err(failed)?.into());
        self.namespace = RefCell::new(Some(namespace.into()));
        // See `Join`.
        host.act(|| "prctl(PR_SET_DUMPABLE, 0)".to_owned(), || prctl::set_dumpable(false))
    }

    fn clone_args(&self, args: &mut CloneArgs) {
        args.user_namespace = self.namespace.take();
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(0);
        become_root()
    }

    fn step(&self, _: u16) -> String {
        BECOME_ROOT.to_owned()
    }
}

/// With its pid namespace a child is born in these, as far as they are wanted. Not in the user and the cgroup namespace:
/// there nobody has the right to be born into a cgroup of the host's.
const WITH_PID: CloneFlags = CloneFlags::CLONE_NEWPID
    .union(CloneFlags::CLONE_NEWNS)
    .union(CloneFlags::CLONE_NEWNET)
    .union(CloneFlags::CLONE_NEWIPC)
    .union(CloneFlags::CLONE_NEWUTS);

const BECOME_ROOT: &str = "setgroups([]), setresgid(0, 0, 0), setresuid(0, 0, 0)";

/// In a user namespace where the caller is nobody yet.
pub(crate) fn become_root() -> Result<(), Errno> {
    sys::set_groups(&[])?;
    sys::set_gid(0)?;
    sys::set_uid(0)
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

fn all() -> CloneFlags {
    ALL.iter().map(|(flag, _)| *flag).collect()
}

/// As in /proc/PID/ns.
fn names(flags: CloneFlags) -> String {
    let names: Vec<_> = ALL.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, name)| *name).collect();
    names.join("|")
}

impl Join {
    /// The one namespace `wanted` that the process behind `pidfd` has, `pid` being its number here.
    pub fn new(pid: Pid, pidfd: OwnedFd, wanted: CloneFlags) -> Self {
        let (flags, birthplace) = (CloneFlags::empty(), RefCell::new(None));
        Self { pid, pidfd, wanted, one: None, flags, birthplace, was_dumpable: false }
    }

    /// All of them.
    pub fn all(pid: Pid, pidfd: OwnedFd) -> Self {
        Self::new(pid, pidfd, all())
    }

    /// What is not joined by birth.
    fn rest(&self) -> CloneFlags {
        let is_birthplace = self.flags.contains(CloneFlags::CLONE_NEWPID);
        if is_birthplace { self.flags.difference(WITH_PID) } else { self.flags }
    }

    /// Opens the one namespace that is wanted. The pid may have been another process's by then; alive after it, it was its own.
    fn open(&mut self, name: &str) -> Result<()> {
        let path = format!("/proc/{}/ns/{name}", self.pid);
        let opened = fs::File::open(&path).map_err(|e| Error::from_io("join", format!("open {path}"), &e))?;
        if is_gone(&self.pidfd) {
            return Err(Error::new("join", format!("open {path}"), Errno::ESRCH).hint("the process has ended"));
        }
        self.one = Some(opened.into());
        Ok(())
    }
}

impl Primitive for Join {
    fn name(&self) -> &'static str {
        "join"
    }

    /// A name in /proc/PID/ns may be another process's by now; then the wrong flags go to the right pidfd, which is dead.
    fn prepare(&mut self, host: &mut Host) -> Result<()> {
        let inode = |path: String| fs::metadata(path).map(|found| found.ino());
        let wanted = self.wanted;
        // Root of the machine may join those that he is in already, but for the user namespace; to look at each takes longer.
        let asked = if wanted == all() && in_initial_user_namespace() { CloneFlags::CLONE_NEWUSER } else { wanted };
        self.flags |= wanted.difference(asked);
        for (flag, name) in ALL.into_iter().filter(|(flag, _)| asked.contains(*flag)) {
            let (here, there) =
                (inode(format!("/proc/self/ns/{name}")), inode(format!("/proc/{}/ns/{name}", self.pid)));
            let there = there.map_err(|e| Error::from_io("join", format!("open /proc/{}/ns/{name}", self.pid), &e))?;
            // A kernel without such namespaces has no file here either.
            if here.is_ok_and(|here| here != there) {
                self.flags |= flag;
                if wanted == flag && flag != CloneFlags::CLONE_NEWPID {
                    self.open(name)?;
                }
            }
        }
        if self.flags.contains(CloneFlags::CLONE_NEWPID) {
            let pidfd = self.pidfd.try_clone().map_err(|e| Error::from_io("join", "dup(pidfd)", &e))?;
            self.birthplace = RefCell::new(Some(Birthplace { pidfd, namespaces: self.flags & WITH_PID }));
        }
        // From its birth in the other pid namespace on the child can be seen in there, and has the host's memory and
        // descriptors until it executes the program: nobody may open those in /proc, or trace it (ptrace(2)).
        self.was_dumpable |= prctl::get_dumpable() == Ok(true);
        host.act(|| "prctl(PR_SET_DUMPABLE, 0)".to_owned(), || prctl::set_dumpable(false))
    }

    /// For the child it stays so.
    fn attach(&mut self, host: &mut Host, _: &Child) -> Result<()> {
        if !std::mem::take(&mut self.was_dumpable) {
            return Ok(());
        }
        host.act(|| "prctl(PR_SET_DUMPABLE, 1)".to_owned(), || prctl::set_dumpable(true))
    }

    fn clone_args(&self, args: &mut CloneArgs) {
        // Another of these in the list may have it.
        if let Some(birthplace) = self.birthplace.take() {
            args.birthplace = Some(birthplace);
        }
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(0);
        let rest = self.rest();
        if !rest.is_empty() {
            setns(self.one.as_ref().unwrap_or(&self.pidfd), rest)?;
        }
        if rest.contains(CloneFlags::CLONE_NEWUSER) {
            inside.at(1);
            become_root()?;
        }
        Ok(())
    }

    fn step(&self, step: u16) -> String {
        if step > 0 {
            return BECOME_ROOT.to_owned();
        }
        let whose = if self.one.is_some() { "namespace" } else { "pidfd" };
        format!("setns({whose} of {}, {})", self.pid, names(self.rest()))
    }

    fn hint(&self, _: u16, errno: Errno) -> Option<String> {
        (errno == Errno::ESRCH).then(|| "the process has ended".to_owned())
    }
}
