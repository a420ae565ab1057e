//! Undo is data, not Drop: clean-up often happens in another process, later, or after a crash.
//!
//! Before each act its [`Undo`] is journaled; failure, removal and a later repair replay the journal backwards. Every
//! undo does nothing where there is nothing (any more) to undo, so that a journal may run ahead of the acts and may be
//! replayed twice.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::{
        fd::AsFd,
        unix::fs::{OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    mount::{MntFlags, umount2},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

use crate::{
    cgroupfs,
    kernel_file::kernel_file,
    maps::{IdMaps, as_root_of},
    netlink, sys, tree,
};

/// How to take one act back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undo {
    /// Removes a file, socket or link.
    RemoveFile(PathBuf),
    /// Removes a symbolic link that leads to `target`; another of its name is somebody else's.
    RemoveLink {
        /// The link.
        path: PathBuf,
        /// What it has to say.
        target: PathBuf,
    },
    /// Removes a directory and all that it holds, following no link.
    RemoveTree(PathBuf),
    /// The same for a tree of which a part belongs to ids that are the caller's in a user namespace only.
    RemoveMappedTree {
        /// The tree.
        path: PathBuf,
        /// The maps of that namespace.
        maps: IdMaps,
    },
    /// Detaches the mount at the path.
    Unmount(PathBuf),
    /// Kills all that is in the cgroup and in those below it, and removes them ([`cgroupfs::remove`]).
    RemoveCgroup(PathBuf),
    /// Kills the process that had this pid and start time, and waits for its end.
    Kill {
        /// The pid in the pid namespace of whoever replays.
        pid: i32,
        /// Clock ticks since boot, from [`start_time`]: what tells it from a later process of the same pid.
        start_time: u64,
    },
    /// Removes a veth whose other end is in the network namespace `namespace`.
    ///
    /// Only where the namespace outlives its container: else its end takes both ends, and we need not wait for it.
    RemoveVeth {
        /// The name of the end that is here.
        name: String,
        /// What the other end's namespace is called here: see [`netlink::route::namespace_id`].
        namespace: i32,
    },
    /// Removes what belongs to `owner` from sets of an nftables table.
    RemoveElements {
        /// The table, of the family inet.
        table: String,
        /// The sets and maps to look in.
        sets: Vec<String>,
        /// As each element says.
        owner: String,
    },
}

impl Undo {
    /// Takes the act back; nothing there is success.
    pub fn perform(&self) -> io::Result<()> {
        let done = match self {
            Self::RemoveFile(path) => fs::remove_file(path),
            Self::RemoveLink { path, target } => match fs::read_link(path) {
                Ok(found) if found == *target => fs::remove_file(path),
                Ok(_) => Ok(()),
                Err(e) => Err(e),
            },
            Self::RemoveTree(path) => remove_tree(path),
            Self::RemoveMappedTree { path, maps } => match remove_tree(path) {
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied => as_root_of(maps, || remove_tree(path)),
                removed => removed,
            },
            Self::Unmount(path) => {
                match umount2(path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
                    // EINVAL: the path is no mount point.
                    Err(Errno::EINVAL) => Ok(()),
                    unmounted => unmounted.map_err(io::Error::from),
                }
            }
            Self::RemoveCgroup(path) => cgroupfs::remove(path),
            Self::Kill { pid, start_time } => kill(Pid::from_raw(*pid), *start_time).map_err(io::Error::from),
            Self::RemoveVeth { name, namespace } => {
                netlink::route::remove_veth(name, *namespace).map_err(|refusal| refusal.errno.into())
            }
            Self::RemoveElements { table, sets, owner } => {
                netlink::nftables::remove_owned(table, sets, |of| of == owner)
                    .map_or_else(|refusal| Err(refusal.errno.into()), |_| Ok(()))
            }
        };
        match done {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }
}

fn remove_tree(path: &Path) -> io::Result<()> {
    match tree::remove_tree(path) {
        // A directory that its owner may not list, such as overlayfs leaves one; root never gets here.
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path)?;
            tree::remove_tree(path)
        }
        removed => removed,
    }
}

/// Gives the owner all rights on every directory of the tree, following no link.
fn open_up(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

fn kill(pid: Pid, since: u64) -> Result<(), Errno> {
    // The handle first, then the question whose it is: the other way round the pid could be reused in between.
    let pidfd = match sys::pidfd_open(pid) {
        Err(Errno::ESRCH) => return Ok(()),
        opened => opened?,
    };
    if start_time(pid) != Some(since) {
        return Ok(());
    }
    match sys::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL) {
        Err(Errno::ESRCH) => return Ok(()),
        sent => sent?,
    }
    poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE).map(drop)
}

/// When the process started, in clock ticks since boot (proc_pid_stat(5), field 22); `None` if there is none.
pub fn start_time(pid: Pid) -> Option<u64> {
    let stat = kernel_file(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // The second field is the program's name in parentheses, and may hold spaces and parentheses itself.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// The undo steps of one container, oldest first, on disk if they are to outlive this process.
#[derive(Debug, Default)]
pub struct Journal {
    entries: Vec<Undo>,
    file: Option<(File, PathBuf)>,
}

impl Journal {
    /// A journal for a container that does not outlive this process.
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// Opens the journal at `path`, with the steps that an earlier process left in it, or begins it.
    ///
    /// No fsync: a process's death loses nothing that it has written, and a machine's death loses the kernel objects
    /// too.
    pub fn open(path: &Path) -> io::Result<Self> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(e),
        };
        let file = append_to(path)?;
        // A last line without its end is a step whose act never came: the writer died first. The next one begins anew.
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        if whole < text.len() {
            file.set_len(whole as u64)?;
        }
        Ok(Self { entries: parse(&text[..whole]), file: Some((file, path.to_owned())) })
    }

    /// Writes a step down, before the act that it undoes.
    pub fn record(&mut self, undo: Undo) -> io::Result<()> {
        if let Some((file, path)) = &mut self.file {
            // One that was emptied has no file any more.
            if self.entries.is_empty() {
                *file = append_to(path)?;
            }
            let mut line = serde_json::to_string(&undo)?;
            line.push('\n');
            file.write_all(line.as_bytes())?;
        }
        self.entries.push(undo);
        Ok(())
    }

    /// Where the journal stands now, for [`Journal::undo_to`].
    pub fn mark(&self) -> usize {
        self.entries.len()
    }

    /// The steps, oldest first.
    pub fn entries(&self) -> &[Undo] {
        &self.entries
    }

    /// Replays all steps after `mark`, newest first. A step that fails is kept and does not stop the others.
    pub fn undo_to(&mut self, mark: usize) -> io::Result<()> {
        let after = self.entries.split_off(mark.min(self.entries.len()));
        self.replay(after)
    }

    /// Replays everything; afterwards there is no journal on disk.
    pub fn undo_all(mut self) -> io::Result<()> {
        self.undo_to(0)
    }

    /// Replays everything but what waits for the kernel, [`Undo::RemoveVeth`], which stays in the journal: a namespace that
    /// ends meanwhile takes its cable along.
    pub fn undo_most(mut self) -> io::Result<()> {
        let late = self.set_aside(|undo| matches!(undo, Undo::RemoveVeth { .. }));
        let now = std::mem::replace(&mut self.entries, late);
        self.replay(now)
    }

    fn replay(&mut self, steps: Vec<Undo>) -> io::Result<()> {
        let mut failed = Vec::new();
        let mut result = Ok(());
        for undo in steps.into_iter().rev() {
            if let Err(e) = undo.perform() {
                let what = io::Error::new(e.kind(), format!("{undo:?}: {e}"));
                result = result.and(Err(what));
                failed.push(undo);
            }
        }
        self.entries.extend(failed.into_iter().rev());
        self.rewrite()?;
        result
    }

    /// Takes out the steps that are `meant`, oldest first, for whoever performs them later himself. On disk they stay
    /// until the others are replayed.
    pub fn set_aside(&mut self, meant: impl Fn(&Undo) -> bool) -> Vec<Undo> {
        let (aside, kept) = std::mem::take(&mut self.entries).into_iter().partition(meant);
        self.entries = kept;
        aside
    }

    /// Forgets the steps after `mark`: what they undo is meant to stay.
    pub fn keep_from(&mut self, mark: usize) -> io::Result<()> {
        self.entries.truncate(mark);
        self.rewrite()
    }

    fn rewrite(&mut self) -> io::Result<()> {
        let Some((file, path)) = &mut self.file else {
            return Ok(());
        };
        if self.entries.is_empty() {
            return match fs::remove_file(path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
                // Its directory may have been one of the steps.
                _ => Ok(()),
            };
        }
        let mut text = String::new();
        for undo in &self.entries {
            text.push_str(&serde_json::to_string(undo)?);
            text.push('\n');
        }
        let new = path.with_extension("new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600).open(&new)?.write_all(text.as_bytes())?;
        fs::rename(&new, &path)?;
        *file = append_to(path)?;
        Ok(())
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

fn parse(lines: &[u8]) -> Vec<Undo> {
    lines.split_inclusive(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}
