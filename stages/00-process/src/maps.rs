//! Which ids of a user namespace are which ids outside, and the two ways to tell the kernel.

use std::{
    fs,
    io::{self, Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    process::{Command, Stdio},
};

use nix::{
    errno::Errno,
    sched::{CloneFlags, unshare},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    primitive::Host,
    sys::{self, Cloned},
    undo::Journal,
};

/// One line of uid_map or gid_map (user_namespaces(7)): `count` ids from `inside` on are those from `outside` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    /// First id in the namespace.
    pub inside: u32,
    /// First id in the parent's namespace.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// The two maps of a user namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMaps {
    /// Lines of uid_map.
    pub uids: Vec<IdRange>,
    /// Lines of gid_map.
    pub gids: Vec<IdRange>,
}

impl IdMaps {
    /// Those of the user namespace of a process, as seen from the caller's.
    pub fn of(pid: Pid) -> Result<Self> {
        let read = |name: &str| {
            let path = format!("/proc/{pid}/{name}");
            let text = fs::read_to_string(&path).map_err(|e| Error::from_io("user", format!("read {path}"), &e))?;
            Ok(parse(&text))
        };
        Ok(Self { uids: read("uid_map")?, gids: read("gid_map")? })
    }

    /// What the user `inside` is outside.
    pub fn outside_user(&self, inside: u32) -> Option<u32> {
        outside(&self.uids, inside)
    }

    /// What the group `inside` is outside.
    pub fn outside_group(&self, inside: u32) -> Option<u32> {
        outside(&self.gids, inside)
    }

    /// What the user `outside` is inside.
    pub fn inside_user(&self, outside: u32) -> Option<u32> {
        inside(&self.uids, outside)
    }

    /// What the group `outside` is inside.
    pub fn inside_group(&self, outside: u32) -> Option<u32> {
        inside(&self.gids, outside)
    }

    /// Whether the user `outside` is somebody inside.
    pub fn holds_user(&self, outside: u32) -> bool {
        self.inside_user(outside).is_some()
    }

    /// Writes the maps of the namespace that `pid` was cloned into. Maps of ids other than the caller's own need
    /// `CAP_SETUID` and `CAP_SETGID` in the caller's namespace.
    pub fn write(&self, host: &mut Host, pid: Pid) -> Result<()> {
        write(host, &format!("/proc/{pid}/uid_map"), &lines(&self.uids))?;
        write(host, &format!("/proc/{pid}/gid_map"), &lines(&self.gids))
    }

    /// The same by newuidmap(1) and newgidmap(1), which map for an ordinary user what /etc/subuid and /etc/subgid give
    /// him.
    pub fn write_by_helpers(&self, host: &mut Host, pid: Pid) -> Result<()> {
        help(host, "newuidmap", pid, &self.uids)?;
        help(host, "newgidmap", pid, &self.gids)
    }
}

/// Does something as root of a user namespace with these maps: what belongs to a user's subordinate ids is not his own.
/// For a process with one thread.
pub(crate) fn as_root_of(maps: &IdMaps, act: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let (ours, theirs) = UnixStream::pair()?;
    let inside = || -> io::Result<()> {
        unshare(CloneFlags::CLONE_NEWUSER)?;
        (&theirs).write_all(&[0])?;
        (&theirs).read_exact(&mut [0])?;
        sys::set_groups(&[])?;
        sys::set_gid(0)?;
        sys::set_uid(0)?;
        act()
    };
    match sys::fork()? {
        Cloned::Child => sys::exit_now(inside().map_or_else(|e| e.raw_os_error().unwrap_or(libc::EIO), |()| 0)),
        Cloned::Parent(pid, _) => {
            let pidfd = sys::pidfd_open(pid)?;
            drop(theirs);
            let mut host = Host::new(Journal::in_memory());
            let mapped = (&ours).read_exact(&mut [0]).and_then(|()| {
                let written =
                    if may_map_any_id() { maps.write(&mut host, pid) } else { maps.write_by_helpers(&mut host, pid) };
                written.map_err(io::Error::other)?;
                (&ours).write_all(&[0])
            });
            // It leaves when its end of the line closes.
            drop(ours);
            match sys::wait_exit(pidfd.as_fd())? {
                0 => mapped,
                code => mapped.and(Err(io::Error::from_raw_os_error(code))),
            }
        }
    }
}

/// Whether this process may map any id: `CAP_SETUID` and `CAP_SETGID` (capabilities(7)) are effective.
pub fn may_map_any_id() -> bool {
    const BOTH: u64 = 1 << 6 | 1 << 7;
    sys::capabilities().is_ok_and(|sets| sets.effective & BOTH == BOTH)
}

fn outside(ranges: &[IdRange], id: u32) -> Option<u32> {
    let range = ranges.iter().find(|r| id.checked_sub(r.inside).is_some_and(|offset| offset < r.count))?;
    range.outside.checked_add(id - range.inside)
}

fn inside(ranges: &[IdRange], id: u32) -> Option<u32> {
    let range = ranges.iter().find(|r| id.checked_sub(r.outside).is_some_and(|offset| offset < r.count))?;
    range.inside.checked_add(id - range.outside)
}

fn parse(text: &str) -> Vec<IdRange> {
    let range = |line: &str| {
        let mut numbers = line.split_ascii_whitespace().map_while(|number| number.parse().ok());
        Some(IdRange { inside: numbers.next()?, outside: numbers.next()?, count: numbers.next()? })
    };
    text.lines().filter_map(range).collect()
}

fn lines(ranges: &[IdRange]) -> String {
    let line = |r: &IdRange| format!("{} {} {}\n", r.inside, r.outside, r.count);
    ranges.iter().map(line).collect()
}

/// Writes a file of /proc that takes its text whole, in one write, once.
pub(crate) fn write(host: &mut Host, path: &str, text: &str) -> Result<()> {
    let written = host.act(
        || format!("write({path:?}, {text:?})"),
        || fs::write(path, text).map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO))),
    );
    written.map_err(|e| match e.errno {
        Errno::EPERM => e.hint("the kernel lets a user map only his own id; a larger map needs root, or newuidmap"),
        _ => e,
    })
}

fn help(host: &mut Host, program: &'static str, pid: Pid, ranges: &[IdRange]) -> Result<()> {
    let mut arguments = vec![pid.to_string()];
    arguments.extend(ranges.iter().flat_map(|r| [r.inside, r.outside, r.count]).map(|number| number.to_string()));
    let what = format!("{program} {}", arguments.join(" "));
    let mut said = String::new();
    let done = host.act(
        || what.clone(),
        || match Command::new(program).args(&arguments).stdin(Stdio::null()).output() {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => {
                said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', ", ");
                Err(Errno::EPERM)
            }
            Err(e) => Err(Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO))),
        },
    );
    done.map_err(|e: Error| match e.errno {
        Errno::ENOENT => e.hint(format!("install {program}: package uidmap (Debian), shadow-utils (Fedora)")),
        Errno::EPERM => Error { doing: format!("{}: {said}", e.doing), ..e }
            .hint("see /etc/subuid and /etc/subgid; under no_new_privs or from a nosuid mount it has no rights"),
        _ => e,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_by_their_range() {
        let range = |inside, outside, count| IdRange { inside, outside, count };
        let ranges = [range(0, 1000, 1), range(1, 100_000, 10), range(4_000_000_000, u32::MAX, 2)];
        let all = [0, 1, 10, 11, 4_000_000_000, 4_000_000_001].map(|id| outside(&ranges, id));
        assert_eq!([999, 1000, 100_009, 100_010].map(|id| inside(&ranges, id)), [None, Some(0), Some(10), None]);
        assert_eq!(all, [Some(1000), Some(100_000), Some(100_009), None, Some(u32::MAX), None]);
        assert_eq!(lines(&ranges[..2]), "0 1000 1\n1 100000 10\n");
        assert_eq!(parse("         0       1000          1\n         1     100000         10\n"), ranges[..2]);
    }
}
