//! The one idea: a container is a list of primitives.

use std::{
    cell::Cell,
    ffi::CStr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Instant,
};

use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, OFlag, openat},
    sched::CloneFlags,
    sys::stat::Mode,
    unistd::Pid,
};

use crate::{
    error::{Error, Result},
    explain::Trace,
    maps::{self, IdMaps},
    report::Channel,
    sys,
    undo::{Journal, Undo},
};

// ANCHOR: primitive
/// One thing that the kernel does for a container: a namespace, a root, a limit, a filter.
///
/// [`spawn`](crate::spawn()) calls the five methods of every primitive in the list's order:
/// `prepare` of all, one clone with the arguments of all, `attach` of all, and then, in the child, `enter` of all.
pub trait Primitive {
    /// The primitive's name in errors and in `--explain`.
    fn name(&self) -> &'static str;

    /// Before the clone, in the parent. May allocate, open, create; journals how to undo it.
    fn prepare(&mut self, _host: &mut Host) -> Result<()> {
        Ok(())
    }

    /// Edits the clone arguments.
    fn clone_args(&self, _args: &mut CloneArgs) {}

    /// After the clone, in the parent; the child waits at a gate until every `attach` has returned.
    fn attach(&mut self, _host: &mut Host, _child: &Child) -> Result<()> {
        Ok(())
    }

    /// In the child, before exec. System calls only: no allocation, no locks, no logging.
    ///
    /// Says where it is with [`Inside::at`] before each call, so that a bare errno is enough of an error.
    fn enter(&self, _inside: &Inside) -> Result<(), Errno> {
        Ok(())
    }

    /// What `enter` asks of the kernel at `step`, as a system call with its arguments. Called in the parent.
    fn step(&self, step: u16) -> String {
        format!("step {step}")
    }

    /// What the user can do about `errno` at `step` of `enter`. Called in the parent.
    fn hint(&self, _step: u16, _errno: Errno) -> Option<String> {
        None
    }
}
// ANCHOR_END: primitive

/// What clone3(2) is asked for; each primitive adds its part.
#[derive(Debug, Default)]
pub struct CloneArgs {
    /// `CLONE_NEW…` flags of clone(2).
    pub flags: u64,
    /// The v2 cgroup that the child starts in (`CLONE_INTO_CGROUP`, Linux 5.7).
    pub cgroup: Option<OwnedFd>,
    /// Whose pid namespace the child is born in: the one namespace that nobody can join alive.
    pub birthplace: Option<Birthplace>,
    /// A user namespace that the child is born in, so that its other namespaces belong to that.
    pub user_namespace: Option<OwnedFd>,
}

/// Namespaces of a process that runs.
#[derive(Debug)]
pub struct Birthplace {
    /// The process.
    pub pidfd: OwnedFd,
    /// Its pid namespace (`CLONE_NEWPID`), and with it those that the child is to be in when it is first seen there.
    pub namespaces: CloneFlags,
}

impl CloneArgs {
    /// Adds one of libc's `CLONE_…` constants.
    pub fn add(&mut self, flag: i32) {
        self.flags |= u64::from(flag.cast_unsigned());
    }
}

/// The new process, seen from its parent.
#[derive(Debug)]
pub struct Child {
    /// Its pid in the parent's pid namespace.
    pub pid: Pid,
    /// A handle that stays true after the pid is reused.
    pub pidfd: OwnedFd,
    /// What its primitives made inside for the parent ([`Inside::send_descriptor`]), by name.
    pub descriptors: Vec<(String, OwnedFd)>,
}

impl Child {
    /// The descriptor of that name, for the caller to keep; `None` where no primitive sent it.
    pub fn take_descriptor(&mut self, name: &str) -> Option<OwnedFd> {
        let at = self.descriptors.iter().position(|(its, _)| its == name)?;
        Some(self.descriptors.swap_remove(at).1)
    }

    /// The controlling end of its terminal, where it was given one: the descriptor [`TERMINAL`].
    pub fn terminal(&self) -> Option<BorrowedFd<'_>> {
        self.descriptors.iter().find(|(name, _)| name == TERMINAL).map(|(_, fd)| fd.as_fd())
    }
}

/// The name of the descriptor that is the controlling end of a terminal.
pub const TERMINAL: &str = "terminal";

/// The parent's side: what primitives share before and after the clone.
#[derive(Debug)]
pub struct Host {
    /// How to undo what was done so far.
    pub journal: Journal,
    /// The container's root as made so far: a mount that is attached nowhere, or a directory.
    pub root: Option<OwnedFd>,
    /// Whether the child gets a user namespace that it must build its mounts in, because the parent has no rights to.
    pub unprivileged: bool,
    /// The maps of the child's user namespace, where it gets one.
    pub maps: Option<IdMaps>,
    /// A user namespace with these maps: what is mounted for the container can be idmapped by it (mount_setattr(2)), and
    /// then belongs to the container's ids without a change on disk.
    pub idmap: Option<OwnedFd>,
    /// What has come out otherwise than the user may expect, each in a sentence.
    pub warnings: Vec<String>,
    pub(crate) trace: Trace,
    pub(crate) primitive: &'static str,
}

impl Host {
    /// A host side that writes its undo steps to `journal`.
    pub fn new(journal: Journal) -> Self {
        let unprivileged = !nix::unistd::geteuid().is_root();
        Self {
            journal,
            root: None,
            unprivileged,
            maps: None,
            idmap: None,
            warnings: Vec::new(),
            trace: Trace::default(),
            primitive: "",
        }
    }

    /// Keeps a record of every act from here on, for `--explain`.
    pub fn explain(&mut self) {
        self.trace.enable();
    }

    /// Calls `observer` before each act in the parent: for tests that stop the world at each of them.
    pub fn observe(&mut self, observer: impl FnMut(&str) + 'static) {
        self.trace.observe(observer);
    }

    /// The record of what was done, in order.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Prepares a primitive: what it does is recorded under its name.
    pub fn prepare(&mut self, primitive: &mut dyn Primitive) -> Result<()> {
        self.primitive = primitive.name();
        primitive.prepare(self)
    }

    /// Records under this name what is done after the program has started.
    pub fn afterwards(&mut self, primitive: &'static str) {
        self.primitive = primitive;
    }

    /// Does one thing to the kernel: times it, and on failure says what it was.
    pub fn act<T>(&mut self, what: impl Fn() -> String, act: impl FnOnce() -> Result<T, Errno>) -> Result<T> {
        self.trace.before(&what);
        let start = Instant::now();
        let done = act();
        self.trace.add(self.primitive, &what, start.elapsed());
        done.map_err(|errno| Error::new(self.primitive, what(), errno))
    }

    /// Writes a file of /proc that takes its text whole, once: of the child's user namespace.
    pub fn write_proc(&mut self, path: &str, text: &str) -> Result<()> {
        maps::write(self, path, text)
    }

    /// Journals how to undo an act that comes next.
    pub fn undo(&mut self, undo: Undo) -> Result<()> {
        let primitive = self.primitive;
        self.journal.record(undo).map_err(|e| Error::from_io(primitive, "write the undo journal", &e))
    }
}

/// The child's side, between clone and exec: no allocation in here.
pub struct Inside<'a> {
    channel: &'a Channel,
    traced: bool,
    primitive: Cell<u16>,
    step: Cell<u16>,
    root: Cell<Option<BorrowedFd<'a>>>,
    proc: Cell<Option<BorrowedFd<'static>>>,
}

impl<'a> Inside<'a> {
    pub(crate) fn new(channel: &'a Channel, traced: bool, root: Option<BorrowedFd<'a>>) -> Self {
        let (primitive, step) = (Cell::new(0), Cell::new(0));
        Self { channel, traced, primitive, step, root: Cell::new(root), proc: Cell::new(None) }
    }

    pub(crate) fn begin(&self, primitive: u16) {
        self.primitive.set(primitive);
        self.step.set(0);
    }

    /// Says which call comes next: the parent asks the primitive's `step` for its words.
    pub fn at(&self, step: usize) {
        self.step.set(step as u16);
        if self.traced {
            self.channel.send_step(self.primitive.get(), step as u16);
        }
    }

    pub(crate) fn line(&self) -> BorrowedFd<'a> {
        self.channel.as_fd()
    }

    /// The container's root as made so far; ENOENT where no primitive made one.
    pub fn root(&self) -> Result<BorrowedFd<'a>, Errno> {
        self.root.get().ok_or(Errno::ENOENT)
    }

    /// Replaces the root: the primitives after this one build on it.
    pub fn set_root(&self, root: OwnedFd) {
        self.root.set(Some(sys::keep_until_exec(root)));
    }

    /// The container's /proc, where one was made that stands nowhere yet.
    pub fn proc(&self) -> Option<BorrowedFd<'static>> {
        self.proc.get()
    }

    /// Says so: the settings of the container's namespaces are opened through it from now on.
    pub fn set_proc(&self, proc: OwnedFd) {
        self.proc.set(Some(sys::keep_until_exec(proc)));
    }

    // ANCHOR: setting
    /// Opens a file below /proc/sys to write a setting of a namespace that the child is in: in the container's own /proc, or
    /// in the host's. That one remembers an entry for each network that somebody has looked at through it, all by the same
    /// name, and goes through them all the next time.
    pub fn open_setting(&self, path: &CStr) -> Result<OwnedFd, Errno> {
        let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        let below = path.to_bytes_with_nul().strip_prefix(b"/proc/");
        match (self.proc.get(), below.map(CStr::from_bytes_with_nul)) {
            (Some(proc), Some(Ok(below))) => openat(proc, below, flags, Mode::empty()),
            _ => openat(AT_FDCWD, path, flags, Mode::empty()),
        }
    }
    // ANCHOR_END: setting

    /// The descriptors of both are closed.
    pub(crate) fn forget_mounts(&self) {
        self.root.set(None);
        self.proc.set(None);
    }

    /// Hands a copy of `fd` to the parent, under a name of up to 12 bytes ([`Child::take_descriptor`]).
    pub fn send_descriptor(&self, name: &str, fd: impl AsFd) -> Result<(), Errno> {
        self.channel.send_descriptor(name, fd.as_fd())
    }

    pub(crate) fn fail(&self, errno: Errno) {
        self.channel.send_failure(self.primitive.get(), self.step.get(), errno);
    }
}
