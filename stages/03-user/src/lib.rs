//! Stage 03: a user namespace.
//!
//! In a user namespace ids are mapped to other ids outside (user_namespaces(7)): root inside can be an ordinary user
//! outside. Its process has every capability over what the namespace owns, and none over anything else. It is the
//! first namespace of the list because it is what lets an ordinary user make the others.
#![forbid(unsafe_code)]

use std::fs;

use process::{Child, CloneArgs, Errno, Error, Host, Inside, Primitive, Result, sys};

/// One line of uid_map or gid_map: `count` ids from `inside` on are those from `outside` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    /// First id in the namespace.
    pub inside: u32,
    /// First id in the parent's namespace.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

// ANCHOR: user
/// A user namespace with its two maps.
#[derive(Debug)]
pub struct User {
    uids: Vec<IdRange>,
    gids: Vec<IdRange>,
    /// Whether the caller may map ids other than its own.
    privileged: bool,
}

const SET_GROUPS: usize = 0;
const SET_GID: usize = 1;
const SET_UID: usize = 2;

impl User {
    /// Root inside is the caller outside, and nobody else exists: what the kernel lets every user do.
    pub fn single() -> Self {
        let one = |outside| vec![IdRange { inside: 0, outside, count: 1 }];
        let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
        Self { uids: one(uid.as_raw()), gids: one(gid.as_raw()), privileged: false }
    }

    /// Any maps. Needs `CAP_SETUID` and `CAP_SETGID` in the caller's namespace; both map 0.
    pub fn ranges(uids: Vec<IdRange>, gids: Vec<IdRange>) -> Self {
        Self { uids, gids, privileged: true }
    }
}

impl Primitive for User {
    fn name(&self) -> &'static str {
        "user"
    }

    fn prepare(&mut self, host: &mut Host) -> Result<()> {
        // What the container mounts belongs to its namespace, so that it has to make the mounts itself.
        host.unprivileged = true;
        Ok(())
    }

    fn clone_args(&self, args: &mut CloneArgs) {
        args.add(nix::libc::CLONE_NEWUSER);
    }

    fn attach(&mut self, host: &mut Host, child: &Child) -> Result<()> {
        let file = |name: &str| format!("/proc/{}/{name}", child.pid);
        // The kernel wants this first from an unprivileged caller: a group that denies access could be dropped.
        if !self.privileged {
            write(host, &file("setgroups"), "deny")?;
        }
        write(host, &file("uid_map"), &lines(&self.uids))?;
        write(host, &file("gid_map"), &lines(&self.gids))
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        if self.privileged {
            inside.at(SET_GROUPS);
            sys::set_groups(&[])?;
        }
        inside.at(SET_GID);
        sys::set_gid(0)?;
        inside.at(SET_UID);
        sys::set_uid(0)
    }

    fn step(&self, step: u16) -> String {
        ["setgroups([])", "setresgid(0, 0, 0)", "setresuid(0, 0, 0)"][usize::from(step).min(SET_UID)].to_owned()
    }
}
// ANCHOR_END: user

fn write(host: &mut Host, path: &str, text: &str) -> Result<()> {
    // One write a file: the kernel takes a map once, whole.
    let written = host.act(
        || format!("write({path:?}, {text:?})"),
        || fs::write(path, text).map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(Errno::EIO as i32))),
    );
    written.map_err(|e: Error| match e.errno {
        Errno::EPERM => e.hint("the kernel lets a user map only his own id; a larger map needs root"),
        _ => e,
    })
}

fn lines(ranges: &[IdRange]) -> String {
    let line = |r: &IdRange| format!("{} {} {}\n", r.inside, r.outside, r.count);
    ranges.iter().map(line).collect()
}
