//! Containers made of primitives, which are started, listened to, and never outlive their test.

use std::{
    ffi::OsStr,
    fmt::Display,
    fs::{self, File, Permissions},
    io::Read,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::PermissionsExt,
    },
    path::Path,
    process::{Command, Output, Stdio},
    time::Instant,
};

use nix::{
    fcntl::OFlag,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::pipe2,
};
use process::{Child, Container, Host, Journal, Primitive, Process, Program, spawn, sys};
use tempfile::TempDir;

use crate::patience;

/// Primitives in their order.
pub type List = Vec<Box<dyn Primitive>>;

/// A root filesystem of its own for one test.
pub fn image() -> TempDir {
    let dir = TempDir::new().unwrap();
    crate::rootfs::busybox(dir.path());
    dir
}

/// A program with arguments, and `PATH` as its environment.
pub fn program<A: AsRef<OsStr>>(arguments: &[A]) -> Program {
    Program::new(arguments, [format!("PATH={}", process::DEFAULT_PATH)]).unwrap()
}

/// A process that is nothing but that program.
pub fn command<A: AsRef<OsStr>>(arguments: &[A]) -> Process {
    Process::new(program(arguments))
}

/// A process that is a shell with a script.
pub fn shell(script: &str) -> Process {
    command(&["sh", "-c", script])
}

/// The same behind an init.
pub fn with_init(process: Process) -> Process {
    Process { init: true, ..process }
}

/// A container whose program's output and errors come over one pipe.
pub struct Running {
    /// The container's first process.
    pub child: Child,
    /// What made it, with the journal that undoes it.
    pub host: Host,
    output: File,
    said: String,
    reaped: bool,
}

/// What a program said, and how it ended.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; 128 + n after signal n.
    pub code: i32,
    /// Output and errors.
    pub out: String,
}

/// Starts a process in a container.
pub fn start(container: List, process: Process) -> process::Result<Running> {
    start_on(Host::new(Journal::in_memory()), container, process)
}

/// The same with a host side of the caller's.
pub fn start_on(mut host: Host, container: List, process: Process) -> process::Result<Running> {
    let (ours, theirs) = pipe2(OFlag::O_CLOEXEC).unwrap();
    let input: OwnedFd = File::open("/dev/null").unwrap().into();
    let stdio = [Some(input), Some(theirs.try_clone().unwrap()), Some(theirs)];
    let mut process = Process { program: process.program.stdio(stdio), ..process };
    let child = spawn(&mut Container(container), &mut process, &mut host)?;
    Ok(Running { child, host, output: ours.into(), said: String::new(), reaped: false })
}

impl Running {
    /// Reads until the output holds `text`.
    pub fn wait_for(&mut self, text: &str) {
        let end = Instant::now() + patience(20);
        while !self.said.contains(text) {
            assert!(self.read(end), "it ended without {text:?}: {:?}", self.said);
        }
    }

    /// One more piece of output; false at its end.
    fn read(&mut self, end: Instant) -> bool {
        let mut ready = [PollFd::new(self.output.as_fd(), PollFlags::POLLIN)];
        let left = end.saturating_duration_since(Instant::now());
        poll(&mut ready, PollTimeout::try_from(left).unwrap()).unwrap();
        assert!(ready[0].any().unwrap(), "it hangs after {:?}", self.said);
        let mut buffer = [0; 4096];
        let length = self.output.read(&mut buffer).unwrap();
        self.said.push_str(&String::from_utf8_lossy(&buffer[..length]));
        length > 0
    }

    /// Signals the container's first process.
    pub fn signal(&self, signal: i32) {
        sys::pidfd_send_signal(self.child.pidfd.as_fd(), signal).unwrap();
    }

    /// Waits for the end of the output and of the process.
    pub fn finish(mut self) -> Ran {
        let end = Instant::now() + patience(20);
        while self.read(end) {}
        let mut ready = [PollFd::new(self.child.pidfd.as_fd(), PollFlags::POLLIN)];
        let left = end.saturating_duration_since(Instant::now());
        poll(&mut ready, PollTimeout::try_from(left).unwrap()).unwrap();
        assert!(ready[0].any().unwrap(), "it closed its output and stays");
        let code = sys::wait_exit(self.child.pidfd.as_fd()).unwrap();
        self.reaped = true;
        self.host.journal.undo_to(0).unwrap();
        Ran { code, out: std::mem::take(&mut self.said) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.reaped {
            let _ = sys::pidfd_send_signal(self.child.pidfd.as_fd(), nix::libc::SIGKILL);
            let _ = sys::wait_exit(self.child.pidfd.as_fd());
            let _ = self.host.journal.undo_to(0);
        }
    }
}

/// Runs it to its end.
pub fn run(container: List, process: Process) -> Ran {
    start(container, process).unwrap().finish()
}

/// Runs a shell script in the container, which must succeed, and returns what it said.
pub fn sh(container: List, script: &str) -> String {
    let ran = run(container, shell(script));
    assert_eq!(ran.code, 0, "{script}: {}", ran.out);
    ran.out
}

/// The namespace of `kind` that this test runs in, as `readlink /proc/self/ns/KIND` says it.
pub fn own_namespace(kind: &str) -> String {
    namespace("self", kind)
}

/// The namespace of `kind` of another process, seen from outside.
pub fn namespace(pid: impl Display, kind: &str) -> String {
    fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap().to_string_lossy().into_owned()
}

fn result(output: &Output) -> Ran {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { code: output.status.code().unwrap_or(-1), out: text(&output.stdout) + &text(&output.stderr) }
}

/// As timeout(1) takes it.
fn seconds() -> String {
    patience(20).as_secs().to_string()
}

/// Runs a stage's binary as a user without any rights. A copy of it: the build may be where only its owner can go.
pub fn as_nobody(binary: &str, arguments: &[&OsStr]) -> Ran {
    let place = TempDir::new().unwrap();
    let copy = place.path().join("stage");
    crate::rootfs::copy_program(binary, &copy);
    for path in [place.path(), &copy] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
    let output = Command::new("timeout")
        .args(["--foreground", &seconds(), "setpriv"])
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(&copy)
        .args(arguments)
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .expect("setpriv (util-linux)");
    result(&output)
}

/// Runs a shell script in `root` by a stage's binary, as a user without any rights.
pub fn script_as_nobody(binary: &str, root: &Path, script: &str) -> Ran {
    as_nobody(binary, &[root.as_os_str(), "sh".as_ref(), "-c".as_ref(), script.as_ref()])
}

/// The same as the user of the test, root.
pub fn script_as_root(binary: &str, root: &Path, script: &str) -> Ran {
    let output = Command::new("timeout")
        .args(["--foreground", &seconds(), binary])
        .arg(root)
        .args(["sh", "-c", script])
        .stdin(Stdio::null())
        .output()
        .expect("timeout (coreutils)");
    result(&output)
}
