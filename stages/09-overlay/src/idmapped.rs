//! Layers that show the container's ids, whatever is on disk.
//!
//! An idmapped mount (mount_setattr(2)) shows a file of user 0 as one of whom the container's root is outside, and
//! stores what he writes as user 0's again. So images stay as they are, unpacked once for all containers. overlayfs
//! takes such layers from Linux 5.19 on; the overlay itself is made by the parent, who may idmap.

use std::{
    ffi::CString,
    fs,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Component, Path, PathBuf},
};

use nix::{
    fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2},
    libc,
    mount::{MsFlags, mount},
    sys::socket::{AddressFamily, SockFlag, SockType, socketpair},
    unistd::chdir,
};
use process::{
    Errno, Error, Host, Result,
    sys::{self, Cloned, OpenTree},
};

use crate::{Overlay, Prepared, SOURCE, create, finish, join, root_of};

/// A mount of the host, copied whole and idmapped.
struct Copy {
    id: u64,
    /// Where the host has it.
    top: PathBuf,
    tree: OwnedFd,
}

/// All directories as seen through the copies: lower ones, upper, work.
struct Layers {
    copies: Vec<Copy>,
    directories: Vec<OwnedFd>,
}

impl Overlay {
    // ANCHOR: idmapped
    /// Makes the mount out of layers idmapped by the user namespace `maps`.
    pub(crate) fn mount_idmapped(&mut self, host: &mut Host, prepared: &Prepared, maps: BorrowedFd) -> Result<OwnedFd> {
        let mut layers = Layers { copies: Vec::new(), directories: Vec::new() };
        let own = [self.base.join("upper"), self.base.join("work")];
        for path in self.lower.iter().chain(&own) {
            layers.add(host, path, maps)?;
        }
        let mount = || match if self.attach_layers { Err(Errno::EINVAL) } else { layers.mount(prepared) } {
            // Before Linux 6.13 no descriptor is taken (before 6.5 with EOPNOTSUPP), before 6.15 none of a mount that
            // stands nowhere.
            Err(Errno::EINVAL | Errno::EOPNOTSUPP) => layers.mount_attached(prepared),
            mounted => mounted,
        };
        // overlayfs writes as whoever mounts it: root of the host has no id in the layers, root of the container has.
        let (uid, gid) = host.maps.as_ref().map_or((None, None), root_of);
        let owner = uid.zip(gid);
        let mounted = host.act(
            || self.words(),
            || owner.ok_or(Errno::EOVERFLOW).and_then(|(uid, gid)| sys::as_file_owner(uid, gid, mount)),
        );
        // Where the last one of a copy is closed, the kernel waits for all processors: not while a container waits too.
        self.copies = layers.copies.into_iter().map(|copy| copy.tree).collect();
        mounted
    }
    // ANCHOR_END: idmapped
}

impl Layers {
    /// Opens a directory through a copy of the mount that it is in: a copy a layer would cost ten times as much.
    fn add(&mut self, host: &mut Host, path: &Path, maps: BorrowedFd) -> Result<()> {
        let find = |errno| Error::new("overlay", format!("find the mount of {}", path.display()), errno);
        let path = real(path).map_err(find)?;
        let id = mount_id(&path).map_err(find)?;
        let copy = if let Some(at) = self.copies.iter().position(|copy| copy.id == id) {
            &self.copies[at]
        } else {
            let top = path.ancestors().take_while(|path| mount_id(path) == Ok(id)).last().unwrap_or(&path);
            let tree = host.act(|| format!("mount_setattr({}, MOUNT_ATTR_IDMAP)", top.display()), || idmap(top, maps));
            let tree = tree.map_err(advised)?;
            self.copies.push(Copy { id, top: top.to_owned(), tree });
            &self.copies[self.copies.len() - 1]
        };
        let below = path.strip_prefix(&copy.top).unwrap_or(&path);
        let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
        self.directories.push(openat2(&copy.tree, below, how).map_err(find)?);
        Ok(())
    }

    /// Lower directories, upper, work.
    fn split(&self) -> (&[OwnedFd], &OwnedFd, &OwnedFd) {
        let (lower, own) = self.directories.split_at(self.directories.len() - 2);
        (lower, &own[0], &own[1])
    }

    fn mount(&self, prepared: &Prepared) -> Result<OwnedFd, Errno> {
        let (lower, upper, work) = self.split();
        let context = sys::fsopen(c"overlay")?;
        for directory in lower {
            sys::fsconfig_fd(context.as_fd(), c"lowerdir+", directory.as_fd())?;
        }
        sys::fsconfig_fd(context.as_fd(), c"upperdir", upper.as_fd())?;
        sys::fsconfig_fd(context.as_fd(), c"workdir", work.as_fd())?;
        create(context.as_fd(), SOURCE, &prepared.flags, prepared.attr)
    }

    /// The same with the copies attached, as older kernels want their layers: in a mount namespace of a process of its
    /// own, where nobody sees them and from which nothing remains.
    fn mount_attached(&self, prepared: &Prepared) -> Result<OwnedFd, Errno> {
        let number = |fd: &OwnedFd| CString::new(fd.as_raw_fd().to_string()).map_err(|_| Errno::EINVAL);
        let (lower, upper, work) = self.split();
        let numbers = lower.iter().map(number).collect::<Result<Vec<_>, _>>()?;
        let joined = join(&lower.iter().map(|fd| fd.as_raw_fd().to_string()).collect::<Vec<_>>())?;
        let (upper, work) = (number(upper)?, number(work)?);
        // System calls only, as between clone and exec.
        let make = || -> Result<OwnedFd, Errno> {
            mount(None::<&str>, c"/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
            for copy in &self.copies {
                sys::move_mount(copy.tree.as_fd(), None, c"/")?;
            }
            chdir(c"/proc/self/fd")?;
            let context = sys::fsopen(c"overlay")?;
            sys::fsconfig_string(context.as_fd(), c"upperdir", &upper)?;
            sys::fsconfig_string(context.as_fd(), c"workdir", &work)?;
            // The table of mounts has numbers for the layers, so that the upper one's path is its name there.
            finish(context.as_fd(), &prepared.upper, (&numbers, &joined), &prepared.flags, prepared.attr)
        };
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        match sys::clone3(libc::CLONE_NEWNS as u64, None)? {
            Cloned::Child => {
                let sent = make().and_then(|root| sys::send_fd(theirs.as_fd(), &[0], root.as_fd()));
                sys::exit_now(sent.map_or_else(|errno| errno as i32, |()| 0))
            }
            Cloned::Parent(_, pidfd) => {
                drop(theirs);
                let received = sys::receive_fd(ours.as_fd(), &mut [0]);
                let code = sys::wait_exit(pidfd.ok_or(Errno::EBADF)?.as_fd())?;
                received?.1.ok_or(Errno::from_raw(code))
            }
        }
    }
}

/// The path without symbolic links; most have none.
fn real(path: &Path) -> Result<PathBuf, Errno> {
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
    let plain = path.is_absolute() && !path.components().any(|part| part == Component::ParentDir);
    if plain && openat2(AT_FDCWD, path, how).is_ok() {
        return Ok(path.to_owned());
    }
    fs::canonicalize(path).map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO)))
}

fn mount_id(path: &Path) -> Result<u64, Errno> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    sys::mount_id(&path)
}

fn idmap(path: &Path, maps: BorrowedFd) -> Result<OwnedFd, Errno> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    let tree = sys::open_tree(None, &path, OpenTree::Clone)?;
    sys::mount_idmapped(tree.as_fd(), maps, false)?;
    Ok(tree)
}

fn advised(error: Error) -> Error {
    match error.errno {
        Errno::EINVAL => error.hint(
            "its filesystem cannot be idmapped: ext4 and XFS can from Linux 5.12 on, Btrfs 5.15, tmpfs 6.3, overlay never",
        ),
        Errno::EPERM => error.hint("idmapping needs root, and a mount that is not idmapped yet"),
        _ => error,
    }
}
