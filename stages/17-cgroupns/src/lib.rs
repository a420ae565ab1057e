//! Stage 17: a cgroup namespace.
//!
//! cgroup_namespaces(7): it makes the cgroups that its first process is in the roots of what its processes see, in
//! /proc/PID/cgroup and in cgroup filesystems mounted in it. The path on the host, with the names of the engine and of
//! other containers' parents in it, is nobody's business inside.
#![forbid(unsafe_code)]

use nix::sched::{CloneFlags, unshare};
use process::{Errno, Inside, Primitive};

// ANCHOR: cgroupns
/// A cgroup namespace, rooted where the process is by then: after the cgroup in the list.
///
/// By unshare(2) and not by a flag of the clone: in a v1 hierarchy the child moves to its cgroup after the clone, and
/// the root would be that of its parent. One way does for both versions.
#[derive(Debug)]
pub struct CgroupNamespace;

impl Primitive for CgroupNamespace {
    fn name(&self) -> &'static str {
        "cgroupns"
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(0);
        unshare(CloneFlags::CLONE_NEWCGROUP)
    }

    fn step(&self, _: u16) -> String {
        "unshare(CLONE_NEWCGROUP)".to_owned()
    }

    fn hint(&self, _: u16, errno: Errno) -> Option<String> {
        match errno {
            Errno::EPERM => Some("it takes root (CAP_SYS_ADMIN), or a user namespace before it in the list".to_owned()),
            Errno::ENOSPC => Some("/proc/sys/user/max_cgroup_namespaces is reached: raise it".to_owned()),
            _ => None,
        }
    }
}
// ANCHOR_END: cgroupns
