//! From two lists of primitives to a running program.

use std::{
    convert::Infallible,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use nix::{
    errno::Errno,
    sched::{CloneFlags, setns},
    sys::{
        prctl,
        signal::Signal,
        stat::{Mode, umask},
    },
    unistd::Pid,
};

use crate::{
    error::{EXEC, Error, Result},
    exec::Program,
    init::{self, Title},
    primitive::{Birthplace, Child, CloneArgs, Host, Inside, Primitive},
    report::{Channel, LAUNCHER, Record, now},
    sys::{self, Cloned, CommandLine},
    undo::{Undo, start_time},
};

/// The name under which the core's own acts are explained.
const PROCESS: &str = "process";

/// What a process on its way into other namespaces is called there.
const NAME: &[u8] = b"mini-docker";

/// What lives as long as the container: namespaces, mounts, cgroup, network.
#[derive(Default)]
pub struct Container(pub Vec<Box<dyn Primitive>>);

/// What belongs to one process in it: terminal, working directory, ids, capabilities, seccomp; and its program.
pub struct Process {
    /// Applied after the container's primitives, in order.
    pub primitives: Vec<Box<dyn Primitive>>,
    /// What it becomes at last.
    pub program: Program,
    /// Puts a minimal init in front of the program, as process 1 of the container: it reaps orphans and forwards
    /// signals.
    pub init: bool,
    /// Kills the process when its parent dies: for containers that nobody could find again.
    pub die_with_parent: bool,
    /// How long it may take to become its program, in whole seconds: who joins others can be stopped by them on the way.
    pub patience: Option<Duration>,
}

impl Process {
    /// A process that is nothing but `program`.
    pub fn new(program: Program) -> Self {
        Self { primitives: Vec::new(), program, init: false, die_with_parent: false, patience: None }
    }
}

/// Makes the container and starts the process in it. Returns once the program runs.
///
/// The caller reaps the child ([`sys::wait_exit`]). The process that calls this has one thread, or its child could
/// inherit a lock that nobody opens again.
///
/// # Errors
/// The first act that failed, as an [`Error`]; everything done before it is undone, and the child is reaped.
pub fn spawn(container: &mut Container, process: &mut Process, host: &mut Host) -> Result<Child> {
    let mark = host.journal.mark();
    make(container, process, host).inspect_err(|_| {
        // The error that led here says more than one of the clean-up; what stays undone stays in the journal.
        let _ = host.journal.undo_to(mark);
    })
}

// ANCHOR: spawn
fn make(container: &mut Container, process: &mut Process, host: &mut Host) -> Result<Child> {
    for primitive in container.0.iter_mut().chain(&mut process.primitives) {
        host.prepare(primitive.as_mut())?;
    }
    let mut args = CloneArgs::default();
    for primitive in container.0.iter().chain(&process.primitives) {
        let (before, born) = (args.flags, args.cgroup.is_some());
        primitive.clone_args(&mut args);
        if args.cgroup.is_some() && !born {
            host.trace.add_part(primitive.name(), "clone3 with CLONE_INTO_CGROUP".to_owned());
        }
        if args.flags != before {
            host.trace.add_part(primitive.name(), format!("clone3 with {}", flag_names(args.flags & !before)));
        }
    }
    host.primitive = PROCESS;
    let title = process.init.then(|| Title::before(&process.program)).transpose();
    let title = title.map_err(|errno| Error::new(PROCESS, "read /proc/self/stat", errno))?;
    let pair = Channel::pair(process.patience);
    let (ours, theirs) = pair.map_err(|errno| Error::new(PROCESS, "socketpair()", errno))?;
    process.program.prepare(theirs.as_fd());
    let (root, traced) = (host.root.take(), host.trace.enabled());
    let cloned = host.act(
        || format!("clone3({})", flag_names(args.flags)),
        || {
            clone(&args, || {
                ours.close_copy();
                child(container, process, title.as_ref(), &theirs, root.as_ref().map(AsFd::as_fd), traced)
            })
        },
    );
    host.root = root;
    // The child's copy is the only one now: its exec is the end of the line.
    drop(theirs);
    let (pid, pidfd) = cloned.map_err(explain_clone)?;
    let mut child = Child { pid, pidfd, descriptors: Vec::new() };
    let started = start(container, process, host, &ours, &mut child);
    if started.is_err() {
        // A child that waits at the gate leaves when the channel closes; one that failed has left; one that was stopped does not.
        drop(ours);
        let _ = sys::pidfd_send_signal(child.pidfd.as_fd(), Signal::SIGKILL as i32);
        let _ = sys::wait_exit(child.pidfd.as_fd());
    }
    started.map(|()| child)
}
// ANCHOR_END: spawn

/// Clones, in namespaces of another process if that is asked for. `born` is what the child does.
fn clone(args: &CloneArgs, born: impl FnOnce() -> Infallible) -> Result<(Pid, OwnedFd), Errno> {
    let clone = |flag: i32| {
        let flags = args.flags | u64::from(flag.cast_unsigned());
        match sys::clone3(flags, args.cgroup.as_ref().map(AsFd::as_fd))? {
            Cloned::Child => match born() {},
            Cloned::Parent(pid, pidfd) => Ok((pid, pidfd.ok_or(Errno::EBADF)?)),
        }
    };
    if args.user_namespace.is_none() && args.birthplace.is_none() { clone(0) } else { clone_elsewhere(args, clone) }
}

/// Clones in another user namespace, which is left by nobody, or in another pid namespace, which nobody joins alive: a
/// process between goes there, and what it clones with `CLONE_PARENT` is our child, and belongs to the user namespace with
/// all the namespaces that it gets.
///
/// Whoever is in the pid namespace sees the child from its birth on, with its mounts, its network and its command line,
/// which /proc shows to all (proc(5)). So it is born with the mounts and the network of that place, and without our words,
/// which we are without ourselves for that moment.
fn clone_elsewhere<T>(args: &CloneArgs, clone: impl FnOnce(i32) -> Result<T, Errno>) -> Result<T, Errno> {
    let command_line = args.birthplace.is_some().then(CommandLine::find).transpose()?;
    let _covered = command_line.map(|command_line| command_line.cover(NAME));
    sys::in_passing(|| {
        if let Some(Birthplace { pidfd, namespaces }) = &args.birthplace {
            setns(pidfd, *namespaces)?;
        }
        if let Some(there) = &args.user_namespace {
            setns(there, CloneFlags::CLONE_NEWUSER)?;
        }
        clone(libc::CLONE_PARENT)
    })?
}

/// In the parent: attaches, opens the gate, and listens until the program runs or something failed.
fn start(
    container: &mut Container,
    process: &mut Process,
    host: &mut Host,
    channel: &Channel,
    child: &mut Child,
) -> Result<()> {
    for primitive in container.0.iter_mut().chain(&mut process.primitives) {
        host.primitive = primitive.name();
        primitive.attach(host, child)?;
    }
    host.primitive = PROCESS;
    if let Some(start_time) = start_time(child.pid) {
        host.undo(Undo::Kill { pid: child.pid.as_raw(), start_time })?;
    }
    host.act(|| "open the gate".to_owned(), || channel.open_gate())?;

    let all: Vec<&dyn Primitive> = container.0.iter().chain(&process.primitives).map(AsRef::as_ref).collect();
    let words = |primitive: u16, step: u16| match all.get(usize::from(primitive)) {
        Some(primitive) => (primitive.name(), primitive.step(step)),
        None if usize::from(primitive) == all.len() => (EXEC, process.program.step(step)),
        None if primitive == LAUNCHER => (EXEC, process.program.last_step()),
        None => (PROCESS, Program::CLOSE_OTHERS.to_owned()),
    };
    let mut last: Option<(u16, u16, Duration)> = None;
    loop {
        let record = channel.receive().map_err(|errno| match errno {
            Errno::EAGAIN => Error::new(PROCESS, "wait until the program runs", Errno::ETIMEDOUT)
                .hint("somebody in the container may have stopped it on its way in"),
            errno => Error::new(PROCESS, "recvmsg()", errno),
        })?;
        if !matches!(record, Some(Record::Descriptor { .. }))
            && let Some((primitive, step, since)) = last.take()
        {
            let until = if let Some(Record::Step { at, .. }) = record { at } else { now() };
            let (name, what) = words(primitive, step);
            host.trace.add_inside(name, what, until.saturating_sub(since));
        }
        match record {
            Some(Record::Step { primitive, step, at }) => last = Some((primitive, step, at)),
            Some(Record::Descriptor { name, fd }) => child.descriptors.push((name, fd)),
            Some(Record::Failure { primitive, step, errno }) => {
                let (name, what) = words(primitive, step);
                let mut error = Error::new(name, what, errno);
                error.hint = all.get(usize::from(primitive)).and_then(|p| p.hint(step, errno));
                return Err(error);
            }
            None => break,
        }
    }
    // The end of the line means exec or death, and a child that was killed on its way never became the program.
    Ok(())
}

/// In the child, from clone to exec. Memory is a copy of the parent's: nothing is allocated, freed or locked here.
fn child(
    container: &Container,
    process: &Process,
    init: Option<&Title>,
    channel: &Channel,
    root: Option<BorrowedFd>,
    traced: bool,
) -> ! {
    let inside = Inside::new(channel, traced, root);
    if let Err(errno) = enter(container, process, channel, &inside) {
        inside.fail(errno);
        sys::exit_now(127);
    }
    if let Some(title) = init {
        init::run(&process.program, title, &inside);
    }
    let errno = process.program.become_it(&inside);
    inside.fail(errno);
    sys::exit_now(127)
}

fn enter(container: &Container, process: &Process, channel: &Channel, inside: &Inside) -> Result<(), Errno> {
    sys::default_signals()?;
    // The caller's would decide what the image's programs and our own directories may be read by.
    umask(Mode::from_bits_truncate(0o022));
    channel.wait_at_gate()?;
    let exec = (container.0.len() + process.primitives.len()) as u16;
    let mut number = 0;
    let mut all = |list: &[Box<dyn Primitive>]| {
        list.iter().try_for_each(|primitive| {
            inside.begin(number);
            number += 1;
            primitive.enter(inside)
        })
    };
    all(&container.0)?;
    inside.begin(exec + 1);
    process.program.close_others(channel.as_fd(), inside)?;
    all(&process.primitives)?;
    inside.begin(exec);
    if process.die_with_parent {
        // Only now: a change of ids clears it.
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        if channel.peer_is_gone() {
            return Err(Errno::ECANCELED);
        }
    }
    Ok(())
}

fn flag_names(flags: u64) -> String {
    const NAMES: [(i32, &str); 8] = [
        (libc::CLONE_NEWUSER, "NEWUSER"),
        (libc::CLONE_NEWUTS, "NEWUTS"),
        (libc::CLONE_NEWPID, "NEWPID"),
        (libc::CLONE_NEWNS, "NEWNS"),
        (libc::CLONE_NEWIPC, "NEWIPC"),
        (libc::CLONE_NEWNET, "NEWNET"),
        (libc::CLONE_NEWCGROUP, "NEWCGROUP"),
        (libc::CLONE_NEWTIME, "NEWTIME"),
    ];
    let set = |flag: i32| flags & u64::from(flag.cast_unsigned()) != 0;
    let names: Vec<_> = NAMES.iter().filter(|(flag, _)| set(*flag)).map(|(_, name)| *name).collect();
    if names.is_empty() { "0".to_owned() } else { format!("CLONE_{}", names.join("|")) }
}

fn explain_clone(error: Error) -> Error {
    match error.errno {
        Errno::EPERM => error.hint("new namespaces need root (CAP_SYS_ADMIN), or a user namespace among them"),
        Errno::ENOSPC | Errno::EUSERS => {
            error.hint("a limit in /proc/sys/user is reached: raise it, or end containers")
        }
        Errno::EACCES | Errno::EBUSY | Errno::EOPNOTSUPP => error.hint(
            "the cgroup takes no process from here: it is not the caller's, nor is the nearest one above both; or \
                 one above it has processes of its own, or it gives controllers to cgroups below it",
        ),
        Errno::EAGAIN => error.hint("a limit of processes is reached: that of the user, or pids.max of a cgroup"),
        Errno::ENOSYS => error.hint("clone3 needs Linux 5.3"),
        _ => error,
    }
}
