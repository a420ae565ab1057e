//! Whose namespaces this process is in, and how an ordinary user gets some where he is root.

use std::{
    fs::File,
    io::{Read, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use nix::{
    errno::Errno,
    sched::{CloneFlags, setns, unshare},
    sys::stat::{fstat, stat},
};

use crate::{
    error::{Error, Result},
    maps::IdMaps,
    primitive::Host,
    sys::{self, Cloned},
    undo::Journal,
};

/// The name under which errors are told.
const NAME: &str = "user namespace";

/// Whether this is the user namespace that the machine began with: only there are devices made, and `trusted.*`
/// attributes read. The kernel's `PROC_USER_INIT_INO` says which one that is (linux/proc_ns.h).
pub fn in_initial_user_namespace() -> bool {
    const INITIAL: u64 = 0xEFFF_FFFD;
    stat("/proc/self/ns/user").is_ok_and(|namespace| namespace.st_ino == INITIAL)
}

/// Whether the network namespace belongs to our user namespace: only then root may make interfaces in it
/// (`NS_GET_USERNS` of ioctl_ns(2)).
pub fn owns_network() -> bool {
    let owner = File::open("/proc/self/ns/net")
        .map_err(|_| Errno::ENOENT)
        .and_then(|network| sys::owning_user_namespace(network.as_fd()))
        .and_then(fstat);
    // The owner may not be asked for where it is above us.
    matches!((owner, stat("/proc/self/ns/user")), (Ok(owner), Ok(own)) if owner.st_ino == own.st_ino)
}

/// A process that does nothing but keep a user namespace and a mount namespace of it, until this value is dropped.
#[derive(Debug)]
pub struct NamespaceHolder {
    pidfd: OwnedFd,
    line: Option<UnixStream>,
}

impl NamespaceHolder {
    /// Makes the namespaces, with maps that newuidmap(1) and newgidmap(1) write. The caller has one thread.
    ///
    /// # Errors
    /// What keeps an ordinary user from user namespaces here, or from these maps, with its remedy.
    pub fn new(maps: &IdMaps) -> Result<Self> {
        let failed = |doing: &str| {
            let doing = doing.to_owned();
            move |errno| Error::new(NAME, doing, errno)
        };
        let pair = UnixStream::pair().map_err(|e| Error::from_io(NAME, "socketpair()", &e))?;
        let (ours, theirs) = pair;
        match sys::fork().map_err(failed("fork()"))? {
            Cloned::Child => {
                drop(ours);
                let made = unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS);
                let errno = made.err().map_or(0, |errno| errno as i32);
                let _ = (&theirs).write_all(&errno.to_ne_bytes());
                // Until the other end closes.
                let _ = (&theirs).read(&mut [0]);
                sys::exit_now(0)
            }
            Cloned::Parent(pid, _) => {
                let pidfd = sys::pidfd_open(pid).map_err(failed("pidfd_open()"))?;
                drop(theirs);
                let holder = Self { pidfd, line: Some(ours) };
                let mut errno = [0; 4];
                let heard = holder.line.as_ref().map_or(Ok(()), |mut line| line.read_exact(&mut errno));
                heard.map_err(|e| Error::from_io(NAME, "make it", &e))?;
                match i32::from_ne_bytes(errno) {
                    0 => {}
                    errno => {
                        let errno = Errno::from_raw(errno);
                        let error = Error::new(NAME, "unshare(CLONE_NEWUSER|CLONE_NEWNS)", errno);
                        return Err(advice(errno).map_or(error.clone(), |hint| error.hint(hint)));
                    }
                }
                maps.write_by_helpers(&mut Host::new(Journal::in_memory()), pid)?;
                Ok(holder)
            }
        }
    }

    /// Whose namespaces [`enter_namespaces`] is to enter.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl Drop for NamespaceHolder {
    fn drop(&mut self) {
        self.line = None;
        // It leaves when its end of the line closes.
        let _ = sys::wait_exit(self.pidfd.as_fd());
    }
}

/// Moves this process into the user and the mount namespace of the process behind `pidfd`, to be root there
/// (setns(2), Linux 5.8). Its working directory becomes `/`. The caller has one thread.
///
/// # Errors
/// ESRCH: it has ended. EPERM: they are not of our making, or its memory may not be looked into.
pub fn enter_namespaces(pidfd: impl AsFd) -> Result<()> {
    let flags = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS;
    setns(pidfd, flags).map_err(|errno| Error::new(NAME, "setns(CLONE_NEWUSER|CLONE_NEWNS)", errno))
}

/// As [`enter_namespaces`], with a new mount namespace, which begins as a copy of our own.
pub fn enter_user_namespace(pidfd: impl AsFd) -> Result<()> {
    let failed = |doing: &'static str| move |errno| Error::new(NAME, doing, errno);
    setns(pidfd, CloneFlags::CLONE_NEWUSER).map_err(failed("setns(CLONE_NEWUSER)"))?;
    unshare(CloneFlags::CLONE_NEWNS).map_err(failed("unshare(CLONE_NEWNS)"))
}

fn advice(errno: Errno) -> Option<&'static str> {
    match errno {
        Errno::EPERM | Errno::EACCES => Some(
            "this machine keeps user namespaces from ordinary users: as root, sysctl -w kernel.unprivileged_userns_clone=1 (Debian) or kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu); `mini-docker doctor` says which",
        ),
        Errno::ENOSPC | Errno::EUSERS => {
            Some("the limit of user namespaces is reached: as root, sysctl -w user.max_user_namespaces=15000")
        }
        Errno::EINVAL => Some("the kernel has no user namespaces: boot one with CONFIG_USER_NS"),
        _ => None,
    }
}
