//! The leak oracle: what stands on this machine because of one store, and should not when its containers are gone.
//!
//! Everything is found by the store's path, which is different for every test: so tests run side by side, and beside a
//! real installation.

use std::{
    fs,
    os::fd::AsFd,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How long a process that is on its way out may take.
const GRACE: Duration = Duration::from_secs(5);

/// What is left of the store at `root`, a line each; empty is good. Images and layers are no leak.
///
/// Waits for processes that are ending.
pub fn of(root: &Path) -> Vec<String> {
    let deadline = Instant::now() + GRACE;
    for pid in processes(root) {
        await_end(pid, deadline);
    }
    let mut leaks: Vec<String> = processes(root).into_iter().map(describe).collect();
    leaks.extend(mounts(root));
    leaks.extend(sockets(root));
    for directory in ["containers", "names", "tmp"] {
        leaks.extend(entries(&root.join(directory)).map(|path| format!("file {}", path.display())));
    }
    leaks.extend(
        run_directories(root)
            .flat_map(|run| entries(&run).collect::<Vec<_>>())
            .map(|path| format!("file {}", path.display())),
    );
    leaks
}

/// The volatile directories of the store: /run/mini-docker/KEY-BOOT, where KEY is from the root's digest.
pub fn run_directories(root: &Path) -> impl Iterator<Item = PathBuf> {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
    let key: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    entries(Path::new("/run/mini-docker"))
        .filter(move |path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&key)))
}

/// Processes of the store: its monitors, by the environment that they were forked with, and its containers', by the
/// overlay mounts of their namespace.
pub fn processes(root: &Path) -> Vec<i32> {
    let root = root.to_string_lossy().into_owned();
    let is_ours = |pid: &i32| {
        if *pid == std::process::id().cast_signed() {
            return false;
        }
        let file = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let has = |text: Vec<u8>| String::from_utf8_lossy(&text).contains(&root);
        let is_monitor = file("comm") == b"mini-docker\n" && (has(file("environ")) || has(file("cmdline")));
        is_monitor || has(file("mountinfo"))
    };
    let pids = entries(Path::new("/proc")).filter_map(|path| path.file_name()?.to_str()?.parse().ok());
    pids.filter(is_ours).collect()
}

fn await_end(pid: i32, deadline: Instant) {
    let Ok(pidfd) = process::sys::pidfd_open(nix::unistd::Pid::from_raw(pid)) else {
        return;
    };
    let left = deadline.saturating_duration_since(Instant::now());
    let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
    let _ = poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], timeout);
}

fn describe(pid: i32) -> String {
    let text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    format!("process {pid} {}", String::from_utf8_lossy(&text).replace('\0', " "))
}

fn mounts(root: &Path) -> Vec<String> {
    let root = root.to_string_lossy().into_owned();
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table.lines().filter(|line| line.contains(&root)).map(|line| format!("mount {line}")).collect()
}

fn sockets(root: &Path) -> Vec<String> {
    let runs: Vec<_> = run_directories(root).map(|path| path.to_string_lossy().into_owned()).collect();
    let table = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let is_ours = |line: &&str| runs.iter().any(|run| line.contains(run.as_str()));
    table.lines().filter(is_ours).map(|line| format!("socket {line}")).collect()
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path())
}
