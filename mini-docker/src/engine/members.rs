//! Who is in an ordinary user's namespaces: see [`crate::rootless`].
//!
//! ```text
//! RUN/members/PID-START      a process that is in them, by its pid and the clock ticks from boot to its start
//! RUN/containers/PID-START   the first process of a container: in the same user namespace, with mounts of its own
//! RUN/members.lock           held while one looks for others, and comes or makes namespaces
//! ```
//!
//! Commands and monitors are members. Where all of them were killed, containers keep the user namespace that their next
//! monitors need. Whoever is killed leaves a file that says nothing: no later process has both numbers.

use std::{
    fs, io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::Pid,
};
use process::{start_time, sys};

use super::{
    error::{Context, Error, Result},
    files::{Lock, Locking},
    store::make_directory,
};

/// A user's processes in his namespaces.
#[derive(Debug, Clone)]
pub struct Members {
    members: PathBuf,
    containers: PathBuf,
}

impl Members {
    /// Those whose volatile directory this is.
    pub fn new(run: &Path) -> Self {
        Self { members: run.join("members"), containers: run.join("containers") }
    }

    /// Locks them: who holds it is the only one who comes or makes namespaces.
    pub fn lock(&self) -> Result<Lock> {
        let lock = Lock::take(&self.members.with_extension("lock"), Locking::Exclusive)?;
        lock.ok_or_else(|| Error::conflict("the list of members is in use: try again"))
    }

    /// What says that a process is the first of a container; `None` where it has ended.
    pub fn of_container(&self, pid: Pid) -> Option<PathBuf> {
        name(pid).map(|name| self.containers.join(name))
    }

    /// Writes down that the process of the file is what its directory says.
    pub fn add(&self, file: &Path) -> Result<()> {
        make_directory(file.parent().unwrap_or(file), 0o700)?;
        fs::File::create(file).map(drop).doing("write", file)
    }

    /// Writes down that this process is one, as long as the value lives.
    pub fn add_self(&self) -> Result<Member> {
        let name = name(Pid::this()).ok_or_else(|| Error::conflict("this process is not in /proc: mount one"))?;
        let member = Member(self.members.join(name));
        self.add(&member.0)?;
        Ok(member)
    }

    /// Handles on those that live. The others are forgotten.
    pub fn living(&self) -> Result<impl Iterator<Item = OwnedFd>> {
        living_in(&self.members)
    }

    /// Handles on the first processes of containers.
    pub fn living_containers(&self) -> Result<impl Iterator<Item = OwnedFd>> {
        living_in(&self.containers)
    }
}

fn name(pid: Pid) -> Option<String> {
    Some(format!("{pid}-{}", start_time(pid)?))
}

fn living_in(directory: &Path) -> Result<impl Iterator<Item = OwnedFd> + use<>> {
    let entries = match fs::read_dir(directory) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        entries => Some(entries.doing("read", directory)?),
    };
    let paths = entries.into_iter().flatten().flatten().map(|entry| entry.path());
    Ok(paths.filter_map(|path| {
        let living = living(&path);
        if living.is_none() {
            // Somebody else may have been faster.
            let _ = fs::remove_file(&path);
        }
        living
    }))
}

/// That this process is one.
#[derive(Debug)]
pub struct Member(PathBuf);

impl Drop for Member {
    fn drop(&mut self) {
        // What stays is forgotten by those who come later.
        let _ = fs::remove_file(&self.0);
    }
}

/// The handle comes first, then the question whose it is.
fn living(path: &Path) -> Option<OwnedFd> {
    let (pid, start) = path.file_name()?.to_str()?.split_once('-')?;
    let pid = Pid::from_raw(pid.parse().ok()?);
    let pidfd = sys::pidfd_open(pid).ok()?;
    // Readable: it has ended, and waits to be reaped.
    let ended = poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO) != Ok(0);
    (!ended && start_time(pid) == Some(start.parse().ok()?)).then_some(pidfd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lives_is_found_and_who_does_not_is_forgotten() {
        let run = tempfile::tempdir().unwrap();
        let members = Members::new(run.path());
        assert_eq!(members.living().unwrap().count(), 0);
        let member = members.add_self().unwrap();
        let own = &member.0;
        let pid = own.file_name().unwrap().to_str().unwrap().split('-').next().unwrap().to_owned();
        let others = [format!("{pid}-1"), "4194304-1".to_owned(), "x".to_owned(), format!("{pid}-")];
        let others = others.map(|name| own.with_file_name(name));
        for other in &others {
            fs::write(other, "").unwrap();
        }
        assert_eq!(members.living().unwrap().count(), 1);
        assert!(own.exists() && !others.iter().any(|other| other.exists()));
        drop(member);
        assert_eq!(members.living().unwrap().count(), 0);
    }
}
