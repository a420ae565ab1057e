//! Making a process, becoming a program, and signals.

use std::{
    ffi::{CStr, CString, c_char, c_void},
    mem,
    ops::RangeInclusive,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

use nix::{
    errno::Errno,
    sys::{
        prctl,
        signal::{SigSet, SigmaskHow, raise, sigprocmask},
    },
    unistd::{Pid, getppid},
};

use super::{check, check_fd};

/// Wider than libc's constant of that name.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// On which side of a [`clone3`] or [`fork`] the caller is.
#[derive(Debug)]
pub enum Cloned {
    /// In the new process.
    Child,
    /// In the old one, with the child's pid and, from [`clone3`], a pidfd of it (close-on-exec).
    Parent(Pid, Option<OwnedFd>),
}

/// clone3(2) with `flags` (the `CLONE_NEW…` of clone(2)) and a pidfd, into the v2 cgroup `cgroup` if there is one.
///
/// With `CLONE_PARENT` the child is a sibling, whose end is told as the caller's own will be.
///
/// Memory is copied, not shared. In a process with threads the child may only make system calls until it execs:
/// a lock that another thread holds stays locked for ever.
///
/// # Errors
/// EPERM (a namespace that needs `CAP_SYS_ADMIN`), ENOSPC (a limit in /proc/sys/user), EINVAL (a kernel without it).
pub fn clone3(flags: u64, cgroup: Option<BorrowedFd>) -> Result<Cloned, Errno> {
    let mut pidfd: RawFd = -1;
    // SAFETY: clone_args is a structure of integers, for which all zeros is a value.
    let mut args: libc::clone_args = unsafe { mem::zeroed() };
    args.flags = flags | libc::CLONE_PIDFD as u64;
    args.pidfd = &raw mut pidfd as u64;
    if flags & libc::CLONE_PARENT as u64 == 0 {
        args.exit_signal = libc::SIGCHLD as u64;
    }
    if let Some(fd) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = fd.as_raw_fd() as u64;
    }
    // SAFETY: the structure outlives the call; without CLONE_VM the child returns on its own copy of this stack.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) })?;
    if pid == 0 {
        return Ok(Cloned::Child);
    }
    // SAFETY: clone3 succeeded with CLONE_PIDFD, so that pidfd holds a new descriptor.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Cloned::Parent(Pid::from_raw(pid as i32), Some(pidfd)))
}

/// Calls `act` in a process of its own that has this one's memory and descriptors, while this one waits for its end (`CLONE_VM`,
/// `CLONE_VFORK` and `CLONE_FILES` of clone(2)): what it does to both is done, what it does to itself, as with setns(2), goes with
/// it. No page of memory is copied for that. Whom `act` clones has a copy of both, and never returns from `act`.
///
/// # Errors
/// EAGAIN at the limit of processes; EINTR where the process was killed.
pub fn in_passing<T>(act: impl FnOnce() -> T) -> Result<T, Errno> {
    const GUARD: usize = 64 << 10;
    const SIZE: usize = 512 << 10;
    struct Call<F, T>(Option<F>, Option<T>);
    extern "C" fn run<T, F: FnOnce() -> T>(call: *mut c_void) -> libc::c_int {
        // SAFETY: the caller's `call`, which it does not touch before this process has ended.
        let call = unsafe { &mut *call.cast::<Call<F, T>>() };
        call.1 = call.0.take().map(|act| act());
        exit_now(0)
    }
    fn trampoline<T, F: FnOnce() -> T>(_: &Call<F, T>) -> extern "C" fn(*mut c_void) -> libc::c_int {
        run::<T, F>
    }
    let mut call = Call(Some(act), None);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK | libc::MAP_NORESERVE;
    // SAFETY: a new mapping at an address of the kernel's choice changes no memory that is there.
    let stack = unsafe { libc::mmap(ptr::null_mut(), GUARD + SIZE, libc::PROT_NONE, flags, -1, 0) };
    if stack == libc::MAP_FAILED {
        return Err(Errno::last());
    }
    let run = trampoline(&call);
    // SAFETY: the stack is that mapping, which grows down to pages that nobody may touch. Until the other process has ended this
    // one stands still: the call is as one of a function, and no reference is used by both at once.
    let cloned = unsafe {
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES | libc::SIGCHLD;
        check(libc::mprotect(stack.byte_add(GUARD), SIZE, libc::PROT_READ | libc::PROT_WRITE).into())
            .and_then(|_| check(libc::clone(run, stack.byte_add(GUARD + SIZE), flags, (&raw mut call).cast()).into()))
    };
    let ended = cloned.map(|pid| {
        // SAFETY: reaps our own child, and asks for no status.
        while unsafe { libc::waitpid(pid as i32, ptr::null_mut(), 0) } < 0 && Errno::last() == Errno::EINTR {}
    });
    // SAFETY: whoever ran on it has ended.
    unsafe { libc::munmap(stack, GUARD + SIZE) };
    ended.and_then(|()| call.1.ok_or(Errno::EINTR))
}

/// fork(2), refused in a process with threads, where the child could not safely go on as a program of its own.
///
/// # Errors
/// EDEADLK with more than one thread; EAGAIN at the limit of processes.
pub fn fork() -> Result<Cloned, Errno> {
    // /proc/self/task has one directory a thread, besides `.` and `..`.
    if nix::sys::stat::stat(c"/proc/self/task").is_ok_and(|tasks| tasks.st_nlink > 3) {
        return Err(Errno::EDEADLK);
    }
    // SAFETY: with one thread, no lock can be held by a thread that the child does not have.
    match check(unsafe { libc::fork() }.into())? {
        0 => Ok(Cloned::Child),
        pid => Ok(Cloned::Parent(Pid::from_raw(pid as i32), None)),
    }
}

/// A child as of fork(2), by the bare clone(2): for a process that a filter may already allow no clone3, and in which
/// no C library's handlers may run.
///
/// # Errors
/// EAGAIN at the limit of processes; EPERM or ENOSYS under a filter.
pub fn clone_child() -> Result<Cloned, Errno> {
    // SAFETY: without CLONE_VM the child returns on its own copy of this stack; no pointer is read for these flags.
    match check(unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) })? {
        0 => Ok(Cloned::Child),
        pid => Ok(Cloned::Parent(Pid::from_raw(pid as i32), None)),
    }
}

/// A null-terminated array of C strings, as execve(2) takes it, made before the clone.
#[derive(Debug)]
pub struct Pointers {
    strings: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl Pointers {
    /// Takes the strings and lays the array out.
    pub fn new(strings: Vec<CString>) -> Self {
        let pointers = strings.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect();
        Self { strings, pointers }
    }

    /// The strings themselves.
    pub fn strings(&self) -> &[CString] {
        &self.strings
    }
}

/// execve(2). Returns only on failure.
pub fn execve(program: &CStr, arguments: &Pointers, environment: &Pointers) -> Errno {
    // SAFETY: both arrays end in null and point into strings that live as long as they do.
    unsafe { libc::execve(program.as_ptr(), arguments.pointers.as_ptr(), environment.pointers.as_ptr()) };
    Errno::last()
}

/// execveat(2) of the file itself (`AT_EMPTY_PATH`). Returns only on failure.
pub fn execve_at(file: BorrowedFd, arguments: &Pointers, environment: &Pointers) -> Errno {
    let (file, empty) = (file.as_raw_fd(), c"".as_ptr());
    let (arguments, environment) = (arguments.pointers.as_ptr(), environment.pointers.as_ptr());
    // SAFETY: both arrays end in null and point into strings that live as long as they do.
    unsafe { libc::syscall(libc::SYS_execveat, file, empty, arguments, environment, libc::AT_EMPTY_PATH) };
    Errno::last()
}

/// execv(3): with the environment of this process. Returns only on failure. The caller has one thread.
pub fn execve_here(program: &CStr, arguments: &Pointers) -> Errno {
    // SAFETY: the array ends in null and points into strings that live as long as it does; nobody changes the environment.
    unsafe { libc::execv(program.as_ptr(), arguments.pointers.as_ptr()) };
    Errno::last()
}

/// Leaves the process at once: no destructors, no buffers flushed (_exit(2)).
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(code) }
}

/// pidfd_open(2): a close-on-exec handle on the process, immune to pid reuse from here on.
pub fn pidfd_open(pid: Pid) -> Result<OwnedFd, Errno> {
    // SAFETY: takes integers only.
    check_fd(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })
}

/// pidfd_send_signal(2). `signal` is a number, so that real-time signals can be sent; 0 only asks whether it could be.
pub fn pidfd_send_signal(pidfd: BorrowedFd, signal: i32) -> Result<(), Errno> {
    let none = ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo is allowed and means "as kill(2)".
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, none, 0) }).map(drop)
}

/// Gives every signal its default action and unblocks them all: a program expects that of its start.
///
/// # Errors
/// None are expected; signals that cannot be changed (KILL, STOP) are left alone.
pub fn default_signals() -> Result<(), Errno> {
    const LAST: i32 = 64;
    // The kernel's own structure, whose layout differs by machine; all zeros (SIG_DFL, no flags) is the same on each.
    let default = [0_u64; 4];
    for signal in 1..=LAST {
        // By the bare call: glibc refuses to touch the two signals that it keeps for itself.
        // SAFETY: the kernel reads a sigaction no longer than the array, with a set of eight bytes; SIG_DFL runs no code.
        unsafe {
            let none = ptr::null::<c_void>();
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), none, size_of::<u64>());
        }
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}

/// Blocks all signals, so that [`wait_signal`] receives them.
pub fn block_signals() -> Result<(), Errno> {
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)
}

/// Waits for one of the blocked signals and returns its number, and whether the kernel sent it of itself, as it does for a
/// terminal's keys; real-time signals too, which nix has no names for.
pub fn wait_signal() -> Result<(i32, bool), Errno> {
    // SAFETY: siginfo_t is integers and a union of them, for which all zeros is a value.
    let mut info: libc::siginfo_t = unsafe { mem::zeroed() };
    // SAFETY: sigwaitinfo reads the set and writes one siginfo_t.
    let number = check(unsafe { libc::sigwaitinfo(SigSet::all().as_ref(), &raw mut info) }.into())?;
    Ok((number as i32, info.si_code > 0))
}

/// kill(2) with a signal number. For children that are not reaped yet; for others there is [`pidfd_send_signal`].
pub fn kill(pid: Pid, signal: i32) -> Result<(), Errno> {
    // SAFETY: takes integers only.
    check(unsafe { libc::kill(pid.as_raw(), signal) }.into()).map(drop)
}

/// Reaps one child that has ended, with its exit code; `None` while all that there are live.
///
/// # Errors
/// ECHILD without children.
pub fn reap_any() -> Result<Option<(Pid, i32)>, Errno> {
    // SAFETY: siginfo_t is integers and a union of them, for which all zeros is a value.
    let mut info: libc::siginfo_t = unsafe { mem::zeroed() };
    // SAFETY: waitid writes one siginfo_t.
    check(unsafe { libc::waitid(libc::P_ALL, 0, &raw mut info, libc::WEXITED | libc::WNOHANG) }.into())?;
    // SAFETY: waitid filled the SIGCHLD members, or left them zero where no child has ended.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    Ok((pid != 0).then(|| (Pid::from_raw(pid), exit_code(info.si_code, status))))
}

/// Makes `target` (0, 1 or 2) a copy of `fd` that survives exec.
pub fn duplicate_to(fd: BorrowedFd, target: RawFd) -> Result<(), Errno> {
    if fd.as_raw_fd() == target {
        // SAFETY: clearing FD_CLOEXEC of a descriptor that the borrow proves open.
        return check(unsafe { libc::fcntl(target, libc::F_SETFD, 0) }.into()).map(drop);
    }
    // SAFETY: whatever `target` was, the caller asks to replace it.
    check(unsafe { libc::dup2(fd.as_raw_fd(), target) }.into()).map(drop)
}

/// Marks every descriptor from `first` on as close-on-exec (close_range(2), Linux 5.11).
pub fn close_from(first: u32) -> Result<(), Errno> {
    // SAFETY: nothing is closed here; the flag acts at exec.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) }).map(drop)
}

/// setgroups(2) by the bare call: glibc's signals all threads, and takes a lock for it.
pub fn set_groups(groups: &[u32]) -> Result<(), Errno> {
    // SAFETY: pointer and length are those of one slice.
    check(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) }).map(drop)
}

/// setresgid(2): real, effective and saved at once, by the bare call.
pub fn set_gid(gid: u32) -> Result<(), Errno> {
    // SAFETY: takes integers only.
    check(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) }).map(drop)
}

/// setresuid(2): real, effective and saved at once, by the bare call.
pub fn set_uid(uid: u32) -> Result<(), Errno> {
    // SAFETY: takes integers only.
    check(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }).map(drop)
}

/// Does something to files as the user `uid` and group `gid` (setfsuid(2), setfsgid(2)), with the capabilities of now:
/// setfsuid takes those over files away, and what is permitted may be made effective again. A signal for the parent's death
/// (`PR_SET_PDEATHSIG` of prctl(2)), which the kernel forgets with every such change, is asked for again.
///
/// # Errors
/// EPERM where the ids were not taken: without `CAP_SETUID` and `CAP_SETGID`.
pub fn as_file_owner<T>(uid: u32, gid: u32, act: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    const VERSION_3: u32 = 0x2008_0522;
    // Version and pid of the header; effective, permitted and inheritable of the data, in two halves.
    let (mut header, mut sets) = ([VERSION_3, 0], [0_u32; 6]);
    // SAFETY: capget reads the header and writes both halves of the sets.
    check(unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), sets.as_mut_ptr()) })?;
    // SAFETY: these calls take integers only, and act on this thread.
    let set = |uid: u32, gid: u32| unsafe {
        (libc::syscall(libc::SYS_setfsgid, gid), libc::syscall(libc::SYS_setfsuid, uid))
    };
    let (signal, parent) = (prctl::get_pdeathsig()?, getppid());
    let before = set(uid, gid);
    let now = set(u32::MAX, u32::MAX);
    let done = if now == (libc::c_long::from(gid), libc::c_long::from(uid)) {
        // SAFETY: capset reads the header and both halves of the sets.
        check(unsafe { libc::syscall(libc::SYS_capset, header.as_mut_ptr(), sets.as_ptr()) }).and_then(|_| act())
    } else {
        Err(Errno::EPERM)
    };
    set(before.1 as u32, before.0 as u32);
    if let Some(signal) = signal {
        prctl::set_pdeathsig(signal)?;
        if getppid() != parent {
            // It has died meanwhile.
            raise(signal)?;
        }
    }
    done
}

/// Closes every descriptor from `first` to `last`, now: for a process that goes on without exec.
pub fn close_range(first: u32, last: u32) -> Result<(), Errno> {
    // SAFETY: the caller goes on to use no descriptor of the range.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// Closes descriptors one by one: for where [`close_range`] may not be called.
pub fn close_each(range: RangeInclusive<RawFd>) {
    for fd in range {
        // SAFETY: as for close_range; EBADF is what most of them give.
        unsafe { libc::close(fd) };
    }
}

/// Ignores SIGPIPE and SIGXFSZ: to write to somebody who has left, or more than a file may have (`RLIMIT_FSIZE`), is an
/// error then, not the end.
pub fn ignore_failed_writes() {
    for signal in [libc::SIGPIPE, libc::SIGXFSZ] {
        // SAFETY: SIG_IGN runs no code of ours.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Waits for the end of the child behind `pidfd`, reaps it, and returns its exit code: 128 + n after signal n.
///
/// # Errors
/// ECHILD where it is not our child.
pub fn wait_exit(pidfd: BorrowedFd) -> Result<i32, Errno> {
    // SAFETY: siginfo_t is integers and a union of them, for which all zeros is a value.
    let mut info: libc::siginfo_t = unsafe { mem::zeroed() };
    loop {
        // SAFETY: waitid writes one siginfo_t.
        let waited = unsafe { libc::waitid(libc::P_PIDFD, pidfd.as_raw_fd() as u32, &raw mut info, libc::WEXITED) };
        match check(waited.into()) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
            // SAFETY: after a successful waitid for WEXITED the SIGCHLD members of the union are filled.
            Ok(_) => return Ok(unsafe { exit_code(info.si_code, info.si_status()) }),
        }
    }
}

/// How a process that is somebody else's child ended, once it is reaped: `ioctl(PIDFD_GET_INFO)`, Linux 6.15. `None`
/// where the kernel cannot tell.
pub fn pidfd_exit_code(pidfd: BorrowedFd) -> Option<i32> {
    // linux/pidfd.h, struct pidfd_info in its first size; `mask` says on the way in what is wanted, and out what came.
    #[repr(C)]
    struct PidfdInfo {
        mask: u64,
        cgroup: u64,
        ids: [u32; 11],
        exit_code: i32,
    }
    const PIDFD_INFO_EXIT: u64 = 1 << 3;
    // _IOWR(0xFF, 11, struct pidfd_info)
    const PIDFD_GET_INFO: libc::Ioctl = (3 << 30) | ((size_of::<PidfdInfo>() as libc::Ioctl) << 16) | 0xFF0B;
    let mut info = PidfdInfo { mask: PIDFD_INFO_EXIT, cgroup: 0, ids: [0; 11], exit_code: 0 };
    // SAFETY: the kernel writes at most the size that the request's number carries.
    check(unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_INFO, &raw mut info) }.into()).ok()?;
    let status = info.exit_code;
    (info.mask & PIDFD_INFO_EXIT != 0)
        .then(|| if libc::WIFSIGNALED(status) { 128 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) })
}

fn exit_code(kind: i32, status: i32) -> i32 {
    if kind == libc::CLD_EXITED { status } else { 128 + status }
}

/// Fills `buffer` with random bytes (getrandom(2)); at most 256, which the kernel gives whole.
pub fn random(buffer: &mut [u8]) -> Result<(), Errno> {
    // SAFETY: pointer and length are those of one slice.
    let length = check(unsafe { libc::getrandom(buffer.as_mut_ptr().cast(), buffer.len(), 0) } as i64)?;
    if length as usize == buffer.len() { Ok(()) } else { Err(Errno::EIO) }
}
