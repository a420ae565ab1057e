//! An engine of a test's own: its own store, and no leak at its end.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{leaks, patience, rootfs};

/// A `mini-docker` with a store of its own. Dropped, it removes its containers and looks for leaks.
#[derive(Debug)]
pub struct Engine {
    binary: PathBuf,
    directory: tempfile::TempDir,
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    /// Its exit code; 128 + n where signal n ended it.
    pub code: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Said {
    /// The standard output of a command that succeeded.
    ///
    /// # Panics
    /// Where it failed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// The one line that a command which failed with `code` said; nothing went to standard output.
    ///
    /// # Panics
    /// Where it said anything else.
    #[track_caller]
    pub fn refused(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.out, "", "{self:?}");
        assert_eq!(self.err.lines().count(), 1, "{self:?}");
        assert!(self.err.starts_with("mini-docker: "), "{self:?}");
        self.err
    }
}

impl Engine {
    /// An engine with an empty store.
    ///
    /// # Panics
    /// Without root, which containers need.
    pub fn empty(binary: &str) -> Self {
        Self::empty_in(binary, &std::env::temp_dir())
    }

    /// The same, with all its files below `directory`.
    ///
    /// # Panics
    /// As [`Engine::empty`].
    pub fn empty_in(binary: &str, directory: &Path) -> Self {
        assert!(nix::unistd::geteuid().is_root(), "the engine's tests make containers: run them as root");
        let directory =
            tempfile::Builder::new().prefix("mini-docker-test-").tempdir_in(directory).expect("make a directory");
        Self { binary: binary.into(), directory }
    }

    /// An engine with the image `bb`: busybox.
    pub fn new(binary: &str) -> Self {
        let engine = Self::empty(binary);
        engine.import_busybox();
        engine
    }

    /// Makes the image `bb`.
    ///
    /// # Panics
    /// Where it cannot be imported.
    pub fn import_busybox(&self) {
        let archive = self.path("bb.tar");
        rootfs::busybox_tar(&archive);
        self.run(&["import", archive.to_str().expect("a UTF-8 path"), "bb"]).ok();
    }

    /// The store.
    pub fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    /// A file of the test's own, outside the store.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A command of this engine.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).env("MINI_DOCKER_ROOT", self.root()).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Said {
        said(&output(self.command(arguments), b""))
    }

    /// Runs a command to its end on that machine.
    pub fn run_on(&self, machine: &crate::machine::Machine, arguments: &[&str]) -> Said {
        let command = self.command(arguments);
        said(&machine.run(move || output(command, b"")))
    }

    /// Runs a command with `input` on its standard input.
    pub fn run_with(&self, arguments: &[&str], input: &[u8]) -> Said {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped());
        said(&output(command, input))
    }

    /// What `inspect` says of one object.
    ///
    /// # Panics
    /// Where there is none.
    #[track_caller]
    pub fn inspect(&self, name: &str) -> serde_json::Value {
        let text = self.run(&["inspect", name]).ok();
        let mut objects: Vec<serde_json::Value> = serde_json::from_str(&text).expect("a JSON array");
        objects.pop().expect("an object")
    }

    /// What is left of the engine's containers.
    pub fn leaks(&self) -> Vec<String> {
        leaks::of(&self.root().canonicalize().unwrap_or_default())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let ids = self.run(&["ps", "-aq"]).out;
        let ids: Vec<_> = ids.lines().collect();
        if !ids.is_empty() {
            self.run(&[&["rm", "-f"], &ids[..]].concat());
        }
        let mut leaks = self.leaks();
        // The default network's bridge stays until then.
        self.run(&["network", "prune", "--force"]);
        leaks.extend(leaks::of_networks(&self.root().canonicalize().unwrap_or_default()));
        for run in leaks::run_directories(&self.root().canonicalize().unwrap_or_default()) {
            let _ = fs::remove_dir_all(run);
        }
        if !thread::panicking() {
            assert!(leaks.is_empty(), "left behind: {leaks:#?}");
        }
    }
}

/// Runs a command with a limit of time.
///
/// # Panics
/// Where it does not start, or hangs.
pub fn output(mut command: Command, input: &[u8]) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start the command");
    let stdin = child.stdin.take();
    let guard = Guard::new(&child, format!("{command:?}"));
    let output = thread::scope(|scope| {
        scope.spawn(move || {
            // A command that does not read its input closes it.
            let _ = stdin.map(|mut stdin| stdin.write_all(input));
        });
        child.wait_with_output().expect("wait for the command")
    });
    guard.done();
    output
}

/// What a process has said.
pub fn said(output: &Output) -> Said {
    use std::os::unix::process::ExitStatusExt;
    let code = output.status.code().or_else(|| output.status.signal().map(|signal| 128 + signal));
    Said {
        code: code.unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Kills a command that hangs, so that its test fails instead of hanging too.
pub(crate) struct Guard(std::sync::mpsc::Sender<()>);

impl Guard {
    pub(crate) fn new(child: &Child, what: String) -> Self {
        let (sender, receiver) = std::sync::mpsc::channel();
        let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
        thread::spawn(move || {
            let limit = patience(60);
            if receiver.recv_timeout(limit) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                eprintln!("killed after {limit:?}: {what}");
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            }
        });
        Self(sender)
    }

    pub(crate) fn done(self) {
        // The thread may have given up already.
        let _ = self.0.send(());
    }
}

/// Waits until `condition` holds.
///
/// # Panics
/// After ten seconds without.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + patience(20);
    while Instant::now() < end {
        if condition() {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("never happened: {what}");
}

/// The size of a file in bytes; 0 where there is none.
pub fn file_size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}
