//! The leak oracle: what stands on this machine because of one store, and should not when its containers are gone.
//!
//! Everything is found by the store's path, which is different for every test: so tests run side by side, and beside a
//! real installation.

use std::{
    fs,
    os::fd::AsFd,
    path::{Path, PathBuf},
    time::Instant,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::patience;

/// What is left of the store at `root`, a line each; empty is good. Images and layers are no leak.
///
/// Waits for processes that are ending.
pub fn of(root: &Path) -> Vec<String> {
    let deadline = Instant::now() + patience(5);
    for pid in processes(root) {
        await_end(pid, deadline);
    }
    let mut leaks: Vec<String> = processes(root).into_iter().map(describe).collect();
    leaks.extend(mounts(root));
    leaks.extend(sockets(root));
    for directory in ["containers", "names", "tmp"] {
        leaks.extend(entries(&root.join(directory)).map(|path| format!("file {}", path.display())));
    }
    leaks.extend(cgroups(root).map(|path| format!("cgroup {}", path.display())));
    leaks.extend(
        run_directories(root)
            .flat_map(|run| entries(&run).flat_map(used).collect::<Vec<_>>())
            .map(|path| format!("file {}", path.display())),
    );
    leaks.extend(id_ranges(root).map(|path| format!("ids {}", path.display())));
    leaks
}

/// The ranges of ids that containers of the store have taken: links to what they have in its volatile directory.
pub fn id_ranges(root: &Path) -> impl Iterator<Item = PathBuf> {
    let is_ids = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ids-"));
    let all = entries(Path::new("/run/mini-docker")).filter(is_ids);
    let links = all.flat_map(|path| entries(&path).chain(entries(&path.join("shared"))).collect::<Vec<_>>());
    let key = format!("/{}-", key(root));
    links.filter(move |link| fs::read_link(link).is_ok_and(|owner| owner.to_string_lossy().contains(&key)))
}

/// A directory of networks is a leak as far as somebody has an address in one, or ports in nftables that nobody uses.
fn used(path: PathBuf) -> Vec<PathBuf> {
    if path.file_name().is_some_and(|name| name == "user-namespaces") {
        // Whether the kernel can stays true.
        return Vec::new();
    }
    if path.file_name().is_none_or(|name| name != "networks") {
        return vec![path];
    }
    // The mark stays, like the directory itself.
    let files = entries(&path).filter(|path| path.is_file() && path.file_name().is_none_or(|name| name != "mark"));
    let places = entries(&path).filter(|path| path.is_dir()).flat_map(|path| entries(&path));
    files.chain(places).collect()
}

/// What the kernel still has of the store's networks, a line each: for when all of them are pruned.
pub fn of_networks(root: &Path) -> Vec<String> {
    let whose = format!("mini-docker {} ", root.display());
    let is_ours =
        |path: &PathBuf| fs::read_to_string(path.join("ifalias")).is_ok_and(|alias| alias.starts_with(&whose));
    let mut leaks: Vec<String> =
        entries(Path::new("/sys/class/net")).filter(is_ours).map(|path| format!("link {}", path.display())).collect();
    let table = format!("mini-docker-{}", key(root));
    let socket = process::netlink::Socket::netfilter().expect("a socket of netfilter");
    if process::netlink::nftables::has_table(&socket, &table) != Ok(false) {
        leaks.push(format!("nftables {table}"));
    }
    leaks
}

/// The volatile directories of the store: /run/mini-docker/KEY-BOOT.
pub fn run_directories(root: &Path) -> impl Iterator<Item = PathBuf> {
    keyed(Path::new("/run/mini-docker"), root)
}

/// The cgroups of the store's containers, mini-docker/KEY.ID in every hierarchy.
pub fn cgroups(root: &Path) -> impl Iterator<Item = PathBuf> {
    crate::cgroups::mounts().into_iter().flat_map(move |mount| keyed(&mount.join("mini-docker"), root))
}

/// What of a directory that all stores share is this store's: its name begins with a key from the root's digest.
fn keyed(directory: &Path, root: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let key = key(root);
    entries(directory).filter(move |path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&key)))
}

/// What the store's objects outside of it are called after.
fn key(root: &Path) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
    format!("{:08x}", u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]))
}

/// Processes of the store: its monitors and commands, and its containers'.
pub fn processes(root: &Path) -> Vec<i32> {
    pids(|pid| is_engine(pid, root) || is_inside(pid, root))
}

/// The monitors of the store (and commands that run just now).
pub fn monitors(root: &Path) -> Vec<i32> {
    pids(|pid| is_engine(pid, root))
}

fn pids(is_meant: impl Fn(i32) -> bool) -> Vec<i32> {
    let own = std::process::id().cast_signed();
    let all = entries(Path::new("/proc")).filter_map(|path| path.file_name()?.to_str()?.parse().ok());
    all.filter(|&pid| pid != own && is_meant(pid)).collect()
}

/// By the environment or the command line that it was started with.
fn is_engine(pid: i32, root: &Path) -> bool {
    let is_named = fs::read(format!("/proc/{pid}/comm")).is_ok_and(|name| name == b"mini-docker\n");
    is_named && (mentions(pid, "environ", root) || mentions(pid, "cmdline", root))
}

/// By the overlay in its mount namespace; by its cgroup too, for kernels before 6.13 know layers by descriptors, and say so.
fn is_inside(pid: i32, root: &Path) -> bool {
    // What has ended has no mounts any more, and is in its cgroup until it is reaped.
    let Ok(mounts) = fs::read(format!("/proc/{pid}/mountinfo")) else { return false };
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    holds(&mounts, root) || cgroups.contains(&format!("/mini-docker/{}.", key(root)))
}

fn mentions(pid: i32, file: &str, root: &Path) -> bool {
    holds(&fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default(), root)
}

fn holds(text: &[u8], root: &Path) -> bool {
    String::from_utf8_lossy(text).contains(&*root.to_string_lossy())
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
