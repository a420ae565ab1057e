//! Whose user namespace a container has, and that its users are in it.

use std::{
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

use idmap::Idmap;
use ids::Ids;
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::Pid,
};
use process::{
    Container, EXEC, Errno, Error, Host, IdMaps, JoinUser, Journal, Primitive, Process, Program, Result, spawn,
};
use subids::SubIds;

/// Whose user namespace a container has, and with that which ids its users are outside.
#[derive(Debug, Clone, Default)]
pub enum UserNamespace {
    /// The host's: its root is root.
    #[default]
    Host,
    /// Its own, with ids that nobody else has.
    Own(Ranges),
    /// That of a process that runs, whatever that is.
    Of {
        /// Its number here.
        pid: Pid,
        /// A handle on it.
        pidfd: Arc<OwnedFd>,
        /// As it may be outlived.
        ranges: Ranges,
    },
}

/// Where the containers of the machine write down whose which ids are: see [`subids::reserve`].
#[derive(Debug, Clone)]
pub struct Ranges {
    /// The directory for all of them.
    pub directory: PathBuf,
    /// What this container has as long as it lives.
    pub owner: PathBuf,
}

// ANCHOR: user
impl UserNamespace {
    /// What stands for it in the list, prepared: the container's root is made with its ids.
    pub(super) fn primitives(&self, host: &mut Host) -> Result<Vec<Box<dyn Primitive>>> {
        match self {
            Self::Host => Ok(Vec::new()),
            Self::Own(ranges) => {
                let mut namespace = SubIds::reserved(ranges.directory.clone(), ranges.owner.clone());
                let mut idmap = Idmap::default();
                host.prepare(&mut namespace)?;
                host.prepare(&mut idmap)?;
                Ok(vec![Box::new(namespace), Box::new(idmap)])
            }
            Self::Of { pid, pidfd, ranges } => {
                let copy = pidfd.try_clone().map_err(|e| Error::from_io("join", "dup(pidfd)", &e))?;
                let mut join = JoinUser::new(*pid, copy);
                host.prepare(&mut join)?;
                let Some(first) = host.maps.as_ref().and_then(|maps| maps.outside_user(0)) else {
                    return Ok(Vec::new());
                };
                subids::share(&ranges.directory, first, &ranges.owner, host)?;
                // Its own claim on the ids stood until now, and ours does.
                if poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO) != Ok(0) {
                    let ended = Error::new("join", format!("join the user namespace of {pid}"), Errno::ESRCH);
                    return Err(ended.hint("the process has ended"));
                }
                Ok(vec![Box::new(join)])
            }
        }
    }
}
// ANCHOR_END: user

/// Refuses ids that the container's user namespace does not have: the kernel would say EINVAL, and not of which.
pub(super) fn check(maps: Option<&IdMaps>, ids: &Ids) -> Result<()> {
    let Some(maps) = maps else { return Ok(()) };
    let user = Some(("user", ids.uid)).filter(|(_, uid)| maps.outside_user(*uid).is_none());
    let mut groups = ids.groups.iter().chain([&ids.gid]).map(|gid| ("group", *gid));
    match user.or_else(|| groups.find(|(_, gid)| maps.outside_group(*gid).is_none())) {
        Some((what, id)) => {
            let error = Error::new("ids", format!("take {what} {id}"), Errno::EINVAL);
            Err(error.hint(
                "the container's user namespace has the ids 0 to 65535: take one of them, or start it with --userns=host",
            ))
        }
        None => Ok(()),
    }
}

/// Makes a container with a user namespace of its own at `base`, a path that is not there yet, up to the point where its
/// program would run: whether this kernel can do it with that filesystem.
///
/// # Errors
/// What cannot be done.
pub fn try_user_namespace(base: &Path, ranges: &Ranges) -> Result<()> {
    let mut host = Host::new(Journal::in_memory());
    let tried = try_with(base, ranges, &mut host);
    let undone = std::mem::take(&mut host.journal).undo_all();
    tried.and_then(|()| undone.map_err(|e| Error::from_io("user", "clean up", &e)))
}

fn try_with(base: &Path, ranges: &Ranges, host: &mut Host) -> Result<()> {
    let null = |_| Error::new("user", "find the store", Errno::EINVAL);
    let mut list = UserNamespace::Own(ranges.clone()).primitives(host)?;
    let mounts = mount::Mounts::new(Path::new("/"), mount::default_table(1 << 20)).map_err(null)?;
    list.push(Box::new(pid::PidNamespace));
    list.push(Box::new(ipc::Ipc));
    list.push(Box::new(network::Network));
    list.push(Box::new(overlay::Overlay::new(Vec::new(), base.to_owned())));
    list.push(Box::new(mounts));
    let mut process = Process::new(Program::new(["/nothing"], [""; 0]).map_err(null)?);
    match spawn(&mut Container(list), &mut process, host) {
        Err(e) if (e.primitive, e.errno) == (EXEC, Errno::ENOENT) => Ok(()),
        tried => tried.map(drop),
    }
}
