//! The end of a cgroup (cgroups(7)): what is in it is killed, then its directory is removed.

use std::{
    collections::HashSet,
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Component, Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, statfs},
    unistd::Pid,
};

use crate::sys;

/// How long the processes of a cgroup may take to end; one that waits for a broken disk does not end at all.
const LIMIT: Duration = Duration::from_secs(10);
/// The longest and the shortest wait for a kernel that tells us nothing (v1).
const NAPS: (Duration, Duration) = (Duration::from_micros(20), Duration::from_millis(2));

/// Kills all processes of the cgroup at `path` and of those below it, and removes them all. No cgroup there is success.
///
/// # Errors
/// InvalidInput for a path that is no cgroup, or is the root of a hierarchy, with all processes of the machine in it;
/// TimedOut, with their pids, where processes do not end within ten seconds.
pub fn remove(path: &Path) -> io::Result<()> {
    match check(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        checked => checked.and_then(|()| remove_by(path, Instant::now() + LIMIT)),
    }
}

fn remove_by(path: &Path, end: Instant) -> io::Result<()> {
    let mut nap = NAPS.0;
    loop {
        match fs::remove_dir(path) {
            // Busy with processes, with one that is just leaving, or with cgroups below it.
            Err(e) if e.raw_os_error() == Some(libc::EBUSY) => {}
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => return Ok(()),
        }
        if Instant::now() > end {
            let what = format!("{} still has the processes {:?}", path.display(), processes(path)?);
            return Err(io::Error::new(io::ErrorKind::TimedOut, what));
        }
        let killed = kill_once(path)?;
        for child in children(path)? {
            remove_by(&child, end)?;
        }
        if !await_empty(path, &killed, end) {
            sleep(nap);
            nap = (nap * 2).min(NAPS.1);
        }
    }
}

/// Kills all processes of the cgroup at `path`, frozen ones too, and those of the cgroups below it. They may still be
/// on their way out when it returns.
///
/// # Errors
/// As [`remove`].
pub fn kill(path: &Path) -> io::Result<()> {
    check(path)?;
    let end = Instant::now() + LIMIT;
    kill_tree(path, end)
}

fn kill_tree(path: &Path, end: Instant) -> io::Result<()> {
    // A process may fork while it is being killed, so that one look is not enough on v1.
    loop {
        let killed = kill_once(path)?;
        if killed.is_empty() || Instant::now() > end {
            break;
        }
        await_empty(path, &killed, end);
    }
    for child in children(path)? {
        kill_tree(&child, end)?;
    }
    Ok(())
}

/// One round. Returns handles on those that got a signal of their own and have not ended.
fn kill_once(path: &Path) -> io::Result<Vec<OwnedFd>> {
    // Linux 5.14, v2: all at once, with those that are just being forked.
    match write_existing(&path.join("cgroup.kill"), "1") {
        Ok(()) => return Ok(Vec::new()),
        Err(e) if gone(&e) => {}
        Err(e) => return Err(e),
    }
    // No more forks where the kernel counts them here.
    let _ = write_existing(&path.join("pids.max"), "0");
    // The handles first, and then the question who is in: a pid that was reused since fails in one of the two.
    let before: Vec<(i32, OwnedFd)> =
        processes(path)?.into_iter().filter_map(|pid| Some((pid, sys::pidfd_open(Pid::from_raw(pid)).ok()?))).collect();
    if before.is_empty() {
        return Ok(Vec::new());
    }
    let still: HashSet<i32> = processes(path)?.into_iter().collect();
    let mut killed = Vec::new();
    for (pid, pidfd) in before {
        if still.contains(&pid) && sys::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL).is_ok() && !ended(&pidfd, 0) {
            killed.push(pidfd);
        }
    }
    // On v1 a frozen process notices no signal.
    let _ = write_existing(&path.join("freezer.state"), "THAWED");
    Ok(killed)
}

/// Waits as long as the kernel has something to tell by; false where it has not.
fn await_empty(path: &Path, killed: &[OwnedFd], end: Instant) -> bool {
    let left = |most: u64| end.saturating_duration_since(Instant::now()).min(Duration::from_millis(most));
    if let Ok(events) = File::open(path.join("cgroup.events")) {
        let populated = io::read_to_string(&events).is_ok_and(|text| text.contains("populated 1"));
        if populated {
            let timeout = PollTimeout::try_from(left(1000)).unwrap_or(PollTimeout::ZERO);
            let _ = poll(&mut [PollFd::new(events.as_fd(), PollFlags::POLLPRI)], timeout);
        }
        return populated;
    }
    for pidfd in killed {
        ended(pidfd, left(100).as_millis() as u16);
    }
    !killed.is_empty()
}

fn ended(pidfd: &OwnedFd, millis: u16) -> bool {
    poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], millis).is_ok_and(|ready| ready > 0)
}

/// The pids in `cgroup.procs`, without those of processes that this pid namespace cannot see.
fn processes(path: &Path) -> io::Result<Vec<i32>> {
    match fs::read_to_string(path.join("cgroup.procs")) {
        Err(e) if gone(&e) => Ok(Vec::new()),
        text => Ok(text?.lines().filter_map(|line| line.parse().ok()).filter(|&pid| pid > 0).collect()),
    }
}

fn children(path: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(path) {
        Err(e) if gone(&e) => return Ok(Vec::new()),
        entries => entries?,
    };
    let directories = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    Ok(directories.map(|entry| entry.path()).collect())
}

/// ENODEV: the file was opened before its cgroup was removed.
fn gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}

fn write_existing(path: &Path, text: &str) -> io::Result<()> {
    use io::Write;
    fs::OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

/// Refuses what is no cgroup and what is a hierarchy's root: a journal must not kill a machine.
fn check(path: &Path) -> io::Result<()> {
    let refuse = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {why}", path.display())));
    if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
        return refuse("not an absolute path without `..`");
    }
    let metadata = fs::symlink_metadata(path)?;
    let kind = match statfs(path) {
        Err(Errno::ENOENT) => return Err(io::ErrorKind::NotFound.into()),
        kind => kind?.filesystem_type(),
    };
    if !metadata.is_dir() || ![CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC].contains(&kind) {
        return refuse("not a cgroup");
    }
    let parent = fs::metadata(path.parent().unwrap_or(path))?;
    if parent.dev() != metadata.dev() || parent.ino() == metadata.ino() {
        return refuse("the root of a hierarchy");
    }
    Ok(())
}
