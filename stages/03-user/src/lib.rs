//! Stage 03: a user namespace.
//!
//! In a user namespace ids are mapped to other ids outside (user_namespaces(7)): root inside can be an ordinary user
//! outside. Its process has every capability over what the namespace owns, and none over anything else. It is the
//! first namespace of the list because it is what lets an ordinary user make the others.
//!
//! Stage 19 supersedes it where there are subordinate ids: a map of one id has no second user, and one onto the same
//! numbers protects from nothing.
#![forbid(unsafe_code)]

pub use process::IdRange;
use process::{Child, CloneArgs, Errno, Host, IdMaps, Inside, Primitive, Result, sys};

// ANCHOR: user
/// A user namespace with its two maps.
#[derive(Debug)]
pub struct User {
    maps: IdMaps,
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
        Self { maps: IdMaps { uids: one(uid.as_raw()), gids: one(gid.as_raw()) }, privileged: false }
    }

    /// Any maps. Needs `CAP_SETUID` and `CAP_SETGID` in the caller's namespace; both map 0.
    pub fn ranges(uids: Vec<IdRange>, gids: Vec<IdRange>) -> Self {
        Self { maps: IdMaps { uids, gids }, privileged: true }
    }
}

impl Primitive for User {
    fn name(&self) -> &'static str {
        "user"
    }

    fn prepare(&mut self, host: &mut Host) -> Result<()> {
        // What the container mounts belongs to its namespace, so that it has to make the mounts itself.
        host.unprivileged = true;
        host.maps = Some(self.maps.clone());
        Ok(())
    }

    fn clone_args(&self, args: &mut CloneArgs) {
        args.add(nix::libc::CLONE_NEWUSER);
    }

    fn attach(&mut self, host: &mut Host, child: &Child) -> Result<()> {
        // The kernel wants this first from an unprivileged caller: a group that denies access could be dropped.
        if !self.privileged {
            host.write_proc(&format!("/proc/{}/setgroups", child.pid), "deny")?;
        }
        self.maps.write(host, child.pid)
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
