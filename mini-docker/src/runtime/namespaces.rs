//! Whose namespaces a container has, and what stands for each in the list.

use std::{cell::RefCell, ffi::CString, io, os::fd::OwnedFd, path::PathBuf, sync::Arc};

use mount::Mount;
use nix::{
    mount::{self as mounting, MsFlags},
    sched::CloneFlags,
    unistd::{Pid, write},
};
use process::{Errno, Error, Host, Inside, Join, Primitive, Result, Undo};

use super::Spec;

/// Whose namespace of one kind a container has.
#[derive(Debug, Clone, Default)]
pub enum Namespace {
    /// Its own.
    #[default]
    Own,
    /// The host's.
    Host,
    /// That of a process that runs.
    Of {
        /// Its number here.
        pid: Pid,
        /// A handle on it.
        pidfd: Arc<OwnedFd>,
    },
}

/// The namespaces that a container need not have of its own.
#[derive(Debug, Clone, Default)]
pub struct Namespaces {
    /// The names of uname(2).
    pub uts: Namespace,
    /// Processes.
    pub pid: Namespace,
    /// System V and POSIX IPC.
    pub ipc: Namespace,
    /// What it sees as the root of its cgroups.
    pub cgroup: Namespace,
}

/// What is at /dev/shm.
#[derive(Debug, Clone)]
pub enum Shm {
    /// A filesystem of the container's own, of this many bytes.
    Own(u64),
    /// The same, mounted at this path of the host too, for other containers to share.
    Shared(PathBuf, u64),
    /// What is at this path of the host.
    Of(PathBuf),
    /// Nothing.
    None,
}

impl Namespace {
    /// The primitive of this namespace; `own` makes a new one.
    fn primitive(
        &self,
        flag: CloneFlags,
        own: impl FnOnce() -> Box<dyn Primitive>,
    ) -> Result<Option<Box<dyn Primitive>>> {
        Ok(match self {
            Self::Own => Some(own()),
            Self::Host => None,
            Self::Of { pid, pidfd } => {
                let pidfd = pidfd.try_clone().map_err(|e| Error::from_io("join", "dup(pidfd)", &e))?;
                Some(Box::new(Join::new(*pid, pidfd, flag)))
            }
        })
    }
}

// ANCHOR: namespaces
/// The namespaces of a container but network and mount, in the order in which the child enters them.
pub(super) fn primitives(spec: &Spec) -> Result<Vec<Box<dyn Primitive>>> {
    let all = &spec.namespaces;
    let list = [
        // After the cgroup, which becomes its root,
        all.cgroup.primitive(CloneFlags::CLONE_NEWCGROUP, || Box::new(cgroupns::CgroupNamespace))?,
        // The names: nothing depends on them, and they need nothing.
        all.uts.primitive(CloneFlags::CLONE_NEWUTS, || {
            Box::new(uts::Uts::new(&spec.hostname).domain(&spec.domain_name))
        })?,
        // Before the mounts: a /proc shows the pid namespace of the process that mounts it,
        all.pid.primitive(CloneFlags::CLONE_NEWPID, || Box::new(pid::PidNamespace))?,
        // a /dev/mqueue its IPC namespace,
        all.ipc.primitive(CloneFlags::CLONE_NEWIPC, || Box::new(ipc::Ipc))?,
    ];
    Ok(list.into_iter().flatten().collect())
}
// ANCHOR_END: namespaces

/// Settings of the kernel that belong to a namespace (sysctl(8)), in the container's own.
///
/// /proc/sys shows the namespaces of the process that opens a file of it, and the container's cannot be written once it is in
/// its place: so after the namespaces and before the pivot.
#[derive(Debug)]
pub(super) struct Sysctls(Vec<(CString, String)>);

impl Sysctls {
    /// Of `NAME`, with dots or slashes between its parts, and value.
    pub(super) fn new(settings: &[(String, String)]) -> Result<Self> {
        let path = |name: &String| {
            let separated = if name.contains('/') { name.clone() } else { name.replace('.', "/") };
            CString::new(format!("/proc/sys/{separated}")).map_err(|_| super::null_byte("a sysctl"))
        };
        settings.iter().map(|(name, value)| Ok((path(name)?, value.clone()))).collect::<Result<_>>().map(Self)
    }
}

impl Primitive for Sysctls {
    fn name(&self) -> &'static str {
        "sysctl"
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        for (number, (path, value)) in self.0.iter().enumerate() {
            inside.at(number);
            write(inside.open_setting(path)?, value.as_bytes())?;
        }
        Ok(())
    }

    fn step(&self, step: u16) -> String {
        self.0.get(usize::from(step)).map_or_else(String::new, |(path, value)| format!("write({path:?}, {value:?})"))
    }

    fn hint(&self, _: u16, errno: Errno) -> Option<String> {
        match errno {
            Errno::ENOENT => Some(
                "this kernel has no such setting, or it is not of a namespace, or none that a user namespace has: --userns=host"
                    .to_owned(),
            ),
            Errno::EACCES | Errno::EPERM => {
                Some("this kernel lets no root of a user namespace set it: --userns=host".to_owned())
            }
            Errno::EINVAL | Errno::ERANGE => Some("the kernel does not take this value".to_owned()),
            _ => None,
        }
    }
}

/// The container's /proc, attached nowhere: for the settings of its namespaces, until the mounts put it in its place.
#[derive(Debug)]
pub(super) struct Proc(pub(super) Mount);

impl Primitive for Proc {
    fn name(&self) -> &'static str {
        "mount"
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(0);
        self.0.make().map(|proc| inside.set_proc(proc))
    }

    fn step(&self, _: u16) -> String {
        self.0.making()
    }

    fn hint(&self, _: u16, errno: Errno) -> Option<String> {
        mount::hint(&self.0, false, errno).map(str::to_owned)
    }
}

/// How readily the kernel kills the process for want of memory (proc_pid_oom_score_adj(5)): -1000 to 1000.
#[derive(Debug)]
pub(super) struct OomScore(pub(super) i32);

impl Primitive for OomScore {
    fn name(&self) -> &'static str {
        "oom score"
    }

    fn attach(&mut self, host: &mut Host, child: &process::Child) -> Result<()> {
        let written = host.write_proc(&format!("/proc/{}/oom_score_adj", child.pid), &self.0.to_string());
        written.map_err(|e| match e.errno {
            Errno::EACCES | Errno::EPERM => e.hint("to lower it takes CAP_SYS_RESOURCE, which is missing here"),
            _ => e,
        })
    }
}

/// A /dev/shm that other containers can share: mounted on the host, and bound in each.
#[derive(Debug)]
pub(super) struct SharedMemory {
    pub(super) path: PathBuf,
    pub(super) size: u64,
    pub(super) mounted: RefCell<bool>,
}

impl Primitive for SharedMemory {
    fn name(&self) -> &'static str {
        "shm"
    }

    fn prepare(&mut self, host: &mut Host) -> Result<()> {
        if self.mounted.replace(true) {
            return Ok(());
        }
        host.undo(Undo::Unmount(self.path.clone()))?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        let owner = host.maps.as_ref().and_then(|maps| maps.outside_user(0).zip(maps.outside_group(0)));
        let (uid, gid) = owner.unwrap_or((0, 0));
        let options = format!("mode=1777,size={},uid={uid},gid={gid}", self.size);
        host.act(
            || format!("mount tmpfs at {}", self.path.display()),
            || {
                match std::fs::create_dir(&self.path) {
                    Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                        return Err(Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO)));
                    }
                    _ => {}
                }
                mounting::mount(Some("shm"), &self.path, Some("tmpfs"), flags, Some(options.as_str()))
            },
        )
    }
}
