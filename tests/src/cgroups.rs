//! This machine's cgroups, found without the code under test.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

/// Where the v2 hierarchy and every v1 hierarchy with controllers are mounted.
pub fn mounts() -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let of_cgroups = |line: &&str| {
        let (_, kind) = line.split_once(" - ").unwrap();
        kind.starts_with("cgroup2 ") || (kind.starts_with("cgroup ") && !kind.contains("name="))
    };
    table.lines().filter(of_cgroups).map(|line| PathBuf::from(line.split(' ').nth(4).unwrap())).collect()
}

/// A path that no other test has, below the root.
pub fn name() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    PathBuf::from(format!("/mini-docker-test-{}-{number}", std::process::id()))
}

/// The directories of the cgroup `path` that exist, in all hierarchies.
pub fn directories(path: &Path) -> Vec<PathBuf> {
    let all = mounts().into_iter().map(|mount| mount.join(path.strip_prefix("/").unwrap()));
    all.filter(|directory| directory.exists()).collect()
}
