//! A command whose every system call is known, with those of all processes that it makes: to kill one of them just there.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs::{self, File},
    io::{self, Seek, Write},
    os::unix::{ffi::OsStrExt, fs::FileExt, process::ExitStatusExt},
    path::PathBuf,
    process::{Command, ExitStatus, Output, Stdio},
};

use nix::{
    errno::Errno,
    libc,
    sys::{
        ptrace::{self, Options},
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

use crate::engine::{Guard, Said, said};

/// Generations that are told apart: the command itself, what it makes, and what that makes.
pub const GENERATIONS: usize = 3;

/// A system call that is about to be made.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// 0: by the command; 1: by a process that it made; and so on. The last counts for all that follow.
    pub generation: usize,
    /// How many calls this generation has made, with this one.
    pub number: usize,
    /// The process that makes it.
    pub process: Pid,
    /// Its thread.
    pub thread: Pid,
}

impl Call {
    /// The kernel's number of the call.
    pub fn which(&self) -> Option<i64> {
        fs::read_to_string(format!("/proc/{}/syscall", self.thread)).ok()?.split(' ').next()?.parse().ok()
    }

    /// An argument of the call, counted from 1.
    pub fn argument(&self, number: usize) -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{}/syscall", self.thread)).ok()?;
        u64::from_str_radix(text.split(' ').nth(number)?.strip_prefix("0x")?, 16).ok()
    }

    /// The file that the call's first argument is the descriptor of.
    pub fn file(&self) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/fd/{}", self.process, self.argument(1)?)).ok()
    }

    /// The path that openat(2) has as its second argument.
    pub fn path(&self) -> Option<PathBuf> {
        let mut bytes = [0; 4096];
        let memory = File::open(format!("/proc/{}/mem", self.process)).ok()?;
        let read = memory.read_at(&mut bytes, self.argument(2)?).ok()?;
        let path = bytes[..read].split(|&byte| byte == 0).next()?;
        Some(PathBuf::from(OsStr::from_bytes(path)))
    }
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// It is made.
    Go,
    /// This process is killed before it; the others go on unwatched.
    Kill(Pid),
    /// The same, but who makes the call stands still until the command has ended, as on a machine that has no time for it.
    KillAndHold(Pid),
    /// It is not made, and fails with this; then all go on unwatched.
    Fail(Errno),
}

/// What a command did.
#[derive(Debug)]
pub struct Traced {
    /// What it said.
    pub said: Said,
    /// How many calls each generation made until the command ended.
    pub calls: [usize; GENERATIONS],
    /// Whether something was killed.
    pub struck: bool,
}

struct Tracee {
    generation: usize,
    process: Pid,
}

enum Early {
    Stopped,
    /// It has ended, or is let go.
    Gone,
}

struct Tracer {
    first: Pid,
    tracees: HashMap<Pid, Tracee>,
    /// Those that came before their parent told of them.
    early: HashMap<Pid, Early>,
    calls: [usize; GENERATIONS],
    /// The shell before it is not counted.
    begun: bool,
    /// Whose call is failing just now.
    failing: Option<(Pid, Errno)>,
    /// It stands still.
    held: Option<Pid>,
    /// All are let go.
    over: bool,
    struck: bool,
    status: Option<ExitStatus>,
}

/// Runs a command to its end, and asks `at_call` before each system call. Its standard input is empty.
///
/// Belongs to the thread that calls it: others may trace something else, and wait for children of their own.
///
/// # Panics
/// Where the kernel does not allow it.
#[expect(clippy::zombie_processes, reason = "it is waited for among the others")]
pub fn trace(command: &Command, at_call: impl FnMut(Call) -> Act) -> Traced {
    let (mut out, mut err) = (tempfile(), tempfile());
    // It waits to be seized, with its own name and environment.
    let mut waiting = Command::new("sh");
    waiting.args(["-c", "read _; exec \"$@\" </dev/null", "sh"]).arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => waiting.env(key, value),
            None => waiting.env_remove(key),
        };
    }
    command.get_current_dir().map(|directory| waiting.current_dir(directory));
    waiting.stdin(Stdio::piped()).stdout(out.try_clone().expect("dup")).stderr(err.try_clone().expect("dup"));
    let mut child = waiting.spawn().expect("start sh");
    let guard = Guard::new(&child, format!("{command:?}"));
    let first = Pid::from_raw(child.id().cast_signed());
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(first, options).expect("ptrace(PTRACE_SEIZE)");
    ptrace::interrupt(first).expect("ptrace(PTRACE_INTERRUPT)");
    child.stdin.take().expect("a pipe").write_all(b"\n").expect("write to sh");
    let mut tracer = Tracer {
        first,
        tracees: HashMap::from([(first, Tracee { generation: 0, process: first })]),
        early: HashMap::new(),
        calls: [0; GENERATIONS],
        begun: false,
        failing: None,
        held: None,
        over: false,
        struck: false,
        status: None,
    };
    tracer.run(at_call);
    guard.done();
    let status = tracer.status.expect("the command ends");
    let output = Output { status, stdout: contents(&mut out), stderr: contents(&mut err) };
    Traced { said: said(&output), calls: tracer.calls, struck: tracer.struck }
}

impl Tracer {
    fn run(&mut self, mut at_call: impl FnMut(Call) -> Act) {
        // The thread may have other children, that live on.
        while self.status.is_none() || !self.tracees.is_empty() {
            match waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD)) {
                Ok(WaitStatus::Exited(pid, code)) => self.gone(pid, ExitStatus::from_raw(code << 8)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => self.gone(pid, ExitStatus::from_raw(signal as i32)),
                Ok(WaitStatus::PtraceSyscall(pid)) => {
                    self.at_syscall(pid, &mut at_call);
                    self.resume(pid, None);
                }
                Ok(WaitStatus::PtraceEvent(pid, _, event)) => self.at_event(pid, event),
                Ok(WaitStatus::Stopped(pid, signal)) => self.resume(pid, Some(signal)),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => panic!("waitpid: {errno}"),
            }
        }
    }

    fn gone(&mut self, pid: Pid, status: ExitStatus) {
        if self.tracees.remove(&pid).is_none() {
            self.early.insert(pid, Early::Gone);
        }
        if pid == self.first {
            self.status = Some(status);
            if let Some(held) = self.held.take() {
                self.over = true;
                self.resume(held, None);
            }
            self.let_go();
        }
    }

    /// What runs is stopped, so that it can be detached from.
    fn let_go(&mut self) {
        self.over = true;
        for pid in self.tracees.keys() {
            // It may have died, and is waited for.
            let _ = ptrace::interrupt(*pid);
        }
        for (pid, early) in &mut self.early {
            let _ = ptrace::detach(*pid, None);
            *early = Early::Gone;
        }
    }

    fn at_syscall(&mut self, thread: Pid, at_call: &mut impl FnMut(Call) -> Act) {
        let Some(tracee) = self.tracees.get(&thread) else { return };
        let (generation, process) = (tracee.generation, tracee.process);
        let is_entry = ptrace::syscall_info(thread).is_ok_and(|info| info.op == libc::PTRACE_SYSCALL_INFO_ENTRY);
        if let Some((_, errno)) = self.failing.filter(|(whose, _)| *whose == thread && !is_entry) {
            self.struck = set_result(thread, errno).is_ok();
            self.failing = None;
            self.let_go();
        }
        if !self.begun || self.over || !is_entry {
            return;
        }
        self.calls[generation] += 1;
        match at_call(Call { generation, number: self.calls[generation], process, thread }) {
            Act::Go => {}
            Act::Kill(victim) => {
                // It may have ended by itself.
                self.struck = kill(victim, Signal::SIGKILL).is_ok();
                self.let_go();
            }
            Act::KillAndHold(victim) => {
                self.struck = kill(victim, Signal::SIGKILL).is_ok();
                self.held = Some(thread);
                self.let_go();
            }
            Act::Fail(errno) => {
                if skip_call(thread).is_ok() {
                    self.failing = Some((thread, errno));
                }
            }
        }
    }

    fn at_event(&mut self, pid: Pid, event: i32) {
        match event {
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => self.made(pid),
            libc::PTRACE_EVENT_EXEC if pid == self.first => self.begun = true,
            _ => {}
        }
        let is_early = !self.tracees.contains_key(&pid);
        if is_early {
            self.early.insert(pid, if self.over { Early::Gone } else { Early::Stopped });
        }
        if self.over || !is_early {
            self.resume(pid, None);
        }
    }

    fn made(&mut self, parent: Pid) {
        let Ok(new) = ptrace::getevent(parent) else { return };
        let new = Pid::from_raw(i32::try_from(new).expect("a pid"));
        let early = self.early.remove(&new);
        if matches!(early, Some(Early::Gone)) {
            return;
        }
        let (generation, process) =
            self.tracees.get(&parent).map_or((0, parent), |tracee| (tracee.generation, tracee.process));
        let status = fs::read_to_string(format!("/proc/{new}/status")).unwrap_or_default();
        let leader = status.lines().find_map(|line| line.strip_prefix("Tgid:\t")?.parse().ok());
        let tracee = if leader == Some(process.as_raw()) {
            Tracee { generation, process }
        } else {
            Tracee { generation: (generation + 1).min(GENERATIONS - 1), process: new }
        };
        self.tracees.insert(new, tracee);
        if early.is_some() {
            self.resume(new, None);
        }
    }

    fn resume(&mut self, pid: Pid, signal: Option<Signal>) {
        if self.held == Some(pid) {
            return;
        }
        let resumed = if self.over { ptrace::detach(pid, signal) } else { ptrace::syscall(pid, signal) };
        if self.over && resumed.is_ok() {
            self.tracees.remove(&pid);
        }
        // ESRCH: somebody has killed it, and its end is reported.
    }
}

/// The kernel makes no call of that number.
#[cfg(target_arch = "x86_64")]
fn skip_call(thread: Pid) -> nix::Result<()> {
    let mut registers = ptrace::getregs(thread)?;
    registers.orig_rax = u64::MAX;
    ptrace::setregs(thread, registers)
}

#[cfg(target_arch = "x86_64")]
fn set_result(thread: Pid, errno: Errno) -> nix::Result<()> {
    let mut registers = ptrace::getregs(thread)?;
    registers.rax = (-i64::from(errno as i32)).cast_unsigned();
    ptrace::setregs(thread, registers)
}

/// Other machines have other registers: there nothing fails.
#[cfg(not(target_arch = "x86_64"))]
fn skip_call(_thread: Pid) -> nix::Result<()> {
    Err(Errno::ENOSYS)
}

#[cfg(not(target_arch = "x86_64"))]
fn set_result(_thread: Pid, _errno: Errno) -> nix::Result<()> {
    Err(Errno::ENOSYS)
}

fn tempfile() -> File {
    tempfile::tempfile().expect("make a file")
}

fn contents(file: &mut File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| io::copy(file, &mut bytes)).expect("read what the command said");
    bytes
}
